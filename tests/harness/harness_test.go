package harness_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestServer starts a server in each mode, logs in and stops it.
func TestServer(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c, err := raw.Dial(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Login(nil, s.Account.Name, harness.UserKey(t, "ed25519", "").Private); err != nil {
			t.Fatal(err)
		}
		c.Timeout = time.Second
		r, err := c.Run(0, "id -un; sleep 1000; exit 1")
		if err == nil {
			t.Errorf("a session with a process that holds its output ended: %+v", r)
		}
		if s.RSS() < 1000 {
			t.Errorf("RSS is %d kB", s.RSS())
		}
		if len(s.Processes()) < 2 {
			t.Errorf("processes: %v", s.Processes())
		}
	})
}

// TestRefused sees a server that cannot start, and what it says.
func TestRefused(t *testing.T) {
	s := harness.Prepare(t, harness.Options{Config: "NoSuchKeyword yes"})
	if r := s.Run("-t", "-f", s.ConfigFile); r.Code != 255 || !strings.Contains(r.Stderr, "NoSuchKeyword") {
		t.Errorf("%+v", r)
	}
}

// TestProcess watches a process come and go.
func TestProcess(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var p harness.Process
	harness.Eventually(t, 5*time.Second, "a child", func() bool {
		for _, p = range harness.Descendants(os.Getpid()) {
			if p.PID == cmd.Process.Pid {
				return true
			}
		}
		return false
	})
	if p.Gone() {
		t.Error("gone too early")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !p.Gone() {
		t.Error("not gone")
	}
}
