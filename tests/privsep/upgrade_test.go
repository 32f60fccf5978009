package privsep

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

const keeper = `^sshd: \[keeper\]`

// copyProgram puts the server program where a test can replace it.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open(harness.Binary(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(f, from); err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rekeying is a client that exchanges keys after each 64 KiB.
func rekeying(t *testing.T, s *harness.Server, name string) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
		Config: ssh.Config{RekeyThreshold: 64 << 10},
		User:   name, Auth: []ssh.AuthMethod{ssh.PublicKeys(harness.UserKey(t, "ed25519", "").Signer())},
		HostKeyCallback: ssh.FixedHostKey(s.HostKeys[0].Public), Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// rekeys moves enough for several key exchanges.
func rekeys(t *testing.T, c *ssh.Client) {
	t.Helper()
	if got := output(t, c, "head -c 300000 /dev/zero | tr '\\0' x"); len(got) != 300000 {
		t.Errorf("%d bytes of 300000 arrived", len(got))
	}
}

// terminal opens a terminal with a shell and returns what it prints and where it reads.
func terminal(t *testing.T, c *ssh.Client) (x *ssh.Session, stdin io.WriteCloser) {
	t.Helper()
	x, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err = x.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	if stdin, err = x.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err = x.Start("read line; exit 7"); err != nil {
		t.Fatal(err)
	}
	return x, stdin
}

func exitStatus(t *testing.T, x *ssh.Session, want int) {
	t.Helper()
	e, ok := x.Wait().(*ssh.ExitError)
	if !ok || e.ExitStatus() != want {
		t.Errorf("the session ended with %v, want status %d", e, want)
	}
}

// TestUpgrade: after SIGHUP the same process is the program that is now in its place.
// Sessions go on with a keeper: they rekey, get terminals, and end with their status.
func TestUpgrade(t *testing.T) {
	harness.NeedRoot(t)
	harness.SkipPeer(t, "sshd has other processes")
	program := filepath.Join(t.TempDir(), "nano_ssh_server")
	copyProgram(t, program)
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Program: program, Config: "RekeyLimit 64K"})
	a, b := rekeying(t, s, alice), rekeying(t, s, bob)
	rekeys(t, a)
	x, stdin := terminal(t, a)
	pa, pb := one(t, s, account(alice)), one(t, s, account(bob))

	inode := func() string {
		st, err := os.Stat(fmt.Sprintf("/proc/%d/exe", s.PID()))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(st.Sys().(*syscall.Stat_t).Ino)
	}
	old := inode()
	// A file that is no program changes nothing.
	good := program + ".good"
	if err := os.Rename(program, good); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no program >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	mark := s.Log.Len()
	s.Signal(syscall.SIGHUP)
	s.Log.Wait(t, mark, `the program stays what it was: .* exit status 3`)
	if inode() != old {
		t.Error("the server became a program that cannot serve its configuration")
	}
	again := login(t, s, bob)
	output(t, again, "true")
	again.Close()

	mark = s.Log.Len()
	copyProgram(t, program)
	s.Signal(syscall.SIGHUP)
	s.Log.Wait(t, mark, `Server listening on`)
	if inode() == old {
		t.Error("the program is the old one")
	}
	k := one(t, s, keeper)
	rekeys(t, a)
	rekeys(t, b)
	output(t, login(t, s, alice), "true") // by a new process, of the new program
	if len(titled(s, `^sshd: `+alice+` `)) != 2 {
		t.Error("the new login went to the old process")
	}
	y, stdin2 := terminal(t, b)
	fmt.Fprintln(stdin2)
	exitStatus(t, y, 7)
	fmt.Fprintln(stdin)
	exitStatus(t, x, 7)
	a.Close()
	b.Close()
	for _, pid := range []int{pa, pb, k} {
		harness.Eventually(t, patience, fmt.Sprint("the end of process ", pid), func() bool { return !harness.Running(pid) })
	}
	if zombies := defunct(s.PID()); len(zombies) > 0 {
		t.Errorf("nobody waited for %v", zombies)
	}
}

// defunct returns the ended children of a process that it did not wait for.
func defunct(pid int) []string {
	var list []string
	for _, p := range harness.Descendants(pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if _, rest, ok := strings.Cut(string(text), ") "); ok && strings.HasPrefix(rest, "Z") {
			list = append(list, string(text))
		}
	}
	return list
}

// TestRestart: the sessions of a server that ends rekey as before, and a server that
// starts in its place serves new ones.
func TestRestart(t *testing.T) {
	s := start(t, "")
	a := rekeying(t, s, alice)
	x, stdin := terminal(t, a)
	p := one(t, s, account(alice))
	s.Signal(syscall.SIGTERM)
	if code, err := s.Wait(patience); err != nil || code != 0 {
		t.Fatalf("exit %d, %v", code, err)
	}
	k := one(t, s, keeper)
	rekeys(t, a)
	fmt.Fprintln(stdin)
	exitStatus(t, x, 7)
	// Without a keeper sessions go on until keys have to be exchanged.
	kill(t, k)
	if got := output(t, a, "echo alive"); got != "alive" {
		t.Errorf("%q", got)
	}
	a.Close()
	harness.Eventually(t, patience, "the end of alice's process", func() bool { return !harness.Running(p) })
}

// TestRestartFromWithin restarts the service from a session that goes through it, as an
// administrator does by `service ssh restart`, then reloads it from another.
func TestRestartFromWithin(t *testing.T) {
	dir := t.TempDir()
	pidFile := filepath.Join(dir, "pid")
	s := start(t, "PermitRootLogin yes\nPidFile "+pidFile)
	pid := func() int {
		text, _ := os.ReadFile(pidFile)
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	x, stdin, lines := conversation(t, login(t, s, "root"), fmt.Sprintf(
		`old=$(cat %[1]s); program=$(readlink /proc/$old/exe); kill $old; while kill -0 $old 2>/dev/null; do :; done
		bash -c "exec -a $program/../sshd $program -f %[2]s -E %[3]s/log" && until [ -s %[1]s ]; do :; done
		echo restarted; read line; exit 7`, pidFile, s.ConfigFile, dir))
	if line, _ := lines.ReadString('\n'); line != "restarted\n" {
		t.Fatalf("%q", line)
	}
	next := pid()
	t.Cleanup(func() { // nobody's child
		_ = syscall.Kill(next, syscall.SIGTERM)
		harness.Eventually(t, patience, "the new server's end", func() bool { return !harness.Running(next) })
	})
	if next == s.PID() || next == 0 {
		t.Fatalf("the new server is process %d", next)
	}
	a := login(t, s, alice)
	if got := output(t, a, "id -un"); got != alice {
		t.Errorf("%q", got)
	}
	fmt.Fprintln(stdin)
	exitStatus(t, x, 7)

	x, stdin, lines = conversation(t, login(t, s, "root"), fmt.Sprintf("kill -HUP $(cat %s); echo reloaded; read line; exit 8", pidFile))
	if line, _ := lines.ReadString('\n'); line != "reloaded\n" {
		t.Fatalf("%q", line)
	}
	harness.Eventually(t, patience, "a reload", func() bool {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return strings.Contains(string(log), "Received SIGHUP; restarting.")
	})
	if got := output(t, login(t, s, bob), "id -un"); got != bob {
		t.Errorf("%q", got)
	}
	if pid() != next {
		t.Errorf("process %d after a reload of %d", pid(), next)
	}
	fmt.Fprintln(stdin)
	exitStatus(t, x, 8)
}

// conversation starts a command that reads and prints lines.
func conversation(t *testing.T, c *ssh.Client, command string) (*ssh.Session, io.Writer, *bufio.Reader) {
	t.Helper()
	x, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err1 := x.StdinPipe()
	stdout, err2 := x.StdoutPipe()
	if err := errors.Join(err1, err2, x.Start(command)); err != nil {
		t.Fatal(err)
	}
	return x, stdin, bufio.NewReader(stdout)
}
