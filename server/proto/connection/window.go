package connection

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
)

const (
	// initialWindow is what the client may send before its data is consumed, in
	// bytes: OpenSSH's figure for sessions. It bounds what an unread channel pins.
	initialWindow = 2 << 20
	// largestWindow is what it grows to while it is the window that holds the client
	// up, in bytes: 1 Gbit/s over 100 ms, with some to spare.
	largestWindow = 16 << 20
	// maxGrown bounds what all channels of a connection have beyond initialWindow.
	maxGrown = 64 << 20
	// adjustAt is after how many consumed bytes the window is opened again: seldom
	// enough to cost nothing, often enough that the client never runs dry.
	adjustAt = initialWindow / 4
	// stall is how long a client must have waited for a window. What a busy machine does
	// to a client next door is shorter.
	stall = 2 * time.Millisecond
	// maxWindow is the largest window there can be (RFC 4254 section 5.2).
	maxWindow = 1<<32 - 1
)

// recvWindow is the receiving side's window of one channel.
//
// It grows when it was the window that made everybody wait: the client had used up all
// that it knew of, to the byte, and the service had taken everything before the next
// adjustment reached the client and more came. So the time of a round trip need not be
// known: a window that covers it is never used up.
type recvWindow struct {
	open     uint64 // what the client may still send
	consumed uint64 // not yet given back by an adjustment
	grown    uint64 // beyond initialWindow

	known    uint64    // what of open the client can use without the last adjustment; 0: not watched
	usedUp   time.Time // when known was used up, to the byte
	starving bool      // usedUp is set
}

// take notes n bytes of the client's, and reports whether they waited for an adjustment.
func (w *recvWindow) take(n int) (waited bool) {
	w.open -= uint64(n)
	if w.starving {
		w.starving = false
		return time.Since(w.usedUp) > stall
	}
	switch {
	case w.known == 0:
	case w.known == uint64(n):
		w.usedUp, w.starving = time.Now(), true
		w.known = 0
	case w.known > uint64(n):
		w.known -= uint64(n)
	default:
		w.known = 0 // the adjustment was there in time
	}
	return false
}

// grow doubles the window if bounds allow it; grown is the connection's sum.
func (w *recvWindow) grow(grown *atomic.Int64) {
	more := initialWindow + w.grown
	if more+initialWindow+w.grown > largestWindow {
		return
	}
	if grown.Add(int64(more)) > maxGrown {
		grown.Add(-int64(more))
		return
	}
	w.grown += more
	w.consumed += more // as if it had been taken: the next adjustment gives it
}

// release gives back what the channel had of the connection's sum.
func (w *recvWindow) release(grown *atomic.Int64) {
	grown.Add(-int64(w.grown))
	w.grown = 0
}

// consume opens the window by what a service took, seldom and in large steps.
func (c *Channel) consume(n int) {
	c.mu.Lock()
	w := &c.window
	w.consumed += uint64(n)
	if w.consumed < adjustAt || c.gotEOF || c.state == stateClosed {
		c.mu.Unlock()
		return
	}
	grant := w.consumed
	w.consumed = 0
	if w.known == 0 && !w.starving {
		if w.known = w.open; w.known == 0 {
			w.usedUp, w.starving = time.Now(), true
		}
	}
	w.open += grant
	c.mu.Unlock()
	var b [dataHeader]byte
	b[0] = msg.ChannelWindowAdjust
	binary.BigEndian.PutUint32(b[1:], c.peerID)
	binary.BigEndian.PutUint32(b[5:], uint32(grant))
	_ = c.queue(b[:], transport.Control)
}
