package transport

import (
	"errors"
	"sync"
	"time"

	"nano_ssh_server/server/proto/cipher"
	"nano_ssh_server/server/proto/msg"
)

// Class says whose packets go first. Packets of one class keep their order.
type Class uint8

const (
	urgent      Class = iota // key exchange and DISCONNECT: goes even while rekeying
	Control                  // answers, window adjustments, requests
	Interactive              // data of channels with a terminal
	Bulk                     // all other data
	classes
)

const (
	// maxQueued bounds the data that producers may queue, in bytes, for Bulk
	// and for Interactive each: what stands between a keystroke and the socket.
	maxQueued = 128 << 10
	// maxControl is what may be queued beside that before Receive stops reading
	// until the peer has read: a flood of requests (THREATS row 05) pins this much.
	maxControl = 256 << 10
	// maxHeld bounds what may wait for the end of a key exchange (row 06). A peer
	// can legally cause this much only with requests that it sent before it saw
	// our KEXINIT.
	maxHeld = 1 << 20
	// maxBatch is how much goes into one write(2), in bytes, and maxPackets in packets.
	maxBatch   = 128 << 10
	maxPackets = 64
)

// ErrCancelled is returned for a packet whose Cancel was set.
var ErrCancelled = errors.New("transport: packet cancelled")

var errAbandoned = errors.New("transport: internal error")

var errHeld = errors.New("transport: too many answers wait for the end of a key exchange")

// outbound is the sending half.
//
// Whoever queues a packet while nobody is writing becomes the writer for that
// batch: a single stream of data is read, encrypted and written by one
// goroutine. If more was queued meanwhile, a goroutine of its own goes on, so no
// producer is held up by the others' data. Only the writer seals packets, so
// their order on the wire is the order of their sequence numbers.
type outbound struct {
	conn    *Conn
	mu      sync.Mutex
	changed sync.Cond // room, or nothing left, or the end
	queue   [classes]packetList
	held    bool // between our KEXINIT and our NEWKEYS: only urgent packets go
	writing bool
	corked  bool // the reading side gathers a few messages
	err     error

	// The writer's own.
	cipher  cipher.Cipher
	seq     uint32
	packets uint64 // since the last NEWKEYS
	bytes   uint64
	deflate *deflater
	gather  gatherer // the stream, if it is one
}

// gatherer is a stream that writes several pieces at once, as writev(2).
type gatherer interface{ Writev(pieces [][]byte) error }

type packetList struct {
	first, last *Packet
	bytes       int
}

func (l *packetList) push(p *Packet) {
	if l.first == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	l.bytes += len(p.buf)
}

func (l *packetList) pop() *Packet {
	p := l.first
	if p != nil {
		l.first, p.next = p.next, nil
		l.bytes -= len(p.buf)
	}
	return p
}

func (o *outbound) init(c *Conn) {
	o.conn = c
	o.gather, _ = c.stream.(gatherer)
	o.changed.L = &o.mu
	o.cipher = cipher.Plain()
}

// enqueue queues p and sees to it that somebody writes it. With wait set, the
// caller is a producer of data: it waits while its class is full and does the
// writing itself. Others never wait once the connection is authenticated.
//
// A producer that has more to come leaves the packet for its next one to take along.
func (o *outbound) enqueue(p *Packet, class Class, wait, more bool) error {
	o.mu.Lock()
	for wait && o.err == nil && o.queue[class].bytes >= maxQueued && !p.cancelled() {
		o.changed.Wait()
	}
	err := o.err
	switch {
	case err != nil:
	case p.cancelled():
		err = ErrCancelled
	case !wait && o.held && class != urgent && o.queue[class].bytes > maxHeld:
		err = errHeld
	}
	if err != nil {
		o.mu.Unlock()
		p.release()
		return err
	}
	o.queue[class].push(p)
	if more && o.queue[class].bytes+len(p.buf) <= maxBatch {
		o.mu.Unlock()
		return nil
	}
	start := o.startWriting()
	o.mu.Unlock()
	if !start {
		return nil
	}
	if wait || o.conn.phase < msg.Connection {
		return o.write(true)
	}
	go o.goOn()
	return nil
}

// startWriting makes the caller the writer if there is something to write and
// nobody else does. The caller holds mu.
func (o *outbound) startWriting() bool {
	if o.writing || o.corked || o.err != nil || !o.ready() {
		return false
	}
	o.writing = true
	return true
}

// ready reports whether a packet may go out now. The caller holds mu.
func (o *outbound) ready() bool {
	for class := urgent; class < classes; class++ {
		if o.queue[class].first != nil {
			return true
		}
		if o.held {
			return false
		}
	}
	return false
}

// hold stops all classes but urgent: our KEXINIT is about to be queued.
func (o *outbound) hold() {
	o.mu.Lock()
	o.held = true
	o.mu.Unlock()
}

// cork gathers what is queued until uncork, so that it leaves in one write.
func (o *outbound) cork() {
	o.mu.Lock()
	o.corked = true
	o.mu.Unlock()
}

func (o *outbound) uncork() error {
	o.mu.Lock()
	o.corked = false
	start := o.startWriting()
	o.mu.Unlock()
	if !start {
		return nil
	}
	if o.conn.phase < msg.Connection {
		return o.write(true)
	}
	go o.goOn()
	return nil
}

// take removes the packet whose turn it is.
func (o *outbound) take() *Packet {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil
	}
	for class := urgent; class < classes; class++ {
		if p := o.queue[class].pop(); p != nil || o.held {
			return p
		}
	}
	return nil
}

// write sends batches until nothing is left; with once set, it leaves what is
// left after the first batch to a goroutine of its own.
func (o *outbound) write(once bool) error {
	writer := true // as long as this goroutine is the one that writes
	defer func() {
		if writer {
			o.abandon()
		}
	}()
	for {
		err := o.writeBatch()
		due := err == nil && o.rekeyDue() // only the writer may look
		o.mu.Lock()
		if err != nil && o.err == nil {
			o.err = err
		}
		err = o.err
		o.writing = err == nil && o.ready()
		writer = o.writing
		o.changed.Broadcast()
		o.mu.Unlock()
		switch {
		case err != nil:
			// The reading side may wait on a peer that is gone.
			_ = o.conn.stream.Close()
			return err
		case due:
			_ = o.conn.startKex()
		}
		if !writer {
			return nil
		}
		if once {
			writer = false
			go o.goOn()
			return nil
		}
	}
}

// goOn is a writer's goroutine.
func (o *outbound) goOn() { o.conn.guard(func() { _ = o.write(false) }) }

// abandon is what a panic of the writer leaves behind: nothing can be sent any
// more, and nobody waits for a writer that is gone.
func (o *outbound) abandon() {
	o.mu.Lock()
	if o.err == nil {
		o.err = errAbandoned
	}
	o.writing = false
	o.changed.Broadcast()
	o.mu.Unlock()
	_ = o.conn.stream.Close()
}

// batch is packets that are written together, each from where it stands.
type batch struct {
	packets [maxPackets]*Packet
	pieces  [maxPackets][]byte
}

var batchPool = sync.Pool{New: func() any { return new(batch) }}

// writeBatch seals the next packets and writes them at once.
func (o *outbound) writeBatch() (err error) {
	p := o.take()
	if p == nil {
		return nil
	}
	b, n, size := batchPool.Get().(*batch), 0, 0
	for p != nil && err == nil {
		b.packets[n] = p
		b.pieces[n], err = o.seal(p)
		size += len(b.pieces[n])
		n++
		if p = nil; size < maxBatch && n < maxPackets {
			p = o.take()
		}
	}
	if err == nil {
		err = o.writePieces(b.pieces[:n])
	}
	for i := range n {
		b.packets[i].release()
		b.packets[i], b.pieces[i] = nil, nil
	}
	batchPool.Put(b)
	return err
}

func (o *outbound) writePieces(pieces [][]byte) error {
	if len(pieces) > 1 && o.gather != nil {
		return o.gather.Writev(pieces)
	}
	for _, piece := range pieces {
		if _, err := o.conn.stream.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// seal compresses, frames and encrypts one packet, and runs what is to follow it.
func (o *outbound) seal(p *Packet) ([]byte, error) {
	if o.deflate != nil {
		if err := o.deflate.packet(p); err != nil {
			return nil, err
		}
	}
	sealed, err := p.seal(o.cipher, o.seq)
	o.seq++
	o.packets++
	o.bytes += uint64(len(sealed))
	if err == nil && p.after != nil {
		err = p.after()
	}
	return sealed, err
}

// newKeys installs the keys of a finished key exchange and lets all classes go
// again; the writer calls it after it sealed NEWKEYS.
func (o *outbound) newKeys(c cipher.Cipher, resetSeq bool) {
	o.cipher.Free()
	o.cipher = c
	o.packets, o.bytes = 0, 0
	if resetSeq {
		o.seq = 0
	}
	o.mu.Lock()
	o.held = false
	o.mu.Unlock()
}

// waitForReader blocks the reading side while the peer does not read our
// answers. During a key exchange it does not: enqueue bounds that time.
func (o *outbound) waitForReader() error {
	o.mu.Lock()
	full := o.full()
	o.mu.Unlock()
	if full {
		o.conn.in.reclaim()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.full() {
		o.changed.Wait()
	}
	return o.err
}

// full reports whether too much waits for the peer. The caller holds mu.
func (o *outbound) full() bool {
	return o.err == nil && !o.held && o.queue[Control].bytes+o.queue[Interactive].bytes+o.queue[Bulk].bytes > maxControl+2*maxQueued
}

// drain waits until nothing is queued that may be sent now, for at most d.
func (o *outbound) drain(d time.Duration) {
	expired := false
	timer := time.AfterFunc(d, func() {
		o.mu.Lock()
		expired = true
		o.changed.Broadcast()
		o.mu.Unlock()
	})
	defer timer.Stop()
	o.mu.Lock()
	for !expired && o.err == nil && o.writing {
		o.changed.Wait()
	}
	o.mu.Unlock()
}

func (o *outbound) close(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.changed.Broadcast()
	o.mu.Unlock()
}

// free waits for the writer, whose stream is closed, and frees its keys.
func (o *outbound) free() {
	o.mu.Lock()
	for o.writing {
		o.changed.Wait()
	}
	for class := range o.queue {
		for p := o.queue[class].pop(); p != nil; p = o.queue[class].pop() {
			p.release()
		}
	}
	o.mu.Unlock()
	o.cipher.Free()
}
