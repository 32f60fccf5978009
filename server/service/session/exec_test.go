package session

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestThreat33Endings: nothing is lost at the end, and the end is reported in
// OpenSSH's order: CLOSE last, exit-status when the program ended, EOF when the output did.
func TestThreat33Endings(t *testing.T) {
	either := func(out, err, first, second string) []result {
		return []result{{out, err, first + ", " + second + ", close"}, {out, err, second + ", " + first + ", close"}}
	}
	for name, c := range map[string]struct {
		command string
		want    []result
	}{
		"output":            {"echo out; echo err >&2; exit 3", either("out\n", "err\n", "eof", "exit-status 3")},
		"nothing":           {":", either("", "", "eof", "exit-status 0")},
		"missing command":   {"exec 2>/dev/null; /no/such/command", either("", "", "eof", "exit-status 127")},
		"closes both first": {"exec >&- 2>&-; sleep 0.2; exit 7", []result{{"", "", "eof, exit-status 7, close"}}},
		"stderr after stdout's end": {"echo out; exec >&-; sleep 0.2; echo err >&2; exit 4",
			either("out\n", "err\n", "eof", "exit-status 4")},
		"stdout after stderr's end": {"echo err >&2; exec 2>&-; sleep 0.2; echo out; exit 4",
			either("out\n", "err\n", "eof", "exit-status 4")},
		"held by another":      {"(sleep 0.3; echo late) & echo out", []result{{"out\nlate\n", "", "exit-status 0, eof, close"}}},
		"stderr held":          {"(sleep 0.3; echo late >&2) >/dev/null & echo out", []result{{"out\n", "late\n", "exit-status 0, eof, close"}}},
		"signal":               {"kill -TERM $$", either("", "", "eof", "exit-signal TERM")},
		"segmentation":         {"echo a; kill -SEGV $$", either("a\n", "", "eof", "exit-signal SEGV")},
		"signal without name":  {"kill -XCPU $$", either("", "", "eof", "exit-signal SIG@openssh.com")},
		"status above a byte":  {"exit 255", either("", "", "eof", "exit-status 255")},
		"SIGPIPE kills":        {"kill -PIPE $$", either("", "", "eof", "exit-signal PIPE")},
		"stdin is closed":      {"cat; echo end", either("end\n", "", "eof", "exit-status 0")},
		"no terminal":          {"tty; exit 0", either("not a tty\n", "", "eof", "exit-status 0")},
		"leader of a session":  {`set -- $(cat /proc/$$/stat); [ $1 = $5 ] && [ $1 = $6 ] && [ $7 = 0 ] && echo yes`, either("yes\n", "", "eof", "exit-status 0")},
		"argv0 and login flag": {`tr '\0' ' ' </proc/$$/cmdline | cut -c1-5`, either("sh -c\n", "", "eof", "exit-status 0")},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPolicy(t)
			got := run(t, p, c.command)
			for _, want := range c.want {
				if got == want {
					return
				}
			}
			t.Errorf("got %q, want one of %q", got, c.want)
		})
	}
}

// TestExitBeforeOutput: exit-status does not wait for pipes that others hold.
func TestExitBeforeOutput(t *testing.T) {
	p := testPolicy(t)
	c := newClient(t, testServer(t, p))
	fifo := filepath.Join(p.Account.Home, "go")
	c.exec("mkfifo go; (read x <go; echo late) & exit 5")
	c.until("exit-status", func() bool { return len(c.ch.events) == 1 && c.ch.events[0] == "exit-status 5" })
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f)
	f.Close()
	if got := c.wait(); got.out != "late\n" || got.events != "exit-status 5, eof, close" {
		t.Errorf("%q", got)
	}
}

func TestStdin(t *testing.T) {
	c := newClient(t, testServer(t, testPolicy(t)))
	c.exec("wc -c; echo done")
	for range 100 {
		c.write(strings.Repeat("x", 10000))
	}
	c.eof()
	if got := c.wait(); strings.Fields(got.out)[0] != "1000000" || !strings.Contains(got.out, "done") {
		t.Errorf("%q", got)
	}
}

// TestBulk sends more than all buffers hold, both ways at once.
func TestBulk(t *testing.T) {
	c := newClient(t, testServer(t, testPolicy(t)))
	data := strings.Repeat("0123456789abcdef", 4<<20/16)
	c.exec("cat")
	c.write(data)
	c.eof()
	got := c.wait()
	if sha256.Sum256([]byte(got.out)) != sha256.Sum256([]byte(data)) {
		t.Errorf("%d bytes came back of %d, or others", len(got.out), len(data))
	}
	const command = "head -c 30000000 /dev/zero | tr '\\0' x"
	got = run(t, testPolicy(t), command)
	sum := sha256.Sum256([]byte(strings.Repeat("x", 30000000)))
	if have := sha256.Sum256([]byte(got.out)); have != sum {
		t.Errorf("%d bytes, sum %s", len(got.out), hex.EncodeToString(have[:]))
	}
}

// TestSlowClient: a window of a few bytes loses nothing, even after the exit.
func TestSlowClient(t *testing.T) {
	for _, withPTY := range []bool{false, true} {
		c := newClient(t, testServer(t, testPolicy(t)))
		c.ch.window = 1
		if withPTY {
			c.pty()
		}
		c.exec("seq 1 700")
		for done := false; !done; {
			c.ch.mu.Lock()
			c.ch.window += 7
			c.ch.cond.Broadcast()
			done = c.ch.ended
			c.ch.mu.Unlock()
			time.Sleep(100 * time.Microsecond)
		}
		got := c.wait()
		lines := strings.Fields(got.out)
		if len(lines) != 700 || lines[699] != "700" || !strings.HasSuffix(got.events, "close") || !strings.Contains(got.events, "exit-status 0") {
			t.Errorf("pty %v: %d lines, events %s", withPTY, len(lines), got.events)
		}
	}
}

// TestInputEnds: an OpenSSH client is told when the program reads no more.
func TestInputEnds(t *testing.T) {
	for _, openssh := range []bool{true, false} {
		p := testPolicy(t)
		p.OpenSSHClient = openssh
		c := newClient(t, testServer(t, p))
		c.exec("exec <&-; echo closed; sleep 0.3")
		c.output("closed")
		c.write("x") // fails: nobody reads
		got := c.wait()
		if want := openssh; strings.HasPrefix(got.events, "eow@openssh.com, ") != want {
			t.Errorf("OpenSSH %v: %s", openssh, got.events)
		}
		c = newClient(t, c.x.server)
		c.exec("exit 2") // its input was never closed
		got = c.wait()
		if want := openssh; strings.Contains(got.events, "eow@openssh.com") != want || !strings.Contains(got.events, "exit-status 2") {
			t.Errorf("OpenSSH %v: %s", openssh, got.events)
		}
		c = newClient(t, c.x.server)
		c.eof()
		c.exec("cat")
		if got = c.wait(); strings.Contains(got.events, "eow") {
			t.Errorf("eow after the client's own EOF: %s", got.events)
		}
	}
}

// TestInputUnread: a program that ends without reading what it was sent ends.
func TestInputUnread(t *testing.T) {
	c := newClient(t, testServer(t, testPolicy(t)))
	c.write(strings.Repeat("x", 1<<20))
	c.exec("sleep 0.1; exit 9")
	if got := c.wait(); !strings.Contains(got.events, "exit-status 9") {
		t.Errorf("%s", got.events)
	}
}

func TestShellWithoutTerminal(t *testing.T) {
	c := newClient(t, testServer(t, testPolicy(t)))
	c.write("echo $0; echo err >&2; exit 6\n")
	c.must("shell", nil)
	if got := c.wait(); got.out != "-sh\n" || got.err != "err\n" || !strings.Contains(got.events, "exit-status 6") {
		t.Errorf("%q", got)
	}
}

func TestOneProgramPerChannel(t *testing.T) {
	c := newClient(t, testServer(t, testPolicy(t)))
	c.exec("read x; echo $x")
	for name, payload := range map[string][]byte{
		"exec": text("true"), "shell": nil, "subsystem": text("sftp"), "env": envPayload("LANG", "C"),
		"pty-req": ptyPayload("x", 1, 1, nil), "x11-req": nil, "auth-agent-req@openssh.com": nil, "nonsense": nil,
	} {
		if c.request(name, payload) {
			t.Errorf("%s is accepted", name)
		}
	}
	c.write("hello\n")
	if got := c.wait(); got.out != "hello\n" {
		t.Errorf("%q", got)
	}
	c.gone()
	if c.request("exec", text("true")) {
		t.Error("exec is accepted after the end")
	}
}

func TestNoHome(t *testing.T) {
	for _, withPTY := range []bool{false, true} {
		p := testPolicy(t)
		p.Account.Home = filepath.Join(p.Account.Home, "gone")
		c := newClient(t, testServer(t, p))
		if withPTY {
			c.pty()
		}
		c.exec("pwd; echo $HOME")
		got := c.wait()
		line := "Could not chdir to home directory " + p.Account.Home + ": No such file or directory\n"
		out := "/\n" + p.Account.Home + "\n"
		if withPTY {
			out, line = strings.ReplaceAll(line+out, "\n", "\r\n"), ""
		}
		if got.err != line || got.out != out {
			t.Errorf("pty %v: %q", withPTY, got)
		}
	}
	p := testPolicy(t)
	file := filepath.Join(p.Account.Home, "file")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	p.Account.Home = file
	if got := run(t, p, "pwd"); got.err != "Could not chdir to home directory "+file+": Not a directory\n" {
		t.Errorf("%q", got)
	}
}

func TestShells(t *testing.T) {
	for name, c := range map[string]struct{ shell, err, events string }{
		"empty":      {"", "", "exit-status 0"},
		"missing":    {"/no/such/shell", "/no/such/shell: No such file or directory\n", "exit-status 1"},
		"not a file": {"/etc", "/etc: Permission denied\n", "exit-status 1"},
	} {
		p := testPolicy(t)
		p.Account.Shell = c.shell
		got := run(t, p, "exit 0")
		if got.err != c.err || !strings.Contains(got.events, c.events) || !strings.HasSuffix(got.events, "close") {
			t.Errorf("%s: %q", name, got)
		}
	}
	p := testPolicy(t)
	got := run(t, p, strings.Repeat("x", 200<<10))
	if got.err != "/bin/sh: Argument list too long\n" {
		t.Errorf("long command: %q", got.err)
	}
}

// TestMany runs 200 sessions at once; each costs goroutines but no thread.
func TestMany(t *testing.T) {
	s := testServer(t, testPolicy(t))
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := threads()
	var all []*client
	for range 200 {
		c := newClient(t, s)
		c.exec("echo ready; read x; echo got $x; exit 1")
		all = append(all, c)
	}
	for _, c := range all {
		c.output("ready\n")
	}
	if n := threads(); n > before+50 {
		t.Errorf("%d threads for 200 waiting sessions, %d before", n, before)
	}
	for i, c := range all {
		c.write(fmt.Sprintf("%d\n", i))
	}
	for i, c := range all {
		if got := c.wait(); got.out != fmt.Sprintf("ready\ngot %d\n", i) || !strings.Contains(got.events, "exit-status 1") {
			t.Errorf("session %d: %q", i, got)
		}
	}
}
