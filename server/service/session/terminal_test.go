package session

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/login"
)

// recorder is an Opener that keeps what it was told.
type recorder struct {
	Local
	mu    sync.Mutex
	lines []string
	fail  bool
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	r.lines = append(r.lines, s)
	r.mu.Unlock()
}

func (r *recorder) OpenPTY() (*os.File, *os.File, string, error) {
	if r.fail {
		return nil, nil, "", errors.New("no terminals left")
	}
	return r.Local.OpenPTY()
}
func (r *recorder) ClosePTY(name string) {
	if _, err := os.Stat(name); err != nil {
		r.add("closed too late")
	}
	r.add("close")
	r.Local.ClosePTY(name)
}
func (r *recorder) LoginMessage() string           { return "Last login: yesterday\r\n" }
func (r *recorder) LoginRecord(string, int)        { r.add("login") }
func (r *recorder) LogoutRecord(_ string, pid int) { r.add("logout") }

func TestTerminal(t *testing.T) {
	p := testPolicy(t)
	s := testServer(t, p)
	r := &recorder{Local: Local{p.Account}}
	s.opener = r
	c := newClient(t, s)
	modes := append(append(modeBytes(128, 9600), modeBytes(1, 7)...), modeBytes(53, 0)...)
	c.must("pty-req", ptyPayload("vt220", 91, 31, append(modes, 0)))
	if !c.ch.interact {
		t.Error("the channel is not interactive")
	}
	c.exec("tty; echo $SSH_TTY $TERM; stty size; stty -a; echo err >&2; set -- $(cat /proc/$$/stat); [ $1 = $6 ] && [ $8 = $1 ] && echo foreground; exit 4")
	got := c.wait()
	for _, want := range []string{"/dev/pts/", " vt220\r\n", "31 91\r\n", "intr = ^G;", "-echo ", "speed 9600 baud", "err\r\n", "foreground\r\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing: %s", want, got.out)
		}
	}
	if got.err != "" || !strings.Contains(got.events, "exit-status 4") || !strings.HasSuffix(got.events, "close") {
		t.Errorf("%q", got)
	}
	c.gone()
	if s := strings.Join(r.lines, ", "); s != "login, logout, close" {
		t.Errorf("records: %s", s)
	}
	p.logged().expect(t, "verbose: Starting session: command on pts/")
}

func TestTerminalRefused(t *testing.T) {
	p := testPolicy(t)
	s := testServer(t, p)
	c := newClient(t, s)
	for name, payload := range map[string][]byte{
		"empty": nil, "short": ptyPayload("x", 1, 1, nil)[:10], "trailing": append(ptyPayload("x", 1, 1, nil), 0),
		"NUL": ptyPayload("x\x00y", 1, 1, nil), "long term": ptyPayload(strings.Repeat("x", 256), 1, 1, nil),
	} {
		if c.request("pty-req", payload) {
			t.Errorf("%s is accepted", name)
		}
	}
	c.must("pty-req", ptyPayload("x", 1<<31, 1<<31, []byte{200, 1, 2})) // odd, but harmless
	if c.request("pty-req", ptyPayload("x", 1, 1, nil)) {
		t.Error("a second terminal")
	}
	s.opener = &recorder{fail: true}
	if newClient(t, s).request("pty-req", ptyPayload("x", 1, 1, nil)) {
		t.Error("accepted without a terminal")
	}
	p.PermitPTY = false
	if newClient(t, s).request("pty-req", ptyPayload("x", 1, 1, nil)) {
		t.Error("accepted against PermitTTY")
	}
	p.logged().expect(t, "debug: Allocating a pty not permitted for this connection.")
}

// TestWindowChange: the program learns of it, and clients that send it early or
// late are not told off.
func TestWindowChange(t *testing.T) {
	c := newClient(t, testServer(t, helperPolicy(t, "on")))
	c.must("window-change", size(1, 1)) // no terminal yet: as sshd
	c.pty()
	c.exec("exec $HELPER")
	c.output("ready")
	c.must("window-change", size(132, 50))
	c.output("got window-changed\r\n")
	if ws, err := unix.IoctlGetWinsize(int(c.x.terminal().master.Fd()), unix.TIOCGWINSZ); err != nil || ws.Col != 132 || ws.Row != 50 {
		t.Errorf("size %v, %v", ws, err)
	}
	c.must("signal", text("TERM"))
	c.wait()
	c.gone()
	c.must("window-change", size(1, 1))
	if c.request("window-change", []byte{1}) {
		t.Error("a malformed size is accepted")
	}
}

func TestBreak(t *testing.T) {
	c := newClient(t, testServer(t, testPolicy(t)))
	if c.request("break", []byte{0, 0, 0, 100}) {
		t.Error("a break without a terminal")
	}
	c.pty()
	c.must("break", []byte{0, 0, 0, 100})
	if c.request("break", nil) {
		t.Error("a malformed break")
	}
}

func TestLoginShell(t *testing.T) {
	p := testPolicy(t)
	s := testServer(t, p)
	s.opener = &recorder{Local: Local{p.Account}}
	shell := func() string {
		c := newClient(t, s)
		c.pty()
		c.must("shell", nil)
		c.write("stty -echo; echo begin $0; exit\n")
		return c.wait().out
	}
	motd := strings.ReplaceAll(string(login.Motd(login.MotdFile)), "\n", "\r\n")
	got := shell()
	if want := "Last login: yesterday\r\r\n" + motd; !strings.HasPrefix(got, want) {
		t.Errorf("greeting is not %q: %q", want, got)
	}
	if !strings.Contains(got, "begin -sh\r\n") {
		t.Errorf("not a login shell: %q", got)
	}
	if got = shell(); strings.Contains(got, "Last login") || !strings.HasPrefix(got, motd) {
		t.Errorf("second session: %q", got)
	}
	if err := os.WriteFile(p.Account.Home+"/.hushlogin", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.greeted = false
	if got = shell(); motd != "" && strings.HasPrefix(got, motd) || strings.Contains(got, "Last login") {
		t.Errorf("not hushed: %q", got)
	}
	p.logged().expect(t, "verbose: Starting session: shell on pts/")
}

// TestTerminalInput: a terminal's input has no end but the user's own, and a
// character that means a signal is one.
func TestTerminalInput(t *testing.T) {
	c := newClient(t, testServer(t, helperPolicy(t, "on")))
	c.pty()
	c.exec("read a; echo got $a; cat; echo after; exec $HELPER")
	c.write("one\n")
	c.output("got one\r\n")
	c.write("two\n\x04")
	c.output("two\r\ntwo\r\nafter\r\nready")
	c.write("\x03")
	c.output("got interrupt\r\n")
	c.eof() // changes nothing
	c.must("signal", text("TERM"))
	if got := c.wait(); !strings.Contains(got.events, "exit-status 3") {
		t.Errorf("%q", got)
	}
}

// TestThreat33Terminal: all output arrives, and whoever keeps the terminal open
// does not keep the channel open.
func TestThreat33Terminal(t *testing.T) {
	for name, c := range map[string]struct{ command, last, events string }{
		"much":                 {"seq 1 50000", "50000", "exit-status 0"},
		"in the background":    {"sleep 100 & echo last; exit 4", "last", "exit-status 4"},
		"in another session":   {"setsid sleep 3 & sleep 0.1; echo last; exit 5", "last", "exit-status 5"},
		"ignoring the hangup":  {"(trap '' HUP; sleep 3) & sleep 0.1; echo last", "last", "exit-status 0"},
		"descriptors closed":   {"echo last; exec </dev/null >/dev/null 2>&1; sleep 0.2; exit 6", "last", "eof, exit-status 6"},
		"killed":               {"echo last; kill -KILL $$", "last", "exit-signal KILL"},
		"another writes along": {"(seq 1 100000)& seq 1 1000; echo last", "last", "exit-status 0"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newClient(t, testServer(t, testPolicy(t)))
			cl.pty()
			cl.exec(c.command)
			got := cl.wait()
			if !strings.Contains(got.out, c.last+"\r\n") || !strings.Contains(got.events, c.events) || !strings.HasSuffix(got.events, "close") {
				t.Errorf("events %s, output ends %q", got.events, got.out[max(0, len(got.out)-100):])
			}
			if strings.Count(got.events, "eof") != 1 {
				t.Errorf("EOF is missing or doubled: %s", got.events)
			}
		})
	}
}
