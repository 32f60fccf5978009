package log

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// recorder is a Sink that keeps lines as syslog would get them.
type recorder struct{ lines []string }

func (r *recorder) Write(level Level, _ int, text string) {
	switch {
	case level == Fatal:
		text = "fatal: " + text
	case level == Error:
		text = "error: " + text
	case level >= Debug1:
		text = debugPrefix(level) + text
	}
	r.lines = append(r.lines, fmt.Sprintf("%d %s", priority(FacilityAuth, level), text))
}

func readRecording(t *testing.T) map[string]bool {
	t.Helper()
	f, err := os.Open("testdata/openssh-9.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		lines[s.Text()] = true
	}
	return lines
}

// TestCatalogueRecorded checks each line against what the real sshd wrote, with
// priority, prefix and mark.
func TestCatalogueRecorded(t *testing.T) {
	const addr = "127.0.0.1"
	const key = "ED25519 SHA256:iC0fdzxAtbGjUhleMkym+h1+Wb1UTTJaYWQwz/VGXEk"
	alice := func(port int) Peer { return Peer{Addr: addr, Port: port, User: "alice", Started: true} }
	in := func(p Peer) Peer { p.Authenticated = true; return p }
	invalid := func(user string, port int) Peer {
		return Peer{Addr: addr, Port: port, User: user, Invalid: true, Started: true}
	}
	weird := "no such\x1b[31m\n\\x\u00e4\t\r\afrom 1.2.3.4"
	long := strings.Repeat("u", 300)
	recorded := readRecording(t)
	for i, call := range []func(l *Logger){
		func(l *Logger) { l.Listening(addr, 7001, "") },
		func(l *Logger) { l.Connection(addr, 52140, addr, 7001, "") },
		func(l *Logger) { l.NoIdentification(Peer{Addr: addr, Port: 52140}, false) },
		func(l *Logger) { l.NoIdentification(Peer{Addr: addr, Port: 57290}, true) },
		func(l *Logger) { l.AcceptedKey(key, "/home/alice/.ssh/authorized_keys", 1) },
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Postponed, Method: "publickey", Peer: alice(52146), MaxTries: 6})
		},
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Accepted, Method: "publickey", Peer: alice(52146), Key: key, MaxTries: 6})
		},
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Partial, Method: "publickey", Peer: alice(42974), Key: key, MaxTries: 6})
		},
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Accepted, Method: "password", Peer: alice(44438), MaxTries: 6})
		},
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Failed, Method: "password", Peer: alice(44440), MaxTries: 6})
		},
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Failed, Method: "publickey", Peer: Peer{Addr: addr, Port: 44470, User: "root"}, Key: key, MaxTries: 6})
		},
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Failed, Method: "password", Peer: invalid("nosuch", 44450), MaxTries: 6})
		},
		func(l *Logger) { l.UserChild(64) },
		func(l *Logger) { l.StartSession(StartCommand, "", "alice", addr, 52146, 0) },
		func(l *Logger) { l.StartSession(StartCommand, "pts/0", "alice", addr, 52148, 0) },
		func(l *Logger) { l.StartSession(StartShell, "pts/0", "alice", addr, 52166, 0) },
		func(l *Logger) { l.StartSession(StartSubsystem("sftp"), "", "alice", addr, 44426, 0) },
		func(l *Logger) { l.StartSession(StartForced("config", "echo x"), "", "alice", addr, 48004, 0) },
		func(l *Logger) { l.CloseSession("alice", addr, 44426, 0) },
		func(l *Logger) { l.SubsystemMissing("foo", "alice") },
		func(l *Logger) { l.Transferred(3232, 3396, addr, 44434) },
		func(l *Logger) { l.ReceivedDisconnect(in(alice(52146)), 11, "disconnected by user") },
		func(l *Logger) { l.Disconnected(in(alice(52146))) },
		func(l *Logger) { l.Closed(in(alice(44434))) },
		func(l *Logger) { l.WithPreauth().Closed(alice(44440)) },
		func(l *Logger) { l.WithPreauth().Closed(invalid("nosuch", 44452)) },
		func(l *Logger) { l.WithPreauth().Closed(invalid("", 44454)) },
		func(l *Logger) { l.WithPreauth().Closed(Peer{Addr: addr, Port: 59824}) },
		func(l *Logger) { l.WithPreauth().Reset(Peer{Addr: addr, Port: 35828}) },
		func(l *Logger) { l.InvalidUser("nosuch", addr, 44450) },
		func(l *Logger) { l.InvalidUser("", addr, 44454) },
		func(l *Logger) { l.InvalidUser(weird, addr, 42534) },
		func(l *Logger) { l.InvalidUser(long, addr, 53878) },
		func(l *Logger) {
			l.Auth(Attempt{Outcome: Failed, Method: "password", Peer: invalid(weird, 42534), MaxTries: 6})
		},
		func(l *Logger) { l.NotAllowed("lockd", ReasonLocked) },
		func(l *Logger) { l.NotAllowed("noshl", ReasonNoShell("/nonexistent/sh")) },
		func(l *Logger) { l.NotAllowedFrom("alice", addr, ReasonAllowUsers) },
		func(l *Logger) { l.NotAllowedFrom("alice", addr, ReasonDenyUsers) },
		func(l *Logger) { l.NotAllowedFrom("alice", addr, ReasonAllowGroups) },
		func(l *Logger) { l.NotAllowedFrom("alice", addr, ReasonDenyGroups) },
		func(l *Logger) {
			l.AuthenticationRefused("bad ownership or modes for file /home/alice/.ssh/authorized_keys")
		},
		func(l *Logger) { l.WithPreauth().MaxAuthTriesExceeded(alice(48604)) },
		func(l *Logger) { l.WithPreauth().MaxAuthTriesExceeded(invalid("nosuch", 48620)) },
		func(l *Logger) { l.WithPreauth().UnableToNegotiate(addr, 57252, KindCipher, "aes128-cbc") },
		func(l *Logger) { l.WithPreauth().UnableToNegotiate(addr, 57276, KindMAC, "hmac-md5") },
		func(l *Logger) { l.WithPreauth().UnableToNegotiate(addr, 57284, KindHostKey, "ssh-rsa") },
		func(l *Logger) {
			l.WithPreauth().UnableToNegotiate(addr, 57260, KindKex, "diffie-hellman-group1-sha1,ext-info-c,kex-strict-c-v00@openssh.com")
		},
		func(l *Logger) { l.BannerExchange(addr, 57308, FaultFormat, DetailIdentifier("GET / HTTP/1.0")) },
		func(l *Logger) { l.BannerExchange(addr, 57318, FaultFormat, DetailCharacters) },
		func(l *Logger) { l.BannerExchange(addr, 35792, FaultVersion, DetailMajor(1)) },
		func(l *Logger) { l.BannerExchange(addr, 35796, FaultFormat, DetailTooLong) },
		func(l *Logger) { l.BannerExchange(addr, 35826, FaultFormat, DetailVersion("SSH-2-foo")) },
		func(l *Logger) { l.WithPreauth().BadPacketLength(0xffffffff) },
		func(l *Logger) {
			l.WithPreauth().ConnectionFault(Peer{Addr: addr, Port: 35848}, "message authentication code incorrect")
		},
		func(l *Logger) { l.ClientTimeout(in(alice(49230))) },
		func(l *Logger) { l.ConnectFailed(addr, 1) },
		func(l *Logger) { l.BindFailed(addr, 7011, "Address already in use") },
		func(l *Logger) { l.CannotBind() },
		func(l *Logger) { l.Throttling() },
		func(l *Logger) { l.Dropped(Info, 1, addr, 56890, addr, 7008, PastMaxStartups) },
		func(l *Logger) { l.Restarting() },
		func(l *Logger) { l.Terminating(15) },
	} {
		r := &recorder{}
		call(New(r, Verbose))
		if len(r.lines) == 0 {
			t.Errorf("call %d logs nothing", i)
		}
		for _, line := range r.lines {
			if !recorded[line] {
				t.Errorf("call %d: sshd wrote no such line: %s", i, line)
			}
		}
	}
}

// TestCatalogueKnown holds the lines that no recording has; their texts come
// from sshd's binary.
func TestCatalogueKnown(t *testing.T) {
	r := &recorder{}
	l := New(r, Debug3)
	l.RootRefused("192.0.2.1", 7)
	l.LoginTimeout("192.0.2.1", 7)
	l.Expired("bob")
	l.ThrottlingOver(3725*time.Second, 9)
	l.NotAllowed("bob", ReasonFile("/etc/nologin"))
	l.NotAllowed("bob", ReasonShellMode("/bin/x"))
	l.NotAllowedFrom("bob", "host", ReasonNoGroup)
	l.Listening("::", 22, "vrf1")
	l.WithPreauth().ReceivedDisconnect(Peer{Addr: "192.0.2.1", Port: 7}, 3, "no kex")
	l.WithPreauth().Disconnected(Peer{Addr: "192.0.2.1", Port: 7, User: "x", Started: true})
	l.Auth(Attempt{Outcome: Accepted, Method: "keyboard-interactive", Submethod: "pam", Peer: Peer{Addr: "192.0.2.1", Port: 7, User: "x"}, MaxTries: 6})
	l.Debug("d%d", 1)
	l.Debug3("d")
	want := `38 ROOT LOGIN REFUSED FROM 192.0.2.1 port 7
34 fatal: Timeout before authentication for 192.0.2.1 port 7
38 Account bob has expired
38 exited MaxStartups throttling after 01:02:05, 9 connections dropped
38 User bob not allowed because /etc/nologin exists
38 User bob not allowed because shell /bin/x is not executable
38 User bob from host not allowed because not in any group
38 Server listening on :: port 22 rdomain vrf1.
35 error: Received disconnect from 192.0.2.1 port 7:3: no kex [preauth]
38 Disconnected from authenticating user x 192.0.2.1 port 7 [preauth]
38 Accepted keyboard-interactive/pam for x from 192.0.2.1 port 7 ssh2
39 debug1: d1
39 debug3: d`
	if got := strings.Join(r.lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAuthLevel(t *testing.T) {
	p := Peer{Addr: "192.0.2.1", Port: 7, User: "x"}
	for _, c := range []struct {
		a    Attempt
		want bool
	}{
		{Attempt{Outcome: Failed, Method: "publickey", Peer: p, Failures: 0, MaxTries: 6}, false},
		{Attempt{Outcome: Failed, Method: "publickey", Peer: p, Failures: 3, MaxTries: 6}, true},
		{Attempt{Outcome: Failed, Method: "password", Peer: p, MaxTries: 6}, true},
		{Attempt{Outcome: Failed, Method: "none", Peer: Peer{User: "x", Invalid: true}, MaxTries: 6}, true},
		{Attempt{Outcome: Accepted, Method: "publickey", Peer: p, MaxTries: 6}, true},
	} {
		r := &recorder{}
		New(r, Info).Auth(c.a)
		if (len(r.lines) > 0) != c.want {
			t.Errorf("%+v: %q", c.a, r.lines)
		}
	}
}

func TestLevels(t *testing.T) {
	for name, level := range map[string]Level{"quiet": Quiet, "SILENT": Quiet, "Info": Info, "DEBUG": Debug1, "debug1": Debug1, "DEBUG3": Debug3} {
		if got, ok := ParseLevel(name); !ok || got != level {
			t.Errorf("%s: %v", name, got)
		}
		if again, ok := ParseLevel(level.String()); !ok || again != level {
			t.Errorf("%v", level)
		}
	}
	if _, ok := ParseLevel(""); ok {
		t.Error("empty level")
	}
	for name, f := range map[string]Facility{"auth": FacilityAuth, "AUTHPRIV": FacilityAuthpriv, "local7": 23 << 3} {
		if got, ok := ParseFacility(name); !ok || got != f || !strings.EqualFold(f.String(), name) {
			t.Errorf("%s: %v", name, got)
		}
	}
	r := &recorder{}
	l := New(r, Info)
	quiet, loud := l.WithLevel(Quiet), l.WithLevel(Debug3)
	quiet.Fatal("x")
	loud.Debug2("y")
	l.Verbose("z")
	l.SetLevel(Verbose)
	l.WithPreauth().Verbose("z2")
	if got := strings.Join(r.lines, "|"); got != "39 debug2: y|38 z2 [preauth]" {
		t.Error(got)
	}
	var none *Logger
	none.Info("x")
	none.WithPreauth().WithID(3).Error("x")
	(&Logger{}).Info("x")
}

func TestTooLong(t *testing.T) {
	r := &recorder{}
	New(r, Info).WithPreauth().Info("%s", strings.Repeat("\x00", 5000))
	if got := strings.TrimPrefix(r.lines[0], "38 "); len(got) != maxLine || !strings.HasSuffix(got, " [preauth]") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestThreat23Escape(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, 'quoted'":      "plain text, 'quoted'",
		"a\nb\rc\td":                `a\nb\rc\td`,
		"\a\b\v\f\x00\x1b[31m\x7f":  `\a\b\v\f\000\033[31m\177`,
		`back\slash`:                `back\\slash`,
		"\u00e4":                    `\303\244`,
		"\xff\xfe":                  `\377\376`,
		"x\r\nsshd[1]: Accepted pw": `x\r\nsshd[1]: Accepted pw`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("plain")
	f.Add("no such\x1b[31m\n\\x\u00e4\t\r\a")
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		for i := 0; i < len(got); i++ {
			if got[i] < ' ' || got[i] > '~' {
				t.Fatalf("%q", got)
			}
		}
	})
}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	l := New(NewWriter(&b), Debug3)
	l.Error("Bind to port %d", 22)
	l.WithPreauth().Debug2("x\ny")
	if got := b.String(); got != "Bind to port 22\r\ndebug2: x\\ny [preauth]\r\n" {
		t.Errorf("%q", got)
	}
}

func TestFileAppends(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for range 2 {
		f, err := OpenFile(name)
		if err != nil {
			t.Fatal(err)
		}
		New(NewWriter(f), Info).Info("line")
		f.Close()
	}
	data, _ := os.ReadFile(name)
	info, err := os.Stat(name)
	if err != nil || string(data) != "line\r\nline\r\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q %v %v", data, info.Mode(), err)
	}
}

// daemon is a syslog daemon for tests.
func daemon(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := NewSyslog("sshd", FacilityAuth)
	s.path = path
	l := New(s, Debug3).WithID(4711)
	d := daemon(t, path)
	form := regexp.MustCompile(`^<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d sshd\[4711\]: (.*)$`)
	for _, c := range []struct {
		call func(format string, args ...any)
		want string
	}{
		{l.Info, "38 x"}, {l.Verbose, "38 x"}, {l.Error, "35 error: x"}, {l.Fatal, "34 fatal: x"},
		{l.Debug, "39 debug1: x"}, {l.Debug3, "39 debug3: x"}, {l.WithPreauth().Error, "35 error: x [preauth]"},
	} {
		c.call("x")
		got := receive(t, d)
		m := form.FindStringSubmatch(got)
		if m == nil || m[1]+" "+m[2] != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	// The daemon is restarted.
	d.Close()
	os.Remove(path)
	d = daemon(t, path)
	l.Info("again")
	if got := receive(t, d); !strings.HasSuffix(got, ": again") {
		t.Errorf("%q", got)
	}
	s.Close()
	l.Info("after close")
	if got := receive(t, d); !strings.HasSuffix(got, ": after close") {
		t.Errorf("%q", got)
	}
}

// TestSyslogStuck checks that a daemon that does not read costs a bounded time.
func TestSyslogStuck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	daemon(t, path)
	s := NewSyslog("sshd", FacilityAuth)
	s.path = path
	l := New(s, Info)
	start := time.Now()
	for range 2000 {
		l.Info("%s", strings.Repeat("x", 900))
	}
	if took := time.Since(start); took > 4*time.Second || s.dropped == 0 {
		t.Errorf("2000 lines took %v, %d dropped", took, s.dropped)
	}
}

func TestSyslogMissing(t *testing.T) {
	s := NewSyslog("sshd", FacilityAuth)
	s.path = filepath.Join(t.TempDir(), "none")
	if s.Open() == nil {
		t.Error("opened")
	}
	New(s, Info).Info("lost")
	if s.dropped != 1 {
		t.Error(s.dropped)
	}
}

func TestSyslogStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := NewSyslog("sshd", FacilityAuth)
	s.path = path
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	New(s, Info).Info("one")
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, err := bufio.NewReader(c).ReadString(0)
	if err != nil || !strings.HasSuffix(got, ": one\x00") {
		t.Errorf("%q %v", got, err)
	}
}
