// Package connection is the server side of the SSH connection protocol
// (RFC 4254): channels, their windows, channel and global requests.
//
// The account role runs one Mux for each connection. Services register for
// channel types and global requests by name and never see a packet.
//
// The goroutine of Serve reads packets and never waits for a service: data goes
// straight to a consumer that can take it at once or to a queue that the window
// bounds; requests go to a queue per channel, worked off by a goroutine that
// lives as long as the queue has entries; opening a channel runs in a goroutine
// of its own. An idle channel costs no goroutine of this package.
package connection

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

const (
	// DefaultMaxChannels bounds the channels of one connection, half-open ones
	// included. OpenSSH bounds only sessions; a browser behind a SOCKS forward
	// opens some hundreds. A channel that is open and idle pins about 1 KiB.
	DefaultMaxChannels = 4096
	// maxRequestBytes and maxRequests bound what waits in one request queue. A
	// client may send its whole environment without waiting for an answer: the
	// kernel's own bound for that is 128 KiB a variable and some MiB in all.
	maxRequestBytes = 1 << 20
	maxRequests     = 4096
)

// Transport is what the connection protocol needs of transport.Conn.
type Transport interface {
	Receive() ([]byte, error)
	OnReclaim(f func())
	Send(payload []byte) error
	SendPacket(p *transport.Packet, class transport.Class, more bool) error
	QueuePacket(p *transport.Packet, class transport.Class) error
	Close() error
}

// Config says what a connection offers.
type Config struct {
	MaxChannels int // 0: DefaultMaxChannels
	// Open maps a channel type to its service. It is called in a goroutine of
	// its own and calls Accept or Reject exactly once; a return without either rejects.
	Open map[string]func(*NewChannel)
	// Arriving, if set, is told the type of each channel that Open will be called for,
	// by the goroutine of Serve and so in the order of arrival. It must not block.
	Arriving func(kind string)
	// Global maps a global request to its service, called one at a time in the
	// order of arrival. It may block.
	Global map[string]func(*GlobalRequest)
	// Recovered is told, on the stack of the panic, of one in a service or in a
	// goroutine of this package; the connection ends then. nil: the panic goes on.
	Recovered func(v any)
}

// Mux is one connection.
type Mux struct {
	t        Transport
	cfg      *Config
	received atomic.Uint64
	grown    atomic.Int64 // of the channels' windows: recvWindow

	// Serve's own: the channel that got data of which its consumer does not know yet,
	// and data of it that lies where the transport decrypted it.
	fresh *Channel
	lent  [][]byte

	mu       sync.Mutex
	channels []*Channel // index: our number; nil: free
	count    int
	ended    error
	done     chan struct{}
	global   queue[*GlobalRequest]
	replies  []chan globalReply // requests of ours, in the order they were sent
}

type globalReply struct {
	ok      bool
	payload []byte
}

// New returns a Mux over an authenticated transport.
func New(t Transport, cfg *Config) *Mux {
	return &Mux{t: t, cfg: cfg, done: make(chan struct{})}
}

// Done is closed when the connection has ended.
func (m *Mux) Done() <-chan struct{} { return m.done }

// Received counts the packets of the client: it moves while the client lives.
func (m *Mux) Received() uint64 { return m.received.Load() }

// Counts returns how many channels are open or half-open.
func (m *Mux) Counts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// Channels returns the channels that are open or half-open.
func (m *Mux) Channels() []*Channel {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Channel, 0, m.count)
	for _, c := range m.channels {
		if c != nil {
			list = append(list, c)
		}
	}
	return list
}

// Serve reads packets until the connection ends and returns why. All channels
// are closed then.
func (m *Mux) Serve() error {
	m.t.OnReclaim(m.deliver)
	for {
		payload, err := m.t.Receive()
		m.received.Add(1)
		if err == nil {
			err = m.dispatch(payload)
		}
		if err != nil {
			m.deliver()
			m.end(err)
			return err
		}
	}
}

// maxLent is how many packets a consumer gets at once: as many full ones as the
// transport reads at once, and their pieces.
const maxLent = 16

// deliver passes on the data that came since the last call. Several packets of one
// channel are one step for its consumer, and one that takes them at once (Taker) has
// them from where they were decrypted: of a stream of 1 GB to a program or through a
// forward this saves a fifth of the process's time.
func (m *Mux) deliver() {
	c := m.fresh
	if c == nil {
		return
	}
	c.deliver(m.lent)
	clear(m.lent)
	m.fresh, m.lent = nil, m.lent[:0]
}

func errProtocol(format string, args ...any) error {
	return &transport.PeerError{Reason: msg.ReasonProtocolError, Text: fmt.Sprintf(format, args...)}
}

// dispatch handles one message (RFC 4254). Numbers that name no message of this
// protocol never come here: the transport's phase table keeps them out.
func (m *Mux) dispatch(payload []byte) error {
	r := wire.NewReader(payload[1:])
	switch payload[0] {
	case msg.GlobalRequest:
		return m.onGlobalRequest(r)
	case msg.RequestSuccess, msg.RequestFailure:
		return m.onGlobalReply(payload[0] == msg.RequestSuccess, r.Rest())
	case msg.ChannelOpen:
		return m.onOpen(r)
	case msg.ChannelOpenConfirmation, msg.ChannelOpenFailure, msg.ChannelWindowAdjust, msg.ChannelData,
		msg.ChannelExtendedData, msg.ChannelEOF, msg.ChannelClose, msg.ChannelRequest, msg.ChannelSuccess, msg.ChannelFailure:
	default:
		return errProtocol("unexpected message %s", msg.Name(payload[0]))
	}
	id := r.Uint32()
	if r.Err() != nil {
		return errProtocol("malformed %s", msg.Name(payload[0]))
	}
	c := m.channel(id)
	if c == m.fresh && payload[0] != msg.ChannelData {
		m.deliver() // what follows data comes after it
	}
	if c == nil {
		return errProtocol("%s packet referred to nonexistent channel %d", msg.Name(payload[0]), id)
	}
	return c.handle(payload[0], r)
}

func (m *Mux) channel(id uint32) *Channel {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(id) >= uint64(len(m.channels)) {
		return nil
	}
	return m.channels[id]
}

// add gives c a number. It fails when the connection has too many or is gone.
func (m *Mux) add(c *Channel) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	limit := m.cfg.MaxChannels
	if limit == 0 {
		limit = DefaultMaxChannels
	}
	if m.ended != nil || m.count >= limit {
		return false
	}
	m.count++
	for i, other := range m.channels {
		if other == nil {
			c.id = uint32(i)
			m.channels[i] = c
			return true
		}
	}
	c.id = uint32(len(m.channels))
	m.channels = append(m.channels, c)
	return true
}

func (m *Mux) remove(c *Channel) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if int(c.id) < len(m.channels) && m.channels[c.id] == c {
		m.channels[c.id] = nil
		m.count--
	}
}

// end closes everything that hangs on the connection.
func (m *Mux) end(err error) {
	m.mu.Lock()
	if m.ended != nil {
		m.mu.Unlock()
		return
	}
	m.ended = err
	channels := m.channels
	m.channels, m.count = nil, 0
	replies := m.replies
	m.replies = nil
	close(m.done)
	m.mu.Unlock()
	_ = m.t.Close()
	for _, reply := range replies {
		close(reply)
	}
	for _, c := range channels {
		if c != nil {
			c.gone()
		}
	}
}

// Close ends the connection from any goroutine.
func (m *Mux) Close() { m.end(io.ErrClosedPipe) }

// guard runs f and turns its panic into the end of this connection only.
func (m *Mux) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			if m.cfg.Recovered == nil {
				panic(v)
			}
			m.cfg.Recovered(v)
			m.end(fmt.Errorf("internal error: %v", v))
		}
	}()
	f()
}

// ErrEnded is returned by calls on a connection or channel that has ended.
var ErrEnded = errors.New("connection: ended")

// GlobalRequest is a request of the client about the whole connection
// (RFC 4254 section 4).
type GlobalRequest struct {
	Name      string
	WantReply bool
	Payload   []byte
	mux       *Mux
	replied   bool
}

// Reply answers; payload belongs to success only. Only the first call counts,
// and none if the client wants no reply.
func (g *GlobalRequest) Reply(ok bool, payload []byte) {
	if g.replied || !g.WantReply {
		return
	}
	g.replied = true
	number := byte(msg.RequestFailure)
	if ok {
		number = msg.RequestSuccess
	} else {
		payload = nil
	}
	_ = g.mux.t.Send(append([]byte{number}, payload...))
}

func (m *Mux) onGlobalRequest(r *wire.Reader) error {
	g := &GlobalRequest{Name: r.Text(), WantReply: r.Bool(), mux: m}
	if r.Err() != nil {
		return errProtocol("malformed GLOBAL_REQUEST")
	}
	handle := m.cfg.Global[g.Name]
	g.Payload = append([]byte(nil), r.Rest()...)
	size := len(g.Payload) + len(g.Name)
	if handle == nil {
		// Unknown requests wait their turn too: answers carry no name, so
		// their order is all that tells the client which is which.
		if !g.WantReply {
			return nil
		}
		handle = func(*GlobalRequest) {}
	}
	if !m.global.push(g, size, func(g *GlobalRequest) {
		m.guard(func() {
			handle(g)
			g.Reply(false, nil)
		})
	}) {
		return errProtocol("too many global requests")
	}
	return nil
}

// SendGlobal sends a request to the client and, with wantReply, waits for its answer.
func (m *Mux) SendGlobal(name string, wantReply bool, payload []byte) (bool, []byte, error) {
	b := wire.AppendBool(wire.AppendText([]byte{msg.GlobalRequest}, name), wantReply)
	b = append(b, payload...)
	if !wantReply {
		return true, nil, m.t.Send(b)
	}
	reply := make(chan globalReply, 1)
	m.mu.Lock()
	if m.ended != nil {
		m.mu.Unlock()
		return false, nil, ErrEnded
	}
	m.replies = append(m.replies, reply)
	err := m.t.Send(b) // under the lock, so that replies are in the order of requests
	m.mu.Unlock()
	if err != nil {
		return false, nil, err
	}
	answer, ok := <-reply
	if !ok {
		return false, nil, ErrEnded
	}
	return answer.ok, answer.payload, nil
}

// Pending returns how many of our global requests wait for an answer.
func (m *Mux) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.replies)
}

func (m *Mux) onGlobalReply(ok bool, payload []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.replies) == 0 {
		return errProtocol("answer to a global request that was not sent")
	}
	m.replies[0] <- globalReply{ok, append([]byte(nil), payload...)}
	m.replies = m.replies[1:]
	return nil
}

// queue hands entries to a function one at a time, in order, in a goroutine
// that lives while there are entries.
type queue[T any] struct {
	mu      sync.Mutex
	entries []queued[T]
	bytes   int
	running bool
}

type queued[T any] struct {
	value T
	size  int
	work  func(T)
}

// push reports false when the queue is full.
func (q *queue[T]) push(v T, size int, work func(T)) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) >= maxRequests || q.bytes+size > maxRequestBytes {
		return false
	}
	q.entries = append(q.entries, queued[T]{v, size, work})
	q.bytes += size
	if !q.running {
		q.running = true
		go q.run()
	}
	return true
}

// busy reports whether something is queued or under way.
func (q *queue[T]) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running
}

// barrier returns what is closed when everything that is in the queue now is done; nil
// if there is nothing. Each belongs to an entry of another queue, which is bounded.
func (q *queue[T]) barrier() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.running {
		return nil
	}
	passed := make(chan struct{})
	q.entries = append(q.entries, queued[T]{work: func(T) { close(passed) }})
	return passed
}

func (q *queue[T]) run() {
	for {
		q.mu.Lock()
		if len(q.entries) == 0 {
			q.running, q.entries = false, nil
			q.mu.Unlock()
			return
		}
		e := q.entries[0]
		q.entries = q.entries[1:]
		q.mu.Unlock()
		e.work(e.value)
		q.mu.Lock()
		q.bytes -= e.size
		q.mu.Unlock()
	}
}
