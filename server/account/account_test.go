package account

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
	"nano_ssh_server/server/service/session"
)

// lines keeps what was logged, with its level.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (s *lines) Write(level log.Level, _ int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, level.String()+" "+text)
}

func (s *lines) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.text
	s.text = nil
	return t
}

type hostKey struct{ ssh.Signer }

func (s hostKey) PublicKey(string) []byte { return s.Signer.PublicKey().Marshal() }

func (s hostKey) Sign(_, hash []byte, _ string) ([]byte, error) {
	sig, err := s.Signer.Sign(rand.Reader, hash)
	if err != nil {
		return nil, err
	}
	return ssh.Marshal(sig), nil
}

// opener panics where a terminal is asked for.
type opener struct{ session.Local }

func (opener) OpenPTY() (master, slave *os.File, name string, err error) {
	panic("a bug in a terminal")
}

// connected is a connection under test.
type connected struct {
	ssh.Conn
	requests <-chan *ssh.Request
	ended    chan error
	sink     *lines
}

// serve lets a client in without a question and serves it.
func serve(t *testing.T, change func(*Config)) *connected {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &connected{ended: make(chan error, 1), sink: &lines{}}
	cfg := &Config{
		Transport: &transport.Config{
			Version: "SSH-2.0-test", KexAlgorithms: algo.DefaultKex, HostKeyAlgorithms: []string{"ssh-ed25519"},
			Ciphers: algo.DefaultCiphers, MACs: algo.DefaultMACs, Compression: []string{"none"},
			Signer: hostKey{signer}, Random: func(b []byte) { _, _ = rand.Read(b) },
		},
		Session: &session.Policy{Account: who, PermitPTY: true, MaxSessions: 10},
		Opener:  opener{session.Local{Account: who}},
		Peer:    log.Peer{Addr: "192.0.2.7", Port: 1234, User: "alice", Authenticated: true, Started: true},
		Log:     log.New(c.sink, log.Verbose),
	}
	if change != nil {
		change(cfg)
	}
	go func() {
		stream, err := l.Accept()
		if err == nil {
			err = letIn(stream, cfg)
		}
		c.ended <- err
	}()
	stream, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var channels <-chan ssh.NewChannel
	c.Conn, channels, c.requests, err = ssh.NewClientConn(stream, "", &ssh.ClientConfig{User: "alice", HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for n := range channels {
			_ = n.Reject(ssh.Prohibited, "")
		}
	}()
	t.Cleanup(func() { stream.Close() })
	return c
}

func letIn(stream net.Conn, cfg *Config) error {
	c := transport.New(stream, cfg.Transport)
	defer c.Free()
	if err := c.Handshake(); err != nil {
		return err
	}
	for _, answer := range [][]byte{wire.AppendText([]byte{msg.ServiceAccept}, "ssh-userauth"), {msg.UserauthSuccess}} {
		if _, err := c.Receive(); err != nil {
			return err
		}
		if err := c.Send(answer); err != nil {
			return err
		}
	}
	state, err := c.Export()
	if err != nil {
		return err
	}
	return Serve(stream, state, cfg)
}

// wait returns why the connection ended.
func (c *connected) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the connection goes on")
		return nil
	}
}

func (c *connected) session(t *testing.T) *ssh.Session {
	t.Helper()
	s, err := (&ssh.Client{Conn: c.Conn}).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestServe(t *testing.T) {
	c := serve(t, nil)
	go ssh.DiscardRequests(c.requests)
	out, err := c.session(t).Output("echo hello")
	if err != nil || string(out) != "hello\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := c.SendRequest("no-more-sessions@openssh.com", false, nil); err != nil {
		t.Error(err)
	}
	// Another request, whose answer says that the one before was worked off.
	if ok, _, err := c.SendRequest("no-such-request", true, nil); ok || err != nil {
		t.Error(ok, err)
	}
	_, _, err = c.OpenChannel("session", nil)
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
		t.Errorf("a session after no-more-sessions: %v", err)
	}
	c.Close()
	if err := c.wait(t); err == nil {
		t.Error("no error")
	}
}

// TestThreat34 has a service panic in a goroutine of a channel's: it is logged with
// its stack, the connection ends, and so do its processes.
func TestThreat34(t *testing.T) {
	c := serve(t, nil)
	go ssh.DiscardRequests(c.requests)
	sleeper := c.session(t)
	if err := sleeper.Start("exec sleep 1000"); err != nil {
		t.Fatal(err)
	}
	if err := c.session(t).RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("a terminal was given")
	}
	if err := c.wait(t); err != ErrBug {
		t.Error(err)
	}
	if err := sleeper.Wait(); err == nil {
		t.Error("no error")
	}
	got := strings.Join(c.sink.take(), "\n")
	for _, want := range []string{"ERROR internal error: a bug in a terminal\n", "ERROR goroutine ", "account_test.go:"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestThreat34Start has the role itself panic before it serves anything.
func TestThreat34Start(t *testing.T) {
	c := serve(t, func(cfg *Config) { cfg.Session = nil })
	go ssh.DiscardRequests(c.requests)
	if err := c.wait(t); err != ErrBug {
		t.Error(err)
	}
	if err := c.Conn.Wait(); err == nil {
		t.Error("the stream is open")
	}
}

func TestClientAlive(t *testing.T) {
	alive := func(count int) func(*Config) {
		return func(cfg *Config) { cfg.ClientAliveInterval, cfg.ClientAliveCountMax = 20*time.Millisecond, count }
	}
	// A client that answers stays.
	c := serve(t, alive(2))
	for range 6 {
		r := <-c.requests
		if r == nil || r.Type != "keepalive@openssh.com" || !r.WantReply {
			t.Fatalf("%+v", r)
		}
		_ = r.Reply(false, nil)
	}
	c.Close()
	if err := c.wait(t); errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
	// One that does not goes after so many questions.
	c = serve(t, alive(2))
	if err := c.wait(t); !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
	if got := c.sink.take(); !slices.Contains(got, "INFO Timeout, client not responding from user alice 192.0.2.7 port 1234") {
		t.Errorf("%q", got)
	}
	// With a count of 0 it is asked, and never goes.
	c = serve(t, alive(0))
	for range 6 {
		if r := <-c.requests; r == nil {
			t.Fatal("ended")
		}
	}
	select {
	case err := <-c.ended:
		t.Errorf("ended with %v", err)
	default:
	}
	c.Close()
	c.wait(t)
}

// TestEnd holds the lines at the end of a connection against sshd's.
func TestEnd(t *testing.T) {
	const at = "192.0.2.7 port 1234"
	for _, c := range []struct {
		err  error
		want []string
	}{
		{io.EOF, []string{"INFO Connection closed by " + at}},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, []string{"INFO Connection reset by user alice " + at}},
		{ErrTimeout, []string{"INFO Timeout, client not responding from user alice " + at}},
		{&transport.DisconnectError{Reason: 11, Text: "bye\x1b"}, []string{
			`INFO Received disconnect from ` + at + `:11: bye\033`, "INFO Disconnected from user alice " + at}},
		{&transport.PeerError{Reason: 2, Text: "too many requests", Err: errors.New("detail")}, []string{
			"INFO Disconnecting user alice " + at + ": too many requests"}},
	} {
		sink := &lines{}
		cfg := &Config{Peer: log.Peer{Addr: "192.0.2.7", Port: 1234, User: "alice", Started: true, Authenticated: true}, Log: log.New(sink, log.Verbose)}
		cfg.logEnd(c.err)
		if got := sink.take(); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
