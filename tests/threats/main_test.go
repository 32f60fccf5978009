// Package threats has a test for each flaw of other SSH servers that THREATS.md
// lists, by the row's number, over a client that can send anything.
//
// A server passes if it ends the offending connection (and says why), and goes on
// for everybody else without having grown.
package threats

import (
	"errors"
	"os"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// connect opens a TCP connection to a server.
func connect(t testing.TB, s *harness.Server) *raw.Conn {
	t.Helper()
	c, err := raw.Dial(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// encrypted connects and runs the first key exchange; k may be nil.
func encrypted(t testing.TB, s *harness.Server, k *raw.KexInit) *raw.Conn {
	t.Helper()
	c := connect(t, s)
	if err := c.Handshake(k); err != nil {
		t.Fatal(err)
	}
	return c
}

// authenticating connects and asks for the service ssh-userauth.
func authenticating(t testing.TB, s *harness.Server) *raw.Conn {
	t.Helper()
	c := encrypted(t, s, nil)
	if err := c.RequestService("ssh-userauth"); err != nil {
		t.Fatal(err)
	}
	return c
}

// loggedIn connects and logs in.
func loggedIn(t testing.TB, s *harness.Server) *raw.Conn {
	t.Helper()
	c := connect(t, s)
	if err := c.Login(nil, s.Account.Name, harness.UserKey(t, "ed25519", "").Private); err != nil {
		t.Fatal(err)
	}
	return c
}

// session logs in and opens a session channel with a window of 1 MiB.
func session(t testing.TB, s *harness.Server) (*raw.Conn, *raw.Channel) {
	t.Helper()
	c := loggedIn(t, s)
	ch, err := c.OpenSession(1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return c, ch
}

// send sends packets; a server that has already ended the connection is not an
// error here.
func send(c *raw.Conn, payloads ...[]byte) {
	_ = c.SendAll(payloads...)
}

// mustEnd sees the server end the connection; it returns the numbers of the
// messages that came before.
func mustEnd(t testing.TB, c *raw.Conn, what string) []byte {
	t.Helper()
	numbers, _, err := c.ReadUntilEnd()
	if err != nil {
		t.Errorf("%s: the connection does not end: %v (messages %v)", what, err, numbers)
	}
	_ = c.Close()
	return numbers
}

// mustBeWell logs in as everybody does, runs a command, and looks for traces of a
// crash in the log.
func mustBeWell(t testing.TB, s *harness.Server) {
	t.Helper()
	if s.Exited() {
		t.Fatalf("the server is gone:\n%s", s.Log)
	}
	c := loggedIn(t, s)
	r, err := c.Run(0, "echo well; exit 3")
	if err != nil || string(r.Stdout) != "well\n" || r.Status != 3 {
		t.Errorf("an ordinary login afterwards: %v, %+v", err, r)
	}
	_ = c.Close()
	for _, line := range s.Log.Lines(0) {
		if strings.Contains(line, "panic") || strings.HasPrefix(line, "goroutine ") || strings.Contains(line, "SIGSEGV") {
			t.Errorf("a crash in the log: %s", line)
			break
		}
	}
}

// ended reports whether an error says that the server ended the connection.
func ended(err error) bool { return errors.Is(err, raw.ErrDisconnected) }

// peerIsOurs is false for the real sshd, some of whose answers are its own.
func peerIsOurs() bool { return !harness.PeerIsSSHD() }
