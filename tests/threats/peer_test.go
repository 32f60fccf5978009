package threats

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// TestThreat16 opens channels that are refused, by the hundred thousand, and then as many
// as it can: nothing stays of the former, and there is an end to the latter.
func TestThreat16(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	mustBeWell(t, s)
	c := loggedIn(t, s)
	ch, err := c.OpenSession(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	// open opens channels, a batch at a time, and counts what becomes of them.
	open := func(n int, request func(id uint32) []byte) (opened, refused int) {
		t.Helper()
		const batch = 100
		for id := uint32(1); opened+refused < n; {
			var all [][]byte
			for range min(batch, n-opened-refused) {
				all = append(all, request(id))
				id++
			}
			if err := c.SendAll(all...); err != nil {
				t.Fatal(err)
			}
			for range all {
				p, err := c.Expect(raw.ChannelConfirmation, raw.ChannelOpenFailure)
				if err != nil {
					t.Fatal(err)
				}
				if p[0] == raw.ChannelConfirmation {
					opened++
				} else {
					refused++
				}
			}
		}
		return opened, refused
	}
	closed := uint32(harness.FreePort(t))
	requests := []func(id uint32) []byte{
		func(id uint32) []byte { return raw.OpenRequest("x@example.com", id, 1<<20, 32<<10) },
		func(id uint32) []byte { return raw.OpenRequest("x11", id, 1<<20, 32<<10, "127.0.0.1", uint32(1)) },
		func(id uint32) []byte {
			return raw.OpenRequest("direct-tcpip", id, 1<<20, 32<<10, "127.0.0.1", closed, "127.0.0.1", uint32(1))
		},
		func(id uint32) []byte {
			return raw.OpenRequest("direct-streamlocal@openssh.com", id, 1<<20, 32<<10, "/nonexistent", "", uint32(0))
		},
	}
	before, had := s.RSS(), descriptors(t, s)
	for i, request := range requests {
		if opened, _ := open(25_000, request); opened != 0 {
			t.Errorf("%d channels of kind %d", opened, i)
		}
	}
	if grown := s.RSS() - before; grown > maxGrowth/2 {
		t.Errorf("the server grew by %d kB", grown)
	}
	// MaxSessions is 10, and one is there.
	if opened, _ := open(1000, func(id uint32) []byte { return raw.OpenRequest("session", id, 1<<20, 32<<10) }); opened != 9 {
		t.Errorf("%d more sessions", opened)
	}
	// Channels that are really there: the other end takes and keeps them.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	port := uint32(l.Addr().(*net.TCPAddr).Port)
	harness.SkipPeer(t, "it has no bound")
	opened, refused := open(5000, func(id uint32) []byte {
		return raw.OpenRequest("direct-tcpip", id, 1<<20, 32<<10, "127.0.0.1", port, "127.0.0.1", uint32(1))
	})
	if opened+10 > 4096 || refused < 5000-4096 {
		t.Errorf("%d channels are open, %d were refused", opened, refused)
	}
	// The first session still serves.
	if err := c.Exec(ch, "echo served"); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Collect(ch); err != nil || string(r.Stdout) != "served\n" {
		t.Errorf("%+v, %v", r, err)
	}
	_ = c.Close()
	harness.Eventually(t, patience, "the end of its connections", func() bool { return descriptors(t, s) <= had })
	mustBeWell(t, s)
}

// descriptors is how many a server of one process has open.
func descriptors(t *testing.T, s *harness.Server) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// forged is what a log must not have raw: an end of line with what looks like a line of
// ours, sequences for terminals, bytes that are no text.
const forged = "x\nFORGED sshd[1]: Accepted password for root from 192.0.2.1 port 1 ssh2\rFORGED\x1b]0;FORGED\x07\x1b[31m\x7f\x9b\xff"

// say says a text in every place that takes one, on connections of their own.
func say(t *testing.T, s *harness.Server, text string) {
	t.Helper()
	line := strings.NewReplacer("\n", "", "\r", "", "\x00", "").Replace(text)
	c := connect(t, s)
	if err := c.SendVersion("SSH-2.0-" + line); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Drain()
	c = connect(t, s)
	if err := c.Versions(); err != nil {
		t.Fatal(err)
	}
	k := raw.DefaultKexInit()
	k.Kex = []string{"a\nFORGED\x1b"}
	if err := c.SendKexInit(k); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Drain()
	blob := raw.Blob(harness.UserKey(t, "ed25519", "").Private)
	before := [][]byte{
		raw.Msg(raw.Disconnect, uint32(11), text, text),
		raw.Msg(raw.Debug, true, text, text), raw.Msg(raw.ServiceRequest, text),
		raw.NoneRequest(text), raw.PasswordRequest(text, text),
		raw.Msg(raw.UserauthRequest, s.Account.Name, text, "none"),
		raw.Msg(raw.UserauthRequest, s.Account.Name+":"+text, "ssh-connection", "none"),
		raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", text),
		raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "publickey", false, text, blob),
		raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "publickey", false, "ssh-ed25519", text),
		raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "keyboard-interactive", text, text),
		raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "hostbased", "ssh-ed25519", blob, text, text, text),
		raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "hostbased", text, blob, "host", "user", text),
	}
	for _, p := range before {
		c := authenticating(t, s)
		send(c, p)
		// Some are answered and some end the connection; a second message makes sure that
		// the first was dealt with.
		send(c, raw.Msg(raw.Disconnect, uint32(11), "", ""))
		_, _ = c.Drain()
	}
	after := [][]byte{
		raw.Msg(raw.Disconnect, uint32(11), text, text), raw.Msg(raw.GlobalRequest, text, true),
		raw.Msg(raw.GlobalRequest, "tcpip-forward", true, text, uint32(1)), raw.Msg(raw.GlobalRequest, "cancel-tcpip-forward", true, text, uint32(1)),
		raw.Msg(raw.GlobalRequest, "streamlocal-forward@openssh.com", true, "/nonexistent/"+text),
		raw.OpenRequest(text, 1, 1<<20, 32<<10), raw.OpenRequest("direct-tcpip", 1, 1<<20, 32<<10, text, uint32(1), text, uint32(1)),
		raw.OpenRequest("direct-streamlocal@openssh.com", 1, 1<<20, 32<<10, "/nonexistent/"+text, text, uint32(0)),
	}
	for _, p := range after {
		c := loggedIn(t, s)
		send(c, p, raw.Msg(raw.Disconnect, uint32(11), "", ""))
		_, _ = c.Drain()
	}
	requests := map[string][]any{
		text: nil, "env": {text, text}, "pty-req": {text, 80, 24, 0, 0, text}, "x11-req": {false, text, text, 0},
		"exec": {text}, "subsystem": {text}, "signal": {text}, "xon-xoff": {text},
	}
	for name, fields := range requests {
		c, ch := session(t, s)
		// Its name says to the program what is sent on after it; here nothing is.
		send(c, ch.Request(name, true, fields...))
		for {
			p, err := c.Expect(raw.ChannelSuccess, raw.ChannelFailure, raw.ChannelWindowAdjust, raw.ChannelData, raw.ChannelExtended, raw.ChannelEOF, raw.ChannelRequest, raw.ChannelClose)
			if err != nil && !ended(err) {
				t.Error(name, err)
			}
			if err != nil || p[0] == raw.ChannelSuccess || p[0] == raw.ChannelFailure {
				break
			}
		}
		_ = c.Close()
	}
}

// TestThreat23 puts control bytes into every text that a peer may choose, before and after
// the login, and looks at each byte of the log at its most talkative.
func TestThreat23(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "it logs fewer texts")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "LogLevel DEBUG3\nAcceptEnv *\nMaxAuthTries 100\nHostbasedAuthentication yes\nPermitTunnel yes"})
		for _, text := range []string{forged, forged + "\x00"} { // many messages with a NUL end the connection
			say(t, s, text)
		}
		mark := s.Log.Len()
		// What is logged of a connection is there before the lines of one after it.
		mustBeWell(t, s)
		s.Log.Wait(t, mark, `Accepted publickey`)
		lines, shown := s.Log.Lines(0), 0
		for _, l := range lines {
			if strings.Contains(l, "FORGED") {
				shown++
			}
			if strings.HasPrefix(l, "FORGED") {
				t.Errorf("a line of the peer's own: %q", l)
			}
			if i := strings.IndexFunc(l, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
				t.Errorf("byte %#x in the log: %q", l[i], l)
			}
		}
		if shown < 12 {
			t.Errorf("only %d lines have a peer's text: does this test send what is logged?", shown)
		}
		t.Logf("%d of %d lines have a peer's text", shown, len(lines))
	})
}

// TestThreat34Late ends connections while something is still being done for them: what is
// said about it when they are gone does the user's other connections no harm.
func TestThreat34Late(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "LogLevel DEBUG3"})
		other, ch := session(t, s)
		if err := other.Exec(ch, "cat"); err != nil {
			t.Fatal(err)
		}
		closed, bye := uint32(harness.FreePort(t)), raw.Msg(raw.Disconnect, uint32(11), "", "")
		for range 30 {
			c, ch := session(t, s)
			send(c, ch.Request("pty-req", false, "vt100", 80, 24, 0, 0, ""), ch.Request("exec", false, "trap '' HUP; exec sleep 0.1"),
				raw.OpenRequest("direct-tcpip", 2, 1<<20, 32<<10, "127.0.0.1", closed, "127.0.0.1", uint32(1)),
				raw.OpenRequest("direct-tcpip", 3, 1<<20, 32<<10, "no such host", closed, "127.0.0.1", uint32(1)),
				raw.OpenRequest("direct-streamlocal@openssh.com", 4, 1<<20, 32<<10, "/nonexistent", "", uint32(0)), bye)
			_, _ = c.Drain()
		}
		send(other, ch.Data([]byte("still here")), ch.EOF())
		if r, err := other.Collect(ch); err != nil || string(r.Stdout) != "still here" {
			t.Errorf("another session: %v, %+v", err, r)
		}
		if l := s.Log.Find(0, `is ended: .*`); l != nil {
			t.Error(l[0])
		}
		mustBeWell(t, s)
	})
}
