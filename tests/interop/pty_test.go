package interop

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"nano_ssh_server/tests/harness"
)

// terminal is a client on a pseudo-terminal, as a person has it.
type terminal struct {
	t    *testing.T
	f    *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	text strings.Builder
	seen int // how much of text was matched already
	more chan struct{}
	end  bool
}

// openTerminal starts a client with a terminal of 80 columns and 24 lines.
func openTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, f: f, cmd: cmd, more: make(chan struct{}, 1)}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = f.Close(); _ = cmd.Wait() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			term.mu.Lock()
			term.text.Write(buf[:n])
			term.end = err != nil
			term.mu.Unlock()
			select {
			case term.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return term
}

// shown returns everything that the terminal has shown.
func (term *terminal) shown() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.text.String()
}

// typed sends keystrokes.
func (term *terminal) typed(keys string) {
	term.t.Helper()
	if _, err := term.f.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// wait waits for output that matches, after what was matched before, and returns
// the sub-matches.
func (term *terminal) wait(pattern string) []string {
	term.t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(20 * time.Second)
	for {
		term.mu.Lock()
		text := term.text.String()[term.seen:]
		end := term.end
		if at := re.FindStringSubmatchIndex(text); at != nil {
			m := re.FindStringSubmatch(text)
			term.seen += at[1]
			term.mu.Unlock()
			return m
		}
		term.mu.Unlock()
		if end {
			term.t.Fatalf("the terminal ended without %q; it showed %q", pattern, text)
		}
		select {
		case <-term.more:
		case <-limit:
			term.t.Fatalf("the terminal does not show %q but %q", pattern, text)
		}
	}
}

// exit waits for the client's end and checks its exit status.
func (term *terminal) exit(code int) {
	term.t.Helper()
	withLimit(term.t, 20*time.Second, "the client's end", func() { _ = term.cmd.Wait() })
	if got := term.cmd.ProcessState.ExitCode(); got != code {
		term.t.Errorf("the client ends with %d, expected %d", got, code)
	}
}

// shell starts an interactive shell and gives it a prompt that echoes cannot be
// mistaken for.
func shell(t *testing.T, c *client) *terminal {
	t.Helper()
	term := openTerminal(t, c.cmd(nil, ""))
	term.wait(`[$#%>] ?$`) // the shell's own prompt
	term.typed("PS1='rea''dy> '\r")
	term.wait(`\nready> `)
	return term
}

// TestTerminal works in a shell as a person does.
func TestTerminal(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		term := shell(t, openssh(t, s))
		term.typed("tty\r")
		tty := term.wait(`(/dev/pts/\d+)\r\nready> `)[1]
		if harness.HasRoot() {
			// Owned by the account, so that others cannot write to it.
			term.typed("stat -c '%U %a' $(tty)\r")
			if got := term.wait(`(\S+) 6[02]0\r\nready> `)[1]; got != s.Account.Name {
				t.Errorf("%s belongs to %s", tty, got)
			}
		}
		term.typed("echo $SSH_TTY $TERM\r")
		if got := term.wait(`(/dev/\S+) xterm\r\nready> `)[1]; got != tty {
			t.Errorf("SSH_TTY is %q, the terminal is %q", got, tty)
		}
		term.typed("stty size\r")
		term.wait(`24 80\r\nready> `)
		if err := pty.Setsize(term.f, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
			t.Fatal(err)
		}
		// The loop ends when the new size is there.
		term.typed("until [ \"$(stty size)\" = '50 132' ]; do :; done; echo new''size\r")
		term.wait(`newsize\r\nready> `)

		term.typed("cat\r")
		term.typed("typed\r")
		term.wait(`typed\r\ntyped\r\n`) // the echo, and cat's copy
		term.typed("\x03")
		term.wait(`ready> `)
		term.typed("echo status $?\r")
		term.wait(`status 130\r\nready> `)

		term.typed("echo $0\r") // a login shell
		term.wait(`-\w*sh\r\nready> `)
		term.typed("exit 7\r")
		term.exit(7)
	})
}

// TestTerminalModes hands over what the client's terminal is set to.
func TestTerminalModes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	cmd := openssh(t, s).cmd([]string{"-tt"}, "stty -a; stty speed")
	f, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	set := exec.Command("stty", "-echo", "intr", "^K", "-ixon", "istrip", "38400")
	set.Stdin = tty
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("stty: %v: %s", err, out)
	}
	var out strings.Builder
	cmd.Stdin, cmd.Stdout = tty, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	withLimit(t, 20*time.Second, "the client's end", func() { _ = cmd.Wait() })
	_ = tty.Close()
	for _, want := range []string{" -echo ", "intr = ^K;", " -ixon", " istrip", "38400"} {
		if !strings.Contains(strings.ReplaceAll(out.String(), "\n", " ")+" ", want) {
			t.Errorf("not in the session's modes: %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// TestTerminalExec runs a command on a terminal.
func TestTerminalExec(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	c := openssh(t, s)
	c.expect("tty >/dev/null && echo a; echo b >&2; exit 3", "a\r\nb", 3, "-tt")
	c.expect("tty", "not a tty", 1)
	t.Run("hang-up", func(t *testing.T) {
		// The shell goes, and what still runs on the terminal does not hold up the client.
		term := shell(t, c)
		term.typed("sleep 1000 & echo pid $!\r")
		pid, _ := strconv.Atoi(term.wait(`pid (\d+)\r\nready> `)[1])
		defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
		term.typed("exit\r")
		term.exit(0)
	})
	t.Run("end of input", func(t *testing.T) {
		term := shell(t, c)
		term.typed("\x04")
		term.exit(0)
	})
	t.Run("all output", func(t *testing.T) {
		// What was written just before the end arrives.
		r := c.run("seq 1 20000; exit 6", "-tt")
		if r.Code != 6 || strings.Count(r.Stdout, "\r\n") != 20000 || !strings.HasSuffix(r.Stdout, "20000\r\n") {
			t.Errorf("exit %d, %d lines, end %q", r.Code, strings.Count(r.Stdout, "\r\n"), r.Stdout[max(0, len(r.Stdout)-20):])
		}
	})
}

// TestHushlogin shows the message of the day, unless the account does not want it.
func TestHushlogin(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	motd, err := os.ReadFile("/etc/motd")
	if err != nil || len(motd) == 0 {
		t.Skip("there is no /etc/motd")
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(motd)), "\n")
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "PrintMotd yes"})
	c := openssh(t, s)
	c.user = "nanoother"
	term := openTerminal(t, c.cmd(nil, ""))
	term.wait(regexp.QuoteMeta(strings.TrimSpace(first)))
	term.wait(`[$#%>] ?$`)
	term.typed("touch .hushlogin; exit\r")
	term.exit(0)
	term = shell(t, c)
	term.typed("rm .hushlogin; exit\r")
	term.exit(0)
	if strings.Contains(term.shown(), strings.TrimSpace(first)) {
		t.Errorf("the message of the day in spite of .hushlogin: %q", term.shown())
	}
}

// TestUserRC runs ~/.ssh/rc before the command.
func TestUserRC(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	a := harness.Lookup(t, "nanohash-5")
	if err := os.MkdirAll(a.Home+"/.ssh", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Home+"/.ssh/rc", []byte("echo rc ran >&2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{"": "rc ran\n", "PermitUserRC no": ""} {
		s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: config})
		c := openssh(t, s)
		c.user = a.Name
		if r := c.run("echo command"); r.Stdout != "command\n" || r.Stderr != want || r.Code != 0 {
			t.Errorf("%q: %+v", config, r)
		}
	}
}
