package login

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMotd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "motd")
	if got := Motd(path); got != nil {
		t.Errorf("missing file: %q", got)
	}
	if got := Motd(dir); got != nil {
		t.Errorf("directory: %q", got)
	}
	if err := os.WriteFile(path, []byte("hello\nthere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := string(Motd(path)); got != "hello\nthere\n" {
		t.Errorf("%q", got)
	}
	if err := os.WriteFile(path, make([]byte, maxMotd+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := len(Motd(path)); got != maxMotd {
		t.Errorf("%d bytes", got)
	}
}

func TestHushed(t *testing.T) {
	home := t.TempDir()
	if Hushed(home) {
		t.Error("hushed without a file")
	}
	if err := os.WriteFile(filepath.Join(home, ".hushlogin"), nil, 0); err != nil {
		t.Fatal(err)
	}
	if !Hushed(home) {
		t.Error("not hushed")
	}
}

func TestLastLogin(t *testing.T) {
	at := time.Date(2026, 11, 2, 3, 4, 5, 0, time.Local)
	for _, c := range []struct {
		at         time.Time
		host, want string
	}{
		{at, "192.0.2.1", "Last login: Mon Nov  2 03:04:05 2026 from 192.0.2.1\r\n"},
		{at, "", "Last login: Mon Nov  2 03:04:05 2026\r\n"},
		{time.Time{}, "192.0.2.1", ""},
	} {
		if got := LastLogin(c.at, c.host); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestEnvSet(t *testing.T) {
	var e Env
	for _, ok := range []bool{e.Set("A", "1"), e.Set("B", "2"), e.Set("A", "3=4"), e.Set("C", "")} {
		if !ok {
			t.Error("refused a good variable")
		}
	}
	for _, bad := range []Variable{{"", "x"}, {"A=B", "x"}, {"A\x00", "x"}, {"D", "x\x00y"}} {
		if e.Set(bad.Name, bad.Value) {
			t.Errorf("took %q", bad)
		}
	}
	if got := strings.Join(e.List(), ","); got != "A=3=4,B=2,C=" {
		t.Errorf("%s", got)
	}
}

// TestThreat20Forbidden: no pattern and no setting of a user lets these through.
func TestThreat20Forbidden(t *testing.T) {
	for _, name := range []string{
		"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "_RLD_LIST", "GLIBC_TUNABLES", "BASH_ENV", "ENV",
		"SHELLOPTS", "BASHOPTS", "PS4", "IFS", "BASH_FUNC_ls%%", "PROMPT_COMMAND", "ZDOTDIR",
	} {
		v := Variable{name, "x"}
		if !Forbidden(name, "x") || AcceptEnv(v, []string{"*", name}) {
			t.Errorf("%s is accepted", name)
		}
		e := Environment{Client: []Variable{v}, UserSettings: []Variable{v}}
		if got := strings.Join(e.Build(), "\n"); strings.Contains(got, name+"=") {
			t.Errorf("%s reached the environment", name)
		}
		e.SetEnv = []string{name + "=x"}
		if got := strings.Join(e.Build(), "\n"); !strings.Contains(got, name+"=x") {
			t.Errorf("%s of SetEnv is missing", name)
		}
	}
	if !Forbidden("LC_ALL", "() { :; }; echo") {
		t.Error("a function passed as a value")
	}
	for _, name := range []string{"LANG", "LC_ALL", "PATH", "TERM", "EDITOR", "OLD_VALUE", "ENVIRONMENT"} {
		if Forbidden(name, "x") {
			t.Errorf("%s is refused", name)
		}
	}
}

func TestAcceptEnv(t *testing.T) {
	patterns := []string{"LANG", "LC_*", "A?C"}
	for name, want := range map[string]bool{"LANG": true, "LC_ALL": true, "LC_": true, "ABC": true, "lang": false, "LANGUAGE": false, "AC": false, "XLC_A": false} {
		if got := AcceptEnv(Variable{name, "v"}, patterns); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if AcceptEnv(Variable{"LANG", "v"}, nil) {
		t.Error("accepted without patterns")
	}
}

func TestBuild(t *testing.T) {
	original := "do it"
	in := Environment{
		User: "alice", Home: "/home/alice", Shell: "/bin/zsh", UID: 1000, TimeZone: "Europe/Berlin",
		Client: []Variable{{"LANG", "C"}, {"USER", "root"}, {"PATH", "/evil"}, {"SSH_CLIENT", "none"}, {"X=Y", "1"}},
		Term:   "xterm", Display: "localhost:10.0", AgentSocket: "/tmp/s",
		UserSettings: []Variable{{"FOO", "key"}, {"FOO", "file"}, {"PATH", "/own:/bin"}, {"SSH_CONNECTION", "none"}},
		SetEnv:       []string{"FOO=config", "BAR=config", "nonsense", "LANG=D"},
		RemoteAddr:   "192.0.2.1", RemotePort: "50000", LocalAddr: "192.0.2.2", LocalPort: "22",
		TTY: "/dev/pts/3", OriginalCommand: &original,
	}
	want := []string{
		"TZ=Europe/Berlin", "LANG=D", "USER=alice", "PATH=/own:/bin", "SSH_CLIENT=192.0.2.1 50000 22",
		"LOGNAME=alice", "HOME=/home/alice", "MAIL=/var/mail/alice", "SHELL=/bin/zsh", "TERM=xterm",
		"DISPLAY=localhost:10.0", "SSH_AUTH_SOCK=/tmp/s", "FOO=config",
		"SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22", "BAR=config", "SSH_TTY=/dev/pts/3", "SSH_ORIGINAL_COMMAND=do it",
	}
	if got := strings.Join(in.Build(), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	in.UserPattern = "F*,!FOO,PATH"
	if got := strings.Join(in.Build(), "\n"); !strings.Contains(got, "PATH=/own:/bin") {
		t.Errorf("pattern does not let PATH through:\n%s", got)
	}
	in.SetEnv = nil
	if got := strings.Join(in.Build(), "\n"); strings.Contains(got, "FOO=") {
		t.Errorf("pattern does not hold FOO back:\n%s", got)
	}
}

func TestBuildLeast(t *testing.T) {
	in := Environment{User: "root", Home: "/root", Shell: "/bin/sh", RemoteAddr: "::1", RemotePort: "1", LocalAddr: "::1", LocalPort: "2"}
	want := "USER=root\nLOGNAME=root\nHOME=/root\nMAIL=/var/mail/root\nPATH=" + rootPath +
		"\nSHELL=/bin/sh\nSSH_CLIENT=::1 1 2\nSSH_CONNECTION=::1 1 ::1 2"
	if got := strings.Join(in.Build(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReadEnvironment(t *testing.T) {
	text := "FOO=bar\n# c\n\n \tX Y=3\nbad line\n=empty\nA=b=c"
	vars, warnings, err := ReadEnvironment(strings.NewReader(text), "/f")
	if err != nil {
		t.Fatal(err)
	}
	want := []Variable{{"FOO", "bar"}, {"X Y", "3"}, {"", "empty"}, {"A", "b=c"}}
	if len(vars) != len(want) {
		t.Fatalf("%q", vars)
	}
	for i := range want {
		if vars[i] != want[i] {
			t.Errorf("%q, want %q", vars[i], want[i])
		}
	}
	if len(warnings) != 1 || warnings[0] != "Bad line 5 in /f\n" {
		t.Errorf("%q", warnings)
	}
	vars, _, err = ReadEnvironment(strings.NewReader(strings.Repeat("A=b\n", maxFileLines)), "/f")
	if len(vars) != maxFileLines || err != nil {
		t.Errorf("%d lines, %v", len(vars), err)
	}
	vars, _, err = ReadEnvironment(strings.NewReader(strings.Repeat("A=b\n", maxFileLines+1)), "/f")
	if len(vars) != maxFileLines || err != ErrTooManyLines {
		t.Errorf("%d lines, %v", len(vars), err)
	}
	if _, _, err = ReadEnvironment(strings.NewReader("A="+strings.Repeat("x", maxFileLine)), "/f"); err != ErrTooManyLines {
		t.Errorf("long line: %v", err)
	}
}

// FuzzReadEnvironment: whatever a file holds, the environment that is made of it
// has only lines that a program can take.
func FuzzReadEnvironment(f *testing.F) {
	f.Add("FOO=bar\n# comment\n\n \tX Y=3\nbad line\nLD_PRELOAD=x\nA=b=c")
	f.Add("=\n==\n\x00=\x00\nF=()\n")
	f.Fuzz(func(t *testing.T, text string) {
		vars, _, _ := ReadEnvironment(strings.NewReader(text), "/f")
		in := Environment{User: "u", UserSettings: vars}
		seen := map[string]bool{}
		for _, line := range in.Build() {
			v, ok := Split(line)
			if !ok || v.Name == "" || strings.IndexByte(line, 0) >= 0 || seen[v.Name] || Forbidden(v.Name, v.Value) {
				t.Fatalf("%q from %q", line, text)
			}
			seen[v.Name] = true
		}
	})
}
