package harness

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Password is the password of every account that has one.
const Password = "correct horse 9"

// Account is somebody to log in as.
type Account struct {
	Name     string
	UID, GID int
	Home     string
	Shell    string
}

// entry is a line of the private /etc/passwd and /etc/shadow.
type entry struct {
	name  string
	shell string
	hash  string // second field of /etc/shadow
	aging string // the fields after it
}

// The hashes are all of Password, made with libxcrypt.
const (
	hashYescrypt = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$y4fkpTK1wvpnNaEzsBImCV/5gEn413SsOoxuC3Q6aPA"
	hashSHA512   = "$6$rounds=5000$saltstring$z/IjPVAHnilz0tLmbKdx3UHVMqBIts65AdtYh4yM80fXUdcwWRYymPm1joaGRbPNetEImUCYop7TbvAjGgw0E1"
	hashSHA256   = "$5$saltstring12$3P3poZXY1n5qnvtyaShFt6u4Z0DvcP0m/7qn70qTXj2"
	hashMD5      = "$1$saltsalt$VdQTDg/ktw8SW2PKIhv600"
	hashBcrypt   = "$2b$05$abcdefghijklmnopqrstuu1DGBUyugDryy2ZKLrMCfbKaACplIHXG"

	normalAging = "20000:0:99999:7:::"
	firstUID    = 20401
)

// The accounts of the private namespace, with uids from firstUID on. Most have the
// hash type that is usual today, so that a decoy for unknown users has it as well.
var entries = []entry{
	{"nanotest", "/bin/sh", hashYescrypt, normalAging},  // the one most tests use; also runs servers as an ordinary user
	{"nanoother", "/bin/sh", hashYescrypt, normalAging}, // somebody else, whose home tests may change
	{"nanohash-y", "/bin/sh", hashYescrypt, normalAging},
	{"nanohash-6", "/bin/sh", hashSHA512, normalAging},
	{"nanohash-5", "/bin/sh", hashSHA256, normalAging},
	{"nanohash-1", "/bin/sh", hashMD5, normalAging},
	{"nanohash-2b", "/bin/sh", hashBcrypt, normalAging},
	{"nanolocked", "/bin/sh", "!" + hashYescrypt, normalAging},
	{"nanoexpired", "/bin/sh", hashYescrypt, "20000:0:99999:7::10:"},
	{"nanowarned", "/bin/sh", hashYescrypt, "20000:0:99999:99999::99999:"}, // both ends are near, by their warning times
	{"nanochange", "/bin/sh", hashYescrypt, "0:0:99999:7:::"},
	{"nanonoshell", "/no/such/shell", hashYescrypt, normalAging},
	{"nanoempty", "/bin/sh", "", normalAging},
	{"nanonologin", "/bin/false", hashYescrypt, normalAging},
}

// HashTypes lists the hash types for which there is an account nanohash-TYPE.
var HashTypes = []string{"y", "6", "5", "1", "2b"}

// makeAccounts writes the account files into dir and puts them over those in /etc
// of this namespace.
func makeAccounts(dir string) error {
	var passwd, shadow, group strings.Builder
	for i, e := range entries {
		home := filepath.Join(base, "home", e.name)
		id := firstUID + i
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s,,,:%s:%s\n", e.name, id, id, e.name, home, e.shell)
		fmt.Fprintf(&shadow, "%s:%s:%s\n", e.name, e.hash, e.aging)
		fmt.Fprintf(&group, "%s:x:%d:\n", e.name, id)
		if err := os.MkdirAll(home, 0o755); err != nil {
			return err
		}
		if err := os.Chown(home, id, id); err != nil {
			return err
		}
	}
	// A group beside the own one, to see that a session gets both.
	fmt.Fprintf(&group, "nanogroup:x:%d:nanotest\n", firstUID+len(entries))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name, lines string
		mode        os.FileMode
	}{{"passwd", passwd.String(), 0o644}, {"shadow", shadow.String(), 0o600}, {"group", group.String(), 0o644}} {
		if err := overlay(filepath.Join(dir, f.name), filepath.Join("/etc", f.name), f.lines, f.mode); err != nil {
			return err
		}
	}
	// New passwords are hashed as today's distributions do it, whatever this one does.
	if _, err := os.Stat("/etc/login.defs"); err != nil {
		return nil
	}
	return cover(filepath.Join(dir, "login.defs"), "/etc/login.defs", []byte("ENCRYPT_METHOD YESCRYPT\n"), 0o644)
}

// HasRoot reports whether servers can be started as root.
func HasRoot() bool { return private }

// Lookup returns an account of the table above; only where HasRoot.
func Lookup(t testing.TB, name string) Account {
	t.Helper()
	for i, e := range entries {
		if e.name == name {
			return Account{name, firstUID + i, firstUID + i, filepath.Join(base, "home", name), e.shell}
		}
	}
	t.Fatalf("no test account %q", name)
	return Account{}
}

// current is the account that an ordinary user's server belongs to.
func current(t testing.TB) Account {
	t.Helper()
	if private {
		return Lookup(t, "nanotest")
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	a := Account{Name: u.Username, UID: uid, GID: gid, Home: u.HomeDir, Shell: "/bin/sh"}
	if passwd, err := os.ReadFile("/etc/passwd"); err == nil {
		for line := range strings.Lines(string(passwd)) {
			if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[0] == u.Username {
				a.Shell = f[6]
			}
		}
	}
	return a
}
