package forward

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/proto/connection"
)

// acceptPause is how long a listener rests after a failure, such as too many open
// files, that the next call would meet as well: sshd's figure.
const acceptPause = time.Second

// backlog is how many connections may wait for accept(2): sshd's figure.
const backlog = 128

// setBacklog narrows what net asked for, the system's maximum.
func setBacklog(l syscall.Conn) {
	if c, err := l.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _ = unix.Listen(int(fd), backlog) })
	}
}

// place is what a client calls a forwarding by: an address as it wrote it and the port
// that is listened on, or a path and socketPort.
type place struct {
	address string
	port    int
}

// listener is one forwarding that listens.
type listener struct {
	server  *Server
	place   place
	kind    string // of the channels that it opens
	sockets []net.Listener
	extra   func(net.Conn) []byte // the type specific data of such a channel
	cleanup func()                // takes away a socket's name; may be nil
	closed  chan struct{}
}

// start notes the listener and accepts from here on. It fails, and closes the
// sockets, if the place is taken or there are too many.
func (l *listener) start() bool {
	s := l.server
	l.closed = make(chan struct{})
	s.mu.Lock()
	full := len(s.listeners) >= maxListeners
	ok := !s.closed && !full && s.listeners[l.place] == nil
	if ok {
		s.listeners[l.place] = l
		s.running.Add(len(l.sockets))
	}
	s.mu.Unlock()
	if full {
		s.log.Errorf("too many remote forwards")
	}
	if !ok {
		l.close()
		return false
	}
	for _, socket := range l.sockets {
		go func() {
			defer s.running.Done()
			s.guard(func() { l.accept(socket) }, func() { s.stop(l.place) })
		}()
	}
	return true
}

// close ends the listener; connections that it accepted go on, as with sshd.
func (l *listener) close() {
	close(l.closed)
	if l.cleanup != nil {
		l.cleanup()
	}
	closeAll(l.sockets)
}

// listens reports whether there is a forwarding of that place.
func (s *Server) listens(p place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listeners[p] != nil
}

// stop ends the forwarding of that place, and reports whether there was one.
func (s *Server) stop(p place) bool {
	s.mu.Lock()
	l := s.listeners[p]
	delete(s.listeners, p)
	s.mu.Unlock()
	if l != nil {
		l.close()
	}
	return l != nil
}

func (l *listener) accept(socket net.Listener) {
	for {
		c, err := socket.Accept()
		if err == nil {
			l.server.accepted(l, c)
			continue
		}
		select {
		case <-l.closed:
			return
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.server.log.Errorf("accept: %.100s", reason(err))
		timer := time.NewTimer(acceptPause)
		select {
		case <-l.closed:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// accepted forwards a connection, unless too many wait for the client.
func (s *Server) accepted(l *listener, c net.Conn) {
	s.mu.Lock()
	ok := !s.closed && s.pending < maxPending
	if ok {
		s.pending++
		s.running.Add(1)
	}
	s.mu.Unlock()
	if !ok {
		s.log.Debugf(1, "%s: too many connections wait for the client", l.kind)
		c.Close()
		return
	}
	s.log.Debugf(1, "Connection to port %d forwarding to %.100s port %d requested.",
		l.place.port, l.place.address, min(l.place.port, 0)) // sshd's 0, or socketPort
	go func() {
		defer s.running.Done()
		s.guard(func() { s.forward(l, c) }, func() { c.Close() })
	}()
}

// forward asks the client for a channel and serves it until it ends.
func (s *Server) forward(l *listener, c net.Conn) {
	ch, r := s.openChannel(l, c)
	if ch != nil {
		r.run(ch)
	}
}

// openChannel waits for the client's answer. It returns nil, and the socket is
// closed, if that is no.
func (s *Server) openChannel(l *listener, c net.Conn) (*connection.Channel, *relay) {
	defer func() {
		s.mu.Lock()
		s.pending--
		s.mu.Unlock()
	}()
	r, err := s.newRelay(c, l.kind)
	if err != nil {
		return nil, nil
	}
	ch, err := s.opener.OpenChannel(l.kind, l.extra(c), r)
	if err == nil {
		return ch, r
	}
	defer r.remove()
	var refused *connection.OpenError
	if errors.As(err, &refused) {
		s.log.Infof("channel %s: open failed: %s: %.200s", l.kind, refusal(refused.Reason), refused.Text)
	} else {
		s.log.Debugf(1, "%s: no channel: the connection has ended or has too many", l.kind)
	}
	return nil, nil
}
