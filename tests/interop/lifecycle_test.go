package interop

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

// TestSIGTERM ends a server with everything that a server can have: sessions with
// and without a terminal, a connection that has not logged in. The harness checks
// that no process and no socket is left.
func TestSIGTERM(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c := openssh(t, s)
		var pids []int
		for _, options := range [][]string{{"-tt"}, {"-T"}} {
			_, pid := c.background(options, "echo $$; sleep 1000")
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatalf("no process number: %q", pid)
			}
			pids = append(pids, n)
		}
		idle, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		if _, err := idle.Read(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		s.Stop()
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("the server took %v to end", d)
		}
		if harness.PeerIsSSHD() || m == harness.AsRoot {
			return // sessions live on: tests/privsep has the details
		}
		for _, n := range pids {
			if harness.Running(n) {
				t.Errorf("the session's process %d is left", n)
			}
		}
		s.Log.Wait(t, 0, `Received signal 15; terminating\.`)
	})
}

// TestSIGHUP re-reads the configuration; sessions live on.
func TestSIGHUP(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		o := harness.Options{Mode: m, Config: "ForceCommand echo before"}
		s := harness.Start(t, harness.Options{Mode: m})
		c := openssh(t, s)
		cmd := c.cmd(nil, "echo ready; while read x; do echo got $x; done")
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err1 != nil || err2 != nil || cmd.Start() != nil {
			t.Fatal("the client does not start")
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		read := func(want string) {
			t.Helper()
			withLimit(t, 20*time.Second, want, func() {
				b := make([]byte, len(want))
				for n := 0; n < len(b); {
					k, err := out.Read(b[n:])
					if n += k; err != nil {
						t.Errorf("the session ended: %q, expected %q", b[:n], want)
						return
					}
				}
				if string(b) != want {
					t.Errorf("the session says %q, expected %q", b, want)
				}
			})
		}
		read("ready\n")
		for i := range 2 {
			o.Config = fmt.Sprintf("ForceCommand echo round %d", i)
			s.Configure(o)
			s.Signal(syscall.SIGHUP)
			harness.Eventually(t, 15*time.Second, "the new configuration", func() bool {
				return c.run("x").Stdout == fmt.Sprintf("round %d\n", i)
			})
			_, _ = in.Write([]byte("still\n"))
			read("got still\n")
		}
		if harness.PeerIsSSHD() {
			return // it ends when its new configuration is wrong
		}
		// A configuration that is wrong is reported, and the old one stays.
		mark := s.Log.Len()
		o.Config = "NoSuchKeyword yes"
		s.Configure(o)
		s.Signal(syscall.SIGHUP)
		s.Log.Wait(t, mark, `Bad configuration option: NoSuchKeyword`)
		c.expect("x", "round 1", 0)
		_, _ = in.Write([]byte("still\n"))
		read("got still\n")
	})
}

// TestCannotStart sees one clear line and exit status 255 for what stops a start.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() }) // after the parallel sub-tests
	busyPort := busy.Addr().(*net.TCPAddr).Port
	cases := []struct {
		name, config string
		spoil        func(s *harness.Server)
		want         []string
	}{
		{"unknown keyword", "NoSuchKeyword yes", nil, []string{"/config", "line 1", "Bad configuration option: NoSuchKeyword"}},
		{"bad value", "PermitRootLogin maybe", nil, []string{"/config", "line 1", "maybe"}},
		{"bad port", "Port 99999", nil, []string{"/config", "line 1", "port"}},
		{"missing value", "MaxAuthTries", nil, []string{"/config", "line 1"}},
		{"bad cipher", "Ciphers rot13", nil, []string{"/config", "line 1", "rot13"}},
		{"port in use", fmt.Sprintf("Port %d", busyPort), func(s *harness.Server) { s.Port = busyPort },
			[]string{strconv.Itoa(busyPort), "ddress already in use"}},
		{"open key file", "", func(s *harness.Server) { _ = os.Chmod(filepath.Join(s.Dir, "host_ed25519"), 0o644) },
			[]string{"host_ed25519"}},
		{"no key file", "", func(s *harness.Server) { _ = os.Remove(filepath.Join(s.Dir, "host_ed25519")) },
			[]string{"host_ed25519"}},
		{"key file that is none", "", func(s *harness.Server) { s.WriteFile("host_ed25519", "not a key\n", 0o600) },
			[]string{"host_ed25519"}},
		{"no configuration", "", func(s *harness.Server) { _ = os.Remove(s.ConfigFile) }, []string{"/config", "No such file"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := harness.Prepare(t, harness.Options{Config: c.config})
			if c.spoil != nil {
				c.spoil(s)
				if c.name == "port in use" {
					s.Configure(harness.Options{})
				}
			}
			r := s.Run("-D", "-e", "-f", s.ConfigFile)
			said := r.Stdout + r.Stderr
			for _, want := range c.want {
				if !strings.Contains(strings.ToLower(said), strings.ToLower(want)) {
					t.Errorf("not said: %q", want)
				}
			}
			if harness.PeerIsSSHD() {
				if r.Code != 255 && r.Code != 1 {
					t.Errorf("exit %d", r.Code)
				}
			} else {
				if r.Code != 255 && (c.name != "no configuration" || r.Code != 1) { // sshd's own status for that is 1
					t.Errorf("exit %d, expected 255", r.Code)
				}
				if n := strings.Count(strings.TrimSpace(said), "\n"); n > 1 {
					t.Errorf("%d lines, expected one clear one", n+1)
				}
			}
			if t.Failed() {
				t.Logf("it said:\n%s", said)
			}
		})
	}
}

// TestFlags uses the flags that end at once, and those that change a running
// server.
func TestFlags(t *testing.T) {
	t.Parallel()
	t.Run("-t", func(t *testing.T) {
		t.Parallel()
		s := harness.Prepare(t, harness.Options{})
		if r := s.Run("-t", "-f", s.ConfigFile); r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("-T", func(t *testing.T) {
		t.Parallel()
		s := harness.Prepare(t, harness.Options{Config: "MaxAuthTries 4"})
		for _, flag := range []string{"-T", "-G"} {
			if flag == "-G" && harness.PeerIsSSHD() {
				continue // Debian 12's does not have it
			}
			r := s.Run(flag, "-f", s.ConfigFile, "-o", "MaxSessions=17")
			dump := strings.ToLower("\n" + r.Stdout)
			for _, want := range []string{fmt.Sprintf("\nport %d\n", s.Port), "\nmaxauthtries 4\n", "\nmaxsessions 17\n",
				"\nlistenaddress 127.0.0.1:" + strconv.Itoa(s.Port) + "\n", "\nciphers chacha20-poly1305@openssh.com,"} {
				if !strings.Contains(dump, want) {
					t.Errorf("%s does not print %q", flag, want)
				}
			}
			if r.Code != 0 {
				t.Errorf("%s: exit %d: %s", flag, r.Code, r.Stderr)
			}
			if flag == "-T" {
				// What it prints is a configuration that means the same.
				again := s.WriteFile("again", r.Stdout, 0o644)
				if r2 := s.Run("-T", "-f", again); r2.Code != 0 || r2.Stdout != r.Stdout {
					t.Errorf("the dump read again: exit %d: %s\n%s", r2.Code, r2.Stderr, diff(r.Stdout, r2.Stdout))
				}
			}
		}
	})
	t.Run("-V", func(t *testing.T) {
		t.Parallel()
		harness.SkipPeer(t, "Debian 12's has no -V")
		s := harness.Prepare(t, harness.Options{})
		if r := s.Run("-V"); r.Code != 0 || !strings.Contains(strings.ToLower(r.Stdout+r.Stderr), "nano_ssh_server") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		s := harness.Prepare(t, harness.Options{})
		if r := s.Run("-Z"); r.Code == 0 || !strings.Contains(r.Stderr, "usage") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("-p -o -h -E", func(t *testing.T) {
		t.Parallel()
		s := harness.Prepare(t, harness.Options{HostKeys: []string{"ed25519", "rsa"}})
		port := harness.FreePort(t)
		key := s.WriteFile("other", string(harness.HostKey(t, "ecdsa256").PEM), 0o600)
		log := s.WriteFile("log", "", 0o600)
		cmd := s.Command(harness.Binary(t, ""), "-D", "-f", s.ConfigFile, "-p", strconv.Itoa(port), "-h", key,
			"-oForceCommand=echo by -o", "-E"+log)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill() }()
		harness.Eventually(t, 20*time.Second, "the server listens on the port of -p", func() bool { return harness.Listening(port) })
		if harness.Listening(s.Port) {
			t.Error("it listens on the configuration's port as well")
		}
		s.Port = port
		s.HostKeys = []*harness.Key{harness.HostKey(t, "ecdsa256")}
		openssh(t, s, "-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256").expect("x", "by -o", 0)
		if text, _ := os.ReadFile(log); !strings.Contains(string(text), "Accepted publickey") {
			t.Errorf("the file of -E: %q", text)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if strings.Contains(out.String(), "Accepted") {
			t.Errorf("printed in spite of -E: %q", out.String())
		}
	})
	t.Run("as sshd", func(t *testing.T) {
		t.Parallel()
		harness.NeedRoot(t)
		s := harness.Prepare(t, harness.Options{Mode: harness.AsRoot})
		pidFile, log := filepath.Join(s.Dir, "pid"), filepath.Join(s.Dir, "log")
		s.Configure(harness.Options{Config: "PidFile " + pidFile})
		sshd := filepath.Join(s.Dir, "sshd")
		if err := os.Symlink(harness.Binary(t, ""), sshd); err != nil {
			t.Fatal(err)
		}
		if harness.PeerIsSSHD() {
			sshd = harness.Binary(t, "")
		}
		// Under this name it goes to the background, and starts without a word.
		if r := finish(t, s.Command(sshd, "-f", s.ConfigFile, "-E", log), nil); r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Fatalf("%+v", r)
		}
		harness.Eventually(t, 20*time.Second, "the server listens", func() bool { return harness.Listening(s.Port) })
		text, err := os.ReadFile(pidFile)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid == 0 {
			t.Fatalf("the file with the process number: %q %v", text, err)
		}
		openssh(t, s).expect("echo in", "in", 0)
		_ = syscall.Kill(pid, syscall.SIGTERM)
		harness.Eventually(t, 10*time.Second, "the end of the daemon", func() bool { return !harness.Running(pid) && !harness.Listening(s.Port) })
		if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
			t.Errorf("the file with the process number is left: %v", err)
		}
		if text, _ := os.ReadFile(log); !strings.Contains(string(text), "Accepted publickey") {
			t.Errorf("the file of -E: %q", text)
		}
	})
}

// diff shows the lines that are in one text only.
func diff(a, b string) string {
	var out strings.Builder
	for _, pair := range [][3]string{{a, b, "-"}, {b, a, "+"}} {
		for line := range strings.Lines(pair[0]) {
			if !strings.Contains("\n"+pair[1], "\n"+line) {
				out.WriteString(pair[2] + line)
			}
		}
	}
	return out.String()
}
