package listener

import (
	"bufio"
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

	"golang.org/x/sys/unix"
)

// TestCommandLine sees exit statuses and wording of what ends by itself.
func TestCommandLine(t *testing.T) {
	s := newSite(t)
	broken := filepath.Join(s.dir, "broken")
	if err := os.WriteFile(broken, []byte("Port 22\nNoSuch thing\nHostKey "+s.key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(s.dir, "open")
	text, err := os.ReadFile(s.key)
	if err == nil {
		err = os.WriteFile(open, text, 0o600)
	}
	if err == nil {
		err = os.Chmod(open, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(s.dir, "none-such")
	for _, c := range []struct {
		name, args string
		status     int
		want       []string // each is in the output; none: there is no output
	}{
		{"sshd", "-t -f " + s.config, 0, nil},
		{"nano_ssh_server", "-t -h " + s.key, 0, nil},
		{"sshd", "-V", 0, []string{"nano_ssh_server_" + Version + ", OpenSSL ", ", libsodium "}},
		{"sshd", "-T -f " + s.config, 0, []string{"\nmaxauthtries 6\n", "\npidfile " + s.pid() + "\n"}},
		{"sshd", "-T -S -o MaxAuthTries=4 -f " + s.config, 0, []string{"\n# command-line:0\nmaxauthtries 4\n", "\n# " + s.config + ":4\npidfile " + s.pid() + "\n", "\n# default\nmaxsessions 10\n"}},
		{"sshd", "-T -f " + s.config + " -C user=a,host=b,addr=1.2.3.4", 0, []string{"\nmaxauthtries 6\n"}},
		{"sshd", "-G -f " + s.config + " -o MaxAuthTries=3", 0, []string{"\nmaxauthtries 3\n"}},
		{"sshd", "-t -f " + s.config + " -C user=a", 1, []string{"Config test connection parameter (-C) provided without test mode (-T)\n"}},
		{"sshd", "-x", 1, []string{"unknown option -- x\n", "\nusage: sshd [-46DdeGiqSTtV]"}},
		{"sshd", "-f", 1, []string{"option requires an argument -- f\n", "\nusage: sshd "}},
		{"sshd", "-t extra", 1, []string{"extra argument extra.\n"}},
		{"sshd", "-t -f " + broken, 255, []string{broken + ": line 2: Bad configuration option: NoSuch\n", broken + ": terminating, 1 bad configuration options\n"}},
		{"sshd", "-t -q -f " + broken, 255, nil},
		{"sshd", "-t -f " + s.config + " -o MaxAuthTries=x", 255, []string{"command-line line 0: "}},
		{"sshd", "-t -f " + none, 1, []string{none + ": No such file or directory\n"}},
		{"sshd", "-t -f /dev/null -h " + open, 255, []string{"Permissions 0644 for '" + open + "' are too open.\n", "sshd: no hostkeys available -- exiting.\n"}},
		{"nano_ssh_server", "-t -h " + open, 255, []string{"nano_ssh_server: no hostkeys available -- exiting.", open}},
		{"sshd", "-t -f /dev/null -h " + none, 255, []string{"Unable to load host key: " + none + "\n"}},
		{"sshd", "-t -E /no/such/log -f " + s.config, 1, []string{"Couldn't open logfile /no/such/log: No such file or directory\n"}},
	} {
		status, out := run(t, c.name, strings.Fields(c.args)...)
		if status != c.status {
			t.Errorf("%s %s: status %d, want %d:\n%s", c.name, c.args, status, c.status, out)
		}
		for _, want := range c.want {
			if !strings.Contains("\n"+out, want) {
				t.Errorf("%s %s: no %q in:\n%s", c.name, c.args, want, out)
			}
		}
		if c.want == nil && out != "" {
			t.Errorf("%s %s says %q", c.name, c.args, out)
		}
	}
}

func TestServe(t *testing.T) {
	s := newSite(t)
	p := s.serve(t)
	a := s.dial(t)
	a.want("hello 127.0.0.1")
	a.say("login", "ok")
	a.say("word", "word")
	if pid, err := os.ReadFile(s.pid()); err != nil || string(pid) != fmt.Sprintln(p.Process.Pid) {
		t.Errorf("pid file %q, %v", pid, err)
	}
	// A port in use.
	status, out := run(t, asSSHD, "-D", "-e", "-f", s.config)
	for _, want := range []string{fmt.Sprintf("Bind to port %d on 127.0.0.1 failed: Address already in use.\n", s.port), "Cannot bind any address.\n"} {
		if status != exitFault || !strings.Contains(out, want) {
			t.Errorf("status %d, no %q in %q", status, want, out)
		}
	}
	p.signal(syscall.SIGTERM)
	if status := p.wait(); status != 0 {
		t.Errorf("status %d after SIGTERM", status)
	}
	p.says("Received signal 15; terminating.")
	a.want("") // the connection has gone with it
	if _, err := os.Stat(s.pid()); err == nil {
		t.Error("the pid file stays")
	}
	p = s.serve(t)
	p.signal(syscall.SIGQUIT)
	if status := p.wait(); status != exitFault {
		t.Errorf("status %d after SIGQUIT", status)
	}
}

// TestThreat34Serve: a panic that nobody else recovered ends its connection only.
func TestThreat34Serve(t *testing.T) {
	s := newSite(t)
	p := s.serve(t)
	bystander, c := s.dial(t), s.dial(t)
	bystander.want("hello 127.0.0.1")
	c.want("hello 127.0.0.1")
	c.say("panic", "")
	p.says("internal error: told to")
	p.says("main_test.go:")
	bystander.say("still", "still")
}

func TestReload(t *testing.T) {
	s := newSite(t, "MaxAuthTries 5")
	p := s.serve(t)
	old := s.dial(t)
	old.want("hello 127.0.0.1")
	old.say("login", "ok")
	// A broken configuration changes nothing.
	s.write(t, "NoSuch thing\nNoSuch other")
	p.signal(syscall.SIGHUP)
	p.says("Received SIGHUP; restarting.")
	p.says(": line 5: Bad configuration option: NoSuch")
	p.says(": line 6: Bad configuration option: NoSuch")
	p.says("reload failed, the old configuration stays: the new one has faults")
	s.dial(t).want("hello 127.0.0.1")
	// Nor does an address that cannot be had.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	before := s.port
	s.port = taken.Addr().(*net.TCPAddr).Port
	s.write(t)
	p.signal(syscall.SIGHUP)
	p.says("no address to listen on")
	s.port = before
	s.dial(t).want("hello 127.0.0.1")
	// A good one moves it, and keeps connections.
	s.port = freePort(t)
	s.write(t, "LoginGraceTime 1")
	p.signal(syscall.SIGHUP)
	p.says(fmt.Sprintf("Server listening on 127.0.0.1 port %d.", s.port))
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", before)); err == nil {
		c.Close()
		t.Error("the old address is still served")
	}
	late := s.dial(t)
	late.want("hello 127.0.0.1")
	p.says("Timeout before authentication for 127.0.0.1 port " + strconv.Itoa(late.LocalAddr().(*net.TCPAddr).Port))
	late.want("")
	old.say("here", "here")
}

func TestMaxStartups(t *testing.T) {
	s := newSite(t, "MaxStartups 2")
	p := s.serve(t)
	var c [2]*peer
	for i := range c {
		c[i] = s.dial(t)
		c[i].want("hello 127.0.0.1")
	}
	dropped := s.dial(t)
	dropped.want("Not allowed at this time")
	dropped.want("")
	p.says("beginning MaxStartups throttling")
	p.says(fmt.Sprintf("drop connection #2 from [127.0.0.1]:%d on [127.0.0.1]:%d past MaxStartups", dropped.LocalAddr().(*net.TCPAddr).Port, s.port))
	s.dial(t).want("Not allowed at this time")
	c[0].say("login", "ok") // no longer counts
	c[1].say("bye", "")
	s.dial(t).want("hello 127.0.0.1")
	p.says("exited MaxStartups throttling after 00:00:0")
	p.says(", 2 connections dropped")
	if n := strings.Count(p.out.String(), "drop connection"); n != 1 {
		t.Errorf("%d lines about dropped connections", n)
	}
}

// TestDebug: -d serves one connection and ends.
func TestDebug(t *testing.T) {
	for word, status := range map[string]int{"login": 0, "fail": exitFault} {
		s := newSite(t)
		p := s.serve(t, "-d")
		c := s.dial(t)
		c.want("hello 127.0.0.1")
		if other, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port)); err == nil {
			_ = other.SetReadDeadline(time.Now().Add(20 * time.Second))
			if n, err := other.Read(make([]byte, 1)); err == nil || n > 0 {
				t.Error("a second connection is served")
			}
			other.Close()
		}
		if word == "login" {
			c.say("login", "ok")
			c.say("bye", "")
		} else {
			c.say("fail", "")
		}
		if got := p.wait(); got != status {
			t.Errorf("%s: status %d, want %d", word, got, status)
		}
	}
}

func TestInetdSocket(t *testing.T) {
	s := newSite(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(fds[0]), "theirs"), os.NewFile(uintptr(fds[1]), "ours")
	defer ours.Close()
	p := program(t, asSSHD, "-i", "-e", "-f", s.config)
	p.Stdin, p.Stdout = theirs, theirs
	p.begin()
	theirs.Close()
	lines := bufio.NewScanner(ours)
	if !lines.Scan() || lines.Text() != "hello UNKNOWN" {
		t.Fatalf("%q\n%s", lines.Text(), &p.out)
	}
	fmt.Fprintln(ours, "login\nbye")
	for lines.Scan() {
		if lines.Text() != "ok" {
			t.Errorf("%q", lines.Text())
		}
	}
	if status := p.wait(); status != 0 {
		t.Errorf("status %d\n%s", status, &p.out)
	}
}

func TestInetdPipes(t *testing.T) {
	s := newSite(t)
	p := program(t, "nano_ssh_server", "-i", "-f", s.config)
	var out bytes.Buffer
	p.Stdin, p.Stdout = strings.NewReader("login\nword\nbye\n"), &out
	if status := p.begin().wait(); status != 0 || out.String() != "hello UNKNOWN\nok\nword\n" {
		t.Errorf("status %d, %q\n%s", status, out.String(), &p.out)
	}
	// The time limit ends a read from a pipe that nobody writes to.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	p = program(t, asSSHD, "-i", "-e", "-g", "1", "-f", s.config)
	out.Reset()
	p.Stdin, p.Stdout = r, &out
	if status := p.begin().wait(); status != exitFault {
		t.Errorf("status %d", status)
	}
	p.says("Timeout before authentication for UNKNOWN port 65535")
}

// TestDaemon: the process that was started ends once another listens, without a
// terminal, in a session of its own.
func TestDaemon(t *testing.T) {
	s := newSite(t)
	logFile := filepath.Join(s.dir, "log")
	p := program(t, asSSHD, "-E", logFile, "-f", "config")
	p.Dir = s.dir // a relative name must do
	if status := p.begin().wait(); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.out)
	}
	text, err := os.ReadFile(s.pid())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid == p.Process.Pid {
		t.Fatalf("pid file %q", text)
	}
	alive := func() bool { return syscall.Kill(pid, 0) == nil }
	t.Cleanup(func() {
		if alive() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	s.dial(t).want("hello 127.0.0.1")
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("session %d, %v", sid, err)
	}
	for fd := range 3 {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil || to != os.DevNull {
			t.Errorf("descriptor %d leads to %s, %v", fd, to, err)
		}
	}
	logged := func(want string) {
		t.Helper()
		eventually(t, want, func() bool { b, _ := os.ReadFile(logFile); return bytes.Contains(b, []byte(want)) }, &p.out)
	}
	_ = syscall.Kill(pid, syscall.SIGHUP)
	logged("Received SIGHUP; restarting.")
	s.dial(t).want("hello 127.0.0.1")
	_ = syscall.Kill(pid, syscall.SIGTERM)
	logged("Received signal 15; terminating.")
	eventually(t, "the end", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	}, &p.out)
	if b, _ := os.ReadFile(logFile); bytes.Contains(b, []byte("reload failed")) {
		t.Errorf("%s", b)
	}
	// What cannot listen says so where it was started, and ends with a fault.
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if status, out := run(t, asSSHD, "-e", "-f", s.config); status != exitFault || !strings.Contains(out, "Address already in use") {
		t.Errorf("status %d, %q", status, out)
	}
}
