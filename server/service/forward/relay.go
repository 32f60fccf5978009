package forward

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"nano_ssh_server/server/host/nowait"
	"nano_ssh_server/server/proto/connection"
)

// drainGrace is how long a connection's peer may take for what the client had sent
// when the client went.
const drainGrace = time.Second

// stream is what a relay needs of *net.TCPConn and *net.UnixConn.
type stream interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
}

var _, _ stream = (*net.TCPConn)(nil), (*net.UnixConn)(nil)

// relay is one forwarded connection: a socket and a channel, each of which may end
// its direction before the other.
//
//	socket --EOF--> EOF       the other direction goes on
//	socket --reset--> CLOSE   nothing can be said or heard there any more
//	socket takes no more      the client's data is dropped, as by sshd
//	EOF --> shutdown          after all data
//	CLOSE --> CLOSE           after all data of the client is with the socket
//	connection gone           what has come is delivered within drainGrace
type relay struct {
	server *Server
	socket stream
	source source
	name   string // for logs

	mu           sync.Mutex
	ch           *connection.Channel // nil until it is open
	delivered    bool                // the client's data is with the socket, or can never be
	clientClosed bool
}

// newRelay makes the relay of a socket, which belongs to it from here on. It fails,
// and closes the socket, when the Server is closed.
func (s *Server) newRelay(socket net.Conn, name string) (*relay, error) {
	st, ok := socket.(stream)
	if !ok {
		socket.Close()
		return nil, errors.New("forward: a socket of another kind")
	}
	conn, err := st.SyscallConn()
	if err != nil {
		socket.Close()
		return nil, err
	}
	r := &relay{server: s, socket: st, name: name}
	r.source.init(conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		socket.Close()
		return nil, net.ErrClosed
	}
	s.relays[r] = struct{}{}
	return r, nil
}

// remove forgets a relay and closes its socket.
func (r *relay) remove() {
	r.socket.Close()
	r.server.mu.Lock()
	delete(r.server.relays, r)
	r.server.mu.Unlock()
}

// run moves data in both directions until both have ended. It is called with the
// channel open, in a goroutine that Server.running counts.
func (r *relay) run(ch *connection.Channel) {
	r.mu.Lock()
	r.ch = ch
	r.mu.Unlock()
	if r.server.ctx.Err() != nil {
		r.end() // Close did not see the channel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.server.guard(r.toClient, r.end)
	}()
	r.server.guard(r.toSocket, r.end)
	<-done
	_ = ch.Close()
	r.remove()
	r.server.log.Debugf(2, "channel %d: %s: closed", ch.ID(), r.name)
}

// toClient sends what the socket says.
func (r *relay) toClient() {
	for r.source.wait() {
		if _, err := r.ch.ReadFrom(&r.source); err != nil {
			return // the channel is closed
		}
	}
	if r.source.stopped.Load() {
		return
	}
	if err := r.source.failure; err != nil {
		r.server.log.Debugf(2, "channel %d: %s: read failed: %s", r.ch.ID(), r.name, reason(err))
		_ = r.ch.CloseWrite()
		_ = r.ch.Close()
		return
	}
	_ = r.ch.CloseWrite()
}

// toSocket writes what the client says.
func (r *relay) toSocket() {
	if _, err := r.ch.WriteTo(nowait.NewSink(r.socket)); err == nil {
		_ = r.socket.CloseWrite()
	} else {
		// The other direction may still have much to say, so the channel stays; the
		// client's window must go on opening, or a client that writes before it reads
		// would stand still.
		r.server.log.Debugf(2, "channel %d: %s: write failed: %s", r.ch.ID(), r.name, reason(err))
		_, _ = r.ch.WriteTo(io.Discard)
	}
	r.mu.Lock()
	r.delivered = true
	closed := r.clientClosed
	r.mu.Unlock()
	if closed {
		_ = r.ch.Close()
	}
}

// Request refuses what a client may ask of a forwarded connection
// (connection.ChannelHandler): no request is defined for one.
func (r *relay) Request(*connection.Request) {}

// HoldClose keeps the channel until the client's data is with the socket
// (connection.CloseHolder). What the socket says has no reader any more.
func (r *relay) HoldClose() bool {
	r.mu.Lock()
	r.clientClosed = true
	hold := !r.delivered
	r.mu.Unlock()
	r.stopReading()
	return hold
}

// Closed is called when the channel or the connection has ended
// (connection.ChannelHandler).
func (r *relay) Closed() {
	r.stopReading()
	_ = r.socket.SetWriteDeadline(time.Now().Add(r.server.grace))
}

// stopReading ends toClient, and tells a local socket's peer that it has no reader.
func (r *relay) stopReading() {
	r.source.stopped.Store(true)
	_ = r.socket.SetReadDeadline(time.Unix(1, 0))
	_ = r.socket.CloseRead()
}

// end closes the channel from our side, whatever was under way.
func (r *relay) end() {
	r.Closed()
	r.mu.Lock()
	ch := r.ch
	r.mu.Unlock()
	if ch != nil {
		_ = ch.Close()
	}
}
