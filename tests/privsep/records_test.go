package privsep

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

// The files of login records; in the tests' own mount namespace they are the tests'.
var recordFiles = []string{"/run/utmp", "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog"}

// freshRecords makes the files empty, as a system's start leaves them.
func freshRecords(t *testing.T) {
	t.Helper()
	for _, path := range recordFiles {
		_ = os.RemoveAll(path)
		if err := os.WriteFile(path, nil, 0o660); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(path) })
	}
}

// tool runs a program that reads records.
func tool(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(harness.Program(t, program), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
	return string(out)
}

// line returns the lines of a text that have all of some words.
func line(text string, words ...string) []string {
	var found []string
next:
	for l := range strings.Lines(text) {
		for _, w := range words {
			if !strings.Contains(l, w) {
				continue next
			}
		}
		found = append(found, strings.TrimSpace(l))
	}
	return found
}

// shell opens a terminal with the login shell and waits for its name.
func shell(t *testing.T, c *ssh.Client) (tty, greeting string, end func()) {
	t.Helper()
	x, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := x.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	in, _ := x.StdinPipe()
	var out safeText
	x.Stdout = &out
	if err := x.Shell(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "echo at:$(tty)")
	harness.Eventually(t, patience, "the name of the terminal", func() bool {
		_, after, ok := strings.Cut(out.String(), "at:/dev/")
		tty, _, _ = strings.Cut(after, "\r\n")
		return ok && strings.Contains(after, "\r\n")
	})
	return tty, out.String(), func() {
		fmt.Fprintln(in, "exit")
		_ = x.Wait()
	}
}

// safeText is what a session prints, for more than one goroutine.
type safeText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *safeText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *safeText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestRecords: the programs of the host show who is logged in, who was, and who was not let in.
func TestRecords(t *testing.T) {
	harness.NeedRoot(t)
	freshRecords(t)
	s := start(t, "")
	c := login(t, s, alice)
	tty, _, end := shell(t, c)
	if found := line(tool(t, "who", "/run/utmp"), alice, tty, "(127.0.0.1)"); len(found) != 1 {
		t.Errorf("who: %q", tool(t, "who", "/run/utmp"))
	}
	dump := line(tool(t, "utmpdump", "/run/utmp"), "["+alice, tty, "[127.0.0.1")
	if len(dump) != 1 || !strings.HasPrefix(dump[0], "[7] ") {
		t.Errorf("utmpdump: %q", dump)
	}
	if found := line(tool(t, "last", "-f", "/var/log/wtmp"), alice, tty, "127.0.0.1", "still logged in"); len(found) != 1 {
		t.Errorf("last: %q", tool(t, "last", "-f", "/var/log/wtmp"))
	}
	end()
	harness.Eventually(t, patience, "the record of the logout", func() bool {
		dead := line(tool(t, "utmpdump", "/run/utmp"), tty)
		return len(dead) == 1 && strings.HasPrefix(dead[0], "[8] ")
	})
	if found := line(tool(t, "who", "/run/utmp"), alice); len(found) != 0 {
		t.Errorf("who after the logout: %q", found)
	}
	harness.Eventually(t, patience, "the logout in wtmp", func() bool {
		return len(line(tool(t, "last", "-f", "/var/log/wtmp"), alice, tty, " - ")) == 1
	})
	if found := line(tool(t, "lastlog", "-u", alice), alice, tty, "127.0.0.1"); len(found) != 1 {
		t.Errorf("lastlog: %q", tool(t, "lastlog", "-u", alice))
	}
	_, greeting, end := shell(t, login(t, s, alice))
	end()
	if !strings.Contains(greeting, "Last login: ") || !strings.Contains(greeting, " from 127.0.0.1") {
		t.Errorf("the second login's greeting: %q", greeting)
	}
	// A password that is wrong.
	_, err := ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
		User: bob, Auth: []ssh.AuthMethod{ssh.Password("wrong")}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: patience,
	})
	if err == nil {
		t.Fatal("let in")
	}
	harness.Eventually(t, patience, "the failed login in btmp", func() bool {
		return len(line(tool(t, "lastb", "-w", "-f", "/var/log/btmp"), bob, "127.0.0.1")) == 1
	})
}

// TestBadRecords: with files that are missing, broken or none at all a login goes on.
func TestBadRecords(t *testing.T) {
	harness.NeedRoot(t)
	for what, spoil := range map[string]func(path string) error{
		"missing":   os.Remove,
		"a folder":  func(path string) error { return firstError(os.Remove(path), os.Mkdir(path, 0o755)) },
		"cut off":   func(path string) error { return os.WriteFile(path, make([]byte, 100), 0o664) },
		"a symlink": func(path string) error { return firstError(os.Remove(path), os.Symlink("/etc/passwd", path)) },
	} {
		t.Run(what, func(t *testing.T) {
			freshRecords(t)
			for _, path := range recordFiles {
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			before, err := os.ReadFile("/etc/passwd")
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, "")
			mark := s.Log.Len()
			_, _, end := shell(t, login(t, s, alice))
			end()
			if what == "a folder" || what == "a symlink" {
				s.Log.Wait(t, mark, `utmp|wtmp|lastlog`)
			}
			if after, _ := os.ReadFile("/etc/passwd"); string(after) != string(before) {
				t.Error("the server wrote through a symbolic link")
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
