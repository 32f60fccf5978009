package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

// TestExec runs commands and looks at everything that comes back.
func TestExec(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c := openssh(t, s)
		for _, code := range []int{0, 1, 7, 126, 255} {
			c.expect(fmt.Sprintf("exit %d", code), "", code)
		}
		c.expect("/no/such/program", "", 127)
		t.Run("stderr", func(t *testing.T) {
			r := c.run("echo out; echo err >&2; exit 3")
			if r.Stdout != "out\n" || r.Stderr != "err\n" || r.Code != 3 {
				t.Errorf("%+v", r)
			}
		})
		t.Run("stdin", func(t *testing.T) {
			r := finish(t, c.cmd(nil, "wc -c; echo end"), io.LimitReader(zeros{}, 1_000_000))
			if f := strings.Fields(r.Stdout); len(f) != 2 || f[0] != "1000000" || f[1] != "end" || r.Code != 0 {
				t.Errorf("%+v", r)
			}
		})
		t.Run("shell from stdin", func(t *testing.T) {
			r := finish(t, c.cmd([]string{"-T"}, ""), strings.NewReader("echo $((20+3))\nexit 9\n"))
			if !strings.Contains(r.Stdout, "23\n") || r.Code != 9 {
				t.Errorf("%+v", r)
			}
		})
		t.Run("early end of output", func(t *testing.T) {
			// The exit status comes although the command closed its output long before.
			c.expect("exec >&- 2>&-; cat; exit 5", "", 5)
		})
		t.Run("reader gone", func(t *testing.T) {
			// The remote command gets SIGPIPE as usual and not an error to print.
			c.expect("yes | head -n 2000 | wc -l", "2000", 0)
		})
		t.Run("much input unread", func(t *testing.T) {
			r := finish(t, c.cmd(nil, "exec <&-; echo done; exit 4"), stream(8<<20))
			if r.Stdout != "done\n" || r.Code != 4 {
				t.Errorf("%+v", r)
			}
		})
		t.Run("descriptors", func(t *testing.T) {
			// Nothing of the server's is open in the session: 0, 1, 2 and what ls opens.
			c.expect("ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3", 0)
		})
		t.Run("subsystem unknown", func(t *testing.T) {
			r := c.run("no-such-subsystem", "-s")
			if r.Code != 255 || !strings.Contains(r.Stderr, "subsystem request failed") {
				t.Errorf("%+v", r)
			}
		})
	})
}

// zeros is an endless file of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestExitSignal sees the signal that ended a command.
func TestExitSignal(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	c := godial(t, s, gossh(t, s))
	for command, want := range map[string]string{
		"kill -9 $$": "KILL", "kill -TERM $$": "TERM", "kill -HUP $$": "HUP", "ulimit -c 0; kill -SEGV $$": "SEGV",
	} {
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var exit *ssh.ExitError
		if err := session.Run(command); !errors.As(err, &exit) || exit.Signal() != want {
			t.Errorf("%q: %v, expected signal %s", command, err, want)
		}
	}
	openssh(t, s).expect("kill -9 $$", "", 255)
}

// TestSignalRequest sends signals to a command (RFC 4254 section 6.9).
func TestSignalRequest(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	c := godial(t, s, gossh(t, s))
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.StdinPipe(); err != nil { // no end of input
		t.Fatal(err)
	}
	if err := session.Start("trap 'echo got; exit 12' USR1; echo ready; while :; do read x; done"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	if err := session.Signal("USR1"); err != nil {
		t.Fatal(err)
	}
	withLimit(t, 20*time.Second, "the end of the command", func() {
		rest, _ := io.ReadAll(out)
		var exit *ssh.ExitError
		if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 12 || string(rest) != "got\n" {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// TestEnvironment looks at what a session finds around itself.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{
			Mode: m, Config: "AcceptEnv NANO_* OTHER\nSetEnv SET_BY=server",
			Env: []string{"LEAKED_FROM_SERVER=yes"},
		})
		c := openssh(t, s)
		c.env = []string{"NANO_A=one two", "OTHER=three", "SECRET=four", "LD_PRELOAD=/nonexistent"}
		r := c.run("env; pwd", "-o", "SendEnv=NANO_A OTHER SECRET LD_PRELOAD")
		if r.Code != 0 {
			t.Fatalf("%+v", r)
		}
		lines := strings.Split(r.Stdout, "\n")
		has := func(want string) bool {
			for _, l := range lines {
				if l == want || strings.HasSuffix(want, "=") && strings.HasPrefix(l, want) {
					return true
				}
			}
			return false
		}
		a := s.Account
		for _, want := range []string{"USER=" + a.Name, "LOGNAME=" + a.Name, "HOME=" + a.Home, "SHELL=" + a.Shell,
			"NANO_A=one two", "OTHER=three", "SET_BY=server", "PATH=", "SSH_CLIENT=127.0.0.1 ", "SSH_CONNECTION=127.0.0.1 ", a.Home} {
			if strings.HasSuffix(want, " ") {
				if !strings.Contains(r.Stdout, "\n"+want) && !strings.HasPrefix(r.Stdout, want) {
					t.Errorf("missing: %s", want)
				}
			} else if !has(want) {
				t.Errorf("missing: %s", want)
			}
		}
		for _, no := range []string{"SECRET=", "LD_PRELOAD=", "LEAKED_FROM_SERVER=", "NANO_TEST_SERVER=", "SSH_TTY="} {
			if has(no) {
				t.Errorf("not expected: %s", no)
			}
		}
		if !strings.Contains(r.Stdout, " 127.0.0.1 "+strconv.Itoa(s.Port)+"\n") {
			t.Errorf("SSH_CONNECTION does not end in the server's address")
		}
		if t.Failed() {
			t.Log(r.Stdout)
		}
	})
}

// TestIdentity checks that a session of a server of root's is the account's.
func TestIdentity(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot})
	c := openssh(t, s)
	c.expect("id -un; id -gn; id -Gn", s.Account.Name+"\n"+s.Account.Name+"\n"+s.Account.Name+" nanogroup", 0)
	c.expect("grep -E '^(Uid|Gid):' /proc/self/status | tr -s '\\t' ' '", fmt.Sprintf("Uid: %d %d %d %d\nGid: %d %d %d %d",
		s.Account.UID, s.Account.UID, s.Account.UID, s.Account.UID, s.Account.GID, s.Account.GID, s.Account.GID, s.Account.GID), 0)
	c.expect("cat /etc/shadow 2>/dev/null; touch /root/x 2>/dev/null || echo no", "no", 0)
	c.expect("grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status | grep -vc 0000000000000000", "0", 1)
	other := openssh(t, s)
	other.user = "nanoother"
	other.expect("id -un; pwd", "nanoother\n"+harness.Lookup(t, "nanoother").Home, 0)
	root := openssh(t, s) // PermitRootLogin prohibit-password is the default
	root.user = "root"
	root.expect("id -u", "0", 0)
	no := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "PermitRootLogin no"})
	noRoot := openssh(t, no)
	noRoot.user = "root"
	noRoot.refused()
}

// TestBackground leaves processes behind in several ways.
func TestBackground(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	c := openssh(t, s)
	t.Run("detached", func(t *testing.T) {
		// It holds nothing of the session, so the session ends at once.
		var r result
		withLimit(t, 20*time.Second, "the end of the session", func() {
			r = c.run("sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
		})
		pid, err := strconv.Atoi(strings.TrimSpace(r.Stdout))
		if err != nil || r.Code != 0 {
			t.Fatalf("%+v", r)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("the detached process did not outlive its session: %v", err)
		}
	})
	t.Run("late output", func(t *testing.T) {
		// It holds the output, so its last words arrive, with the shell's exit status.
		c.expect("(sleep 0.3; echo late) & echo early; exit 3", "early\nlate", 3)
	})
}

// TestManySessions runs many sessions on one connection.
func TestManySessions(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "MaxSessions 50"})
		c := master(t, s)
		done := make(chan string, 40)
		for i := range cap(done) {
			go func() {
				cmd := c.cmd(nil, fmt.Sprintf("cat; exit %d", i))
				data := bytes.Repeat([]byte{byte('a' + i%26)}, 50_000+i)
				var out bytes.Buffer
				cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &out
				cmd.WaitDelay = time.Second
				_ = cmd.Run()
				if cmd.ProcessState.ExitCode() != i || !bytes.Equal(out.Bytes(), data) {
					done <- fmt.Sprintf("session %d: exit %d, %d bytes", i, cmd.ProcessState.ExitCode(), out.Len())
				} else {
					done <- ""
				}
			}()
		}
		for range cap(done) {
			if failure := <-done; failure != "" {
				t.Error(failure)
			}
		}
		if n := s.Log.Count(0, `Accepted publickey`); n != 1 {
			t.Errorf("%d logins, expected one", n)
		}
	})
}

// master starts a connection that others share, and returns a client for it.
func master(t *testing.T, s *harness.Server, options ...string) *client {
	t.Helper()
	socket := t.TempDir() + "/m"
	c := openssh(t, s, append([]string{"-o", "ControlPath=" + socket}, options...)...)
	cmd := c.cmd([]string{"-M", "-N"}, "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	harness.Eventually(t, 20*time.Second, "the shared connection", func() bool {
		check := exec.Command("ssh", "-F", "/dev/null", "-o", "ControlPath="+socket, "-O", "check", "x")
		return check.Run() == nil
	})
	return c
}
