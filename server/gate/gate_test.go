package gate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/userauth"
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

// fake is a Monitor that knows nobody; its host key panics.
type fake struct {
	sink *lines
	peer log.Peer
}

func newFake() *fake {
	return &fake{&lines{}, log.Peer{Addr: "192.0.2.7", Port: 1234}}
}

func (f *fake) PublicKey(string) []byte                        { panic("a bug behind the monitor") }
func (f *fake) Sign(_, _ []byte, _ string) ([]byte, error)     { panic("a bug behind the monitor") }
func (f *fake) Start(user, style, service string) string       { return "" }
func (f *fake) Methods() []string                              { return nil }
func (f *fake) None() (ok, partial bool)                       { return false, false }
func (f *fake) Password([]byte) (ok, partial bool)             { return false, false }
func (f *fake) Interactive([]byte) (ok, partial bool)          { return false, false }
func (f *fake) KeyAcceptable(string, []byte) bool              { return false }
func (f *fake) KeySigned(_ string, _, _, _ []byte) (a, b bool) { return false, false }
func (f *fake) Hostbased(string, []byte, string, string, []byte) (ok, partial bool) {
	return false, false
}
func (f *fake) Failed(string)                    {}
func (f *fake) MinimumTime(string) time.Duration { return 0 }
func (f *fake) MaxAuthTries() int                { return 6 }
func (f *fake) Log() *log.Logger                 { return log.New(f.sink, log.Verbose) }
func (f *fake) LogPeer() log.Peer                { return f.peer }

// TestEnd holds the lines at the end of a connection against sshd's.
func TestEnd(t *testing.T) {
	const at = "192.0.2.7 port 1234"
	known := func(m *fake) { m.peer.User, m.peer.Started = "alice", true }
	unknown := func(m *fake) { known(m); m.peer.Invalid = true }
	offence := func(text string) error { return &transport.PeerError{Reason: 2, Text: text, Err: errors.New("detail")} }
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	version := func(line string) error { return &transport.VersionError{Line: line} }
	for _, c := range []struct {
		err  error
		peer func(*fake)
		want []string
	}{
		{io.EOF, nil, []string{"INFO Connection closed by " + at + " [preauth]"}},
		{io.EOF, known, []string{"INFO Connection closed by authenticating user alice " + at + " [preauth]"}},
		{io.ErrUnexpectedEOF, unknown, []string{"INFO Connection closed by invalid user alice " + at + " [preauth]"}},
		{reset, known, []string{"INFO Connection reset by authenticating user alice " + at + " [preauth]"}},
		{&transport.DisconnectError{Reason: 11, Text: "Bye\n"}, known, []string{
			`INFO Received disconnect from ` + at + `:11: Bye\n [preauth]`, "INFO Disconnected from authenticating user alice " + at + " [preauth]"}},
		{&transport.DisconnectError{Reason: 2, Text: "odd"}, nil, []string{
			`ERROR Received disconnect from ` + at + `:2: odd [preauth]`, "INFO Disconnected from " + at + " [preauth]"}},
		{fmt.Errorf("x: %w", &transport.PeerError{Text: "Too many authentication failures", Err: userauth.ErrTooManyFailures}), known, []string{
			"ERROR maximum authentication attempts exceeded for alice from " + at + " ssh2 [preauth]",
			"INFO Disconnecting authenticating user alice " + at + ": Too many authentication failures [preauth]"}},
		{offence("Change of username or service not allowed: (a,b) -> (c,d)"), known, []string{
			"INFO Disconnecting authenticating user alice " + at + ": Change of username or service not allowed: (a,b) -> (c,d) [preauth]"}},
		{offence("Corrupted MAC on input."), nil, []string{
			"INFO Corrupted MAC on input. [preauth]",
			"INFO ssh_dispatch_run_fatal: Connection from " + at + ": message authentication code incorrect [preauth]"}},
		{offence("Bad packet length 4294967295."), nil, []string{
			"INFO Bad packet length 4294967295. [preauth]",
			"INFO ssh_dispatch_run_fatal: Connection from " + at + ": message authentication code incorrect [preauth]"}},
		{&transport.NegotiationError{What: log.KindCipher, Offer: "aes128-cbc"}, nil, []string{
			"INFO Unable to negotiate with " + at + ": no matching cipher found. Their offer: aes128-cbc [preauth]"}},
		{errors.New("something else"), nil, []string{"INFO ssh_dispatch_run_fatal: Connection from " + at + ": something else [preauth]"}},
		// What this side closed is told elsewhere.
		{&net.OpError{Op: "read", Err: net.ErrClosed}, known, nil},
		{&transport.VersionError{Err: net.ErrClosed}, nil, nil},
		{transport.ErrClosed, nil, nil},
		{&transport.VersionError{Err: io.EOF}, nil, []string{
			"ERROR kex_exchange_identification: Connection closed by remote host", "INFO Connection closed by " + at}},
		{&transport.VersionError{Err: reset}, nil, []string{
			"ERROR kex_exchange_identification: read: Connection reset by peer", "INFO Connection reset by " + at}},
		{version("GET / HTTP/1.0\r"), nil, []string{
			`ERROR kex_exchange_identification: client sent invalid protocol identifier "GET / HTTP/1.0"`,
			"INFO banner exchange: Connection from " + at + ": invalid format"}},
		{version("SSH-1.5-old\r"), nil, []string{
			"ERROR Protocol major versions differ: 2 vs. 1", "INFO banner exchange: Connection from " + at + ": could not read protocol version"}},
		{version("SSH-2-foo"), nil, []string{
			"ERROR Bad remote protocol version identification: 'SSH-2-foo'", "INFO banner exchange: Connection from " + at + ": invalid format"}},
		{version("SSH-2.0-a\rb"), nil, []string{
			"ERROR kex_exchange_identification: banner line contains invalid characters", "INFO banner exchange: Connection from " + at + ": invalid format"}},
		{version("SSH-2.0-" + strings.Repeat("x", 300)), nil, []string{
			"ERROR kex_exchange_identification: banner line too long", "INFO banner exchange: Connection from " + at + ": invalid format"}},
	} {
		m := newFake()
		if c.peer != nil {
			c.peer(m)
		}
		(&Config{Monitor: m}).logEnd(c.err)
		if got := m.sink.take(); !slices.Equal(got, c.want) {
			t.Errorf("%v:\n got %q\nwant %q", c.err, got, c.want)
		}
	}
}

// run authenticates over a pipe with a client that does what it is told.
func run(t *testing.T, m *fake, client func(c net.Conn)) error {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		client(theirs)
	}()
	state, err := Authenticate(ours, &Config{Monitor: m, Transport: &transport.Config{
		Version: "SSH-2.0-test", KexAlgorithms: []string{"curve25519-sha256"}, HostKeyAlgorithms: []string{"ssh-ed25519"},
		Ciphers: []string{"aes128-gcm@openssh.com"}, MACs: []string{"hmac-sha2-256"}, Compression: []string{"none"},
		Signer: m, Random: func([]byte) {},
	}})
	if state != nil || err == nil {
		t.Errorf("authenticated: %v", state)
	}
	if _, err := ours.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the stream is open: %v", err)
	}
	<-done
	return err
}

func TestBadVersion(t *testing.T) {
	m := newFake()
	err := run(t, m, func(c net.Conn) {
		r := bufio.NewReader(c)
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n")
		if answer, _ := r.ReadString('\n'); answer != "Invalid SSH identification string.\r\n" {
			t.Errorf("answered %q", answer)
		}
	})
	var version *transport.VersionError
	if !errors.As(err, &version) {
		t.Error(err)
	}
}

// TestThreat34 has the monitor's side panic in a key exchange: it is logged with its
// stack, and the connection is gone.
func TestThreat34(t *testing.T) {
	m := newFake()
	err := run(t, m, func(c net.Conn) {
		r := bufio.NewReader(c)
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(c, "SSH-2.0-client\r\n")
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		packet := make([]byte, int(head[2])<<8+int(head[3])-1)
		if _, err := io.ReadFull(r, packet); err != nil {
			return
		}
		_, _ = c.Write(append(head[:], packet...)) // its own KEXINIT, which suits it
		_, _ = io.Copy(io.Discard, r)
	})
	if err != ErrBug {
		t.Error(err)
	}
	got := strings.Join(m.sink.take(), "\n")
	for _, want := range []string{"ERROR internal error: a bug behind the monitor\n", "ERROR goroutine ", "gate_test.go:"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
