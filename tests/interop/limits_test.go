package interop

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// TestMaxAuthTries ends a connection after so many keys.
func TestMaxAuthTries(t *testing.T) {
	t.Parallel()
	var options []string
	for _, name := range []string{"-1", "-2", "-3", "-4"} {
		options = append(options, "-i", harness.UserKey(t, "ed25519", name).Path)
	}
	options = append(options, "-i", harness.UserKey(t, "ed25519", "").Path)
	s := harness.Start(t, harness.Options{Config: "MaxAuthTries 3"})
	if r := openssh(t, s, options...).refused(); !strings.Contains(r.Stderr, "Too many authentication failures") {
		t.Errorf("%+v", r)
	}
	s.Log.Wait(t, 0, `maximum authentication attempts exceeded for `+s.Account.Name+` from 127\.0\.0\.1 port \d+ ssh2`)
	more := harness.Start(t, harness.Options{Config: "MaxAuthTries 6"})
	openssh(t, more, options...).expect("echo in", "in", 0)
}

// TestMaxSessions refuses a session too many on one connection, and lets one in
// when another has ended.
func TestMaxSessions(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxSessions 1"})
	c := godial(t, s, gossh(t, s))
	first, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a second session with MaxSessions 1")
	}
	if out, err := first.Output("echo one"); err != nil || string(out) != "one\n" {
		t.Errorf("%q %v", out, err)
	}
	harness.Eventually(t, 10*time.Second, "a session after the first has ended", func() bool {
		second, err := c.NewSession()
		if err != nil {
			return false
		}
		out, err := second.Output("echo two")
		return err == nil && string(out) == "two\n"
	})
}

// TestNoSessions has MaxSessions 0 leave nothing but forwarding.
func TestNoSessions(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxSessions 0"})
	c := godial(t, s, gossh(t, s))
	if _, err := c.NewSession(); err == nil {
		t.Error("a session with MaxSessions 0")
	}
	conn, err := c.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestLoginGraceTime ends a connection that does not log in, and no other.
func TestLoginGraceTime(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "LoginGraceTime 5\nMaxStartups 2"})
		start := time.Now()
		session, _ := openssh(t, s).background(nil, "echo in; cat")
		steps := map[string]func(*raw.Conn) error{
			"nothing": func(*raw.Conn) error { return nil },
			"version": func(c *raw.Conn) error { return c.Versions() },
			"kex":     func(c *raw.Conn) error { return c.Handshake(nil) },
		}
		for name, step := range steps {
			c, err := raw.Dial(s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			c.Timeout = 30 * time.Second
			if err := step(c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := c.Drain(); err != nil {
				t.Errorf("%s: the connection still lives: %v", name, err)
			}
			_ = c.Close()
		}
		if d := time.Since(start); d < 10*time.Second {
			t.Errorf("three connections ended within %v", d)
		}
		if !harness.Running(session.Process.Pid) {
			t.Error("the session ended with LoginGraceTime")
		}
		if harness.PeerIsSSHD() {
			return // Debian 12's says nothing, and counts its slots late
		}
		s.Log.Wait(t, 0, `(?i)timeout before authentication`)
		openssh(t, s).expect("echo in", "in", 0) // the slots of MaxStartups are free again
	})
}

// TestMaxStartups refuses connections while too many are not logged in.
func TestMaxStartups(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 2\nLoginGraceTime 60"})
	var held []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	openssh(t, s).refused()
	for _, c := range held {
		_ = c.Close()
	}
	harness.Eventually(t, 10*time.Second, "a login after the others have gone", func() bool {
		return openssh(t, s).run("echo in").Stdout == "in\n"
	})
}

// TestClientAlive drops a client that has stopped answering.
func TestClientAlive(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "ClientAliveInterval 1\nClientAliveCountMax 1"})
	c := openssh(t, s)
	cmd, pid := c.background([]string{"-tt"}, "echo $$; exec cat")
	other, _ := c.background(nil, "echo in; exec cat")
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Signal(syscall.SIGCONT) }()
	s.Log.Wait(t, 0, `Timeout, client not responding from user `+s.Account.Name+` 127\.0\.0\.1 port \d+`)
	n, _ := strconv.Atoi(pid)
	harness.Eventually(t, 10*time.Second, "the end of the session", func() bool { return !harness.Running(n) })
	if !harness.Running(other.Process.Pid) {
		t.Error("a client that answers was dropped as well")
	}
}

// TestClientKilled kills the client; what it ran gets a SIGHUP.
func TestClientKilled(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c := openssh(t, s)
		for _, options := range [][]string{{"-tt"}, {"-T"}} {
			if options[0] == "-T" && harness.PeerIsSSHD() {
				continue // sshd leaves commands without a terminal alone
			}
			mark := sharedFile(t, s)
			cmd, pid := c.background(options, "exec 2>/dev/null; trap 'echo hup >"+mark+"; exit' HUP; echo $$; while :; do sleep 0.1; done")
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatalf("no process number: %q", pid)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, 10*time.Second, "the end of the session's process", func() bool { return !harness.Running(n) })
			if text, _ := os.ReadFile(mark); string(text) != "hup\n" {
				t.Errorf("ssh %v killed: the process did not get SIGHUP: %q", options, text)
			}
		}
	})
}

// sharedFile returns the name of a file that sessions of the server's account can
// make.
func sharedFile(t *testing.T, s *harness.Server) string {
	t.Helper()
	dir, err := os.MkdirTemp(harness.SharedDir(), "shared")
	if err != nil {
		t.Fatal(err)
	}
	if harness.HasRoot() {
		if err := os.Chown(dir, s.Account.UID, s.Account.GID); err != nil {
			t.Fatal(err)
		}
	}
	return dir + "/file"
}
