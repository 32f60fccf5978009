package login

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestConcurrent: logins at the same time keep each other's rows.
func TestConcurrent(t *testing.T) {
	r := books(t)
	other := &Recorder{Utmp: r.Utmp, Wtmp: r.Wtmp, HostLen: r.HostLen, lockWait: r.lockWait} // as another process
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			e := alice
			e.Line, e.PID, e.UID = fmt.Sprintf("pts/%d", i), i, uint32(i)
			who := r
			if i%2 == 0 {
				who = other
			}
			if err := who.Login(e); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, row := range rows(t, r.Utmp) {
		if seen[row.Line] || row.User != "alice" {
			t.Errorf("%+v", row)
		}
		seen[row.Line] = true
	}
	if w := len(rows(t, r.Wtmp)); len(seen) != n || w != n {
		t.Errorf("%d lines in utmp, %d rows in wtmp", len(seen), w)
	}
}

// TestHalfRow: what a full disk has left behind spoils nothing that comes later.
func TestHalfRow(t *testing.T) {
	r := books(t)
	check(t, r.Login(alice))
	for _, p := range []string{r.Utmp, r.Wtmp} {
		f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
		check(t, err)
		_, err = f.WriteString("half a row")
		check(t, err)
		check(t, f.Close())
	}
	check(t, r.Login(bob))
	for _, p := range []string{r.Utmp, r.Wtmp} {
		if got := rows(t, p); len(got) != 2 || got[0].User != "alice" || got[1].User != "bob" {
			t.Errorf("%s: %+v", p, got)
		}
	}
}

func TestTakeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wtmp")
	check(t, os.WriteFile(path, []byte("before"), 0o600))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	defer f.Close()
	write := func(s string) {
		_, err := f.WriteString(s)
		check(t, err)
	}
	write("part")
	takeBack(int(f.Fd()), 4)
	if b, _ := os.ReadFile(path); string(b) != "before" {
		t.Errorf("%q", b)
	}
	write("part")
	g, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	defer g.Close()
	_, err = g.WriteString("+other")
	check(t, err)
	takeBack(int(f.Fd()), 4)
	if b, _ := os.ReadFile(path); string(b) != "beforepart+other" {
		t.Errorf("another's row is gone: %q", b)
	}
}

func TestUtmpTooLarge(t *testing.T) {
	r := books(t)
	check(t, os.Truncate(r.Utmp, int64(utmpRows)*int64(native.size)))
	if err := r.Login(alice); err == nil || !strings.Contains(err.Error(), ErrTooLarge.Error()) {
		t.Errorf("%v", err)
	}
}

// run runs one of the system's readers of login records.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestTools: the system's own programs read what was written.
func TestTools(t *testing.T) {
	r := books(t)
	e := alice
	e.PID = os.Getpid() // who(1) leaves out those that are gone
	check(t, r.Login(e))
	check(t, r.Login(bob))
	check(t, r.Logout("pts/2", bob.PID, begin.Add(90*time.Minute)))
	check(t, r.Failed(bob))
	for _, c := range []struct {
		name  string
		args  []string
		wants []string
	}{
		{"utmpdump", []string{r.Utmp}, []string{fmt.Sprintf("[7] [%05d] [ts/1] [alice   ] [pts/1       ] [192.0.2.7", e.PID),
			"[192.0.2.7      ] [2023-11-14T22:13:20,123456+00:00]", "[8] [04343] [ts/2] [        ] [pts/2"}},
		{"utmpdump", []string{r.Btmp}, []string{"[6] [04343] [    ] [bob     ] [ssh:notty   ] [h.example", "[2001:db8::7"}},
		{"last", []string{"-f", r.Wtmp, "-F", "-w"}, []string{"alice", "pts/1", "192.0.2.7", "bob", "h.example",
			"Tue Nov 14 22:13:20 2023 - Tue Nov 14 23:43:20 2023  (01:30)"}},
		{"last", []string{"-f", r.Wtmp, "-i"}, []string{"2001:db8::7"}},
		{"lastb", []string{"-f", r.Btmp, "-w"}, []string{"bob", "ssh:notty", "h.example"}},
		{"who", []string{r.Utmp}, []string{"alice", "pts/1", " 22:13 (192.0.2.7)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := run(t, c.name, c.args...)
			for _, want := range c.wants {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
		})
	}
	if out := run(t, "who", r.Utmp); strings.Contains(out, "bob") {
		t.Errorf("bob is still here:\n%s", out)
	}
}

// TestLastlogTool: lastlog(8) only reads its own path, so it gets a root of its own.
func TestLastlogTool(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("lastlog -R changes its root")
	}
	r, root := books(t), t.TempDir()
	for _, d := range []string{"etc", "var/log"} {
		check(t, os.MkdirAll(filepath.Join(root, d), 0o700))
	}
	check(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("alice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\ncarol:x:1002:1002::/:/bin/sh\n"), 0o600))
	r.Lastlog = filepath.Join(root, LastlogFile)
	check(t, os.WriteFile(r.Lastlog, nil, 0o600))
	check(t, r.Login(alice))
	check(t, r.Login(bob))
	out := run(t, "lastlog", "-R", root)
	if !strings.Contains(out, "alice") {
		t.Skipf("lastlog finds no users in another root:\n%s", out)
	}
	for _, want := range []string{"192.0.2.7", "h.example", "pts/1", "Tue Nov 14 22:13:20 +0000 2023", "**Never logged in**"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	dir := b.TempDir()
	r := &Recorder{Utmp: dir + "/utmp", Wtmp: dir + "/wtmp", Lastlog: dir + "/lastlog", HostLen: DefaultHostLen, lockWait: lockWait}
	for _, p := range []string{r.Utmp, r.Wtmp, r.Lastlog} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Login(alice); err != nil {
			b.Fatal(err)
		}
	}
}
