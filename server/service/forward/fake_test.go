package forward

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

// patience is how long a test waits for what must happen; it is not reached
// unless something is wrong.
const patience = 20 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// pipe is one direction of a transport in memory. Data waits while a socket's buffer
// full of it is under way; control messages never do.
type pipe struct {
	mu     sync.Mutex
	cond   sync.Cond
	queue  [][]byte
	bytes  int
	total  int // bytes that were ever put
	closed bool

	reclaim func()
}

const pipeBuffer = 256 << 10

func newPipe() *pipe {
	p := &pipe{}
	p.cond.L = &p.mu
	return p
}

func (p *pipe) put(b []byte, wait bool, cancelled func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for wait && p.bytes > pipeBuffer && !p.closed {
		p.cond.Wait()
	}
	if p.closed {
		return io.ErrClosedPipe
	}
	if cancelled() {
		return transport.ErrCancelled
	}
	p.queue = append(p.queue, bytes.Clone(b))
	p.bytes += len(b)
	p.total += len(b)
	p.cond.Broadcast()
	return nil
}

func (p *pipe) get() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && !p.closed {
		p.cond.Wait()
	}
	if len(p.queue) == 0 {
		return nil, io.EOF
	}
	b := p.queue[0]
	p.queue = p.queue[1:]
	p.bytes -= len(b)
	p.cond.Broadcast()
	return b, nil
}

func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.cond.Broadcast()
	p.mu.Unlock()
}

// end is one end of a transport.
type end struct{ in, out *pipe }

func never() bool { return false }

func (e end) OnReclaim(f func()) { e.in.reclaim = f }

func (e end) Receive() ([]byte, error) {
	e.in.reclaim()
	return e.in.get()
}

func (e end) Send(b []byte) error { return e.out.put(b, false, never) }
func (e end) Close() error        { e.in.close(); e.out.close(); return nil }

func (e end) SendPacket(p *transport.Packet, _ transport.Class, _ bool) error { return e.send(p, true) }
func (e end) QueuePacket(p *transport.Packet, _ transport.Class) error        { return e.send(p, false) }

func (e end) send(p *transport.Packet, wait bool) error {
	defer p.Discard()
	return e.out.put(p.Payload(), wait, func() bool { return p.Cancel != nil && p.Cancel.Load() })
}

// logged keeps log lines, "level: text".
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) add(level, format string, args ...any) {
	l.mu.Lock()
	l.lines = append(l.lines, level+": "+fmt.Sprintf(format, args...))
	l.mu.Unlock()
}

func (l *logged) Errorf(f string, a ...any)            { l.add("error", f, a...) }
func (l *logged) Infof(f string, a ...any)             { l.add("info", f, a...) }
func (l *logged) Verbosef(f string, a ...any)          { l.add("verbose", f, a...) }
func (l *logged) Debugf(level int, f string, a ...any) { l.add(fmt.Sprintf("debug%d", level), f, a...) }

func (l *logged) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, have := range l.lines {
		if have == line {
			return true
		}
	}
	return false
}

func (l *logged) expect(t testing.TB, line string) {
	t.Helper()
	if !l.has(line) {
		t.Errorf("no line %q in\n%s", line, strings.Join(l.lines, "\n"))
	}
}

// everything is a policy that allows all there is.
func everything() *Policy {
	return &Policy{
		UID: os.Geteuid(), PortForwarding: true, AllowTCP: config.ForwardAll, AllowStreamLocal: config.ForwardAll,
		StreamLocalBindMask: 0o177, RemoteAddr: "192.0.2.7", RemotePort: 50000, Log: &logged{},
	}
}

// rig is a server and a client, each a Mux, with a transport in memory between them.
type rig struct {
	t      testing.TB
	log    *logged
	server *Server
	out    *pipe
	mux    *connection.Mux // the server's
	client *connection.Mux
	come   chan *connection.NewChannel // what the server opens
	closed sync.Once
	ended  sync.WaitGroup
}

// newRig serves a policy. At the end of the test nothing of it may be left.
func newRig(t testing.TB, p *Policy) *rig {
	before := runtime.NumGoroutine()
	r := &rig{t: t, log: p.Log.(*logged), come: make(chan *connection.NewChannel, 100)}
	a, b := newPipe(), newPipe()
	r.out = b
	r.server = NewServer(p, nil)
	cfg := &connection.Config{}
	r.server.Register(cfg)
	r.mux = connection.New(end{a, b}, cfg)
	r.server.SetOpener(r.mux)
	hold := func(n *connection.NewChannel) { r.come <- n; <-r.client.Done() }
	r.client = connection.New(end{b, a}, &connection.Config{Open: map[string]func(*connection.NewChannel){
		"forwarded-tcpip": hold, "forwarded-streamlocal@openssh.com": hold,
	}})
	r.ended.Go(func() { _ = r.mux.Serve() })
	r.ended.Go(func() { _ = r.client.Serve() })
	t.Cleanup(func() {
		r.close()
		listeners, connections := r.server.Counts()
		if listeners != 0 || connections != 0 || r.mux.Counts() != 0 {
			t.Errorf("left: %d listeners, %d connections, %d channels", listeners, connections, r.mux.Counts())
		}
		eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
	})
	return r
}

// close ends the connection as the account role does.
func (r *rig) close() {
	r.closed.Do(func() {
		r.client.Close()
		r.mux.Close()
		r.ended.Wait()
		r.server.Close()
		if r.log.has("error: forwarded connections did not end") {
			r.t.Error("forwarded connections did not end")
		}
	})
}

// watcher is the client's handler of a channel. It keeps what has not been read when
// the server closes the channel, as OpenSSH's client does.
type watcher struct {
	ch     *connection.Channel
	once   sync.Once
	closed chan struct{}
}

func newWatcher() *watcher                   { return &watcher{closed: make(chan struct{})} }
func (*watcher) Request(*connection.Request) {}
func (w *watcher) Closed()                   { w.once.Do(func() { close(w.closed) }) }
func (w *watcher) HoldClose() bool           { w.Closed(); return true }

// wait waits for the server's CLOSE and answers it.
func (w *watcher) wait(t testing.TB) {
	t.Helper()
	select {
	case <-w.closed:
		_ = w.ch.Close()
	case <-time.After(patience):
		t.Fatal("CLOSE: not in time")
	}
}

func directTCP(host string, port int) []byte {
	return forwardedTCP(host, port, "127.0.0.1", 1234)
}

func directStreamLocal(path string) []byte {
	return wire.AppendUint32(wire.AppendText(wire.AppendText(nil, path), ""), 0)
}

// dial opens a channel to a socket that the test listens on.
func (r *rig) dial(to net.Addr) (*connection.Channel, *watcher) {
	r.t.Helper()
	w := newWatcher()
	kind, extra := "direct-streamlocal@openssh.com", directStreamLocal(to.String())
	if a, ok := to.(*net.TCPAddr); ok {
		kind, extra = "direct-tcpip", directTCP(a.IP.String(), a.Port)
	}
	ch, err := r.client.OpenChannel(kind, extra, w)
	if err != nil {
		r.t.Fatal(err)
	}
	w.ch = ch
	return ch, w
}

// request sends a global request of the client.
func (r *rig) request(name string, payload []byte) ([]byte, bool) {
	r.t.Helper()
	ok, reply, err := r.client.SendGlobal(name, true, payload)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply, ok
}

// forward asks for a port on an address and returns the one it is on.
func (r *rig) forward(address string) int {
	r.t.Helper()
	reply, ok := r.request("tcpip-forward", listenPayload(address, 0))
	n := wire.NewReader(reply)
	port := int(n.Uint32())
	if !ok || n.End() != nil || port == 0 {
		r.t.Fatalf("forward %q: %v, %x\n%s", address, ok, reply, strings.Join(r.log.lines, "\n"))
	}
	return port
}

func listenPayload(address string, port int) []byte {
	return wire.AppendUint32(wire.AppendText(nil, address), uint32(port))
}

// next accepts the channel that the server opens next.
func (r *rig) next() (*connection.NewChannel, *connection.Channel, *watcher) {
	r.t.Helper()
	select {
	case n := <-r.come:
		w := newWatcher()
		w.ch = n.Accept(w)
		return n, w.ch, w
	case <-time.After(patience):
		r.t.Fatal("no channel came")
	}
	return nil, nil, nil
}

// target listens on loopback, or on a local socket in a folder of the test's.
func target(t testing.TB, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = tempDir(t) + "/s"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// tempDir is short, so that sockets fit into it: t.TempDir has the test's name in it.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fwd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func accept(t testing.TB, l net.Listener) stream {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(stream)
}

// text reads all that comes until the end.
func text(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("reading: %v", err)
	}
	return string(b)
}

func write(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Errorf("writing: %v", err)
	}
}
