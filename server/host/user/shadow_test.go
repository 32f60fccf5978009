package user

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func day(n int64) time.Time { return time.Unix(n*86400+3600, 0) }

func TestShadow(t *testing.T) {
	d := testDatabase(t)
	lookup := func(name string) *Shadow {
		t.Helper()
		a, err := d.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.LookupShadow(a)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := lookup("root"); !s.Locked() || s.HasPassword() {
		t.Errorf("root: %+v", s)
	}
	if s := lookup("daemon"); s.Locked() || s.HasPassword() {
		t.Errorf("daemon: %+v", s)
	}
	s := lookup("alice")
	if s.Locked() || !s.HasPassword() || s.LastChange != 19000 || s.Max != 90 || s.Warn != 7 || s.Expire != 20000 {
		t.Errorf("alice: %+v", s)
	}
	// Not in the shadow file: the field in passwd counts.
	if s := lookup("bob"); !s.HasPassword() || s.Expire != -1 || s.MustChangeNow(day(30000)) {
		t.Errorf("bob: %+v", s)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v %s", s, s, s, s.Hash), "saltsalt") {
		t.Error("a shadow entry prints its hash")
	}
}

// MustChangeNow is MustChange without its line.
func (s *Shadow) MustChangeNow(now time.Time) bool {
	_, must := s.MustChange(now)
	return must
}

func TestShadowDates(t *testing.T) {
	s := parseShadow([]byte("alice:*:19000:0:90:7:0:20000:"))
	for _, c := range []struct {
		day     int64
		expired bool
		line    string
		warning string
	}{
		{19000, false, "", ""},
		{19082, false, "", ""},
		{19083, false, "", "Your password will expire in 7 days.\n"},
		{19089, false, "", "Your password will expire in 1 day.\n"},
		{19090, false, "", "Your password will expire in 0 days.\n"},
		{19091, false, "User alice password has expired (password aged)", ""},
		{20000, false, "User alice password has expired (password aged)", "Your account will expire in 0 days.\n"},
		{20001, true, "User alice password has expired (password aged)", ""},
	} {
		line, must := s.MustChange(day(c.day))
		if s.Expired(day(c.day)) != c.expired || line != c.line || must != (line != "") || s.Warnings(day(c.day), true) != c.warning {
			t.Errorf("day %d: %v %q %v %q", c.day, s.Expired(day(c.day)), line, must, s.Warnings(day(c.day), true))
		}
	}
	if w := s.Warnings(day(19089), false); w != "" {
		t.Errorf("after a key login: %q", w)
	}
	s = parseShadow([]byte("alice:*:0:0:99999:7:::"))
	if line, must := s.MustChange(day(1)); !must || line != "User alice password has expired (root forced)" {
		t.Error(line, must)
	}
	s = parseShadow([]byte("alice:*"))
	if s.Expired(day(maxDay)) || s.MustChangeNow(day(maxDay)) || s.Warnings(day(1), true) != "" {
		t.Errorf("no dates: %+v", s)
	}
	// Numbers that overflow or are none switch the rule off.
	s = parseShadow([]byte("alice:*:9223372036854775807:0:9223372036854775807:7::x:"))
	if s.LastChange != -1 || s.Max != -1 || s.Expire != -1 {
		t.Errorf("%+v", s)
	}
}

func TestShadowUnreadable(t *testing.T) {
	d := testDatabase(t)
	a, err := d.Lookup("alice")
	if err != nil {
		t.Fatal(err)
	}
	d.Shadow = t.TempDir()
	if _, err := d.LookupShadow(a); !errors.Is(err, ErrLookup) {
		t.Errorf("%v", err)
	}
	if os.Geteuid() != 0 {
		d.Shadow = write(t, "shadow", testShadow, 0)
		if _, err := d.LookupShadow(a); !errors.Is(err, ErrLookup) {
			t.Errorf("%v", err)
		}
	}
}

func TestNologin(t *testing.T) {
	d := &Database{NologinFiles: []string{t.TempDir() + "/missing"}}
	alice, root := &Account{Name: "alice", UID: 1000}, &Account{Name: "root"}
	if _, _, closed := d.Nologin(alice); closed {
		t.Error("closed without a file")
	}
	path := write(t, "nologin", "going down\n"+strings.Repeat("x", maxNologin), 0o644)
	d.NologinFiles = append(d.NologinFiles, path)
	text, line, closed := d.Nologin(alice)
	if !closed || len(text) != maxNologin || line != "User alice not allowed because "+path+" exists" {
		t.Errorf("%v %q %d", closed, line, len(text))
	}
	if _, _, closed := d.Nologin(root); closed {
		t.Error("closed for root")
	}
	d.NologinFiles = []string{t.TempDir()}
	if _, _, closed := d.Nologin(alice); !closed {
		t.Error("a file that cannot be read leaves the host open")
	}
}

func FuzzShadowLine(f *testing.F) {
	for _, line := range strings.Split(testShadow, "\n") {
		f.Add([]byte(line))
	}
	f.Add([]byte("a:!!:::::::"))
	f.Add([]byte("a:b:-1:-9223372036854775808:99999999999999999999:::0:extra:"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s := parseShadow(line)
		if s == nil {
			return
		}
		now := day(20000)
		if s.Name == "" || s.Max > maxDay || s.LastChange > maxDay {
			t.Errorf("%q: %+v", line, s)
		}
		s.Locked()
		s.HasPassword()
		s.Expired(now)
		s.MustChange(now)
		s.Warnings(now, true)
	})
}
