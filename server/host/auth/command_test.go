package auth

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/server/host/user"
)

func TestSplitCommand(t *testing.T) {
	tokens := map[byte]string{'u': "al ice", 'h': "%u"}
	for line, want := range map[string][]string{
		"":                             nil,
		"  ":                           nil,
		"/bin/x":                       {"/bin/x"},
		" /bin/x  a\tb ":               {"/bin/x", "a", "b"},
		`x "a b" 'c d' e\ f ""`:        {"x", "a b", "c d", "e f", ""},
		`x "a'b" 'a"b' \" \' \\ "\"" `: {"x", "a'b", `a"b`, `"`, "'", `\`, `"`},
		`x a"b c"d`:                    {"x", "ab cd"},
		`x \a`:                         {"x", `\a`},
		"x %u %h %% -%u":               {"x", "al ice", "%u", "%", "-al ice"},
	} {
		got, err := SplitCommand(line, tokens)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"`, `x 'y`, "%", "%x", `"x\"`} {
		if got, err := SplitCommand(line, tokens); err == nil {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// run runs a program as an account and returns what it prints.
func run(t *testing.T, c Command) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var text []byte
	err := c.Run(ctx, func(r io.Reader) (err error) {
		text, err = io.ReadAll(r)
		return err
	})
	return string(text), err
}

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestThreat21CommandIdentity(t *testing.T) {
	as := &user.Account{Name: "keys", Home: "/keys", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	want := ""
	if os.Geteuid() == 0 {
		rootsGroups(t)
		as.UID, as.GID, as.Groups = 1234, 1234, []uint32{1234, 4321}
		want = "Uid:\t1234\t1234\t1234\t1234\nGid:\t1234\t1234\t1234\t1234\nGroups:\t1234 4321 \n"
	}
	t.Setenv("SERVER_SECRET", "x")
	out, err := run(t, Command{Tag: "AuthorizedKeysCommand", As: as, Argv: shell("grep -E '^(Uid|Gid|Groups):' /proc/self/status; env | sort; ls -1 /proc/self/fd; pwd")})
	if err != nil {
		t.Fatal(err)
	}
	if want != "" && !strings.HasPrefix(out, want) {
		t.Errorf("runs as\n%s", out)
	}
	for _, part := range []string{"USER=keys\n", "LOGNAME=keys\n", "HOME=/keys\n", "\n/\n"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
	if strings.Contains(out, "SECRET") {
		t.Errorf("the server's environment shows:\n%s", out)
	}
	if os.Geteuid() == 0 {
		// Without supplementary groups there must be none, above all not root's.
		as.Groups = nil
		out, err := run(t, Command{As: as, Argv: shell("grep ^Groups: /proc/self/status")})
		if err != nil || strings.Trim(strings.TrimPrefix(out, "Groups:"), " \t\n") != "" {
			t.Errorf("%q %v", out, err)
		}
	} else {
		as.UID++
		if _, err := run(t, Command{As: as, Argv: shell("true")}); err == nil {
			t.Error("ran as another user")
		}
	}
}

// rootsGroups gives this process groups that a program must not have: a container's
// root may have none.
func rootsGroups(t *testing.T) {
	t.Helper()
	before, err := syscall.Getgroups()
	if err == nil {
		err = syscall.Setgroups([]int{0, 42})
	}
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = syscall.Setgroups(before) })
}

func TestCommandErrors(t *testing.T) {
	as := &user.Account{Name: "keys", Home: "/", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	loose := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(loose, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for want, argv := range map[string][]string{
		"X path is not absolute":              nil,
		"X path is not absolute ":             {"sh"},
		"X /bin/sh failed, status 3":          shell("exit 3"),
		"X /bin/sh exited on signal 15":       shell("kill -TERM $$"),
		`Unsafe X "` + loose + `": bad owner`: {loose},
		`Unsafe X "/nonexistent/x": lstat`:    {"/nonexistent/x"},
		`Unsafe X "/bin": /`:                  {"/bin"},
	} {
		if _, err := run(t, Command{Tag: "X", As: as, Argv: argv}); err == nil || !strings.HasPrefix(err.Error()+" ", want) {
			t.Errorf("%q: %v, want %s", argv, err, want)
		}
	}
	// A reader that stops early does not make the program fail.
	c := Command{Tag: "X", As: as, Argv: shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done")}
	err := c.Run(context.Background(), func(r io.Reader) error { return nil })
	if err != nil {
		t.Errorf("read nothing: %v", err)
	}
	// One that never ends is killed, with its children.
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	c.Argv = shell("sleep 60 & sleep 60")
	err = c.Run(ctx, func(r io.Reader) error { _, err := io.ReadAll(r); return err })
	if took := time.Since(start); err == nil || took > 10*time.Second {
		t.Errorf("a program without an end: %v after %v", err, took)
	}
}

func FuzzSplitCommand(f *testing.F) {
	for _, s := range []string{"", `/bin/x "a b" %u`, `'\'`, `\`, "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := SplitCommand(line, map[byte]string{'u': "alice"})
		if err == nil && len(words) > len(line) {
			t.Errorf("%q: %d words", line, len(words))
		}
	})
}
