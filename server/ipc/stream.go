package ipc

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stream is the socket of an SSH connection, or the two pipes that stand for one
// (-i), as a process of the server got it.
//
// OpenSSH's client writes twice in a row at some moments of each login; its Nagle
// algorithm holds the second write until our kernel acknowledges the first, and our
// kernel delays that by 40 ms unless it is told otherwise after each read. Quick
// acknowledgements took `ssh host true` from 96 to 20 ms.
type Stream struct {
	in, out *os.File
	raw     syscall.RawConn
	quick   atomic.Int32 // reads that are still acknowledged at once
}

// quickReads is how many reads of a process are acknowledged at once: a login and
// the first output are done by then, and in bulk transfers it would only cost.
const quickReads = 64

// NewStream takes over one descriptor, or two: to read and to write.
func NewStream(fds ...int) (*Stream, error) {
	if len(fds) != 1 && len(fds) != 2 {
		return nil, errors.New("ipc: a stream has one or two descriptors")
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	s := &Stream{in: os.NewFile(uintptr(fds[0]), "connection")}
	s.out = s.in
	if len(fds) == 2 {
		s.out = os.NewFile(uintptr(fds[1]), "connection")
	}
	if raw, err := s.in.SyscallConn(); err == nil && quickAck(fds[0]) == nil {
		s.raw = raw
		s.quick.Store(quickReads)
	}
	return s, nil
}

func quickAck(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }

func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if s.quick.Load() > 0 {
		s.quick.Add(-1)
		_ = s.raw.Control(func(fd uintptr) { _ = quickAck(int(fd)) })
	}
	return n, err
}

func (s *Stream) Write(p []byte) (int, error) { return s.out.Write(p) }

// Writev writes all pieces, with one system call if there is room. It changes the list.
func (s *Stream) Writev(pieces [][]byte) error {
	conn, err := s.out.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = conn.Write(func(fd uintptr) bool {
		for len(pieces) > 0 {
			var n int
			if n, failure = unix.Writev(int(fd), pieces); failure == unix.EINTR {
				continue
			}
			if failure != nil {
				return failure != unix.EAGAIN
			}
			for len(pieces) > 0 && n >= len(pieces[0]) {
				n -= len(pieces[0])
				pieces = pieces[1:]
			}
			if n > 0 {
				pieces[0] = pieces[0][n:]
			}
		}
		return true
	})
	if err == nil && failure != nil {
		err = os.NewSyscallError("writev", failure)
	}
	return err
}

// SetServiceClass sets the traffic class byte of the packets that this side sends
// (IPQoS); -1 leaves it. Streams that are no IP sockets have none.
func (s *Stream) SetServiceClass(class int) {
	if class < 0 || s.raw == nil {
		return
	}
	_ = s.raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, class) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, class)
		}
	})
}

// Close closes the descriptors.
func (s *Stream) Close() error {
	err := s.in.Close()
	if s.out != s.in {
		err = errors.Join(err, s.out.Close())
	}
	return err
}
