package tun

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/transport"
)

// patience is how long a test waits for what must happen; it is not reached
// unless something is wrong.
const patience = 20 * time.Second

// end is one end of a transport in memory.
type end struct {
	mu      sync.Mutex
	cond    sync.Cond
	queue   [][]byte
	closed  bool
	other   *end
	reclaim func()
}

func (e *end) OnReclaim(f func()) { e.reclaim = f }

func (e *end) Receive() ([]byte, error) {
	e.reclaim()
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) == 0 && !e.closed {
		e.cond.Wait()
	}
	if len(e.queue) == 0 {
		return nil, io.EOF
	}
	b := e.queue[0]
	e.queue = e.queue[1:]
	return b, nil
}

func (e *end) Send(b []byte) error {
	o := e.other
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, bytes.Clone(b))
	o.cond.Broadcast()
	return nil
}

func (e *end) SendPacket(p *transport.Packet, _ transport.Class, _ bool) error {
	if p.Cancel != nil && p.Cancel.Load() {
		return transport.ErrCancelled
	}
	return e.Send(p.Payload())
}

func (e *end) QueuePacket(p *transport.Packet, c transport.Class) error {
	return e.SendPacket(p, c, false)
}

func (e *end) Close() error {
	for _, x := range []*end{e, e.other} {
		x.mu.Lock()
		x.closed = true
		x.cond.Broadcast()
		x.mu.Unlock()
	}
	return nil
}

// pairServing returns two ends of a connection, of which the first serves channels.
func pairServing(t *testing.T, open map[string]func(*connection.NewChannel)) (server, client *connection.Mux) {
	t.Helper()
	a, b := &end{}, &end{}
	a.other, b.other = b, a
	a.cond.L, b.cond.L = &a.mu, &b.mu
	server = connection.New(a, &connection.Config{Open: open})
	client = connection.New(b, &connection.Config{})
	var served sync.WaitGroup
	for _, m := range []*connection.Mux{server, client} {
		served.Add(1)
		go func() { defer served.Done(); _ = m.Serve() }()
	}
	t.Cleanup(func() { server.Close(); client.Close(); served.Wait() })
	return server, client
}

// quiet is the handler of a channel that gets no requests.
type quiet struct{ closed chan struct{} }

func newQuiet() *quiet                       { return &quiet{make(chan struct{})} }
func (q *quiet) Request(*connection.Request) {}
func (q *quiet) Closed()                     { close(q.closed) }

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
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

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
