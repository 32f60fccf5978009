package agent

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/service/agent/relay"
)

// connectEnv makes this test binary a program that connects to the socket that it
// names, until its input ends.
const connectEnv = "AGENT_TEST_CONNECT"

func TestMain(m *testing.M) {
	if name := os.Getenv(connectEnv); name != "" {
		c, err := net.Dial("unix", name)
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		c.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// testPolicy is a policy for whoever runs the tests, in an empty home, with another
// /tmp.
func testPolicy(t *testing.T) *Policy {
	t.Helper()
	old := tmpDir
	tmpDir = t.TempDir()
	t.Cleanup(func() { tmpDir = old })
	home := t.TempDir()
	for _, dir := range []string{home, tmpDir} { // whatever the umask
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &Policy{
		Permit: true, Log: &logged{},
		Account: &user.Account{Name: "alice", Home: home, UID: uint32(os.Geteuid())},
	}
}

func (p *Policy) logged() *logged { return p.Log.(*logged) }

// opened makes a Forwarder with a socket, whose client accepts channels by accept.
func opened(t *testing.T, p *Policy, accept func(*connection.NewChannel)) (f *Forwarder, client *connection.Mux, path string) {
	t.Helper()
	server, client := pair(t, channelType, accept)
	f = New(server, p)
	t.Cleanup(f.Close)
	path, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	return f, client, path
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a text and its end, and returns the answer up to its end.
func ask(t *testing.T, c *net.UnixConn, text string) string {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestForward(t *testing.T) {
	extra := make(chan []byte, 10)
	f, client, path := opened(t, testPolicy(t), func(n *connection.NewChannel) {
		extra <- n.Extra
		echo(n)
	})
	for range 3 {
		if got := ask(t, dial(t, path), "ping"); got != "heard ping" {
			t.Errorf("answer %q", got)
		}
		if e := <-extra; len(e) != 0 {
			t.Errorf("the channel has data of its own: %x", e)
		}
	}
	eventually(t, "the end of all channels", func() bool { return client.Counts() == 0 && f.mux.Counts() == 0 })
}

// TestBulk sends more than all windows both ways at a time.
func TestBulk(t *testing.T) {
	const size = 7 << 20
	sum := make(chan [32]byte, 1)
	_, _, path := opened(t, testPolicy(t), func(n *connection.NewChannel) {
		ch := n.Accept(patient{newQuiet()})
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = ch.Write(bytes.Repeat([]byte("client "), size/7))
			_ = ch.CloseWrite()
		}()
		h := sha256.New()
		_, _ = ch.WriteTo(h)
		<-written
		sum <- [32]byte(h.Sum(nil))
		_ = ch.Close()
	})
	c := dial(t, path)
	data := bytes.Repeat([]byte("program"), size/7)
	go func() { _, _ = c.Write(data); _ = c.CloseWrite() }()
	all, err := io.ReadAll(c)
	if err != nil || len(all) != size {
		t.Fatalf("%d bytes from the client, %v", len(all), err)
	}
	if <-sum != sha256.Sum256(data) {
		t.Error("the client got something else")
	}
}

// TestHalfClose: the client's EOF is the program's, which may still answer.
func TestHalfClose(t *testing.T) {
	heard := make(chan string, 1)
	_, _, path := opened(t, testPolicy(t), func(n *connection.NewChannel) {
		ch := n.Accept(patient{newQuiet()})
		_, _ = ch.Write([]byte("question"))
		_ = ch.CloseWrite()
		all, _ := io.ReadAll(ch)
		heard <- string(all)
		_ = ch.Close()
	})
	c := dial(t, path)
	all, err := io.ReadAll(c)
	if err != nil || string(all) != "question" {
		t.Fatalf("%q, %v", all, err)
	}
	_, _ = c.Write([]byte("answer"))
	c.Close()
	if got := <-heard; got != "answer" {
		t.Errorf("heard %q", got)
	}
}

// TestClientCloses: what a client sent before its CLOSE is delivered, and the program
// sees the end.
func TestClientCloses(t *testing.T) {
	const size = 1 << 20 // less than the window, more than the socket takes at once
	handler := newQuiet()
	_, _, path := opened(t, testPolicy(t), func(n *connection.NewChannel) {
		ch := n.Accept(handler)
		_, _ = ch.Write(bytes.Repeat([]byte{'x'}, size))
		_ = ch.Close()
	})
	c := dial(t, path)
	all, err := io.ReadAll(c)
	if err != nil || len(all) != size {
		t.Fatalf("%d bytes, %v", len(all), err)
	}
	<-handler.closed
}

// TestProgramGoes: a program that is gone before its answer takes its channel with it,
// and what it said is heard.
func TestProgramGoes(t *testing.T) {
	heard := make(chan string, 1)
	f, _, path := opened(t, testPolicy(t), func(n *connection.NewChannel) {
		ch := n.Accept(newQuiet())
		all, _ := io.ReadAll(ch)
		heard <- string(all)
		_ = ch.CloseWrite()
		_ = ch.Close()
	})
	c := dial(t, path)
	_, _ = c.Write([]byte("bye"))
	c.Close()
	if got := <-heard; got != "bye" {
		t.Errorf("heard %q", got)
	}
	eventually(t, "the channel's end", func() bool { return f.mux.Counts() == 0 })
}

func TestClientRefuses(t *testing.T) {
	p := testPolicy(t)
	_, _, path := opened(t, p, func(n *connection.NewChannel) { n.Reject(msg.OpenConnectFailed, "no\nagent") })
	c := dial(t, path)
	if all, err := io.ReadAll(c); len(all) != 0 || err != nil {
		t.Errorf("%q, %v", all, err)
	}
	if want := "info: channel auth-agent@openssh.com: open failed: connect failed: no\nagent"; !strings.Contains(p.logged().text(), want) {
		t.Errorf("log %q", p.logged().text())
	}
}

// TestLimit: connections over the bound wait until another one ends.
func TestLimit(t *testing.T) {
	accepted := make(chan *connection.Channel, maxConnections+1)
	_, client, path := opened(t, testPolicy(t), func(n *connection.NewChannel) { accepted <- n.Accept(newQuiet()) })
	var last *connection.Channel
	for range maxConnections {
		dial(t, path)
		last = <-accepted
	}
	over := dial(t, path)
	if client.Counts() != maxConnections || len(accepted) != 0 {
		t.Fatalf("%d channels", client.Counts())
	}
	_ = last.CloseWrite()
	_ = last.Close()
	ch := <-accepted
	_, _ = ch.Write([]byte("now"))
	b := make([]byte, 3)
	if _, err := io.ReadFull(over, b); err != nil || string(b) != "now" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestRefused(t *testing.T) {
	p := testPolicy(t)
	p.Permit = false
	server, _ := pair(t, channelType, echo)
	f := New(server, p)
	if path, err := f.Open(); path != "" || err != errDisabled {
		t.Errorf("not permitted: %q, %v", path, err)
	}
	nothingMade(t, p)
	p.Permit = true
	if _, err := f.Open(); err != nil {
		t.Fatal(err)
	}
	if path, err := f.Open(); path != "" || err != errTwice {
		t.Errorf("twice: %q, %v", path, err)
	}
	f.Close()
	if path, err := f.Open(); path != "" || err != errClosed {
		t.Errorf("after the end: %q, %v", path, err)
	}
	f.Close()
}

func nothingMade(t *testing.T, p *Policy) {
	t.Helper()
	for _, dir := range []string{p.Account.Home, tmpDir} {
		if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", dir, list, err)
		}
	}
}

// TestThreat18OtherUser: a process that is not the user's, root's above all, makes no
// socket.
func TestThreat18OtherUser(t *testing.T) {
	p := testPolicy(t)
	p.Account.UID++
	server, _ := pair(t, channelType, echo)
	f := New(server, p)
	if path, err := f.Open(); path != "" || err != errOther {
		t.Errorf("%q, %v", path, err)
	}
	nothingMade(t, p)
}

// TestThreat18Peer: the socket's mode changed or not, other users' programs get
// nothing.
func TestThreat18Peer(t *testing.T) {
	for _, c := range []struct {
		peer, own uint32
		ok        bool
	}{{0, 0, true}, {1000, 1000, true}, {0, 1000, true}, {1000, 0, false}, {1000, 1001, false}, {1<<32 - 1, 1000, false}} {
		if welcome(c.peer, c.own) != c.ok {
			t.Errorf("%d at %d's: not %v", c.peer, c.own, c.ok)
		}
	}
	p := testPolicy(t)
	f := New(nil, p)
	accept := func(uid uint32) bool {
		name := "@agent-test-" + randomName()
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{connectEnv + "=" + name}
		if uid != uint32(os.Geteuid()) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		}
		hold, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var complaint bytes.Buffer
		cmd.Stderr = &complaint
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); l.Close(); close(ended) }()
		defer func() { hold.Close(); <-ended }()
		c, err := l.Accept()
		if err != nil {
			t.Fatalf("%v: %s", err, complaint.String())
		}
		defer c.Close()
		_, ok := f.admit(c.(relay.Local))
		return ok
	}
	if !accept(p.Account.UID) {
		t.Errorf("the user's own program is refused: %s", p.logged().text())
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	if accept(65534) {
		t.Error("another user's program is let in")
	}
	if want := "error: uid mismatch: peer euid 65534 != uid 0"; p.logged().text() != want {
		t.Errorf("log %q", p.logged().text())
	}
}

// TestThreat32Gone: the end of a connection leaves no socket, no directory of ours and
// no connection, whoever ends it.
func TestThreat32Gone(t *testing.T) {
	for name, finish := range map[string]func(*Forwarder){
		"Close":        (*Forwarder).Close,
		"end of SSH":   func(f *Forwarder) { f.mux.Close() },
		"end and then": func(f *Forwarder) { f.mux.Close(); f.Close() },
		"Close, end":   func(f *Forwarder) { f.Close(); f.mux.Close() },
	} {
		for _, setting := range []string{DefaultSocketPath, "shared"} {
			t.Run(name+" "+setting, func(t *testing.T) {
				p := testPolicy(t)
				if setting == "shared" {
					p.SocketPath = "shared:" + tmpDir
				}
				accepted := make(chan struct{}, 1)
				f, _, path := opened(t, p, func(n *connection.NewChannel) {
					n.Accept(newQuiet())
					accepted <- struct{}{}
				})
				c := dial(t, path)
				<-accepted
				finish(f)
				if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
					t.Error(err)
				}
				eventually(t, "the socket to go", func() bool { _, err := os.Lstat(path); return os.IsNotExist(err) })
				f.Close()
				if list, _ := os.ReadDir(tmpDir); len(list) != 0 {
					t.Errorf("left over: %v", list)
				}
				if list, _ := filepath.Glob(p.Account.Home + "/.ssh/agent/*"); len(list) != 0 {
					t.Errorf("left over: %v", list)
				}
				if _, err := net.Dial("unix", path); err == nil {
					t.Error("the socket still answers")
				}
			})
		}
	}
}

// TestBug: a panic ends the connection that it is in.
func TestBug(t *testing.T) {
	p := testPolicy(t)
	server, _ := pair(t, channelType, echo)
	s, err := openSocket(p)
	if err != nil {
		t.Fatal(err)
	}
	r := relay.Serve(&relay.Config{
		Mux: server, Kind: channelType, Limit: 1, Log: p.Log,
		Admit: func(relay.Local) ([]byte, bool) { panic("oops") },
	}, s.listener)
	defer r.Close()
	dial(t, s.path)
	<-server.Done()
	if text := p.logged().text(); !strings.Contains(text, "error: internal error: oops\n") {
		t.Errorf("log %q", text)
	}
}
