package session

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlan(t *testing.T) {
	nothing := func(context.Context, Channel, []string) int { return 0 }
	builtin := map[string]Builtin{internalSFTP: nothing}
	config := func(s string) *Policy { return &Policy{ForceCommand: s} }
	key := func(s string) *Policy { return &Policy{HasKeyCommand: true, KeyCommand: s} }
	both := &Policy{ForceCommand: "config", HasKeyCommand: true, KeyCommand: "key"}
	for name, c := range map[string]struct {
		p                 *Policy
		k                 kind
		text              string
		command, original string // "-": none
		builtin           string // its arguments
		sftpOnly          bool
		describe          string
	}{
		"shell":                  {&Policy{}, kindShell, "", "-", "-", "", false, "shell"},
		"command":                {&Policy{}, kindCommand, "ls  -l", "ls  -l", "-", "", false, "command"},
		"empty command":          {&Policy{}, kindCommand, "", "", "-", "", false, "command"},
		"subsystem":              {&Policy{}, kindSubsystem, "sftp", "/usr/lib/sftp-server -e", "-", "", false, "subsystem 'sftp'"},
		"builtin subsystem":      {&Policy{}, kindSubsystem, "internal", "internal-sftp -R -u 077", "-", "internal-sftp -R -u 077", false, "subsystem 'internal'"},
		"own internal-sftp":      {&Policy{}, kindCommand, "internal-sftp", "internal-sftp", "-", "", false, "command"},
		"config, shell":          {config("x y"), kindShell, "", "x y", "-", "", false, "forced-command (config) 'x y'"},
		"config, command":        {config("x"), kindCommand, "ls", "x", "ls", "", false, "forced-command (config) 'x'"},
		"config, subsystem":      {config("x"), kindSubsystem, "sftp", "x", "/usr/lib/sftp-server -e", "", false, "forced-command (config) 'x'"},
		"key, command":           {key("x"), kindCommand, "ls", "x", "ls", "", false, "forced-command (key-option) 'x'"},
		"key, empty":             {key(""), kindCommand, "ls", "", "ls", "", false, "forced-command (key-option) ''"},
		"both":                   {both, kindShell, "", "config", "-", "", false, "forced-command (config) 'config'"},
		"forced sftp, subsystem": {config("internal-sftp -R"), kindSubsystem, "sftp", "internal-sftp -R", "/usr/lib/sftp-server -e", "internal-sftp -R", false, "forced-command (config) 'internal-sftp -R'"},
		"forced sftp, shell":     {config("internal-sftp"), kindShell, "", "internal-sftp", "-", "", true, "forced-command (config) 'internal-sftp'"},
		"forced sftp, command":   {key("internal-sftp\t-R"), kindCommand, "ls", "internal-sftp\t-R", "ls", "", true, "forced-command (key-option) 'internal-sftp\t-R'"},
		"no such builtin":        {config("internal-sftp-other"), kindShell, "", "internal-sftp-other", "-", "", false, "forced-command (config) 'internal-sftp-other'"},
	} {
		c.p.Builtin = builtin
		c.p.Account = testPolicy(t).Account
		c.p.Subsystems = map[string]string{"sftp": "/usr/lib/sftp-server -e", "internal": "internal-sftp -R -u 077"}
		pl, err := c.p.plan(c.k, c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		show := func(s *string) string {
			if s == nil {
				return "-"
			}
			return *s
		}
		args := ""
		if pl.builtin != nil {
			args = strings.Join(pl.args, " ")
		}
		if show(pl.command) != c.command || show(pl.original) != c.original || args != c.builtin || pl.sftpOnly != c.sftpOnly || pl.describe() != c.describe {
			t.Errorf("%s: command %q original %q builtin %q sftp only %v, %s", name, show(pl.command), show(pl.original), args, pl.sftpOnly, pl.describe())
		}
	}
	p := &Policy{Account: testPolicy(t).Account, Subsystems: map[string]string{"sftp": internalSFTP}}
	for _, bad := range []string{"sftp", "other", ""} {
		if _, err := p.plan(kindSubsystem, bad); err == nil || !strings.HasSuffix(err.Error(), "failed, subsystem not found") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	p.ForceCommand = internalSFTP
	if _, err := p.plan(kindShell, ""); err == nil {
		t.Error("forced internal-sftp without one")
	}
}

func TestForcedCommand(t *testing.T) {
	p := testPolicy(t)
	p.HasKeyCommand, p.KeyCommand = true, `echo "[$SSH_ORIGINAL_COMMAND]"`
	if got := run(t, p, "rm -rf 'x y'"); got.out != "[rm -rf 'x y']\n" {
		t.Errorf("%q", got)
	}
	p.logged().expect(t, `verbose: Starting session: forced-command (key-option) 'echo "[$SSH_ORIGINAL_COMMAND]"' for `)
	c := newClient(t, testServer(t, p))
	c.must("shell", nil)
	if got := c.wait(); got.out != "[]\n" {
		t.Errorf("shell: %q", got)
	}
	// A terminal changes nothing but where the output goes.
	p.KeyCommand = "internal-sftp"
	p.Builtin = map[string]Builtin{internalSFTP: func(context.Context, Channel, []string) int { return 0 }}
	if got := run(t, p, "ls"); got.out != "This service allows sftp connections only.\n" || !strings.Contains(got.events, "exit-status 1") {
		t.Errorf("sftp only: %q", got)
	}
}

func TestSubsystems(t *testing.T) {
	p := testPolicy(t)
	p.Subsystems = map[string]string{"show": "echo $0 $1; echo err >&2; cat; exit 4"}
	s := testServer(t, p)
	c := newClient(t, s)
	if c.request("subsystem", text("nope")) {
		t.Error("an unknown subsystem")
	}
	p.logged().expect(t, "info: subsystem request for nope by user "+p.Account.Name+" failed, subsystem not found")
	c.write("data")
	c.eof()
	c.must("subsystem", text("show"))
	if got := c.wait(); got.out != "sh\ndata" || got.err != "" || !strings.Contains(got.events, "exit-status 4") {
		t.Errorf("%q", got)
	}
	p.logged().expect(t, "verbose: Starting session: subsystem 'show' for ")
}

func TestBuiltin(t *testing.T) {
	p := testPolicy(t)
	p.Subsystems = map[string]string{"sftp": "internal-sftp -l INFO", "wait": "wait", "panic": "panic"}
	ended := make(chan struct{})
	p.Builtin = map[string]Builtin{
		internalSFTP: func(_ context.Context, ch Channel, args []string) int {
			io.WriteString(ch, strings.Join(args, ","))
			b, _ := io.ReadAll(ch)
			ch.Write(b)
			return 7
		},
		"wait":  func(ctx context.Context, _ Channel, _ []string) int { <-ctx.Done(); close(ended); return 0 },
		"panic": func(context.Context, Channel, []string) int { panic("a bug") },
	}
	s := testServer(t, p)
	c := newClient(t, s)
	c.write(" data")
	c.eof()
	c.must("subsystem", text("sftp"))
	if got := c.wait(); got.out != "internal-sftp,-l,INFO data" || got.events != "eof, exit-status 7, close" {
		t.Errorf("%q", got)
	}
	c = newClient(t, s)
	c.must("subsystem", text("wait"))
	c.hangup()
	<-ended
	c.gone()
	c = newClient(t, s)
	c.must("subsystem", text("panic"))
	c.wait() // a bug ends its own session only
	c.gone()
	eventually(t, "the log line", func() bool { return p.logged().has("error: internal error: a bug") })
	c = newClient(t, s)
	c.exec("echo ok")
	if got := c.wait(); got.out != "ok\n" {
		t.Errorf("%q", got)
	}
}

// TestMatch: what is known of a session at its start decides, also of what came before.
func TestMatch(t *testing.T) {
	p := testPolicy(t)
	p.AcceptEnv = []string{"A_*"}
	p.Subsystems = map[string]string{"sub": "echo global"}
	p.Match = func(p *Policy, kind, command string) error {
		p.AcceptEnv = []string{"A_1"}
		switch kind + " " + command {
		case "exec bad":
			return errors.New("no such criterion")
		case "exec tty":
			return nil
		case "subsystem sub":
			p.Subsystems = map[string]string{"sub": "echo matched"}
		case "shell ":
			p.ForceCommand = "echo forced; tty"
		}
		p.PermitPTY = false
		return nil
	}
	s := testServer(t, p)
	begin := func() *client {
		c := newClient(t, s)
		c.must("env", envPayload("A_1", "one"))
		c.must("env", envPayload("A_2", "two"))
		c.pty()
		return c
	}
	c := begin()
	if c.request("exec", text("bad")) {
		t.Error("a session without a configuration starts")
	}
	p.logged().expect(t, "error: session 0: refused, its configuration cannot be resolved: no such criterion")
	c.eof()
	c.must("shell", nil) // the channel may be used for something else
	if got := c.wait(); got.out != "forced\nnot a tty\n" || got.err != "A terminal is not permitted for this session.\r\n" {
		t.Errorf("shell: %+v", got)
	}
	c = begin()
	c.eof()
	c.exec(`echo $A_1-$A_2-$TERM`)
	if got := c.wait(); got.out != "one--\n" || c.ch.interact {
		t.Errorf("command: %+v", got)
	}
	c = begin()
	c.exec("tty")
	if got := c.wait(); !strings.Contains(got.out, "/dev/pts/") {
		t.Errorf("with a terminal: %+v", got)
	}
	c = begin()
	c.eof()
	c.must("subsystem", text("sub"))
	if got := c.wait(); got.out != "matched\n" {
		t.Errorf("subsystem: %+v", got)
	}
	if !p.PermitPTY || len(p.AcceptEnv) != 1 || p.AcceptEnv[0] != "A_*" {
		t.Error("the policy of the other sessions changed")
	}
}

func TestMaxSessions(t *testing.T) {
	p := testPolicy(t)
	p.MaxSessions = 2
	s := testServer(t, p)
	a, b := newClient(t, s), newClient(t, s)
	if s.admit() != nil {
		t.Error("a third session")
	}
	p.logged().expect(t, "error: no more sessions")
	a.exec("echo a")
	a.wait()
	a.gone()
	c := newClient(t, s)
	if c.x.id != 0 || b.x.id != 1 {
		t.Errorf("numbers %d and %d", c.x.id, b.x.id)
	}
	b.hangup()
	b.gone()
	p = testPolicy(t)
	p.MaxSessions = 0
	if testServer(t, p).admit() != nil {
		t.Error("a session with MaxSessions 0")
	}
}

func TestEnvironment(t *testing.T) {
	p := testPolicy(t)
	p.AcceptEnv = []string{"LANG", "LC_*", "PATH", "LD_*", "E"}
	p.PermitUserEnvironment, p.KeyEnvironment = true, []string{"K=key", "BASH_ENV=/x"}
	p.SetEnv = []string{"S=set it"}
	p.AuthInfoFile = "/tmp/auth info"
	dir := filepath.Join(p.Account.Home, ".ssh")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "environment"), []byte("F=file\nbad\nK=both\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TZ", "Europe/Vaduz")
	t.Setenv("LEAK", "of the server")
	c := newClient(t, testServer(t, p))
	for name, want := range map[string]bool{"LANG": true, "LC_ALL": true, "PATH": true, "LD_PRELOAD": false, "OTHER": false} {
		if got := c.request("env", envPayload(name, "v")); got != want {
			t.Errorf("%s accepted: %v", name, got)
		}
	}
	if c.request("env", envPayload("LANG", "a\x00b")) || c.request("env", text("LANG")) {
		t.Error("a malformed env request is accepted")
	}
	c.eof()
	c.exec("tr '\\0' '\\n' </proc/$$/environ | sort")
	want := []string{
		"F=file", "HOME=" + p.Account.Home, "K=both", "LANG=v", "LC_ALL=v", "LOGNAME=" + p.Account.Name, "MAIL=/var/mail/" + p.Account.Name,
		"PATH=", "S=set it", "SHELL=/bin/sh", "SSH_CLIENT=192.0.2.7 50000 22", "SSH_CONNECTION=192.0.2.7 50000 192.0.2.1 22",
		"SSH_USER_AUTH=/tmp/auth info", "TZ=Europe/Vaduz", "USER=" + p.Account.Name,
	}
	got := c.wait()
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], "PATH=/usr/local/") {
			lines[i] = "PATH="
		}
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if want := "Bad line 2 in " + filepath.Join(dir, "environment") + "\n"; got.err != want {
		t.Errorf("stderr %q, want %q", got.err, want)
	}
}

// TestEnvBounds: a client cannot make the server keep more than that.
func TestEnvBounds(t *testing.T) {
	p := testPolicy(t)
	p.AcceptEnv = []string{"*"}
	s := testServer(t, p)
	c, n := newClient(t, s), 0
	for c.request("env", envPayload("A", "v")) {
		n++
	}
	if n != maxEnv+1 { // sshd's count is off by one too
		t.Errorf("%d variables", n)
	}
	c, n = newClient(t, s), 0
	for c.request("env", envPayload("A", strings.Repeat("x", 32<<10))) {
		n++
	}
	if n != 7 {
		t.Errorf("%d variables of 32 KiB", n)
	}
}

func TestRC(t *testing.T) {
	defer func(old string) { systemRC = old }(systemRC)
	systemRC = filepath.Join(t.TempDir(), "sshrc")
	p := testPolicy(t)
	p.Account.Home = filepath.Join(p.Account.Home, "it's home")
	if err := os.MkdirAll(p.Account.Home+"/.ssh", 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(systemRC, "echo system\n")
	if got := run(t, p, "echo command"); got.out != "system\ncommand\n" {
		t.Errorf("%q", got)
	}
	write(p.Account.Home+"/.ssh/rc", "echo user $0 $USER; pwd; cat; echo err >&2\n")
	want := "user " + p.Account.Home + "/.ssh/rc " + p.Account.Name + "\n" + p.Account.Home + "\ncommand\n"
	if got := run(t, p, "echo command"); got.out != want || got.err != "err\n" {
		t.Errorf("%q, want %q", got, want)
	}
	c := newClient(t, testServer(t, p))
	c.pty()
	c.exec("echo command; tty >/dev/null && echo tty")
	if got := c.wait(); got.out != strings.ReplaceAll(strings.Replace(want, "command\n", "err\ncommand\ntty\n", 1), "\n", "\r\n") {
		t.Errorf("on a terminal: %q", got)
	}
	p.Subsystems = map[string]string{"x": "echo command"}
	c = newClient(t, testServer(t, p))
	c.must("subsystem", text("x"))
	if got := c.wait(); got.out != "system\ncommand\n" {
		t.Errorf("subsystem: %q", got)
	}
	p.PermitUserRC = false
	if got := run(t, p, "echo command"); got.out != "system\ncommand\n" {
		t.Errorf("PermitUserRC no: %q", got)
	}
	p.PermitUserRC, p.ForceCommand = true, "echo forced"
	if got := run(t, p, "echo command"); got.out != "system\nforced\n" {
		t.Errorf("ForceCommand: %q", got)
	}
}

// TestRCHangup: a client that goes while rc runs takes it along.
func TestRCHangup(t *testing.T) {
	p := helperPolicy(t, "on")
	if err := os.MkdirAll(p.Account.Home+"/.ssh", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Account.Home+"/.ssh/rc", []byte("exec $HELPER\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, testServer(t, p))
	c.exec("echo never >>marks")
	c.output("ready")
	if c.request("signal", text("TERM")) {
		t.Error("a signal to the rc file")
	}
	c.hangup()
	c.gone()
	eventually(t, "SIGHUP", func() bool { return marks(p) == "hangup\n" })
}

type forwarder struct {
	closed chan struct{}
	agents int
}

func (f *forwarder) X11(r X11Request) (*X11, error) {
	return &X11{Display: "localhost:10.1", AuthDisplay: "unix:10.1", Close: func() { close(f.closed) }}, nil
}
func (f *forwarder) Agent() (string, error) { f.agents++; return "/tmp/agent", nil }

func x11Payload(protocol, cookie string) []byte {
	b := append([]byte{1}, text(protocol)...)
	return append(append(b, text(cookie)...), 0, 0, 0, 1)
}

func TestForwarding(t *testing.T) {
	defer func(old string) { systemRC = old }(systemRC)
	systemRC = filepath.Join(t.TempDir(), "sshrc")
	p := testPolicy(t)
	s := testServer(t, p)
	good := x11Payload("MIT-MAGIC-COOKIE-1", "0123456789abcdef")
	c := newClient(t, s)
	if c.request("x11-req", good) || c.request("auth-agent-req@openssh.com", nil) {
		t.Error("forwarding without a forwarder")
	}
	f := &forwarder{closed: make(chan struct{})}
	p.Forwarder = f
	xauth := filepath.Join(p.Account.Home, "xauth")
	if err := os.WriteFile(xauth, []byte("#!/bin/sh\necho $*; cat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.XAuthLocation = xauth
	// THREATS row 19: nothing that is more than a word for xauth.
	for _, bad := range [][]byte{
		x11Payload("a b", "c"), x11Payload("a", "c\nadd x"), x11Payload("", "c"), x11Payload("a", ""), x11Payload("a;b", "c"),
		x11Payload("a", strings.Repeat("0", maxXAuth+1)), append(good, 0), nil,
	} {
		if c.request("x11-req", bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
	c.must("x11-req", good)
	if c.request("x11-req", good) {
		t.Error("a second display")
	}
	c.must("auth-agent-req@openssh.com", nil)
	other := newClient(t, s)
	other.must("auth-agent-req@openssh.com", nil)
	if f.agents != 1 {
		t.Errorf("%d agent sockets", f.agents)
	}
	c.exec("echo $DISPLAY $SSH_AUTH_SOCK")
	want := "-q -\nremove unix:10.1\nadd unix:10.1 MIT-MAGIC-COOKIE-1 0123456789abcdef\nlocalhost:10.1 /tmp/agent\n"
	if got := c.wait(); got.out != want {
		t.Errorf("%q, want %q", got.out, want)
	}
	<-f.closed
	other.hangup()
	f.closed = make(chan struct{})
	if err := os.WriteFile(systemRC, []byte("read a b; echo $a/$b $DISPLAY\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = newClient(t, s)
	c.must("x11-req", good)
	c.exec(":")
	if got := c.wait(); got.out != "MIT-MAGIC-COOKIE-1/0123456789abcdef localhost:10.1\n" {
		t.Errorf("sshrc: %q", got.out)
	}
	<-f.closed
}

func TestPasswordExpired(t *testing.T) {
	p := testPolicy(t)
	p.PasswordExpired = true
	if got := run(t, p, "echo no"); got.out != "" || got.err != "WARNING: Your password has expired.\nPassword change required but no TTY available.\n" || !strings.Contains(got.events, "exit-status 1") {
		t.Errorf("%q", got)
	}
	p.Subsystems = map[string]string{"sftp": internalSFTP}
	p.Builtin = map[string]Builtin{internalSFTP: func(context.Context, Channel, []string) int { t.Error("runs"); return 0 }}
	c := newClient(t, testServer(t, p))
	c.must("subsystem", text("sftp"))
	if got := c.wait(); !strings.Contains(got.events, "exit-status 1") {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat("/usr/bin/passwd"); err != nil {
		return
	}
	c = newClient(t, c.x.server)
	c.pty()
	c.must("shell", nil)
	c.output("WARNING: Your password has expired.\r\nYou must change your password now and login again!\r\n")
	c.until("passwd", func() bool { return strings.Contains(c.ch.out.String(), "assword:") || c.ch.ended })
	c.hangup()
	c.gone()
}
