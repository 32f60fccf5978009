package user

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const testPasswd = `root:x:0:0:root:/root:/bin/sh
daemon:*:1:1::/usr/sbin:/usr/sbin/nologin
# comment:x:5:5::/:/bin/sh
+nis::::::
broken:x:notanumber:1::/:/bin/sh
minusone:x:4294967295:1::/:/bin/sh
huge:x:99999999999:1::/:/bin/sh
short:x:7
alice:x:1000:1000:Alice,Room 1:/home/alice:/bin/sh
alice:x:0:0:second:/root:/bin/sh
bob:$1$saltsalt$NuzA7WTAelpl95xgBGWN60:1001:100::/home/bob:
`

const testGroup = `root:x:0:
wheel:x:10:root,alice
users:x:100:alice,bob
alice:x:1000:
also-users:x:100:alice
+::::
nogid:x:x:alice
badlast:x:5:alice:bob
`

const testShadow = `root:!:19000:0:99999:7:::
daemon:*:19000:0:99999:7:::
alice:$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0:19000:0:90:7::20000:
`

// write makes a file in a fresh folder and returns its path.
func write(t testing.TB, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func testDatabase(t testing.TB) *Database {
	return &Database{
		Passwd: write(t, "passwd", testPasswd, 0o600),
		Group:  write(t, "group", testGroup, 0o600),
		Shadow: write(t, "shadow", testShadow, 0o600),
	}
}

func TestLookup(t *testing.T) {
	d := testDatabase(t)
	a, err := d.Lookup("alice")
	if err != nil {
		t.Fatal(err)
	}
	if a.UID != 1000 || a.GID != 1000 || a.Home != "/home/alice" || a.Gecos != "Alice,Room 1" || a.LoginShell() != "/bin/sh" {
		t.Errorf("alice: %+v", a)
	}
	if want := []uint32{1000, 10, 100}; !slices.Equal(a.Groups, want) {
		t.Errorf("groups %v, want %v", a.Groups, want)
	}
	if got, want := d.GroupNames(a), []string{"alice", "wheel", "users"}; !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	bob, err := d.LookupID(1001)
	if err != nil || bob.Name != "bob" || bob.LoginShell() != "/bin/sh" || !slices.Equal(bob.Groups, []uint32{100}) {
		t.Errorf("bob: %+v %v", bob, err)
	}
	for _, name := range []string{"", "nobody", "comment", "# comment", "+nis", "broken", "minusone", "huge", "short",
		"0", "1000", "alice:x", "ali\nce", "-r", "..", "a/b", "a b", strings.Repeat("a", 257)} {
		if a, err := d.Lookup(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %+v %v", name, a, err)
		}
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", bob, bob, bob), "NuzA7") {
		t.Error("an account prints its hash")
	}
}

func TestLookupErrors(t *testing.T) {
	d := testDatabase(t)
	d.Passwd = t.TempDir() // a directory: reading it fails
	if _, err := d.Lookup("alice"); !errors.Is(err, ErrLookup) {
		t.Errorf("unreadable passwd: %v", err)
	}
	d.Passwd = filepath.Join(t.TempDir(), "missing")
	if _, err := d.Lookup("alice"); !errors.Is(err, ErrUnknown) {
		t.Errorf("missing passwd: %v", err)
	}
}

func TestCurrent(t *testing.T) {
	a, err := Current()
	if err != nil || a.UID != uint32(os.Getuid()) {
		t.Fatalf("%+v %v", a, err)
	}
	t.Setenv("HOME", "/somewhere")
	a, err = (&Database{}).Current()
	if err != nil || a.Name != "user" || a.Home != "/somewhere" || a.GID != uint32(os.Getgid()) || a.Groups[0] != a.GID {
		t.Errorf("without an entry: %+v %v", a, err)
	}
}

func TestLongLines(t *testing.T) {
	long := strings.Repeat("m,", maxLineLen) // twice the bound
	members := "big:x:7:" + strings.Repeat("member,", 50000) + "alice\n"
	d := testDatabase(t)
	d.Group = write(t, "group", "huge:x:6:"+long+"alice\n"+members+"end:x:8:alice", 0o600)
	a, err := d.Lookup("alice")
	if err != nil || !slices.Equal(a.Groups, []uint32{1000, 7, 8}) {
		t.Errorf("%v %v", a.Groups, err)
	}
}

// fakeGetent is a program that answers like getent on a host with a directory.
const fakeGetent = `#!/bin/sh
echo "$*" >> "$(dirname "$0")/calls"
[ -z "$SECRET" ] || exit 3
case "$1 $2" in
"passwd carol") echo "carol:x:2000:2000:Carol:/home/carol:/bin/sh";;
"passwd 2000") echo "carol:x:2000:2000:Carol:/home/carol:/bin/sh";;
"passwd CAROL") echo "carol:x:2000:2000:Carol:/home/carol:/bin/sh";;
"passwd evil") printf 'evil:x:-1:0::/:/bin/sh\n';;
"passwd rude") echo "ru de:x:2001:0::/:/bin/sh";;
"passwd flood") while :; do echo 0123456789012345678901234567890123456789012345678901234567890123; done;;
"passwd slow") sleep 60;;
"passwd down") exit 1;;
"initgroups carol") echo "carol                 2000 3000 99999999999 x";;
"initgroups alice") echo "alice                 4000";;
"group 3000") echo "staff:*:3000:carol";;
"group 4000") echo "other:*:9:";;
"shadow carol") echo 'carol:$1$saltsalt$NuzA7WTAelpl95xgBGWN60:::::::';;
*) exit 2;;
esac
`

func getentDatabase(t *testing.T) (d *Database, calls func() int) {
	d = testDatabase(t)
	d.Nsswitch = write(t, "nsswitch.conf", "# x\npasswd: files [NOTFOUND=continue] ldap # ldap\ngroup:\tfiles sss\nshadow: files ldap\n", 0o600)
	script := write(t, "getent", fakeGetent, 0o755)
	d.Getent = []string{"/nonexistent/getent", script}
	return d, func() int {
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(script), "calls"))
		return bytes.Count(text, []byte("\n"))
	}
}

func TestGetent(t *testing.T) {
	d, calls := getentDatabase(t)
	t.Setenv("SECRET", "must not reach the program")
	for _, name := range []string{"carol", "CAROL"} {
		a, err := d.Lookup(name)
		if err != nil || a.Name != "carol" || a.UID != 2000 || !slices.Equal(a.Groups, []uint32{2000, 3000}) {
			t.Fatalf("%s: %+v %v", name, a, err)
		}
		if got := d.GroupNames(a); !slices.Equal(got, []string{"staff"}) {
			t.Errorf("names %v", got)
		}
		s, err := d.LookupShadow(a)
		if err != nil || !s.HasPassword() || s.Max != -1 {
			t.Errorf("shadow %+v %v", s, err)
		}
	}
	if a, err := d.LookupID(2000); err != nil || a.Name != "carol" {
		t.Errorf("by id: %+v %v", a, err)
	}
	if a, err := d.Lookup("alice"); err != nil || !slices.Equal(a.Groups, []uint32{1000, 10, 100, 4000}) {
		t.Errorf("alice: %+v %v", a, err)
	} else if got := d.GroupNames(a); !slices.Equal(got, []string{"alice", "wheel", "users"}) {
		t.Errorf("a wrong answer was taken for a group name: %v", got)
	}
	for _, name := range []string{"evil", "rude", "unheard-of"} {
		if a, err := d.Lookup(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %+v %v", name, a, err)
		}
	}
	for _, name := range []string{"down", "flood", "slow"} {
		start := time.Now()
		if a, err := d.Lookup(name); !errors.Is(err, ErrLookup) {
			t.Errorf("%s: %+v %v", name, a, err)
		}
		if took := time.Since(start); took > 3*getentTimeout {
			t.Errorf("%s took %v", name, took)
		}
	}
	var out boundedBuffer
	if n, err := io.Copy(&out, strings.NewReader(strings.Repeat("x", 2*getentOutput))); err == nil || n > getentOutput {
		t.Errorf("%d bytes of output were kept", n)
	}
	// What cannot be a name, above all a number, never reaches the program; a name
	// that it did not know is not asked again at once.
	before := calls()
	for _, name := range []string{"0", "--help", "-s", "x;y z", "unheard-of"} {
		if _, err := d.Lookup(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := calls() - before; n != 0 {
		t.Errorf("getent ran %d times", n)
	}
}

func TestGetentUnused(t *testing.T) {
	d, calls := getentDatabase(t)
	for _, conf := range []string{"", "passwd: files\n", "passwd: files systemd\n", "passwd: db files cache\n", "other: ldap\n"} {
		d.Nsswitch = write(t, "nsswitch.conf", conf, 0o600)
		if _, err := d.Lookup("carol"); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", conf, err)
		}
	}
	if calls() != 0 {
		t.Error("getent ran")
	}
	d.UserDB = t.TempDir()
	d.Nsswitch = write(t, "nsswitch.conf", "passwd: files systemd\n", 0o600)
	if _, err := d.Lookup("carol"); err != nil {
		t.Errorf("with systemd's user database: %v", err)
	}
}

func TestNegativeCacheBounded(t *testing.T) {
	var c negativeCache
	now := time.Now()
	for i := range 10 * negativeEntries {
		c.add("name"+strconv.Itoa(i), now)
	}
	if len(c.until) > negativeEntries {
		t.Errorf("%d entries", len(c.until))
	}
	c.add("x", now)
	if !c.has("x", now) || c.has("x", now.Add(negativeTTL)) || c.has("y", now) {
		t.Error("wrong answers")
	}
}

func TestConcurrent(t *testing.T) {
	d, _ := getentDatabase(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, name := range []string{"alice", "carol", "unheard-of"} {
				d.Lookup(name)
				d.decoy()
			}
		})
	}
	wg.Wait()
}

func FuzzPasswdLine(f *testing.F) {
	for _, line := range strings.Split(testPasswd, "\n") {
		f.Add(line)
	}
	f.Add("a:b:00000000000000000000000000000000001:2:::")
	f.Add("a:\x00:1:2:::")
	f.Fuzz(func(t *testing.T, line string) {
		a := parsePasswd(line)
		if a == nil {
			return
		}
		if a.Name == "" || a.UID == 1<<32-1 || a.GID == 1<<32-1 || strings.ContainsAny(a.Name+a.Home+a.Shell, ":\x00") {
			t.Errorf("%q: %+v", line, a)
		}
	})
}

func FuzzGroupLine(f *testing.F) {
	for _, line := range strings.Split(testGroup, "\n") {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if g, ok := parseGroup(line); ok {
			if len(g.name) == 0 || g.gid == 1<<32-1 {
				t.Errorf("%q: %+v", line, g)
			}
			g.hasMember("alice")
		}
	})
}
