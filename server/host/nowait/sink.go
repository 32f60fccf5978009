package nowait

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sink is a writer whose Take never waits, for goroutines that serve others besides. Write
// is the file's own; the two are not called at the same time.
type Sink struct {
	io.Writer
	conn syscall.RawConn

	// The arguments and results of one system call: a method that is made a function
	// once costs no allocation for each.
	write  func(fd uintptr)
	pieces [][]byte
	n      int
}

// NewSink returns a Sink for a file or socket, or w itself if its writes may wait.
func NewSink(w interface {
	io.Writer
	syscall.Conn
}) io.Writer {
	conn, err := w.SyscallConn()
	if err != nil {
		return w
	}
	flags := 0
	if conn.Control(func(fd uintptr) { flags, _ = unix.FcntlInt(fd, unix.F_GETFL, 0) }) != nil || flags&unix.O_NONBLOCK == 0 {
		return w
	}
	s := &Sink{Writer: w, conn: conn}
	s.write = s.writeNow
	return s
}

// Take writes what there is room for now, in one system call, and returns how many bytes
// that was (connection.Taker). The next Write meets whatever went wrong.
func (s *Sink) Take(pieces [][]byte) int {
	s.pieces, s.n = pieces, 0
	err := s.conn.Control(s.write)
	s.pieces = nil
	if err != nil {
		return 0
	}
	return s.n
}

func (s *Sink) writeNow(fd uintptr) { s.n, _ = Write(int(fd), s.pieces) }
