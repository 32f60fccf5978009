package login

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// books returns a Recorder for empty files in a folder of its own, owned by
// whoever runs the test.
func books(t *testing.T) *Recorder {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	return &Recorder{
		Utmp: path("utmp"), Wtmp: path("wtmp"), Btmp: path("btmp"), Lastlog: path("lastlog"),
		HostLen: DefaultHostLen, owner: uint32(os.Getuid()), lockWait: time.Minute,
	}
}

// rows reads a file of records; half a row is a fault.
func rows(t *testing.T, path string) []Record {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []Record
	for ; len(b) > 0; b = b[native.size:] {
		r, err := native.parse(b)
		if err != nil {
			t.Fatalf("%s: %v after %d rows", path, err, len(list))
		}
		list = append(list, r)
	}
	return list
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	begin = time.Unix(1700000000, 123456000)
	alice = Entry{User: "alice", Line: "/dev/pts/1", Addr: netip.MustParseAddr("192.0.2.7"), PID: 4242, UID: 1000, Time: begin}
	bob   = Entry{User: "bob", Line: "pts/2", Host: "h.example", Addr: netip.MustParseAddr("2001:db8::7"), PID: 4343, UID: 1001, Time: begin}
)

func TestLoginLogout(t *testing.T) {
	r := books(t)
	check(t, r.Login(alice))
	check(t, r.Login(bob))
	end := begin.Add(time.Hour)
	check(t, r.Logout("pts/1", alice.PID, end))
	a := Record{Type: userProcess, PID: 4242, Line: "pts/1", ID: "ts/1", User: "alice", Host: "192.0.2.7", Time: begin, Addr: alice.Addr}
	b := Record{Type: userProcess, PID: 4343, Line: "pts/2", ID: "ts/2", User: "bob", Host: "h.example", Time: begin, Addr: bob.Addr}
	dead := Record{Type: deadProcess, PID: 4242, Line: "pts/1", ID: "ts/1", Time: end}
	expect := func(path string, want ...Record) {
		t.Helper()
		got := rows(t, path)
		if len(got) != len(want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("row %d: %+v, want %+v", i, got[i], want[i])
			}
		}
	}
	expect(r.Utmp, dead, b)
	expect(r.Wtmp, a, b, dead)
	expect(r.Btmp)
	check(t, r.Login(alice)) // takes the row of the dead session
	expect(r.Utmp, a, b)
	check(t, r.Logout("pts/9", 1, end)) // nothing is known of it
	expect(r.Utmp, a, b)
	for _, e := range []Entry{alice, bob} {
		at, host, err := r.LastLogin(e.UID)
		if err != nil || at.Unix() != begin.Unix() || host != r.host(&e) {
			t.Errorf("%s: %v, %q, %v", e.User, at, host, err)
		}
	}
	for _, uid := range []uint32{0, 999, 1002, 1<<32 - 1} {
		if at, host, err := r.LastLogin(uid); !at.IsZero() || host != "" || err != nil {
			t.Errorf("uid %d: %v, %q, %v", uid, at, host, err)
		}
	}
}

// TestLogoutTaken: a session's late end leaves the one alone that has its terminal
// now, unless that one is gone.
func TestLogoutTaken(t *testing.T) {
	r := books(t)
	next := alice
	next.PID = os.Getpid()
	check(t, r.Login(next))
	check(t, r.Logout(alice.Line, next.PID+1, begin))
	if got := rows(t, r.Utmp); len(got) != 1 || got[0].Type != userProcess {
		t.Errorf("%+v", got)
	}
	next.PID = 1<<31 - 1 // above any pid_max
	check(t, r.Login(next))
	check(t, r.Logout(alice.Line, 1, begin))
	if got := rows(t, r.Utmp); len(got) != 1 || got[0].Type != deadProcess {
		t.Errorf("%+v", got)
	}
	if n := len(rows(t, r.Wtmp)); n != 4 {
		t.Errorf("%d rows in wtmp", n)
	}
}

func TestHugeUID(t *testing.T) {
	r := books(t)
	e := alice
	e.UID = 1<<32 - 2
	if err := r.Login(e); err != nil {
		t.Skipf("no room for a sparse file here: %v", err)
	}
	if at, _, err := r.LastLogin(e.UID); at.Unix() != begin.Unix() || err != nil {
		t.Errorf("%v, %v", at, err)
	}
	e.UID++
	if err := r.Login(e); !errors.Is(err, ErrUID) {
		t.Errorf("uid -1: %v", err)
	}
	if n := len(rows(t, r.Wtmp)); n != 2 {
		t.Errorf("wtmp has %d rows: an error of lastlog ends the others", n)
	}
}

func TestFailed(t *testing.T) {
	r := books(t)
	check(t, os.Chmod(r.Btmp, 0o660))
	e := alice
	e.User, e.Line = strings.Repeat("x", 40), ""
	check(t, r.Failed(e))
	want := Record{Type: loginProcess, PID: 4242, Line: "ssh:notty", User: strings.Repeat("x", 32), Host: "192.0.2.7", Time: begin, Addr: alice.Addr}
	if got := rows(t, r.Btmp); len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
	refused := func(what string) {
		t.Helper()
		err := r.Failed(e)
		if !errors.Is(err, ErrPermission) || err.Error() != "Excess permission or bad ownership on file "+r.Btmp {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, mode := range []fs.FileMode{0o664, 0o662, 0o661, 0o670} {
		check(t, os.Chmod(r.Btmp, mode))
		refused(mode.String())
	}
	check(t, os.Chmod(r.Btmp, 0o600))
	r.owner++
	refused("another owner")
	if n := len(rows(t, r.Btmp)); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestHost(t *testing.T) {
	for _, c := range []struct {
		host, addr string
		limit      int
		want       string
	}{
		{"h.example", "192.0.2.7", 65, "h.example"}, {"", "192.0.2.7", 65, "192.0.2.7"}, {"h.example", "192.0.2.7", 8, "192.0.2.7"},
		{"h.example", "192.0.2.7", 9, "h.example"}, {"h.example", "::ffff:192.0.2.7", 0, "192.0.2.7"}, {"UNKNOWN", "", 0, "UNKNOWN"},
	} {
		e := Entry{Host: c.host}
		if c.addr != "" {
			e.Addr = netip.MustParseAddr(c.addr)
		}
		if got := (&Recorder{HostLen: c.limit}).host(&e); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestMissing: no file, no record, no error, and no file afterwards.
func TestMissing(t *testing.T) {
	var none *Recorder
	for name, r := range map[string]*Recorder{"nil": none, "unset": {}, "missing": books(t)} {
		if name == "missing" {
			for _, p := range []string{r.Utmp, r.Wtmp, r.Btmp, r.Lastlog} {
				check(t, os.Remove(p))
			}
		}
		if err := errors.Join(r.Login(alice), r.Logout("pts/1", 1, begin), r.Failed(alice)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if at, _, err := r.LastLogin(1000); !at.IsZero() || err != nil {
			t.Errorf("%s: %v, %v", name, at, err)
		}
		if name == "missing" {
			if left, _ := os.ReadDir(filepath.Dir(r.Wtmp)); len(left) > 0 {
				t.Errorf("made %v", left)
			}
		}
	}
}

// TestNotPlain: what is no plain file is neither written nor waited for, and does not
// keep the other records from being written.
func TestNotPlain(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"folder": func(p string) error { return os.Mkdir(p, 0o700) },
		"pipe":   func(p string) error { return unix.Mkfifo(p, 0o600) },
		"link": func(p string) error {
			check(t, os.WriteFile(p+".target", nil, 0o600))
			return os.Symlink(p+".target", p)
		},
	} {
		r := books(t)
		bad := func(path *string, call func() error) {
			t.Helper()
			old := *path
			*path = old + "." + name
			check(t, put(*path))
			err := call()
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Path != *path {
				t.Errorf("%s %s: %v", name, filepath.Base(old), err)
			}
			*path = old
		}
		login := func() error { return r.Login(alice) }
		bad(&r.Utmp, login)
		bad(&r.Wtmp, login)
		bad(&r.Lastlog, login)
		if _, _, err := (&Recorder{Lastlog: r.Lastlog + "." + name}).LastLogin(0); err == nil {
			t.Errorf("%s is read for lastlog", name)
		}
		bad(&r.Btmp, func() error { return r.Failed(alice) })
		if u, w := len(rows(t, r.Utmp)), len(rows(t, r.Wtmp)); u != 1 || w != 2 {
			t.Errorf("%s: %d rows in utmp, %d in wtmp", name, u, w)
		}
		target, _ := os.ReadFile(r.Wtmp + ".link.target")
		if len(target) > 0 {
			t.Error("wrote through a link")
		}
	}
}

// hold locks a file until the test or the returned function ends it.
func hold(t *testing.T, path string, kind int16) (free func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	check(t, tryLock(int(f.Fd()), kind))
	return sync.OnceFunc(func() { _ = f.Close() })
}

func TestLock(t *testing.T) {
	probe := books(t)
	free := hold(t, probe.Utmp, unix.F_WRLCK)
	if f, err := os.OpenFile(probe.Utmp, os.O_RDWR, 0); err == nil {
		if tryLock(int(f.Fd()), unix.F_WRLCK) == nil {
			t.Skip("no locks of open files here: a process cannot lock itself out")
		}
		f.Close()
	}
	free()
	for _, c := range []struct {
		kind       int16
		utmp, wtmp int
	}{{unix.F_RDLCK, 1, 1}, {unix.F_WRLCK, 0, 1}} {
		r := books(t)
		r.lockWait = 0
		for _, p := range []string{r.Utmp, r.Wtmp} {
			defer hold(t, p, c.kind)()
		}
		if err := r.Login(alice); errors.Is(err, ErrLocked) != (c.utmp == 0) || c.utmp > 0 && err != nil {
			t.Errorf("lock %d: %v", c.kind, err)
		}
		if u, w := len(rows(t, r.Utmp)), len(rows(t, r.Wtmp)); u != c.utmp || w != c.wtmp {
			t.Errorf("lock %d: %d rows in utmp, %d in wtmp", c.kind, u, w)
		}
	}
	// One that goes away is waited for.
	r := books(t)
	free = hold(t, r.Utmp, unix.F_WRLCK)
	done := make(chan error)
	go func() { done <- r.Login(alice) }()
	free()
	if err := <-done; err != nil || len(rows(t, r.Utmp)) != 1 {
		t.Errorf("after the lock was free: %v", err)
	}
}
