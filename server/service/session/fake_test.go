package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/wire"
)

// patience is how long a test waits for what must happen; it is not reached
// unless something is wrong.
const patience = 20 * time.Second

// fakeChannel is a channel in memory: what the session sends is kept, in order,
// and what the test gives it is the client's data.
type fakeChannel struct {
	mu       sync.Mutex
	cond     sync.Cond
	out, err bytes.Buffer
	events   []string // "eof", "close", "exit-status 0", ...
	when     map[string]time.Time
	in       []byte
	inEOF    bool
	ended    bool // closed by either side
	window   int  // bytes that may still be sent; negative: without end
	interact bool
}

func newFakeChannel() *fakeChannel {
	c := &fakeChannel{window: -1, when: map[string]time.Time{}}
	c.cond.L = &c.mu
	return c
}

func (c *fakeChannel) event(e string) {
	c.events = append(c.events, e)
	c.when[e] = time.Now()
	c.cond.Broadcast()
}

func (c *fakeChannel) put(b *bytes.Buffer, p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for len(p) > 0 {
		for c.window == 0 && !c.ended {
			c.cond.Wait()
		}
		if c.ended {
			return total, connection.ErrEnded
		}
		n := len(p)
		if c.window > 0 {
			n = min(n, c.window)
			c.window -= n
		}
		b.Write(p[:n])
		p = p[n:]
		total += n
		c.cond.Broadcast()
	}
	return total, nil
}

func (c *fakeChannel) Write(p []byte) (int, error)         { return c.put(&c.out, p) }
func (c *fakeChannel) WriteExtended(p []byte) (int, error) { return c.put(&c.err, p) }

func (c *fakeChannel) from(b *bytes.Buffer, r io.Reader) (int64, error) {
	var total int64
	p := make([]byte, 32<<10)
	for {
		c.mu.Lock()
		for c.window == 0 && !c.ended {
			c.cond.Wait()
		}
		ended := c.ended
		c.mu.Unlock()
		if ended {
			return total, connection.ErrEnded
		}
		n, err := r.Read(p)
		if n > 0 {
			if _, err := c.put(b, p[:n]); err != nil {
				return total, err
			}
			total += int64(n)
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func (c *fakeChannel) ReadFrom(r io.Reader) (int64, error)         { return c.from(&c.out, r) }
func (c *fakeChannel) ExtendedReadFrom(r io.Reader) (int64, error) { return c.from(&c.err, r) }

func (c *fakeChannel) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 && !c.inEOF && !c.ended {
		c.cond.Wait()
	}
	if len(c.in) == 0 || c.ended {
		return 0, io.EOF
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *fakeChannel) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

func (c *fakeChannel) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.event("eof")
	return nil
}

func (c *fakeChannel) SendRequest(name string, wantReply bool, payload []byte) (bool, error) {
	if wantReply {
		panic("a server's requests on a session want no reply")
	}
	e := name
	r := wire.NewReader(payload)
	switch name {
	case "exit-status":
		e = fmt.Sprintf("exit-status %d", r.Uint32())
	case "exit-signal":
		e = "exit-signal " + r.Text()
		r.Bool()
		e += r.Text() + r.Text()
	}
	if err := r.End(); err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false, connection.ErrEnded
	}
	c.event(e)
	return true, nil
}

func (c *fakeChannel) SetUse(string) {}

func (c *fakeChannel) SetInteractive(yes bool) {
	c.mu.Lock()
	c.interact = yes
	c.mu.Unlock()
}

func (c *fakeChannel) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.event("close")
	}
	c.ended = true
	c.cond.Broadcast()
	return nil
}

// client drives one session.
type client struct {
	t  *testing.T
	x  *session
	ch *fakeChannel
}

func newClient(t *testing.T, s *Server) *client {
	t.Helper()
	x := s.admit()
	if x == nil {
		t.Fatal("no session")
	}
	c := &client{t, x, newFakeChannel()}
	x.attach(c.ch)
	t.Cleanup(c.hangup)
	return c
}

// request sends a request as connection.Channel hands it over.
func (c *client) request(name string, payload []byte) bool {
	ok, then := c.x.request(name, payload)
	if then != nil {
		go c.x.guard(then)
	}
	return ok
}

func (c *client) must(name string, payload []byte) {
	c.t.Helper()
	if !c.request(name, payload) {
		c.t.Fatalf("%s is refused", name)
	}
}

func (c *client) exec(command string) { c.t.Helper(); c.must("exec", text(command)) }

func (c *client) pty() { c.t.Helper(); c.must("pty-req", ptyPayload("vt100", 80, 24, nil)) }

// write gives the session data of the client.
func (c *client) write(s string) {
	c.ch.mu.Lock()
	c.ch.in = append(c.ch.in, s...)
	c.ch.cond.Broadcast()
	c.ch.mu.Unlock()
}

func (c *client) eof() {
	c.ch.mu.Lock()
	c.ch.inEOF = true
	c.ch.cond.Broadcast()
	c.ch.mu.Unlock()
}

// hangup is the client closing the channel, or its connection's end.
func (c *client) hangup() {
	c.ch.mu.Lock()
	c.ch.ended = true
	c.ch.cond.Broadcast()
	c.ch.mu.Unlock()
	c.x.Closed()
}

// pid is the session's program.
func (c *client) pid() int {
	c.x.mu.Lock()
	defer c.x.mu.Unlock()
	return c.x.program.pid
}

// until waits for a condition on the channel.
func (c *client) until(what string, f func() bool) {
	c.t.Helper()
	late := time.AfterFunc(patience, func() {
		c.ch.mu.Lock()
		c.ch.cond.Broadcast()
		c.ch.mu.Unlock()
	})
	defer late.Stop()
	deadline := time.Now().Add(patience)
	c.ch.mu.Lock()
	defer c.ch.mu.Unlock()
	for !f() {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited in vain for %s: events %q, out %.300q, err %.300q", what, c.ch.events, c.ch.out.String(), c.ch.err.String())
		}
		c.ch.cond.Wait()
	}
}

// output waits for text on stdout.
func (c *client) output(s string) {
	c.t.Helper()
	c.until(strconv.Quote(s), func() bool { return strings.Contains(c.ch.out.String(), s) })
}

// result is all that came of a session.
type result struct {
	out, err, events string
}

// wait waits for the server's CLOSE.
func (c *client) wait() result {
	c.t.Helper()
	c.until("CLOSE", func() bool { return c.ch.ended })
	c.ch.mu.Lock()
	defer c.ch.mu.Unlock()
	return result{c.ch.out.String(), c.ch.err.String(), strings.Join(c.ch.events, ", ")}
}

// gone waits until the session's number is free: its program is reaped.
func (c *client) gone() {
	c.t.Helper()
	eventually(c.t, "the end of the session", func() bool {
		s := c.x.server
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.slots[c.x.id] != c.x
	})
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func text(s string) []byte { return wire.AppendText(nil, s) }

func size(cols, rows uint32) []byte {
	b := wire.AppendUint32(nil, cols)
	b = wire.AppendUint32(b, rows)
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0)
}

func ptyPayload(term string, cols, rows uint32, modes []byte) []byte {
	return wire.AppendString(append(text(term), size(cols, rows)...), modes)
}

func envPayload(name, value string) []byte { return wire.AppendText(text(name), value) }

func modeBytes(opcode byte, argument uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{opcode}, argument)
}

// logged is a Logger that keeps its lines.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}
func (l *logged) Errorf(f string, a ...any)        { l.add("error: "+f, a...) }
func (l *logged) Infof(f string, a ...any)         { l.add("info: "+f, a...) }
func (l *logged) Verbosef(f string, a ...any)      { l.add("verbose: "+f, a...) }
func (l *logged) Debugf(_ int, f string, a ...any) { l.add("debug: "+f, a...) }

func (l *logged) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.lines {
		if strings.Contains(s, line) {
			return true
		}
	}
	return false
}

func (l *logged) expect(t *testing.T, line string) {
	t.Helper()
	if !l.has(line) {
		t.Errorf("log has no line %q: %q", line, l.lines)
	}
}

// testPolicy is a policy for whoever runs the tests, in an empty home, with /bin/sh.
func testPolicy(t *testing.T) *Policy {
	t.Helper()
	a, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	a.Home, a.Shell = t.TempDir(), "/bin/sh"
	// A home with a shell's start files of the machine's own would be no test.
	return &Policy{
		Account: a, PermitPTY: true, PermitUserRC: true, PrintMotd: true, MaxSessions: 1000,
		RemoteAddr: "192.0.2.7", RemotePort: "50000", LocalAddr: "192.0.2.1", LocalPort: "22", Log: &logged{},
	}
}

func (p *Policy) logged() *logged { return p.Log.(*logged) }

// testServer serves the policy, and checks in the end that nothing is left over:
// no session, process or descriptor.
func testServer(t *testing.T, p *Policy) *Server {
	t.Helper()
	before := descriptors(t)
	s := NewServer(p, Local{p.Account})
	t.Cleanup(func() {
		s.Close()
		eventually(t, "the end of all sessions", func() bool { return s.Active() == 0 })
		eventually(t, "the end of all processes", func() bool { return len(children(t)) == 0 })
		eventually(t, "all descriptors to be closed", func() bool { return len(descriptors(t)) <= len(before) })
	})
	return s
}

// run executes a command under a policy and returns what came of it.
func run(t *testing.T, p *Policy, command string) result {
	t.Helper()
	c := newClient(t, testServer(t, p))
	c.eof()
	c.exec(command)
	return c.wait()
}

func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The poller's own and the directory just read come and go.
		if err == nil && !strings.Contains(target, "eventpoll") && !strings.Contains(target, "eventfd") {
			list = append(list, e.Name()+" "+target)
		}
	}
	return list
}

func children(t *testing.T) []string {
	t.Helper()
	var list []string
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		list = append(list, strings.Fields(string(b))...)
	}
	return list
}

func asRoot() bool { return os.Geteuid() == 0 }
