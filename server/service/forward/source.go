package forward

import (
	"io"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/nowait"
)

// headSize is how much a source reads when it was idle, in bytes: what interactive
// protocols send at once, so that these need one read.
const headSize = 256

// source reads from a socket.
//
// wait parks until there is something; then Read yields it, straight into its
// caller's buffer, until there is nothing more for now, which it reports as io.EOF.
// So Channel.ReadFrom, which has a packet of 32 KiB ready before it reads, holds none
// while the socket is idle.
type source struct {
	conn    syscall.RawConn
	stopped atomic.Bool // nobody wants more

	head    [headSize]byte // read ahead by wait
	n       int            // bytes of it
	empty   bool           // the last read took all there was
	ended   bool           // nothing will ever come
	failure error          // why, if not for the peer's EOF

	// The arguments and results of one system call: methods that are made functions
	// once cost no allocation for each.
	fill func(fd uintptr) bool
	now  func(fd uintptr)
	buf  []byte
	got  int
	err  error
}

func (s *source) init(conn syscall.RawConn) {
	s.conn = conn
	s.fill = s.read
	s.now = func(fd uintptr) { s.read(fd) }
}

// read is one system call; false if there is nothing now.
func (s *source) read(fd uintptr) bool {
	s.got, s.err = nowait.Read(int(fd), s.buf)
	return s.err != unix.EAGAIN
}

// wait parks until there is data, and returns false at the end: EOF, an error, the
// socket was closed, or its read deadline is over.
func (s *source) wait() bool {
	if s.stopped.Load() {
		return false
	}
	if s.n > 0 {
		return true
	}
	if s.ended {
		return false
	}
	s.buf = s.head[:]
	if err := s.conn.Read(s.fill); err != nil {
		s.ended = true
		return false
	}
	if !s.took(headSize) {
		return false
	}
	s.n = s.got
	return true
}

// took notes what a system call that asked for so many bytes gave.
func (s *source) took(asked int) bool {
	switch {
	case s.err == unix.EAGAIN:
		s.got, s.empty = 0, true
		return false
	case s.err != nil || s.got <= 0:
		s.got, s.ended, s.failure = 0, true, s.err
		return false
	}
	s.empty = s.got < asked
	return true
}

// Read yields what wait read ahead and what is there besides.
func (s *source) Read(p []byte) (int, error) {
	n := copy(p, s.head[:s.n])
	s.n = copy(s.head[:], s.head[n:s.n])
	if s.n > 0 || n == len(p) {
		return n, nil
	}
	if !s.empty && !s.ended && !s.stopped.Load() {
		s.buf = p[n:]
		err := s.conn.Control(s.now)
		s.buf = nil
		if err != nil {
			s.ended = true
		} else if s.took(len(p) - n) {
			n += s.got
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
