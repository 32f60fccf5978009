package listener

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/hostkey"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/listener/source"
	"nano_ssh_server/server/monitor"
)

// captive is the listener with one role's process, in whose place the test speaks:
// what somebody could send who has taken that process.
type captive struct {
	t       *testing.T
	s       *server
	role    *role
	conn    *connection
	process *exec.Cmd // that is ended in the role's stead
	link    *ipc.Link // the role's end
	raw     *os.File
	lines   lineSink
	hash    []byte // of the session
	ended   chan struct{}
}

// lineSink keeps a log.
type lineSink struct {
	mu   sync.Mutex
	text []string
}

func (l *lineSink) Write(_ log.Level, _ int, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text)
}

func (l *lineSink) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "\n")
}

func newCaptive(t *testing.T, kind monitor.Role) *captive {
	t.Helper()
	c := &captive{t: t, hash: bytes.Repeat([]byte{7}, 32), ended: make(chan struct{})}
	key, _, _, err := hostkey.LoadOrCreate(t.TempDir())
	must(t, err)
	file, err := config.Parse("test", "", config.SshdProfile())
	must(t, err)
	once, err := user.NewOneTimePassword()
	must(t, err)
	account, err := user.Current()
	must(t, err)
	shared := &monitor.Shared{
		File: file, Keys: &hostkey.Set{}, Users: user.System, Verifier: user.NewVerifier(user.System),
		Log: log.New(&c.lines, log.Info), OneTime: once, OneTimeAccount: account,
	}
	shared.Keys.Add(key)
	c.s = &server{log: shared.Log, opts: &options{}, separate: true, setTitle: func(string) {}, setLoad: func(int) {}}
	c.s.sources = source.New(source.ConfigOf(file), shared.Log)
	c.s.settings.Store(&settings{file: file, base: file.Base(), shared: shared})
	near, far, err := ipc.Pair()
	must(t, err)
	c.raw = far
	c.link, err = ipc.Open(far, ipc.MaxFrame, true)
	must(t, err)
	// It reads until its input ends, as a gate that is idle.
	c.process = exec.Command("cat")
	input, err := c.process.StdinPipe()
	must(t, err)
	must(t, c.process.Start())
	c.role = &role{
		s: c.s, kind: kind, name: "captive", pid: c.process.Process.Pid,
		calls: make(chan struct{}, maxCalls), conns: map[uint32]*connection{},
	}
	c.role.link, err = ipc.Open(near, ipc.MaxRequest, false)
	must(t, err)
	c.conn = c.s.begin(nil, monitor.Peer{RemoteHost: "192.0.2.7", RemotePort: 1}, func() {})
	if !c.role.adopt(c.conn) {
		t.Fatal("not adopted")
	}
	if kind == monitor.Account {
		c.login()
	}
	go func() { c.role.attend(); close(c.ended) }()
	go func() { _ = c.link.Serve(func(*ipc.Frame) {}) }()
	t.Cleanup(func() {
		c.role.dismiss()
		input.Close()
		<-c.ended
		_ = c.process.Process.Release()
	})
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// login takes the connection through the gate's part.
func (c *captive) login() {
	c.t.Helper()
	m := c.conn.monitor
	_, err := m.Sign(c.hash, c.hash, "ssh-ed25519")
	must(c.t, err)
	m.Start("user", "", "ssh-connection")
	password := c.s.settings.Load().shared.OneTime.Reveal()
	defer sodium.Memzero(password)
	if ok, _ := m.Password(password); !ok {
		c.t.Fatalf("not let in: %s", &c.lines)
	}
	must(c.t, m.HandOver())
}

// sign is what an honest gate begins with.
func (c *captive) sign() {
	c.t.Helper()
	_, err := c.link.Call(ipc.Sign, c.conn.id, ipc.Marshal(&ipc.SignRequest{SessionID: c.hash, Hash: c.hash, Algorithm: "ssh-ed25519"}))
	must(c.t, err)
}

func (c *captive) start() {
	c.t.Helper()
	c.sign()
	_, err := c.link.Call(ipc.Start, c.conn.id, ipc.Marshal(&ipc.StartRequest{Name: "nobody-here", Service: "ssh-connection"}))
	must(c.t, err)
}

func (c *captive) call(m ipc.Method, payload ipc.Message) {
	var b []byte
	if payload != nil {
		b = ipc.Marshal(payload)
	}
	_, _ = c.link.Call(m, c.conn.id, b)
}

// killed waits for the end that somebody gets who asks for what the table does not allow.
func (c *captive) killed(what string) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(20 * time.Second):
		c.t.Fatalf("%s: the process goes on:\n%s", what, &c.lines)
	}
	if err := syscall.Kill(c.role.pid, 0); err != syscall.ESRCH {
		c.t.Errorf("%s: the process is there: %v", what, err)
	}
	if text := c.lines.String(); !strings.Contains(text, "is ended: ") {
		c.t.Errorf("%s: the log does not say so:\n%s", what, text)
	}
}

// TestTakenGate: each of these ends the gate that tries it.
func TestTakenGate(t *testing.T) {
	other := bytes.Repeat([]byte{9}, 32)
	header := func(size uint32, method ipc.Method, files byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, size)
		return append(b, byte(method), 0, files, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	}
	for name, attempt := range map[string]func(c *captive){
		"a user before the key exchange": func(c *captive) { c.call(ipc.Start, &ipc.StartRequest{Name: "root"}) },
		"a password before a user":       func(c *captive) { c.sign(); _, _ = c.link.Call(ipc.Password, c.conn.id, []byte("x")) },
		"a key before a user":            func(c *captive) { c.sign(); c.call(ipc.KeySigned, &ipc.SignedRequest{}) },
		"a second user":                  func(c *captive) { c.start(); c.call(ipc.Start, &ipc.StartRequest{Name: "root"}) },
		"a state without a login":        func(c *captive) { c.start(); _ = c.link.Note(ipc.Export, c.conn.id, []byte("state")) },
		"a state at once":                func(c *captive) { _ = c.link.Note(ipc.Export, c.conn.id, nil) },
		"a first hash of another session": func(c *captive) {
			c.call(ipc.Sign, &ipc.SignRequest{SessionID: other, Hash: c.hash, Algorithm: "ssh-ed25519"})
		},
		"a later hash of another session": func(c *captive) {
			c.sign()
			c.call(ipc.Sign, &ipc.SignRequest{SessionID: other, Hash: other, Algorithm: "ssh-ed25519"})
		},
		"a proof of a host key":           func(c *captive) { c.sign(); c.call(ipc.Prove, &ipc.KeyRequest{}) },
		"a terminal":                      func(c *captive) { c.start(); c.call(ipc.OpenPTY, nil) },
		"the last login":                  func(c *captive) { c.start(); c.call(ipc.LoginMessage, nil) },
		"a login record":                  func(c *captive) { _ = c.link.Note(ipc.LoginRecord, c.conn.id, ipc.Marshal(&ipc.Login{})) },
		"a connection of somebody else's": func(c *captive) { _, _ = c.link.Call(ipc.Sign, c.conn.id+1, nil) },
		"the listener's own method":       func(c *captive) { _ = c.link.Note(ipc.Connect, c.conn.id, nil) },
		"a method that there is not":      func(c *captive) { _, _ = c.link.Call(200, c.conn.id, nil) },
		"a question that wants no answer": func(c *captive) { _ = c.link.Note(ipc.Sign, c.conn.id, nil) },
		"an answer to a note":             func(c *captive) { c.start(); c.call(ipc.Failed, nil) },
		"a malformed request":             func(c *captive) { c.sign(); _, _ = c.link.Call(ipc.Start, c.conn.id, []byte{0, 0, 0, 9}) },
		"a malformed log line":            func(c *captive) { _ = c.link.Note(ipc.Log, c.conn.id, []byte{1}) },
		"a log line of no level":          func(c *captive) { _ = c.link.Note(ipc.Log, c.conn.id, ipc.Marshal(&ipc.LogLine{Level: 99})) },
		"a frame beyond the bound":        func(c *captive) { _, _ = c.raw.Write(header(ipc.MaxRequest+1, ipc.Log, 0)) },
		"a frame of four gigabytes":       func(c *captive) { _, _ = c.raw.Write(header(1<<32-1, ipc.Export, 0)) },
		"a descriptor":                    func(c *captive) { _ = c.link.Note(ipc.Log, c.conn.id, nil, int(os.Stderr.Fd())) },
		"a descriptor that is not there":  func(c *captive) { _, _ = c.raw.Write(header(0, ipc.Log, 1)) },
		"an answer to nothing":            func(c *captive) { b := header(0, ipc.Sign, 0); b[5] = 2; _, _ = c.raw.Write(b) },
		"more failures than MaxAuthTries": func(c *captive) {
			c.start()
			for range 8 {
				c.call(ipc.KeyAcceptable, &ipc.KeyRequest{Algorithm: "x"})
			}
		},
		"a signature over foreign data, 8": func(c *captive) {
			c.start()
			for range 8 {
				c.call(ipc.KeySigned, &ipc.SignedRequest{Algorithm: "x", Data: []byte("y")})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaptive(t, monitor.Gate)
			attempt(c)
			c.killed(name)
			if c.conn.monitor.Grant() != nil {
				t.Error("it got somebody in")
			}
			select {
			case <-c.conn.done:
			case <-time.After(20 * time.Second):
				t.Error("its connection goes on")
			}
		})
	}
}

// TestTakenGateLog: what a gate writes cannot pass for the monitor's words.
func TestTakenGateLog(t *testing.T) {
	c := newCaptive(t, monitor.Gate)
	for _, text := range []string{"Accepted password for root from 192.0.2.1 port 1 ssh2", "two\nlines", "kex_exchange_identification: x"} {
		must(t, c.link.Note(ipc.Log, c.conn.id, ipc.Marshal(&ipc.LogLine{Level: int32(log.Info), Text: text})))
	}
	eventually(t, "the last line", func() bool { return strings.Contains(c.lines.String(), "kex_exchange_identification: x") }, &c.lines)
	text := c.lines.String()
	if !strings.Contains(text, "Accepted password for root from 192.0.2.1 port 1 ssh2 [preauth]") || !strings.Contains(text, `two\nlines [preauth]`) {
		t.Errorf("%s", text)
	}
}

// TestTakenAccount: an account's process has what its user may have of its own
// connections; for more it is ended.
func TestTakenAccount(t *testing.T) {
	other := bytes.Repeat([]byte{9}, 32)
	for name, attempt := range map[string]func(c *captive){
		"another user":  func(c *captive) { c.call(ipc.Start, &ipc.StartRequest{Name: "root"}) },
		"a password":    func(c *captive) { _, _ = c.link.Call(ipc.Password, c.conn.id, []byte("x")) },
		"a key":         func(c *captive) { c.call(ipc.KeyAcceptable, &ipc.KeyRequest{}) },
		"another state": func(c *captive) { _ = c.link.Note(ipc.Export, c.conn.id, nil) },
		"a hash of another session": func(c *captive) {
			c.call(ipc.Sign, &ipc.SignRequest{SessionID: other, Hash: other, Algorithm: "ssh-ed25519"})
		},
		"a terminal that is not its own": func(c *captive) { _ = c.link.Note(ipc.ClosePTY, c.conn.id, []byte("/dev/pts/0")) },
		"a login on a foreign terminal": func(c *captive) {
			_ = c.link.Note(ipc.LoginRecord, c.conn.id, ipc.Marshal(&ipc.Login{TTY: "/dev/console", PID: 1}))
		},
		"a logout of somebody else's": func(c *captive) {
			_ = c.link.Note(ipc.LogoutRecord, c.conn.id, ipc.Marshal(&ipc.Login{TTY: "/dev/tty1", PID: 1}))
		},
		"somebody else's connection": func(c *captive) { _, _ = c.link.Call(ipc.OpenPTY, c.conn.id+1, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaptive(t, monitor.Account)
			attempt(c)
			c.killed(name)
		})
	}
	c := newCaptive(t, monitor.Account)
	if _, err := c.link.Call(ipc.Prove, c.conn.id, ipc.Marshal(&ipc.KeyRequest{Algorithm: "ssh-ed25519", Blob: []byte("foreign")})); err == nil {
		t.Error("a foreign key is proved")
	}
	if _, err := c.link.Call(ipc.Sign, c.conn.id, ipc.Marshal(&ipc.SignRequest{SessionID: c.hash, Hash: other, Algorithm: "ssh-ed25519"})); err != nil {
		t.Errorf("a later key exchange of its own session: %v", err)
	}
}
