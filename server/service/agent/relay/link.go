package relay

import (
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/nowait"
	"nano_ssh_server/server/proto/connection"
)

// link is one connection and its channel.
//
//	local --EOF-->  EOF to the client        both ended: CLOSE, and the local
//	client --EOF--> EOF to the local side    connection is closed
//	client --CLOSE--> what it sent before is delivered; then both are closed
type link struct {
	relay *Relay
	local Local

	mu        sync.Mutex
	ch        *connection.Channel
	aborted   bool
	delivered bool // nothing more goes to the local side
}

// attach notes the channel; false if all is over already.
func (l *link) attach(ch *connection.Channel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ch = ch
	return !l.aborted
}

// deliver moves the client's data to the local side until the client's EOF, or until
// the local side takes no more. That side may still have sent something before it
// went, so that an error here does not end the other direction: the end of what it
// sent will.
func (l *link) deliver(ch *connection.Channel) {
	if _, err := ch.WriteTo(nowait.NewSink(l.local)); err == nil {
		_ = l.local.CloseWrite()
	}
	l.mu.Lock()
	l.delivered = true
	l.mu.Unlock()
}

// abort closes both ends at once.
func (l *link) abort() {
	l.mu.Lock()
	l.aborted = true
	ch := l.ch
	l.mu.Unlock()
	l.local.Close()
	if ch != nil {
		_ = ch.Close()
	}
}

// Request refuses everything: these channels know no requests
// (connection.ChannelHandler).
func (l *link) Request(*connection.Request) {}

// Closed is called when the channel is closed on both sides or the connection is
// gone (connection.ChannelHandler).
func (l *link) Closed() { l.local.Close() }

// HoldClose puts off the answer to the client's CLOSE until what the client sent
// before is delivered (connection.CloseHolder); join gives it. Nobody reads what the
// local side has to say any more: that direction ends here. The channel may be closed
// before join knows that it was opened.
func (l *link) HoldClose() bool {
	l.mu.Lock()
	ch, delivered := l.ch, l.delivered
	l.mu.Unlock()
	if delivered {
		return false
	}
	_ = l.local.SetReadDeadline(time.Unix(1, 0))
	if ch != nil {
		_ = ch.CloseWrite() // wakes whoever waits for the client's window
	}
	return true
}

// source reads a local connection for Channel.ReadFrom, which prepares a packet of
// 32 KiB before it reads: wait parks until there is something, and Read yields it
// until there is nothing more for now, which it reports as io.EOF. So an idle
// connection holds no packet.
type source struct {
	conn  syscall.RawConn
	ended bool
}

// pump sends all that the source gives, then EOF.
func (s *source) pump(ch *connection.Channel) {
	for s.wait() {
		if _, err := ch.ReadFrom(s); err != nil {
			break
		}
	}
	_ = ch.CloseWrite()
}

// wait parks until there is data; false at the end.
func (s *source) wait() bool {
	if s.ended {
		return false
	}
	var peeked [1]byte
	n := 0
	err := s.conn.Read(func(fd uintptr) bool {
		for {
			var errno error
			if n, _, errno = unix.Recvfrom(int(fd), peeked[:], unix.MSG_PEEK); errno != unix.EINTR {
				return errno != unix.EAGAIN
			}
		}
	})
	s.ended = err != nil || n <= 0
	return !s.ended
}

// Read takes what is there and never parks.
func (s *source) Read(p []byte) (int, error) {
	n, errno := 0, error(nil)
	err := s.conn.Read(func(fd uintptr) bool {
		n, errno = nowait.Receive(int(fd), p)
		return true
	})
	switch {
	case err == nil && errno == unix.EAGAIN:
		return 0, io.EOF
	case err != nil, errno != nil, n == 0:
		s.ended = true
		return 0, io.EOF
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}
