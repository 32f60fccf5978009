package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// testUser is nobody, in the strict sense too: no test must meet processes of his.
const testUser = 54321

// gateConfig is the gate's for tests: its own account if root runs them.
func gateConfig() GateConfig {
	return GateConfig{UID: testUser, GID: testUser + 1, Dirs: []string{"/nonexistent"}, NoFile: 64}
}

// runTaken is a gate, and then what somebody does who has taken it.
func runTaken(c *child) {
	c.Gate.fault = func(step string) error {
		if slices.Contains(c.Faults, step) {
			return errors.New("made to fail")
		}
		return nil
	}
	if c.Attempt == "work" || c.Attempt == "directory" {
		unix.CloseOnExec(3)
	}
	missing, err := Gate(&c.Gate)
	pause("%q %v", missing, err)
	if err != nil {
		os.Exit(1)
	}
	if c.Attempt == "work" {
		fmt.Println(work())
		return
	}
	for _, f := range forays {
		if f.name == c.Attempt {
			fmt.Println("tries")
			if err := f.do(); err != nil {
				fmt.Printf("denied: %v\n", err)
			} else {
				fmt.Println("worked")
			}
		}
	}
}

// missingHere are what a gate lacks whoever runs the tests, as starts of lines.
func missingHere() []string {
	var m []string
	if os.Geteuid() != 0 {
		m = append(m, "chroot: no right to it", "an account of its own: not started by root")
	}
	if !static() {
		m = append(m, "capability bounding set: not empty", "landlock: ")
	} else if os.Geteuid() != 0 {
		m = append(m, "capability bounding set: not empty")
	}
	if _, err := landlockABI(); err != nil && static() {
		m = append(m, "landlock: ")
	}
	return m
}

// checkMissing compares a gate's first line with what has to be missing.
func checkMissing(t *testing.T, first string, want []string) {
	t.Helper()
	if !strings.HasSuffix(first, "] <nil>") {
		t.Errorf("the gate did not go on: %s", first)
	}
	if got := strings.Count(first, `" "`); len(want) > 0 && got != len(want)-1 || len(want) == 0 && first != "[] <nil>" {
		t.Errorf("missing %s, expected %q", first, want)
	}
	for _, w := range want {
		if !strings.Contains(first, `"`+w) {
			t.Errorf("missing %s, expected %q", first, w)
		}
	}
}

// TestGateStatus looks at a gate from outside.
func TestGateStatus(t *testing.T) {
	p := (&child{Name: "gate", Gate: gateConfig()}).start(t)
	first := line(t, p.stdout)
	checkMissing(t, first, missingHere())
	want := map[string]string{"Seccomp": "2", "NoNewPrivs": "1", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000"}
	if os.Geteuid() == 0 {
		want["Uid"], want["Gid"], want["Groups"] = "54321 54321 54321 54321", "54322 54322 54322 54322", ""
	}
	if os.Geteuid() == 0 && static() {
		want["CapBnd"] = "0000000000000000"
	}
	for i, status := range statuses(t, p.pid) {
		for name, value := range want {
			if status[name] != value {
				t.Errorf("thread %d: %s: %q, expected %q", i, name, status[name], value)
			}
		}
	}
	for _, link := range []string{"root", "cwd"} {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", p.pid, link))
		if os.Geteuid() != 0 {
			continue // its memory is not for its user
		}
		if err != nil || !strings.HasSuffix(name, " (deleted)") || !strings.HasPrefix(name, "/run/.nano_ssh_server-") {
			t.Errorf("%s -> %q, %v", link, name, err)
		}
	}
	if rest, status := p.end(t); rest != "" || status.ExitStatus() != 0 {
		t.Errorf("%q, %v", rest, status)
	}
}

// TestGateDirectory gives candidates, of which one is good.
func TestGateDirectory(t *testing.T) {
	needRoot(t)
	base, err := os.MkdirTemp("/run", "nano_ssh_server-test-")
	if err != nil {
		t.Skipf("no directory in /run: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	for name, mode := range map[string]os.FileMode{"open": 0o777, "full": 0o755, "theirs": 0o755, "good": 0o755} {
		if err := errors.Join(os.Mkdir(base+"/"+name, mode), os.Chmod(base+"/"+name, mode)); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(os.Chmod(base, 0o755), os.WriteFile(base+"/full/file", nil, 0o600), os.Chown(base+"/theirs", testUser, 0),
		os.Symlink("good", base+"/link"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := gateConfig()
	for _, name := range []string{"missing", "open", "full", "theirs", "link", "good"} {
		cfg.Dirs = append(cfg.Dirs, base+"/"+name)
	}
	p := (&child{Name: "gate", Gate: cfg}).start(t)
	checkMissing(t, line(t, p.stdout), missingHere())
	if name, err := os.Readlink(fmt.Sprintf("/proc/%d/root", p.pid)); err != nil || name != base+"/good" {
		t.Errorf("root -> %q, %v", name, err)
	}
	p.end(t)

	reason := "chroot: no empty directory: "
	if static() {
		reason = "chroot: " + errLate.Error()
	}
	cfg.Dirs = cfg.Dirs[:len(cfg.Dirs)-1]
	cfg.MakeIn = []string{base + "/missing"}
	p = (&child{Name: "gate", Gate: cfg}).start(t)
	checkMissing(t, line(t, p.stdout), append(missingHere(), reason))
	p.end(t)
	if left, err := os.ReadDir(base); err != nil || len(left) != 5 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestGateForays tries everything, each in a gate of its own, and outside what works there.
func TestGateForays(t *testing.T) {
	for _, f := range forays {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			p := (&child{Name: "gate", Gate: gateConfig(), Attempt: f.name}).start(t)
			line(t, p.stdout)
			rest, status := p.end(t)
			killed := status.Signaled() && status.Signal() == syscall.SIGSYS
			if !strings.HasPrefix(rest, "tries\n") || strings.Contains(rest, "worked") {
				t.Errorf("in the gate: %q", rest)
			}
			if gatePolicy(1) != nil && f.dies != killed {
				t.Errorf("in the gate: %q, killed %v", rest, killed)
			}
			if f.free && os.Geteuid() == 0 {
				// Its parent is this thread, which must not start a gate meanwhile: who is
				// confined by Landlock cannot be a tracer.
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				p := (&child{Name: "outside", Attempt: f.name}).start(t)
				if rest, _ := p.end(t); strings.Contains(rest, "denied") {
					t.Errorf("outside: %q", rest)
				}
			}
		})
	}
}

// runOutside makes an attempt without a sandbox.
func runOutside(c *child) {
	for _, f := range forays {
		if f.name == c.Attempt {
			if err := f.do(); err != nil {
				fmt.Printf("denied: %v\n", err)
			}
		}
	}
}

// TestGateDegrades has single layers fail: each is reported and the rest holds.
func TestGateDegrades(t *testing.T) {
	for _, c := range []struct{ fault, attempt string }{
		{"limits", "socket, TCP"}, {"dumpable", "socket, TCP"}, {"chroot", "open /etc/passwd"},
		{"landlock", "open /etc/passwd"}, {"seccomp", "setuid"}, {"capability bounding set", "setuid"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			if c.attempt == "setuid" && c.fault == "seccomp" {
				needRoot(t)
			}
			p := (&child{Name: "gate", Gate: gateConfig(), Attempt: c.attempt, Faults: []string{c.fault}}).start(t)
			first := line(t, p.stdout)
			if !strings.Contains(first, `"`+c.fault+`: made to fail"`) || !strings.HasSuffix(first, "] <nil>") {
				t.Errorf("missing %s", first)
			}
			if lost := strings.Contains(first, "no_new_privs"); lost != (c.fault == "seccomp" && !static()) {
				t.Errorf("missing %s", first)
			}
			if rest, status := p.end(t); strings.Contains(rest, "worked") || !status.Signaled() && !strings.Contains(rest, "denied") {
				t.Errorf("%q, %v", rest, status)
			}
		})
	}
}

// TestGateLandlock has nothing but Landlock between a gate and the system.
func TestGateLandlock(t *testing.T) {
	abi, err := landlockABI()
	if err != nil || !static() && abi < landlockTSYNC {
		t.Skipf("no Landlock for this program: ABI %d, %v", abi, err)
	}
	attempts := []string{"open /etc/passwd", "open the root directory", "open beside the root", "exec"}
	if abi >= 4 {
		attempts = append(attempts, "a TCP socket bound")
	}
	if abi >= 6 {
		attempts = append(attempts, "kill the parent")
	}
	for _, name := range attempts {
		cfg := gateConfig()
		cfg.MakeIn = []string{"/nonexistent"}
		p := (&child{Name: "gate", Gate: cfg, Attempt: name, Faults: []string{"chroot", "seccomp"}}).start(t)
		line(t, p.stdout)
		rest, _ := p.end(t)
		if name == "exec" {
			// It may execute itself, and nothing else comes of that.
			if !strings.Contains(rest, "54321") && os.Geteuid() == 0 {
				t.Errorf("%s: %q", name, rest)
			}
		} else if !strings.Contains(rest, "denied: ") {
			t.Errorf("%s: %q", name, rest)
		}
	}
}

// TestGateRefusals are the gates that must not go on.
func TestGateRefusals(t *testing.T) {
	for _, cfg := range []GateConfig{{UID: 0, GID: 1}, {UID: 1, GID: 0}} {
		if _, err := Gate(&cfg); err == nil {
			t.Errorf("a gate with %d %d", cfg.UID, cfg.GID)
		}
	}
	needRoot(t)
	t.Run("directory", func(t *testing.T) {
		dir, err := os.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		p := (&child{Name: "gate", Gate: gateConfig(), Attempt: "directory"}).start(t, dir)
		if first := line(t, p.stdout); !strings.Contains(first, "descriptor 3 is a directory") {
			t.Error(first)
		}
		if _, status := p.end(t); status.ExitStatus() != 1 {
			t.Error(status)
		}
	})
}

// TestStrays gives a gate and an account descriptors that they do not know.
func TestStrays(t *testing.T) {
	for _, c := range []*child{
		{Name: "gate", Gate: gateConfig()},
		{Name: "account", Account: AccountConfig{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}},
	} {
		dir, err := os.Open("/")
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		p := c.start(t, dir, dir, dir)
		if first := line(t, p.stdout); !strings.HasSuffix(first, "<nil>") {
			t.Errorf("%s: %s", c.Name, first)
		}
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
		if err != nil && os.Geteuid() != 0 {
			continue // it is not for its user
		}
		for _, e := range entries {
			if name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.pid, e.Name())); name == "/" {
				t.Errorf("%s: descriptor %s is still open", c.Name, e.Name())
			}
		}
		p.end(t)
	}
}
