package config

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// wholly fails the test unless the two ways to a session's configuration agree.
func wholly(t *testing.T, f *File, m MatchInfo, kind, command string) {
	t.Helper()
	c, err := f.Resolve(&m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.ForSession(f.SessionBlocks(&m), kind, command)
	if err != nil {
		t.Fatal(err)
	}
	m.SessionType, m.Command = kind, command
	want, err := f.Resolve(&m)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v: %s", m, strings.Join(changedFields(want, got), ", "))
	}
}

// TestForSession compares ForSession with Resolve, for random configurations.
func TestForSession(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	lines := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(pick(`ForceCommand  one "two  # x"`, "ForceCommand = =three", "ForceCommand none", "PermitTTY no", "PermitTTY yes",
				"AcceptEnv A B", "AcceptEnv C", "AcceptEnv #", "SetEnv X=1 Y=2", "SetEnv X=3", "PermitUserRC no", "PermitUserRC yes",
				"Subsystem sftp /a 'b c'", "Subsystem sftp internal-sftp", "Subsystem other /c", "IPQoS ef cs1", "IPQoS le") + "\n")
		}
		return b.String()
	}
	match := func() string {
		var b strings.Builder
		for range 1 + r.IntN(2) {
			b.WriteString(" " + pick("user a", "user b,c", "invalid-user", "address 192.0.2.0/24", "sessiontype exec", "sessiontype s*,!shell",
				"sessiontype=*", `command "rsync *"`, `command="*,!a b"`, "command sftp,other"))
		}
		return "Match" + pick(" all", b.String(), b.String(), b.String()) + "\n"
	}
	dir := t.TempDir()
	for i := range 3000 {
		var text strings.Builder
		text.WriteString(lines(r.IntN(4)))
		for n := range r.IntN(5) {
			text.WriteString(match() + lines(r.IntN(4)))
			if r.IntN(4) == 0 {
				name := filepath.Join(dir, fmt.Sprintf("%d.%d", i, n))
				if err := os.WriteFile(name, []byte(lines(r.IntN(2))+match()+lines(2)), 0o600); err != nil {
					t.Fatal(err)
				}
				text.WriteString("Include " + name + "\n" + lines(r.IntN(2)))
			}
		}
		f := mustParse(t, text.String())
		for _, user := range []string{"a", "b"} {
			m := MatchInfo{User: user, InvalidUser: r.IntN(2) == 0, Addr: pick("192.0.2.1", "::1")}
			for _, s := range [][2]string{{"shell", ""}, {"exec", "rsync --server"}, {"exec", "a b"}, {"exec", ""}, {"subsystem", "sftp"}, {"subsystem", "x"}} {
				wholly(t, f, m, s[0], s[1])
			}
			if t.Failed() {
				t.Fatalf("of\n%s", text.String())
			}
		}
	}
}

func TestSessionBlocks(t *testing.T) {
	const text = `
ForceCommand global
Match user a sessiontype exec
	ForceCommand first
Match user b sessiontype exec
	ForceCommand other
Match user a
	ForceCommand settled
	SetEnv A=1
Match command "x y"
	ForceCommand late
	PermitTTY no
`
	f := mustParse(t, text)
	exec := []SessionCriterion{{"sessiontype", "exec"}}
	want := []SessionBlock{
		{exec, []SessionLine{{"test", 4, "ForceCommand", "first"}}},
		{[]SessionCriterion{{"command", "x y"}}, []SessionLine{{"test", 12, "PermitTTY", "no"}}},
	}
	if got := f.SessionBlocks(&MatchInfo{User: "a"}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := mustParse(t, "Match user a\nForceCommand x\nAcceptEnv B\n").SessionBlocks(&MatchInfo{User: "a"}); got != nil {
		t.Errorf("blocks without criteria on a session: %+v", got)
	}
	if got := f.SessionBlocks(NewTestInfo()); len(got) != 1 {
		t.Errorf("-T: %+v", got)
	}
}

// TestForSessionRefused: what cannot be resolved is an error, never passed over.
func TestForSessionRefused(t *testing.T) {
	line := func(keyword, text string) []SessionLine { return []SessionLine{{"f", 7, keyword, text}} }
	for _, b := range []SessionBlock{
		{Criteria: []SessionCriterion{{"user", "x"}}},
		{Criteria: []SessionCriterion{{"", ""}}},
		{Lines: line("Banner", "/x")},
		{Lines: line("Include", "/x")},
		{Lines: line("Match", "all")},
		{Lines: line("Nothing", "x")},
		{Lines: line("PermitTTY", "maybe")},
		{Lines: line("SetEnv", "'A=1")},
	} {
		if c, err := new(Config).ForSession([]SessionBlock{b}, "shell", ""); err == nil {
			t.Errorf("%+v: %+v", b, c)
		}
	}
}

func TestSessionMatchErrors(t *testing.T) {
	const where = "test line 2: Directive '%s' is not allowed within a Match sessiontype or command block"
	for text, want := range map[string]string{
		"Match sessiontype exec\nBanner /x":                    fmt.Sprintf(where, "Banner"),
		"Match user x command y\nAllowTcpForwarding no":        fmt.Sprintf(where, "AllowTcpForwarding"),
		"Match command y\nChrootDirectory /x":                  fmt.Sprintf(where, "ChrootDirectory"),
		"Match command y\nPort 1":                              "test line 2: Directive 'Port' is not allowed within a Match block",
		"Match sessiontype exec,Shell":                         "Invalid Match sessiontype argument 'exec,Shell'\ntest line 1: Bad Match condition",
		"Match sessiontype !x":                                 "Invalid Match sessiontype argument '!x'\ntest line 1: Bad Match condition",
		"Match sessiontype":                                    "Missing Match criteria for sessiontype\ntest line 1: Bad Match condition",
		"Match command a,!" + strings.Repeat("x", 1023):        "Too long Match command argument\ntest line 1: Bad Match condition",
		"Match command " + strings.Repeat("x", 1022):           "",
		"Match sessiontype s*,exec,!none\nForceCommand x":      "",
		"Match user x\nBanner /x\nMatch command y\nIPQoS none": "",
	} {
		_, err := Parse("test", text, SshdProfile())
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	name := filepath.Join(t.TempDir(), "included")
	if err := os.WriteFile(name, []byte("Match user x\nBanner /x\nMatch all\nMaxSessions 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse("test", "Match command y\nInclude "+name, SshdProfile())
	if err == nil || strings.Count(err.Error(), "within a Match sessiontype or command block") != 2 {
		t.Errorf("below Include: %v", err)
	}
}
