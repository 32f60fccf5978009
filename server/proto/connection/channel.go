package connection

import (
	"io"
	"sync"
	"sync/atomic"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

const (
	// maxData bounds the data of one packet in either direction, in bytes:
	// OpenSSH's figure; what a peer may send is 32 KiB and the header.
	maxData = 32 << 10
	// dataHeader is message number, channel and length, in bytes; extended data
	// has four more.
	dataHeader = 9
)

type channelState uint8

const (
	stateHalfOpen channelState = iota // the client asked, no service answered yet
	stateOpening                      // we asked
	stateOpen
	stateClosed // we sent CLOSE or will never have to
)

// ChannelHandler is a service's end of a channel.
type ChannelHandler interface {
	// Request handles a request; calls come one at a time, in order, and may block.
	// A request that is not answered is refused.
	Request(r *Request)
	// Closed is called once, when the client closed the channel or the
	// connection is gone.
	Closed()
}

// CloseHolder is a ChannelHandler that may put off the answer to the client's
// CLOSE, because it has a last word that needs no reader: sshd still reports how a
// program ended to clients that close the channel after its EOF. The service then
// calls Close. HoldClose must not block.
type CloseHolder interface {
	HoldClose() bool
}

// Request is a request of the client on a channel (RFC 4254 section 5.4).
type Request struct {
	Name      string
	WantReply bool
	Payload   []byte

	ch      *Channel
	replied bool
}

// Reply answers the request. Only the first call counts.
func (r *Request) Reply(ok bool) {
	if r.replied {
		return
	}
	r.replied = true
	if !r.WantReply {
		return
	}
	number := byte(msg.ChannelFailure)
	if ok {
		number = msg.ChannelSuccess
	}
	_ = r.ch.sendOrdered(func(b []byte) []byte { return b }, number)
}

// Channel is one channel. Its methods may be called from any goroutine; Read
// and WriteTo from one at a time.
type Channel struct {
	mux      *Mux
	kind     string
	use      atomic.Pointer[string]
	id       uint32
	peerID   uint32
	handler  ChannelHandler
	opened   chan *OpenError
	requests queue[*Request]
	done     chan struct{}
	closing  atomic.Bool // our CLOSE is queued: nothing may follow it
	moved    atomic.Uint64

	mu   sync.Mutex
	cond sync.Cond // sendWindow grew, data came, or something ended
	// Sending.
	state       channelState
	ended       bool // the connection is gone or both sides sent CLOSE
	interactive bool
	sentEOF     bool
	sendWindow  uint64
	sendPacket  int
	replies     []chan bool // requests of ours, in the order they were sent
	// Receiving.
	data     chunks
	taker    Taker // takes data as it comes, while WriteTo has none in hand
	taking   bool  // taker is at it: nobody else may read
	window   recvWindow
	gotEOF   bool
	gotClose bool
	notified bool
}

func newChannel(m *Mux, kind string) *Channel {
	c := &Channel{mux: m, kind: kind, window: recvWindow{open: initialWindow}, done: make(chan struct{})}
	c.cond.L = &c.mu
	return c
}

// clampPacket turns the client's maximum packet size into the most data that we
// put into one packet; 0 for sizes that no data fits in.
func clampPacket(n uint32) int { return int(min(n, maxData)) }

// Moved counts the data messages of both directions: it moves while the channel is
// in use.
func (c *Channel) Moved() uint64 { return c.moved.Load() }

// ID returns our number of the channel, as log lines show it.
func (c *Channel) ID() uint32 { return c.id }

// Type returns the channel type.
func (c *Channel) Type() string { return c.kind }

// SetUse says what the channel is used for, by a longer name than its type's.
func (c *Channel) SetUse(name string) { c.use.Store(&name) }

// Use returns what SetUse said, else the type.
func (c *Channel) Use() string {
	if name := c.use.Load(); name != nil {
		return *name
	}
	return c.kind
}

// Done is closed when the channel is closed on both sides or the connection is gone.
func (c *Channel) Done() <-chan struct{} { return c.done }

// SetInteractive puts the channel's data before that of other channels. Call
// it before any data is written.
func (c *Channel) SetInteractive(yes bool) {
	c.mu.Lock()
	c.interactive = yes
	c.mu.Unlock()
}

// class is the queue of everything that must keep its order with the
// channel's data. The caller holds mu.
func (c *Channel) class() transport.Class {
	if c.interactive {
		return transport.Interactive
	}
	return transport.Bulk
}

// handle handles a message for this channel. It never blocks on a service.
func (c *Channel) handle(number byte, r *wire.Reader) error {
	if number == msg.ChannelOpenConfirmation || number == msg.ChannelOpenFailure {
		return c.onOpenAnswer(number, r)
	}
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	if state == stateHalfOpen || state == stateOpening {
		return errProtocol("%s for a channel that is not open", msg.Name(number))
	}
	switch number {
	case msg.ChannelData:
		return c.onData(r.String(), r.End())
	case msg.ChannelExtendedData:
		// No service of a server reads extended data: it is counted, then
		// dropped, as OpenSSH does.
		r.Uint32()
		data := r.String()
		if err := c.takeWindow(len(data), r.End()); err != nil {
			return err
		}
		c.consume(len(data))
		return nil
	case msg.ChannelWindowAdjust:
		return c.onWindowAdjust(r)
	case msg.ChannelEOF:
		c.mu.Lock()
		c.gotEOF = true
		c.cond.Broadcast()
		c.mu.Unlock()
		return r.End()
	case msg.ChannelClose:
		return c.onClose(r)
	case msg.ChannelRequest:
		return c.onRequest(r)
	}
	return c.onReply(number == msg.ChannelSuccess)
}

func (c *Channel) takeWindow(n int, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		return errProtocol("malformed channel data")
	case c.gotEOF || c.gotClose:
		return errProtocol("data after EOF on channel %d", c.id)
	case uint64(n) > c.window.open:
		return errProtocol("channel %d: %d bytes beyond window of %d", c.id, n, c.window.open)
	}
	if c.window.take(n) && c.data.size == 0 {
		c.window.grow(&c.mux.grown)
	}
	c.moved.Add(1)
	return nil
}

func (c *Channel) onData(data []byte, err error) error {
	if err := c.takeWindow(len(data), err); err != nil {
		return err
	}
	m := c.mux
	if m.fresh != c || len(m.lent) == maxLent {
		m.deliver()
		m.fresh = c
	}
	c.mu.Lock()
	if c.state == stateClosed {
		c.mu.Unlock()
		return nil // what crossed our CLOSE
	}
	if d, ok := c.handler.(DatagramHandler); ok {
		c.mu.Unlock()
		d.Datagram(data)
		c.consume(len(data))
		return nil
	}
	lend := c.taker != nil && c.data.size == 0
	if !lend {
		c.data.push(data)
	}
	c.mu.Unlock()
	if lend {
		m.lent = append(m.lent, data)
	}
	return nil
}

// deliver has the taker take the lent data, queues what it leaves, and wakes the reader.
func (c *Channel) deliver(lent [][]byte) {
	c.mu.Lock()
	t := c.taker
	c.taking = t != nil && len(lent) > 0 && c.state != stateClosed
	taking := c.taking
	c.mu.Unlock()
	taken := 0
	if taking {
		taken = t.Take(lent)
	}
	c.mu.Lock()
	c.taking = false
	if c.state != stateClosed {
		left := taken
		for _, piece := range lent {
			n := min(left, len(piece))
			left -= n
			c.data.push(piece[n:])
		}
	}
	if c.data.size > 0 || c.gotEOF {
		c.cond.Broadcast()
	}
	c.mu.Unlock()
	if taken > 0 {
		c.consume(taken)
	}
}

// Taker is a writer that can take data without waiting.
type Taker interface {
	io.Writer
	// Take writes what it can without waiting and returns how many bytes of the
	// pieces, one after the other, that was. It keeps none of them. An error is for the
	// next Write to find again. It is called by the goroutine of Serve.
	Take(pieces [][]byte) int
}

func (c *Channel) onWindowAdjust(r *wire.Reader) error {
	n := uint64(r.Uint32())
	if r.End() != nil {
		return errProtocol("malformed CHANNEL_WINDOW_ADJUST")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, datagrams := c.handler.(DatagramHandler)
	if c.sendWindow+n > maxWindow && !datagrams {
		return errProtocol("channel %d: window beyond 2^32-1", c.id)
	}
	// OpenSSH gives back four bytes more for each packet of a tunnel than were sent
	// (its own length field): after 2^30 packets the window would be full.
	c.sendWindow = min(c.sendWindow+n, maxWindow)
	c.cond.Broadcast()
	return nil
}

func (c *Channel) onRequest(r *wire.Reader) error {
	q := &Request{Name: r.Text(), WantReply: r.Bool(), ch: c}
	if r.Err() != nil {
		return errProtocol("malformed CHANNEL_REQUEST")
	}
	q.Payload = append([]byte(nil), r.Rest()...)
	c.mu.Lock()
	closing := c.gotClose
	c.mu.Unlock()
	if closing {
		return errProtocol("request on closed channel %d", c.id)
	}
	// After the global requests that came before it: a client that asks for proofs of
	// host keys and then runs a command may be gone when the command is.
	before := c.mux.global.barrier()
	if !c.requests.push(q, len(q.Payload)+len(q.Name), func(q *Request) {
		if before != nil {
			<-before
		}
		c.mux.guard(func() {
			c.handler.Request(q)
			q.Reply(false)
		})
	}) {
		return errProtocol("too many requests on channel %d", c.id)
	}
	return nil
}

func (c *Channel) onReply(ok bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.replies) == 0 {
		return errProtocol("answer to a request that was not sent on channel %d", c.id)
	}
	c.replies[0] <- ok
	c.replies = c.replies[1:]
	return nil
}

// onClose answers the client's CLOSE with ours, at once unless the service holds
// it: whatever data the service still wants to send has nobody to read it
// (RFC 4254 section 5.3).
func (c *Channel) onClose(r *wire.Reader) error {
	if r.End() != nil {
		return errProtocol("malformed CHANNEL_CLOSE")
	}
	c.mu.Lock()
	if c.gotClose {
		c.mu.Unlock()
		return errProtocol("second CLOSE on channel %d", c.id)
	}
	c.gotClose, c.gotEOF = true, true
	c.cond.Broadcast()
	mine := c.state == stateClosed
	holder, _ := c.handler.(CloseHolder)
	c.mu.Unlock()
	if !mine && holder != nil && holder.HoldClose() {
		return nil
	}
	if !mine {
		return c.Close()
	}
	c.finish()
	return nil
}

// finish forgets a channel that both sides have closed.
func (c *Channel) finish() {
	c.mux.remove(c)
	c.gone()
}

// gone ends the channel for good: all waiting calls return.
func (c *Channel) gone() {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended, c.gotEOF, c.state = true, true, stateClosed
	for _, reply := range c.replies {
		close(reply)
	}
	c.replies = nil
	c.window.release(&c.mux.grown)
	c.cond.Broadcast()
	close(c.done)
	accepted := c.handler != nil
	c.mu.Unlock()
	if accepted {
		c.notifyClosed()
	}
}

// notifyClosed tells the service, once, outside the goroutine of Serve.
func (c *Channel) notifyClosed() {
	c.mu.Lock()
	again := c.notified
	c.notified = true
	c.mu.Unlock()
	if !again {
		go c.mux.guard(c.handler.Closed)
	}
}

// Read takes data of the client. It returns io.EOF after the client's EOF, or
// when the channel is gone.
func (c *Channel) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.taking || c.data.size == 0 && !c.gotEOF {
		c.cond.Wait()
	}
	n := c.data.read(p)
	c.mu.Unlock()
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	c.consume(n)
	return n, nil
}

// WriteTo copies the client's data to w, which may be a Taker, until its EOF. The
// window follows what w took. The number that it returns is of what was written here.
func (c *Channel) WriteTo(w io.Writer) (int64, error) {
	var total int64
	taker, _ := w.(Taker)
	for {
		c.mu.Lock()
		for c.taking || c.data.size == 0 && !c.gotEOF {
			c.taker = taker
			c.cond.Wait()
		}
		c.taker = nil
		chunk := c.data.pop()
		c.mu.Unlock()
		if chunk == nil {
			return total, nil
		}
		n, err := w.Write(chunk)
		total += int64(n)
		c.consume(len(chunk))
		putChunk(chunk)
		if err != nil {
			return total, err
		}
	}
}
