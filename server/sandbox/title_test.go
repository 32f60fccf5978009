package sandbox

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var longTitle = "sshd: " + strings.Repeat("0123456789", 12) + " [2 sessions]"

// runTitle takes the titles it is told, one a line of Attempt.
func runTitle(c *child) {
	if len(c.Faults) > 0 { // as if the arguments had not been found
		titles.area = nil
	}
	if c.Gate.UID != 0 {
		if _, err := Gate(&c.Gate); err != nil {
			panic(err)
		}
	}
	for text := range strings.Lines(c.Attempt) {
		Title(strings.TrimSuffix(text, "\n"))
	}
	pause("%s %s", strings.TrimSpace(os.Args[0]), os.Getenv("GOTRACEBACK"))
}

// canMove tells whether the process may take other memory for its title.
func canMove(t *testing.T) bool {
	sets, err := capabilities()
	if err != nil {
		t.Fatal(err)
	}
	return sets[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

func TestTitle(t *testing.T) {
	const short = "sshd: alice [2 sessions]"
	gate := gateConfig()
	if os.Geteuid() != 0 {
		gate.UID, gate.GID = uint32(os.Getuid()), uint32(os.Getgid())
	}
	for _, c := range []struct {
		name  string
		child child
		want  string
	}{
		{"one", child{Attempt: short}, short},
		{"longer first", child{Attempt: "sshd: bartholomew [priv]\n" + short}, short},
		{"zero byte", child{Attempt: "sshd: a\x00b"}, "sshd: a b"},
		{"empty", child{Attempt: short + "\n \n"}, " "},
		{"in a gate", child{Attempt: short, Gate: gate}, short},
		{"long", child{Attempt: longTitle}, longTitle},
		{"no arguments", child{Attempt: short, Faults: []string{"arguments"}}, short},
		{"too long", child{Attempt: strings.Repeat("x", 1000)}, strings.Repeat("x", titleBytes-2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.child.Name = "title"
			p := c.child.start(t)
			if first := line(t, p.stdout); first != "nano_ssh_server-title none" {
				t.Errorf("arguments and environment: %q", first)
			}
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
			if err != nil {
				t.Skip(err)
			}
			want := c.want + "\x00"
			kept := "nano_ssh_server-title\x00" + strings.Repeat(" ", 100) + "\x00"
			if !canMove(t) && len(c.child.Faults) > 0 {
				want = kept
			} else if !canMove(t) && len(want) >= len(kept) {
				want = want[:len(kept)-2] + "\x00"
			}
			if got := string(text); got != want {
				t.Errorf("%q, expected %q", got, want)
			}
			comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid))
			if err != nil || strings.HasPrefix(c.want, "sshd") && string(comm) != "sshd\n" && c.child.Gate.UID == 0 {
				t.Errorf("comm %q, %v", comm, err)
			}
			if _, status := p.end(t); status.ExitStatus() != 0 {
				t.Error(status)
			}
		})
	}
}

// TestArguments gives it what is not the kernel's.
func TestArguments(t *testing.T) {
	if arguments([]string{"constant", "other"}) != nil || arguments([]string{strings.Clone(longTitle)}) != nil || arguments(nil) != nil {
		t.Error("memory that is not the arguments' would be overwritten")
	}
	if titles.area == nil {
		t.Skip("this test was started in an unusual way")
	}
	if titles.own || len(titles.area) < len(os.Args[0]) {
		t.Errorf("%d bytes", len(titles.area))
	}
}

func BenchmarkTitle(b *testing.B) {
	area := titles.area
	defer func() { titles.area = area }()
	titles.area, titles.comm = make([]byte, 128), "sshd"
	for b.Loop() {
		Title("sshd: alice [2 sessions]")
	}
}

// TestTitleShortRoom keeps arguments that say more than a stump of a title would.
func TestTitleShortRoom(t *testing.T) {
	area, own, comm := titles.area, titles.own, titles.comm
	defer func() { titles.area, titles.own, titles.comm = area, own, comm }()
	titles.own, titles.comm = true, "sshd"
	for _, c := range []struct{ arguments, text, want string }{
		{"sshd\x00-D\x00", "sshd: [listener] 0 of 10", "sshd\x00-D\x00"},
		{"sshd\x00-D\x00", "sshd: x", "sshd\x00-D\x00"},
		{"sshd\x00-D\x00", "sshd: ", "sshd: \x00\x01"},
		{"sshd\x00-D\x00-f\x00/etc/config\x00", "sshd: [listener] 0 of 10", "sshd: [listener] 0 of\x00\x01"},
		{"", "sshd: x", ""},
	} {
		titles.area = []byte(c.arguments)
		if Title(c.text); string(titles.area) != c.want {
			t.Errorf("%q: %q, expected %q", c.text, titles.area, c.want)
		}
	}
}
