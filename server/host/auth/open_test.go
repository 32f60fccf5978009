package auth

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
)

// testHome makes a home with .ssh/authorized_keys below a folder that everybody
// may enter, owned by the account: the process's own, or 1234 when root.
func testHome(t *testing.T) (a *user.Account, keys string) {
	t.Helper()
	base, err := os.MkdirTemp("", "auth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	// Everything above the home may be as loose as /tmp is.
	if err := os.Chmod(base, 0o777); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(base, "home")
	a = &user.Account{Name: "alice", Home: home, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if os.Geteuid() == 0 {
		a.UID, a.GID = 1234, 1234
	}
	a.Groups = []uint32{a.GID}
	keys = filepath.Join(home, ".ssh", "authorized_keys")
	for _, dir := range []string{home, filepath.Dir(keys)} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(keys, []byte("keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{home, filepath.Dir(keys), keys} {
		give(t, path, a)
	}
	return a, keys
}

func give(t *testing.T, path string, a *user.Account) {
	t.Helper()
	if err := os.Lchown(path, int(a.UID), int(a.GID)); err != nil {
		t.Fatal(err)
	}
}

func TestOpenTrusted(t *testing.T) {
	a, keys := testHome(t)
	ssh := filepath.Dir(keys)
	open := func(path string, strict bool) (string, error) {
		f, err := OpenTrusted(path, a, strict)
		if err != nil {
			return "", err
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		return string(text), err
	}
	for _, strict := range []bool{true, false} {
		if text, err := open(keys, strict); err != nil || text != "keys" {
			t.Errorf("strict %v: %q %v", strict, text, err)
		}
		if _, err := open(keys+"2", strict); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing file: %v", err)
		}
		if _, err := open("relative", strict); err == nil {
			t.Error("a relative path was opened")
		}
	}
	for _, c := range []struct {
		path string
		mode os.FileMode
		want string
	}{
		{keys, 0o620, "bad ownership or modes for file " + keys},
		{keys, 0o602, "bad ownership or modes for file " + keys},
		{ssh, 0o770, "bad ownership or modes for directory " + ssh},
		{ssh, 0o707, "bad ownership or modes for directory " + ssh},
		{a.Home, 0o770, "bad ownership or modes for directory " + a.Home},
	} {
		st, _ := os.Stat(c.path)
		if err := os.Chmod(c.path, c.mode); err != nil {
			t.Fatal(err)
		}
		var refused *Refused
		if _, err := open(keys, true); !errors.As(err, &refused) || refused.Reason != c.want || refused.Irregular {
			t.Errorf("%s %o: %v", c.path, c.mode, err)
		}
		if _, err := open(keys, false); err != nil {
			t.Errorf("%s %o, not strict: %v", c.path, c.mode, err)
		}
		if err := os.Chmod(c.path, st.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	// Two bad directories: sshd names the one next to the file.
	os.Chmod(ssh, 0o777)
	os.Chmod(a.Home, 0o777)
	if _, err := open(keys, true); err == nil || err.Error() != "bad ownership or modes for directory "+ssh {
		t.Errorf("two: %v", err)
	}
	os.Chmod(ssh, 0o700)
	os.Chmod(a.Home, 0o700)
	// With another home the walk goes up to the root and finds the loose folder.
	elsewhere := *a
	elsewhere.Home = "/nonexistent"
	f, err := OpenTrusted(keys, &elsewhere, true)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Reason != "bad ownership or modes for directory "+filepath.Dir(a.Home) {
		t.Errorf("outside of the home: %v %v", f, err)
	}
}

func TestOpenLinks(t *testing.T) {
	a, keys := testHome(t)
	real := filepath.Join(a.Home, "real")
	if err := os.Rename(filepath.Dir(keys), real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Dir(keys)); err != nil {
		t.Fatal(err)
	}
	f, err := OpenTrusted(keys, a, true)
	if err != nil {
		t.Fatalf("a link inside of the home: %v", err)
	}
	f.Close()
	os.Chmod(real, 0o777)
	if _, err := OpenTrusted(keys, a, true); err == nil || !strings.Contains(err.Error(), "directory "+real) {
		t.Errorf("a link into a loose folder: %v", err)
	}
	os.Chmod(real, 0o700)
	loop := filepath.Join(real, "loop")
	os.Symlink("loop", loop)
	if _, err := OpenTrusted(loop, a, true); err == nil {
		t.Error("a loop was opened")
	}
	if _, err := OpenTrusted(loop, a, false); err == nil {
		t.Error("a loop was opened")
	}
}

func TestOpenIrregular(t *testing.T) {
	a, keys := testHome(t)
	fifo, dir, dev := keys+"-fifo", keys+"-dir", keys+"-dev"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", dev); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, dir, dev} {
		give(t, path, a)
		for _, strict := range []bool{true, false} {
			done := make(chan error, 1)
			go func() {
				_, err := OpenTrusted(path, a, strict)
				done <- err
			}()
			select {
			case err := <-done:
				var refused *Refused
				if !errors.As(err, &refused) || !refused.Irregular {
					t.Errorf("%s, strict %v: %v", path, strict, err)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s blocks", path)
			}
		}
	}
}

func TestAuthorized(t *testing.T) {
	a, keys := testHome(t)
	key, text := newKey(t)
	var l lines
	q := newQuery(key, &l)
	q.Account, q.Strict = a, true
	files := []string{"none", "%x", ".ssh/missing", ".ssh", "%h/.ssh/authorized_keys"}
	if e := Authorized(q, files); e != nil {
		t.Error("found in a file without it")
	}
	if err := os.WriteFile(keys, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	give(t, keys, a)
	if e := Authorized(q, files); e == nil || e.File != keys || e.Line != 1 {
		t.Errorf("not found: %q", l.text)
	}
	os.Chmod(keys, 0o666)
	if e := Authorized(q, files); e != nil {
		t.Error("found in a file that everybody may write")
	}
	for _, want := range []string{
		"3 Could not open user 'alice' authorized keys '" + a.Home + "/.ssh/missing': no such file or directory",
		"1 User 'alice' authorized keys '" + a.Home + "/.ssh' is not a regular file",
		"1 Authentication refused: bad ownership or modes for file " + keys,
		"matching key found: ED25519 ",
		"0 percent_expand: unknown key %x",
	} {
		if !l.has(want) {
			t.Errorf("no %q in %q", want, l.text)
		}
	}
}

func TestThreat24Identity(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	a, keys := testHome(t)
	// Files that only root can read, reached by the account's own path.
	secret := filepath.Join(filepath.Dir(a.Home), "secret")
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": secret, "shadow": "/etc/shadow", "own": ""} {
		path := filepath.Join(filepath.Dir(keys), name)
		if target == "" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		for _, strict := range []bool{true, false} {
			f, err := OpenTrusted(path, a, strict)
			if !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s, strict %v: %v %v", path, strict, f, err)
			}
		}
	}
	// A folder that the account may enter by a supplementary group only.
	shared := filepath.Join(filepath.Dir(a.Home), "shared")
	if err := os.Mkdir(shared, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(shared, 0, 4321); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(shared, "keys")
	if err := os.WriteFile(inside, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTrusted(inside, a, false); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without the group: %v", err)
	}
	member := *a
	member.Groups = []uint32{a.GID, 4321}
	if f, err := OpenTrusted(inside, &member, false); err != nil {
		t.Errorf("with the group: %v", err)
	} else {
		f.Close()
	}
	// A file of another user in the account's folder.
	os.Chown(keys, 4444, 4444)
	os.Chmod(keys, 0o644)
	var refused *Refused
	if _, err := OpenTrusted(keys, a, true); !errors.As(err, &refused) {
		t.Errorf("another owner: %v", err)
	}
}

// After any number of calls, by any number of goroutines at once, the process is
// what it was: no thread keeps another identity.
func TestIdentityDoesNotLeak(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	a, keys := testHome(t)
	rootOnly := filepath.Join(filepath.Dir(a.Home), "root-only")
	if err := os.WriteFile(rootOnly, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 16 {
		account := *a
		account.GID += uint32(i % 4)
		wg.Go(func() {
			for range 50 {
				if f, err := OpenTrusted(keys, &account, true); err != nil {
					t.Error(err)
				} else {
					f.Close()
				}
				if f, err := os.Open(rootOnly); err != nil {
					t.Errorf("root lost its rights: %v", err)
				} else {
					f.Close()
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		tainted := ""
		for _, path := range tasks {
			status, err := os.ReadFile(path)
			if err != nil {
				continue // the thread is gone
			}
			for line := range strings.Lines(string(status)) {
				if f := strings.Fields(line); len(f) == 5 && (f[0] == "Uid:" || f[0] == "Gid:") && f[4] != f[1] {
					tainted = path + ": " + line
				}
			}
		}
		if tainted == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a thread stays with another identity: %s", tainted)
		}
		runtime.Gosched() // a thread ends on its own, just after its work
	}
	// A child must not inherit one either.
	out, err := exec.Command("/bin/sh", "-c", "cat /proc/self/status").Output()
	if err == nil && !strings.Contains(string(out), "\nUid:\t0\t0\t0\t0\n") {
		t.Errorf("a child runs as\n%s", out)
	}
}

// A swap of links between check and open must never yield the swapped-in file.
func TestThreat24SwappedLink(t *testing.T) {
	a, keys := testHome(t)
	ssh := filepath.Dir(keys)
	loose := filepath.Join(filepath.Dir(a.Home), "loose")
	if err := os.Mkdir(loose, 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(loose, 0o777)
	bait := filepath.Join(loose, "authorized_keys")
	if err := os.WriteFile(bait, []byte("bait"), 0o644); err != nil {
		t.Fatal(err)
	}
	give(t, bait, a) // the file itself looks right; its folder does not
	real := ssh + "-real"
	if err := os.Rename(ssh, real); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		next := ssh + "-next"
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			os.Symlink([]string{real, loose}[i%2], next)
			os.Rename(next, ssh)
		}
	})
	opened := 0
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
		f, err := OpenTrusted(keys, a, true)
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(f)
		f.Close()
		opened++
		if string(text) != "keys" {
			t.Fatalf("read %q", text)
		}
	}
	close(stop)
	swapper.Wait()
	if opened == 0 {
		t.Log("the honest file was never opened")
	}
}

// Nothing stays open after a refusal.
func TestNoDescriptorLeak(t *testing.T) {
	a, keys := testHome(t)
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(names)
	}
	before := count()
	os.Chmod(keys, 0o666)
	for range 20 {
		OpenTrusted(keys, a, true)
		OpenTrusted(filepath.Dir(keys), a, true)
		OpenTrusted(keys+"x", a, true)
	}
	if after := count(); after > before+2 {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
