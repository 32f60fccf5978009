package agent

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestPlace checks where the socket goes for a setting and a state of the home.
func TestPlace(t *testing.T) {
	long := strings.Repeat("d", 90)
	make := func(t *testing.T, path string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	const sshd = `/s\.[a-zA-Z0-9]{10}\.sshd\.[a-zA-Z0-9]{10}`
	tmp := `TMP/ssh-[a-zA-Z0-9]{10}/agent\.` + strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct {
		setting string
		prepare func(t *testing.T, p *Policy)
		want    string // pattern; "": refused
	}{
		"default":         {"", nil, "HOME/.ssh/agent" + sshd},
		"default in full": {DefaultSocketPath, nil, "HOME/.ssh/agent" + sshd},
		"is there":        {"", func(t *testing.T, p *Policy) { make(t, p.Account.Home+"/.ssh/agent", 0o700) }, "HOME/.ssh/agent" + sshd},
		"folder 0755 above": {"", func(t *testing.T, p *Policy) { make(t, p.Account.Home+"/.ssh", 0o755) },
			"HOME/.ssh/agent" + sshd},
		"agent 0755":  {"", func(t *testing.T, p *Policy) { make(t, p.Account.Home+"/.ssh/agent", 0o755) }, tmp},
		"agent 0770":  {"", func(t *testing.T, p *Policy) { make(t, p.Account.Home+"/.ssh/agent", 0o770) }, tmp},
		".ssh 0777":   {"", func(t *testing.T, p *Policy) { make(t, p.Account.Home+"/.ssh", 0o777) }, tmp},
		"home 0777":   {"", func(t *testing.T, p *Policy) { make(t, p.Account.Home, 0o777) }, tmp},
		"no home":     {"", func(t *testing.T, p *Policy) { p.Account.Home += "/missing" }, tmp},
		"empty home":  {"", func(t *testing.T, p *Policy) { p.Account.Home = "" }, tmp},
		"long home":   {"", func(t *testing.T, p *Policy) { p.Account.Home += "/" + long; make(t, p.Account.Home, 0o700) }, tmp},
		"agent: file": {"", func(t *testing.T, p *Policy) { touch(t, p.Account.Home+"/.ssh/agent") }, tmp},
		"agent: link": {"", func(t *testing.T, p *Policy) {
			make(t, p.Account.Home+"/elsewhere", 0o700)
			make(t, p.Account.Home+"/.ssh", 0o700)
			if err := os.Symlink("../elsewhere", p.Account.Home+"/.ssh/agent"); err != nil {
				t.Fatal(err)
			}
		}, tmp},
		"/tmp without sticky bit": {"", func(t *testing.T, p *Policy) {
			p.Account.Home = ""
			make(t, tmpDir, 0o777)
		}, ""},
		"/tmp with it": {"", func(t *testing.T, p *Policy) {
			p.Account.Home = ""
			make(t, tmpDir, 0o777|os.ModeSticky)
		}, tmp},
		"relative":         {"user:a/b", nil, "HOME/a/b" + sshd},
		"above the home":   {"user:../x", nil, "HOME/x" + sshd},
		"absolute":         {"user:%h/run/%U", nil, "HOME/run/" + strconv.Itoa(os.Geteuid()) + sshd},
		"tokens":           {"user:%%/%u", nil, "HOME/%/alice" + sshd},
		"no such token":    {"user:%q", nil, ""},
		"not to be used":   {"user:a", func(t *testing.T, p *Policy) { make(t, p.Account.Home+"/a", 0o755) }, ""},
		"shared":           {"shared:%h", nil, strings.Replace(tmp, "TMP", "HOME", 1)},
		"shared, missing":  {"shared:%h/missing", nil, ""},
		"shared, relative": {"shared:x", nil, ""},
		"shared, 0777":     {"shared:%h", func(t *testing.T, p *Policy) { make(t, p.Account.Home, 0o777) }, ""},
		"no kind":          {"/tmp", nil, ""},
		"zero byte":        {"user:a\x00b", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPolicy(t)
			p.SocketPath = c.setting
			if c.prepare != nil {
				c.prepare(t, p)
			}
			s, err := openSocket(p)
			if c.want == "" {
				if err == nil {
					t.Fatalf("made %s", s.path)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.remove()
			defer s.listener.Close()
			want := strings.NewReplacer("HOME", regexp.QuoteMeta(p.Account.Home), "TMP", regexp.QuoteMeta(tmpDir)).Replace(c.want)
			if !regexp.MustCompile("^" + want + "$").MatchString(s.path) {
				t.Errorf("%s, expected %s", s.path, want)
			}
			private(t, s.path)
		})
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// private checks that nobody else can reach the socket.
func private(t *testing.T, path string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{path: os.ModeSocket | 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		st, err := os.Lstat(name)
		if err != nil || st.Mode() != mode || st.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
}

// TestFallbackLogged: an administrator who wonders why finds it.
func TestFallbackLogged(t *testing.T) {
	p := testPolicy(t)
	p.Account.Home += "/missing"
	s, err := openSocket(p)
	if err != nil {
		t.Fatal(err)
	}
	s.listener.Close()
	s.remove()
	want := "debug: agent socket: stat " + p.Account.Home + ": no such file or directory, using " + tmpDir
	if p.logged().text() != want {
		t.Errorf("log %q, expected %q", p.logged().text(), want)
	}
}

// TestBindTaken: a name that is taken is left alone.
func TestBindTaken(t *testing.T) {
	dir := t.TempDir()
	names := []string{dir + "/a", dir + "/a", dir + "/b"}
	l, err := net.Listen("unix", dir+"/a")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := bind(func() string { n := names[0]; names = names[1:]; return n })
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	if s.path != dir+"/b" {
		t.Errorf("%s", s.path)
	}
	if _, err := bind(func() string { return dir + "/a" }); err == nil {
		t.Error("a taken name is used")
	}
}

// TestHostHash: the same for every process of a host, since it says whose sockets
// are whose.
func TestHostHash(t *testing.T) {
	a, err := hostHash()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := hostHash()
	if a != b || !regexp.MustCompile(`^[a-zA-Z0-9]{10}$`).MatchString(a) {
		t.Errorf("%q, %q", a, b)
	}
	if first, second := randomName(), randomName(); first == second {
		t.Error("random names are the same")
	}
}
