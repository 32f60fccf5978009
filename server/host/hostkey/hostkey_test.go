package hostkey

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// keyFile writes a new Ed25519 key and returns its path.
func keyFile(t *testing.T, dir string) string {
	t.Helper()
	key, err := sshkey.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	text, err := sshkey.MarshalPrivate(key, "test")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(dir, "key")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := keyFile(t, dir)
	key, err := Load(path)
	if err != nil || key.Public().Type() != "ssh-ed25519" {
		t.Fatalf("%v %v", key, err)
	}
	link := filepath.Join(dir, "link")
	os.Symlink(path, link)
	os.WriteFile(path+".pub", []byte("ssh-ed25519 of another key"), 0o644)
	if linked, err := Load(link); err != nil || !bytes.Equal(linked.Public().Blob(), key.Public().Blob()) {
		t.Errorf("a link: %v", err)
	}
}

func TestThreat31LooseModes(t *testing.T) {
	path := keyFile(t, t.TempDir())
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o660, 0o610, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		var e *LoadError
		if !errors.As(err, &e) || !errors.Is(err, ErrPermissions) {
			t.Errorf("%o: %v", mode, err)
			continue
		}
		// What sshd 9.2 prints of such a file, to the letter.
		want := []string{
			"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
			"@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @",
			"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
			fmt.Sprintf("Permissions 0%o for '%s' are too open.", mode, path),
			"It is required that your private key files are NOT accessible by others.",
			"This private key will be ignored.",
			`Unable to load host key "` + path + `": bad permissions`,
			"Unable to load host key: " + path,
		}
		if !slices.Equal(e.Lines(), want) {
			t.Errorf("%o:\n%s", mode, strings.Join(e.Lines(), "\n"))
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		os.Chmod(path, mode)
		if _, err := Load(path); err != nil {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if os.Geteuid() == 0 {
		// A file of somebody else is that one's care, as in sshd.
		os.Chmod(path, 0o644)
		os.Chown(path, 1234, 1234)
		if _, err := Load(path); err != nil {
			t.Errorf("another owner: %v", err)
		}
	}
}

// encrypted is an Ed25519 key under a passphrase.
const encrypted = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABA2rzuFNt
hJylWvGxRd3HJZAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIHHtSrsww7nkbWMP
fHBlyzdS5pSSBCC17R8LjcLvgMl1AAAAkCGJBD5bAndxrLK+UBTfgVvFGI6hJUlBv2RxC/
3IV2RA473kp8c/oapg/nRbat0UvZ3TogtjwwmEQeIyITuXD8UEq127gSW6kM98NPDg0PYz
tEg5uYKhbEmTnoJahU3vjya1RrEO+r1gU+EjZmEWzrHMpRxLfI0/Q76O/VGbTV/gR5RwzJ
KjUwHqoEA1WjyOCg==
-----END OPENSSH PRIVATE KEY-----
`

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	os.Mkdir(folder, 0o700)
	missing := filepath.Join(dir, "missing")
	whole, _ := os.ReadFile(keyFile(t, dir))
	for path, want := range map[string]string{
		file("empty", "", 0o600):                          "invalid format",
		file("junk", "junk\n", 0o600):                     "invalid format",
		file("half", string(whole[:len(whole)/2]), 0o600): "invalid format",
		file("huge", strings.Repeat("x", 3<<20), 0o600):   "invalid format",
		file("encrypted", encrypted, 0o600):               "incorrect passphrase supplied to decrypt private key",
		fifo:                                              "invalid format",
		folder:                                            "invalid format",
		missing:                                           "",
	} {
		key, err := Load(path)
		var e *LoadError
		if key != nil || !errors.As(err, &e) {
			t.Errorf("%s: %v %v", path, key, err)
			continue
		}
		lines := []string{`Unable to load host key "` + path + `": ` + want, "Unable to load host key: " + path}
		if want == "" {
			lines = lines[1:]
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", path, err)
			}
		}
		if !slices.Equal(e.Lines(), lines) {
			t.Errorf("%s: %q, want %q", path, e.Lines(), lines)
		}
	}
	set, failed, _ := LoadAll(&Files{Keys: []string{missing, "none", keyFile(t, dir), fifo}, MinRSABits: 1024})
	if set.Len() != 1 || len(failed) != 2 || failed[1].Path != fifo {
		t.Errorf("%d keys, %v", set.Len(), failed)
	}
}

func TestLoadOrCreate(t *testing.T) {
	base := t.TempDir()
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(base, "state", "nano_ssh_server")
	key, path, created, err := LoadOrCreate(dir)
	if err != nil || !created || path != filepath.Join(dir, FileName) || key.Public().Type() != "ssh-ed25519" {
		t.Fatalf("%v %s %v %v", key, path, created, err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, dir: 0o700} {
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v %v", p, st.Mode(), err)
		}
	}
	again, _, created, err := LoadOrCreate(dir)
	if err != nil || created || !bytes.Equal(again.Public().Blob(), key.Public().Blob()) {
		t.Errorf("the second start: %v %v", created, err)
	}
	if names := list(t, dir); !slices.Equal(names, []string{FileName}) {
		t.Errorf("left behind: %v", names)
	}
	// A broken or loose file is never replaced.
	for _, spoil := range []func(){
		func() { os.Chmod(path, 0o644) },
		func() { os.Chmod(path, 0o600); os.WriteFile(path, []byte("junk"), 0o600) },
		func() { os.Remove(path); os.Symlink("nowhere", path) },
	} {
		spoil()
		before, _ := os.ReadFile(path)
		if _, _, created, err := LoadOrCreate(dir); err == nil || created {
			t.Errorf("a bad file was taken: %v %v", created, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Error("a bad file was changed")
		}
	}
	os.Remove(path)
	os.Chmod(dir, 0o777)
	if _, _, _, err := LoadOrCreate(dir); err == nil || !strings.Contains(err.Error(), "bad ownership or modes for directory "+dir) {
		t.Errorf("a folder that everybody may write: %v", err)
	}
}

func TestCreateUmask(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	for _, mask := range []int{0o777, 0o277, 0, 0o022} {
		old := syscall.Umask(mask)
		_, path, created, err := LoadOrCreate(dir)
		syscall.Umask(old)
		st, serr := os.Stat(path)
		if err != nil || !created || serr != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("umask %o: %v %v", mask, err, serr)
		}
		os.Remove(path)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Two servers that start at once: one makes the key, all have the same.
func TestCreateConcurrently(t *testing.T) {
	for range 10 {
		dir := filepath.Join(t.TempDir(), "new")
		var mu sync.Mutex
		made := 0
		blobs := make(map[string]bool)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				key, _, created, err := LoadOrCreate(dir)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				if created {
					made++
				}
				blobs[string(key.Public().Blob())] = true
			})
		}
		wg.Wait()
		if names := list(t, dir); made != 1 || len(blobs) != 1 || !slices.Equal(names, []string{FileName}) {
			t.Fatalf("%d made, %d different, %v", made, len(blobs), names)
		}
	}
}

// Both ways to give a file its name leave one that is there alone.
func TestRename(t *testing.T) {
	for name, f := range map[string]func(from, to string) error{"rename": rename, "link": renameByLink} {
		dir := t.TempDir()
		to := filepath.Join(dir, "to")
		for i, want := range []error{nil, fs.ErrExist} {
			from := filepath.Join(dir, fmt.Sprint("from", i))
			if err := os.WriteFile(from, []byte(fmt.Sprint(i)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := f(from, to); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		if text, err := os.ReadFile(to); err != nil || string(text) != "0" {
			t.Errorf("%s: %q %v", name, text, err)
		}
		if names := list(t, dir); !slices.Equal(names, []string{"from1", "to"}) {
			t.Errorf("%s: %v", name, names)
		}
	}
}

// As TestCreateConcurrently, with processes.
func TestCreateProcesses(t *testing.T) {
	if dir := os.Getenv("HOSTKEY_TEST_DIR"); dir != "" {
		key, _, _, err := LoadOrCreate(dir)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("KEY %x\n", key.Public().Blob())
		return
	}
	dir := filepath.Join(t.TempDir(), "new")
	var wg sync.WaitGroup
	var mu sync.Mutex
	keys := make(map[string]int)
	for range 4 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestCreateProcesses$")
			cmd.Env = append(os.Environ(), "HOSTKEY_TEST_DIR="+dir)
			out, err := cmd.Output()
			line, _, _ := strings.Cut(string(out), "\n")
			mu.Lock()
			defer mu.Unlock()
			if err != nil || !strings.HasPrefix(line, "KEY ") {
				t.Errorf("%v: %s", err, out)
			}
			keys[line]++
		})
	}
	wg.Wait()
	if len(keys) != 1 {
		t.Errorf("different keys: %v", keys)
	}
}

// A disk that is full must leave neither a key nor a part of one.
func TestThreat31FullDisk(t *testing.T) {
	if dir := os.Getenv("HOSTKEY_TEST_FULL"); dir != "" {
		// A limit on the size of files is what stops the write, as a full disk does.
		signalIgnored(t)
		limit := unix.Rlimit{Cur: 100, Max: 100}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		if _, _, created, err := LoadOrCreate(dir); err == nil || created {
			t.Fatalf("a key was made: %v", err)
		}
		return
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	cmd := exec.Command(os.Args[0], "-test.run=^TestThreat31FullDisk$")
	cmd.Env = append(os.Environ(), "HOSTKEY_TEST_FULL="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	if os.Geteuid() == 0 {
		t.Run("tmpfs", func(t *testing.T) {
			mount := t.TempDir()
			if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=4k,mode=0700"); err != nil {
				t.Skip(err)
			}
			defer unix.Unmount(mount, unix.MNT_DETACH)
			if err := os.WriteFile(filepath.Join(mount, "filler"), make([]byte, 4096), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := LoadOrCreate(mount); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%v", err)
			}
			if names := list(t, mount); !slices.Equal(names, []string{"filler"}) {
				t.Errorf("left behind: %v", names)
			}
		})
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		if _, _, _, err := LoadOrCreate("/proc/nano_ssh_server"); err == nil || !strings.Contains(err.Error(), "directory for the host key") {
			t.Errorf("%v", err)
		}
		return
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o500)
	defer os.Chmod(dir, 0o700)
	if _, _, _, err := LoadOrCreate(dir); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}

func TestDirectory(t *testing.T) {
	a := &user.Account{Home: "/home/x"}
	t.Setenv("XDG_STATE_HOME", "/state")
	t.Setenv("HOME", "/home/y")
	got, err := Directory(a)
	if os.Geteuid() == 0 {
		if got != "/etc/nano_ssh_server" || err != nil {
			t.Error(got, err)
		}
		return
	}
	if got != "/state/nano_ssh_server" || err != nil {
		t.Error(got, err)
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	if got, err := Directory(a); got != "/home/y/.local/state/nano_ssh_server" || err != nil {
		t.Error(got, err)
	}
	t.Setenv("HOME", "")
	if got, err := Directory(a); got != "/home/x/.local/state/nano_ssh_server" || err != nil {
		t.Error(got, err)
	}
	if got, err := Directory(&user.Account{}); err == nil {
		t.Error(got)
	}
}

func TestSet(t *testing.T) {
	dir := t.TempDir()
	set, failed, _ := LoadAll(&Files{Keys: []string{keyFile(t, dir), keyFile(t, dir)}, MinRSABits: 1024})
	if len(failed) != 0 || set.Len() != 2 || len(set.Announced()) != 2 || len(set.Public()) != 2 {
		t.Fatal(failed, set.Len())
	}
	const name = "ssh-ed25519"
	if got := set.Algorithms([]string{"rsa-sha2-512", name, name, "x"}); !slices.Equal(got, []string{name}) {
		t.Errorf("%v", got)
	}
	blob := set.PublicKey(name)
	if !bytes.Equal(blob, set.Announced()[0].Blob) || set.PublicKey("rsa-sha2-512") != nil {
		t.Error("the wrong key")
	}
	data := []byte("exchange hash")
	signature, err := set.Sign(name, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Public()[0].Verify(name, data, signature); err != nil {
		t.Error(err)
	}
	second, err := set.SignWith(set.Announced()[1].Blob, name, data)
	if err != nil || set.Public()[1].Verify(name, data, second) != nil || bytes.Equal(signature, second) {
		t.Errorf("the second key: %v", err)
	}
	for _, name := range []string{"", "rsa-sha2-512", "ssh-rsa"} {
		if _, err := set.Sign(name, data); err == nil {
			t.Errorf("%q signs", name)
		}
		if _, err := set.SignWith(blob, name, data); err == nil {
			t.Errorf("%q signs", name)
		}
	}
	if _, err := set.SignWith(nil, name, data); err == nil {
		t.Error("no key signs")
	}
	set.Wipe()
	if set.Len() != 0 || set.PublicKey(name) != nil {
		t.Error("not empty")
	}
}

// signalIgnored keeps SIGXFSZ from ending the process.
func signalIgnored(t *testing.T) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
}
