// Package privsep looks from outside at the processes of root's server: whose they
// are, what they may do, and what is left when one of them dies.
package privsep

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const patience = 30 * time.Second

// The two users of the tests.
const (
	alice = "nanotest"
	bob   = "nanoother"
)

func start(t *testing.T, config string) *harness.Server {
	t.Helper()
	harness.NeedRoot(t)
	if harness.PeerIsSSHD() {
		t.Skip("sshd has other processes")
	}
	return harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: config})
}

// login logs a user in.
func login(t *testing.T, s *harness.Server, name string) *ssh.Client {
	t.Helper()
	c, err := dial(s, t, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func dial(s *harness.Server, t *testing.T, name string) (*ssh.Client, error) {
	return ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
		User: name, Auth: []ssh.AuthMethod{ssh.PublicKeys(harness.UserKey(t, "ed25519", "").Signer())},
		HostKeyCallback: ssh.FixedHostKey(s.HostKeys[0].Public), Timeout: patience,
	})
}

// output runs a command.
func output(t *testing.T, c *ssh.Client, command string) string {
	t.Helper()
	x, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	out, err := x.Output(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

// titled returns the processes below the server whose title matches.
func titled(s *harness.Server, pattern string) []int {
	var pids []int
	for _, p := range append(harness.Descendants(os.Getpid()), s.Processes()...) {
		title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
		text := string(bytes.TrimRight(bytes.ReplaceAll(title, []byte{0}, []byte{' '}), " "))
		if regexp.MustCompile(pattern).MatchString(text) {
			pids = append(pids, p.PID)
		}
	}
	return compact(pids)
}

func compact(pids []int) []int {
	seen := map[int]bool{}
	var list []int
	for _, p := range pids {
		if !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list
}

// one waits until exactly one process has such a title.
func one(t *testing.T, s *harness.Server, pattern string) int {
	t.Helper()
	var pids []int
	harness.Eventually(t, patience, "one process "+pattern, func() bool {
		pids = titled(s, pattern)
		return len(pids) == 1
	})
	return pids[0]
}

// status returns a field of /proc/PID/status, its blanks made single.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return ""
}

func account(name string) string { return `^sshd: ` + name + ` \[\d+ sessions?\]$` }

const gate = `^sshd: \[gate\]$`

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, fmt.Sprint("the end of process ", pid), func() bool { return !harness.Running(pid) })
}

// TestProcesses checks each role from /proc while two users are logged in.
func TestProcesses(t *testing.T) {
	s := start(t, "")
	a, b := login(t, s, alice), login(t, s, bob)
	idA, idB := output(t, a, "id -u; id -g; id -G"), output(t, b, "id -u; id -g; id -G")
	if idA == idB {
		t.Errorf("both users are %q", idA)
	}
	g, pa, pb := one(t, s, gate), one(t, s, account(alice)), one(t, s, account(bob))
	for pid, id := range map[int]string{pa: idA, pb: idB} {
		f := strings.Fields(id)
		same := func(n string) string { return strings.Join([]string{n, n, n, n}, " ") }
		if got := status(t, pid, "Uid"); got != same(f[0]) {
			t.Errorf("account's uids %s, the user's is %s", got, f[0])
		}
		if got := status(t, pid, "Gid"); got != same(f[1]) {
			t.Errorf("account's gids %s, the user's is %s", got, f[1])
		}
		if got := status(t, pid, "Groups"); got != strings.Join(f[2:], " ") {
			t.Errorf("account's groups %s, the user's are %v", got, f[2:])
		}
	}
	for _, pid := range []int{g, pa, pb} {
		for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
			if got := status(t, pid, set); strings.Trim(got, "0") != "" {
				t.Errorf("process %d: %s %s", pid, set, got)
			}
		}
		checkDescriptors(t, pid)
	}
	if uid, _, _ := strings.Cut(status(t, g, "Uid"), " "); uid == "0" {
		t.Error("the gate is root's")
	}
	for field, want := range map[string]string{"Groups": "", "NoNewPrivs": "1", "Seccomp": "2"} {
		if got := status(t, g, field); got != want {
			t.Errorf("the gate's %s is %q, want %q", field, got, want)
		}
	}
	// An empty directory, or one that has no name any more.
	if left, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/", g)); err == nil && len(left) > 0 {
		t.Errorf("the gate's root directory holds %v", left)
	}
	// Another connection of a user goes to the same process.
	login(t, s, alice)
	one(t, s, `^sshd: `+alice+` \[2 sessions\]$`)
	if again := one(t, s, account(alice)); again != pa {
		t.Errorf("process %d, before %d", again, pa)
	}
	b.Close()
	harness.Eventually(t, patience, "the end of bob's process", func() bool { return !harness.Running(pb) })
	output(t, a, "true")
}

// checkDescriptors: a role holds sockets and what leads nowhere, no file of anybody's.
func checkDescriptors(t *testing.T, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	harmless := regexp.MustCompile(`^(/dev/null|socket:.*|pipe:.*|anon_inode:.*|/sys/fs/cgroup/.*)$`)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && !harmless.MatchString(to) {
			t.Errorf("process %d has %s open", pid, to)
		}
	}
}

// TestKilled ends each role's process; what belongs to others goes on.
func TestKilled(t *testing.T) {
	s := start(t, "")
	a, b := login(t, s, alice), login(t, s, bob)
	output(t, a, "true")
	output(t, b, "true")
	for range 3 {
		mark := s.Log.Len()
		kill(t, one(t, s, gate))
		s.Log.Wait(t, mark, `gate \[\d+\] ended`) // what comes before is lost with it
		output(t, a, "true")
		output(t, login(t, s, bob), "true") // by another gate
	}
	mark := s.Log.Len()
	kill(t, one(t, s, account(bob)))
	s.Log.Wait(t, mark, `account `+bob+` \[\d+\] ended`)
	if err := b.Wait(); err == nil {
		t.Error("bob's connection goes on without a process")
	}
	output(t, a, "true")
	b = login(t, s, bob)
	output(t, b, "true")
	g, pa := one(t, s, gate), one(t, s, account(alice))
	// The listener last: sessions survive it, the port is free, no gate is left.
	kill(t, s.PID())
	harness.Eventually(t, patience, "the end of the gate", func() bool { return !harness.Running(g) })
	harness.Eventually(t, patience, "a free port", func() bool { return !harness.Listening(s.Port) })
	if got := output(t, a, "echo alive"); got != "alive" {
		t.Errorf("%q", got)
	}
	a.Close()
	harness.Eventually(t, patience, "the end of alice's process", func() bool { return !harness.Running(pa) })
}

// TestSignals: SIGHUP changes what comes after it, SIGTERM leaves sessions alone,
// SIGUSR1 waits for them.
func TestSignals(t *testing.T) {
	s := start(t, "")
	a := login(t, s, alice)
	s.Configure(harness.Options{Mode: harness.AsRoot, Config: "DenyUsers " + bob})
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, patience, "the new configuration", func() bool {
		c, err := dial(s, t, bob)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	output(t, a, "true")
	s.Signal(syscall.SIGUSR1)
	harness.Eventually(t, patience, "a free port", func() bool { return !harness.Listening(s.Port) })
	output(t, a, "true")
	if s.Exited() {
		t.Error("the server does not wait for the session")
	}
	a.Close()
	if code, err := s.Wait(patience); err != nil || code != 0 {
		t.Errorf("exit %d, %v", code, err)
	}
	s = start(t, "")
	a = login(t, s, alice)
	output(t, a, "true")
	s.Signal(syscall.SIGTERM)
	if code, err := s.Wait(patience); err != nil || code != 0 {
		t.Errorf("exit %d, %v", code, err)
	}
	if got := output(t, a, "echo alive"); got != "alive" {
		t.Errorf("%q", got)
	}
}

// TestNoKeeper: a keeper that cannot read the configuration any more keeps the server
// from nothing, its end included.
func TestNoKeeper(t *testing.T) {
	s := start(t, "")
	a := login(t, s, alice)
	output(t, a, "true")
	s.Configure(harness.Options{Mode: harness.AsRoot, Config: "NoSuchKeyword yes"})
	s.Signal(syscall.SIGTERM)
	// Less than the listener gives a keeper to start.
	if code, err := s.Wait(15 * time.Second); err != nil || code != 0 {
		t.Errorf("exit %d, %v", code, err)
	}
	s.Log.Wait(t, 0, `sessions go on without a monitor: keeper: `)
	if got := output(t, a, "echo alive"); got != "alive" {
		t.Errorf("%q", got)
	}
}

// TestIsolation: the keywords that give each connection a process.
func TestIsolation(t *testing.T) {
	s := start(t, "SessionIsolation connection\nPreauthIsolation connection")
	for range 2 {
		output(t, login(t, s, alice), "true")
	}
	harness.Eventually(t, patience, "two processes of alice", func() bool { return len(titled(s, account(alice))) == 2 })
	harness.Eventually(t, patience, "no gate", func() bool { return len(titled(s, gate)) == 0 })
	s = start(t, "PrivilegeSeparation no")
	output(t, login(t, s, alice), "true")
	if all := harness.Descendants(s.PID()); len(all) != 0 {
		t.Errorf("processes %v without PrivilegeSeparation", all)
	}
}

// TestPenalties: a source that fails is refused for a while, others are not.
func TestPenalties(t *testing.T) {
	s := start(t, "PerSourcePenalties authfail:1000s min:1s max:1000s")
	from := func(addr string) error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: patience}
		c, err := d.Dial("tcp", s.Addr())
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _, _, err = ssh.NewClientConn(c, "", &ssh.ClientConfig{
			User: alice, Auth: []ssh.AuthMethod{ssh.Password("wrong")}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		return err
	}
	mark := s.Log.Len()
	if err := from("127.0.0.9"); err == nil {
		t.Fatal("let in")
	}
	s.Log.Wait(t, mark, `srclimit_penalise: .*127\.0\.0\.9`)
	mark = s.Log.Len()
	if err := from("127.0.0.9"); err == nil {
		t.Fatal("let in")
	}
	s.Log.Wait(t, mark, `drop connection #\d+ from \[127\.0\.0\.9\]:\d+ on .* penalty: failed authentication`)
	output(t, login(t, s, alice), "true") // from another address
}

// TestThreat29: thousands of connections that say nothing keep nobody out.
func TestThreat29(t *testing.T) {
	s := start(t, "LoginGraceTime 600")
	const idle = 2000
	for i := range idle {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%200))}, Timeout: patience}
		c, err := d.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 4)); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	// The best of a few: the machine may have other things to do, the server has not.
	took := time.Hour
	for range 5 {
		began := time.Now()
		output(t, login(t, s, alice), "true")
		took = min(took, time.Since(began))
	}
	if took > time.Second {
		t.Errorf("a login beside %d idle connections takes %v", idle, took)
	}
	var memory int64
	for _, pid := range append(titled(s, gate), s.PID()) {
		memory += harness.StatusKB(pid, "VmRSS")
	}
	t.Logf("a login beside %d idle connections took %v; listener and gates have %s KiB", idle, took, strconv.FormatInt(memory, 10))
	if memory > 256<<10 {
		t.Errorf("%d idle connections pin %d KiB", idle, memory)
	}
}
