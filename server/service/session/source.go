package session

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/nowait"
)

const (
	// headSize is how much a source reads when it was idle, in bytes: a keystroke's
	// echo or a prompt, so that these need one read.
	headSize = 256
	// growAfter is how many bytes a program must have written before its pipe is
	// made larger, and pipeSize what it is made, in bytes: fewer switches between
	// program and server; a stream of 1 GB took 30% less of this process's time. A
	// user's pipes may have 64 MiB in all, so those that carry little keep their 64 KiB.
	growAfter = 1 << 20
	pipeSize  = 256 << 10
)

// source reads what a program writes, through a pipe or a terminal's master.
//
// wait parks until there is something; then Read yields it, straight into its
// caller's buffer, until there is nothing more for now, which it reports as
// io.EOF. So whoever prepares a packet of 32 KiB before it reads, as
// Channel.ReadFrom does, holds none while a session is idle.
type source struct {
	file *os.File
	conn syscall.RawConn
	grow bool // a pipe that has not been made larger yet

	head  [headSize]byte // read ahead by wait
	n     int            // bytes of it
	empty bool           // the last read took all there was
	ended bool           // nothing will ever come
	last  bool           // take what is there and wait no more
	total int64

	// The arguments and results of fill, a method that is made a function once:
	// else each read would cost an allocation.
	fill func(fd uintptr) bool
	buf  []byte
	got  int
	err  error
}

func newSource(f *os.File, pipe bool) (*source, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &source{file: f, conn: conn, grow: pipe}
	s.fill = s.read
	return s, nil
}

// finish makes the source end when nothing is left to read now, whoever may
// still hold the other end. It may be called while wait is parked.
func (s *source) finish() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

// read is one system call; false if there is nothing now.
func (s *source) read(fd uintptr) bool {
	s.got, s.err = nowait.Read(int(fd), s.buf)
	return s.err != unix.EAGAIN
}

// wait parks until there is data, and returns false at the end: EOF of a pipe, EIO
// of a terminal that nobody has open any more, or the file was closed.
func (s *source) wait() bool {
	if s.n > 0 {
		return true
	}
	if s.ended {
		return false
	}
	s.buf = s.head[:]
	if !s.last {
		err := s.conn.Read(s.fill)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.last = true
		case err != nil || s.err != nil || s.got <= 0:
			s.ended = true
			return false
		default:
			s.n, s.empty = s.got, s.got < headSize
			return true
		}
	}
	// Control knows no deadline and never parks.
	if err := s.conn.Control(s.now); err != nil || s.err != nil || s.got <= 0 {
		s.ended = true
		return false
	}
	s.n, s.empty = s.got, s.got < headSize
	return true
}

func (s *source) now(fd uintptr) { s.read(fd) }

// Read yields what wait read ahead and what is there besides.
func (s *source) Read(p []byte) (int, error) {
	n := copy(p, s.head[:s.n])
	s.n = copy(s.head[:], s.head[n:s.n])
	if s.n > 0 || n == len(p) {
		return n, nil
	}
	if !s.empty && !s.ended {
		s.buf = p[n:]
		err := s.conn.Control(s.now)
		s.buf = nil
		switch {
		case err != nil, s.err != nil && s.err != unix.EAGAIN, s.err == nil && s.got == 0:
			s.ended = true
		case s.err == unix.EAGAIN:
			s.empty = true
		default:
			s.empty = s.got < len(p)-n
			n += s.got
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	s.count(n)
	return n, nil
}

func (s *source) count(n int) {
	s.total += int64(n)
	if s.grow && s.total >= growAfter {
		s.grow = false
		_ = s.conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
}

// pump sends all that the source gives by send, Channel.ReadFrom or its like.
// When the channel takes no more the source is closed: the program learns of it by
// SIGPIPE.
func (s *source) pump(send func(io.Reader) (int64, error)) {
	for s.wait() {
		if _, err := send(s); err != nil {
			s.file.Close()
			return
		}
	}
}
