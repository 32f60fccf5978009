package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// runAccount becomes a user and then, if told so, starts a program as his.
func runAccount(c *child) {
	Title("sshd: [test]")
	err := Account(&c.Account)
	pause("%v", err)
	if c.Attempt == "program" {
		// Orders of its own: with those that are inherited it would start itself for ever.
		program := exec.Command("/proc/self/exe")
		program.Env = (&child{Name: "identity"}).environment()
		out, err := program.CombinedOutput()
		fmt.Printf("%s%v\n", out, err)
	}
}

// runIdentity is the program of a user.
func runIdentity(*child) {
	groups, err := os.Getgroups()
	fmt.Println(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid(), groups, err)
}

func TestAccount(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		cfg    AccountConfig
		groups string
	}{
		{AccountConfig{UID: testUser, GID: testUser + 1, Groups: []uint32{testUser + 1, 70000, 7, 7}}, "7 54322 70000"},
		{AccountConfig{UID: testUser, GID: testUser + 1}, ""},
		{AccountConfig{UID: testUser, GID: 0, Groups: []uint32{0}}, "0"},
		{AccountConfig{UID: 0, GID: 0, Groups: []uint32{0, 4}}, "0 4"},
	} {
		p := (&child{Name: "account", Account: c.cfg}).start(t)
		if first := line(t, p.stdout); first != "<nil>" {
			t.Errorf("%+v: %s", c.cfg, first)
		}
		want := map[string]string{
			"Uid":     strings.TrimSpace(strings.Repeat(fmt.Sprintf(" %d", c.cfg.UID), 4)),
			"Gid":     strings.TrimSpace(strings.Repeat(fmt.Sprintf(" %d", c.cfg.GID), 4)),
			"Seccomp": "0", "NoNewPrivs": "0", // for sudo
		}
		if c.cfg.UID != 0 {
			want["CapPrm"], want["CapEff"] = "0000000000000000", "0000000000000000"
		}
		for i, status := range statuses(t, p.pid) {
			for name, value := range want {
				if status[name] != value {
					t.Errorf("thread %d: %s: %q, expected %q", i, name, status[name], value)
				}
			}
			got := strings.Join(strings.Fields(strings.Replace(status["Groups"], "7 7 ", "7 ", 1)), " ")
			if got != c.groups {
				t.Errorf("thread %d: groups %q, expected %q", i, got, c.groups)
			}
		}
		if rest, status := p.end(t); status.ExitStatus() != 0 {
			t.Errorf("%q, %v", rest, status)
		}
	}
}

// TestAccountSelf is the server of an ordinary user.
func TestAccountSelf(t *testing.T) {
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	p := (&child{Name: "account", Account: AccountConfig{UID: uid, GID: gid}}).start(t)
	if first := line(t, p.stdout); first != "<nil>" {
		t.Error(first)
	}
	if uid == 0 {
		return
	}
	p = (&child{Name: "account", Account: AccountConfig{UID: uid + 1, GID: gid}}).start(t)
	if first, want := line(t, p.stdout), fmt.Sprintf("Failed to set uids to %d.", uid+1); first != want {
		t.Errorf("%q, expected %q", first, want)
	}
}

// rootsDirectory is a directory that only root can change, as all it lies in.
func rootsDirectory(t *testing.T) string {
	t.Helper()
	needRoot(t)
	base, err := os.MkdirTemp("/run", "nano_ssh_server-test-")
	if err != nil {
		t.Skipf("no directory in /run: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	return base
}

func TestAccountChroot(t *testing.T) {
	base := rootsDirectory(t)
	err := errors.Join(os.Mkdir(base+"/good", 0o755), os.Mkdir(base+"/open", 0o755), os.Chmod(base+"/open", 0o775),
		os.Mkdir(base+"/open/in", 0o755), os.Mkdir(base+"/theirs", 0o755), os.Chown(base+"/theirs", testUser, 0),
		os.WriteFile(base+"/file", nil, 0o644), os.Symlink("good", base+"/link"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{base + "/good", "<nil>"},
		{base + "/good/", "<nil>"},
		{base + "/link", "<nil>"},
		{"good", "chroot path does not begin at root"},
		{"/" + strings.Repeat("x", unix.PathMax), "chroot path too long"},
		{base + "/open", `bad ownership or modes for chroot directory "` + base + `/open"`},
		{base + "/open/in", `bad ownership or modes for chroot directory component "` + base + `/open/"`},
		{base + "/theirs", `bad ownership or modes for chroot directory "` + base + `/theirs"`},
		{base + "/file", `chroot path "` + base + `/file" is not a directory`},
		{base + "/none", `stat("` + base + `/none"): No such file or directory`},
	} {
		p := (&child{Name: "account", Account: AccountConfig{UID: testUser, GID: testUser, Chroot: c.path}}).start(t)
		if first := line(t, p.stdout); first != c.want {
			t.Errorf("%s: %s, expected %s", c.path, first, c.want)
		}
		if c.want == "<nil>" {
			for _, link := range []string{"root", "cwd"} {
				if name, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", p.pid, link)); err != nil || name != base+"/good" {
					t.Errorf("%s: %s -> %q, %v", c.path, link, name, err)
				}
			}
		}
		p.end(t)
	}
}

// TestAccountRunsPrograms sees that a user's program starts, and has his rights.
func TestAccountRunsPrograms(t *testing.T) {
	needRoot(t)
	p := (&child{Name: "account", Attempt: "program", Account: AccountConfig{UID: testUser, GID: testUser, Groups: []uint32{7}}}).start(t)
	line(t, p.stdout)
	if rest, _ := p.end(t); rest != "54321 54321 54321 54321 [7] <nil>\n<nil>\n" {
		t.Errorf("%q", rest)
	}
}

func TestProveStatus(t *testing.T) {
	cfg := &AccountConfig{UID: 1, GID: 2}
	const good = "Name:\tx\nUid:\t1\t1\t1\t1\nGid:\t2\t2\t2\t2\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
	if err := proveStatus([]byte(good), cfg); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{
		{"1\t1\t1\t1", "1\t1\t0\t1"}, {"2\t2\t2\t2", "2\t2\t2\t0"},
		{"CapPrm:\t0000000000000000", "CapPrm:\t0000000000000080"}, {"Uid", "U"},
	} {
		if err := proveStatus([]byte(strings.Replace(good, change[0], change[1], 1)), cfg); err == nil && change[1] != "U" {
			t.Errorf("with %s it is still good", change[1])
		}
	}
	if proveStatus(nil, cfg) == nil {
		t.Error("nothing is good")
	}
}

// TestProve sees it fail for a process that is root, or somebody else.
func TestProve(t *testing.T) {
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	if err := Prove(uid, gid); err != nil {
		t.Error(err)
	}
	if Prove(uid+1, gid) == nil || Prove(uid, gid+1) == nil {
		t.Error("somebody else's ids are proved")
	}
	if uid == 0 && (checkCapabilities() == nil || proveRoot() == nil) {
		t.Error("root has nothing")
	}
}
