// Package harness starts SSH servers for tests: the built binary as a process of
// its own on a free loopback port, with throw-away accounts, host keys and
// authorized_keys, and sees to it that nothing of it is left afterwards.
//
// A test package calls Main from its TestMain. If the tests run as root, Main puts
// them into a private mount namespace with an /etc/passwd, /etc/shadow and
// /etc/group of its own, so that tests as root need no change of the machine; the
// accounts are those of the table in accounts.go. Servers then run as root and,
// in another sub-test, as an ordinary user. Without root only the latter is done.
//
// Environment:
//
//	NANO_SSH_SERVER          the binary to test; without it ./server is built once
//	NANO_SSH_SERVER_NANOTEST the same, built with -tags nanotest
//	NANO_TEST_PEER=sshd      test /usr/sbin/sshd instead: shows that a test is right
//	NANO_TEST_STRICT=1       a missing client program fails a test instead of skipping it
//
// The package never imports the server's code.
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	namespaceVar = "NANO_TEST_NAMESPACE" // "1": this process lives in the private namespace
	sshdPath     = "/usr/sbin/sshd"
)

// base is the folder for everything that the tests of this process make; it can
// be reached by every user. It is empty until Main has run.
var base string

// private says that the accounts of accounts.go exist.
var private bool

// Main runs the tests of a package and returns their exit status.
func Main(m *testing.M) int {
	if os.Geteuid() == 0 && os.Getenv(namespaceVar) == "" {
		if err := enterNamespace(); err != nil {
			fmt.Fprintf(os.Stderr, "harness: no private mount namespace (%v): tests as root are left out\n", err)
		}
	}
	cleanup, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 2
	}
	defer cleanup()
	// What loses its parent becomes a child of this process, so that nothing that a
	// server leaves behind escapes.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "harness: cannot see what is left behind:", err)
	}
	code := m.Run()
	if left := leftBehind(); len(left) > 0 && !PeerIsSSHD() { // sshd leaves its sessions alive
		fmt.Fprintln(os.Stderr, "harness: processes are left after all tests:", left)
		return max(code, 1)
	}
	return code
}

// leftBehind waits for the end of all processes below this one, ends those that do
// not, and returns them.
func leftBehind() []string {
	var left []string
	if Within(5*time.Second, func() bool { return len(Descendants(os.Getpid())) == 0 }) {
		return nil
	}
	for _, p := range Descendants(os.Getpid()) {
		left = append(left, p.String())
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
	return left
}

// enterNamespace starts this program again in a mount namespace of its own. The
// process stays the same one, so that whoever waits for it or signals it notices
// nothing. It returns only if that is not possible.
func enterNamespace() error {
	runtime.LockOSThread() // the namespace belongs to this thread until the exec
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), namespaceVar+"=1"))
}

// prepare makes the base folder, and in the private namespace the accounts.
func prepare() (cleanup func(), err error) {
	if os.Getenv(namespaceVar) == "1" {
		private = true
		return func() {}, mountAll()
	}
	base, err = os.MkdirTemp("", "nano-test-")
	if err != nil {
		return nil, err
	}
	return func() { _ = os.RemoveAll(base) }, os.Chmod(base, 0o755)
}

// mountAll gives the namespace its own accounts, pseudo-terminals (with the modes
// that a distribution gives them, which a container's often lack), /run, /var/log and
// base folder.
func mountAll() error {
	if base = emptyFolder(); base == "" {
		return errors.New("no empty folder to mount the tests' files on")
	}
	if err := syscall.Mount("tmpfs", base, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount %s: %w", base, err)
	}
	ownEtc(filepath.Join(base, "layer"))
	if err := makeAccounts(filepath.Join(base, "etc")); err != nil {
		return err
	}
	options := "newinstance,ptmxmode=0666,mode=0620,gid=5"
	if err := syscall.Mount("devpts", "/dev/pts", "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount /dev/pts: %w", err)
	}
	// Servers of root's write there: links, records of logins.
	for _, dir := range []string{"/run", "/var/log"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	if PeerIsSSHD() {
		return os.Mkdir("/run/sshd", 0o755)
	}
	return nil
}

// emptyFolder returns a folder that only root can write to, all the way from the
// top (StrictModes would refuse one below /tmp), and that a mount hides nothing in.
func emptyFolder() string {
	for _, dir := range []string{"/mnt", "/media", "/srv", "/opt"} {
		if list, err := os.ReadDir(dir); err == nil && len(list) == 0 {
			return dir
		}
	}
	return ""
}

// SharedDir returns the folder for what every account of the tests must reach. It
// goes away with the tests.
func SharedDir() string { return base }

// PeerIsSSHD reports whether the real sshd is tested in place of our server.
func PeerIsSSHD() bool { return os.Getenv("NANO_TEST_PEER") == "sshd" }

// SkipPeer skips a test that the real sshd cannot pass, for the given reason.
func SkipPeer(t testing.TB, reason string) {
	t.Helper()
	if PeerIsSSHD() {
		t.Skip("not for sshd: " + reason)
	}
}

// Program returns the path of a program that a test needs. If it is missing, the
// test is skipped, or fails if NANO_TEST_STRICT=1.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("NANO_TEST_STRICT") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// Eventually waits until a condition holds, and fails the test if it does not
// within limit.
func Eventually(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	if !Within(limit, condition) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// Within reports whether a condition comes true within limit.
func Within(limit time.Duration, condition func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if condition() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// built is the outcome of one build.
type built struct {
	once sync.Once
	path string
	err  error
}

var builds = map[string]*built{"": {}, "nanotest": {}}

// Binary returns the server program under test, built if need be. tag is "" or
// "nanotest".
func Binary(t testing.TB, tag string) string {
	t.Helper()
	if PeerIsSSHD() {
		if tag != "" {
			t.Skip("sshd has no " + tag + " build")
		}
		return sshdPath
	}
	b := builds[tag]
	b.once.Do(func() { b.path, b.err = build(tag) })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

// build puts a server into the base folder, where every user can start it.
func build(tag string) (string, error) {
	target := filepath.Join(base, "nano_ssh_server")
	given := os.Getenv("NANO_SSH_SERVER")
	if tag != "" {
		target += "." + tag
		given = os.Getenv("NANO_SSH_SERVER_NANOTEST")
	}
	if given != "" && !filepath.IsAbs(given) {
		return "", fmt.Errorf("the path of the server to test must be absolute: %q", given)
	}
	if given != "" {
		program, err := os.ReadFile(given)
		if err != nil {
			return "", err
		}
		return target, os.WriteFile(target, program, 0o755)
	}
	if err := NoteSources(); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-tags", tag, "-o", target, "nano_ssh_server/server")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return target, os.Chmod(target, 0o755)
}

// NoteSources looks at every source file of the module. The go command sees that
// and does not take an earlier result of a test for this one's when a file has
// changed that the test reads only through another program.
func NoteSources() error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("go list -m: %w", err)
	}
	return filepath.WalkDir(strings.TrimSpace(string(out)), func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "build" || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case filepath.Ext(path) == ".go" || filepath.Ext(path) == ".c" || filepath.Ext(path) == ".h":
			_, err = os.Stat(path)
		}
		return err
	})
}
