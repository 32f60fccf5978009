package ipc

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/nowait"
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
	raw     syscall.RawConn // of a TCP socket; nil: anything else
	quick   atomic.Int32    // reads that are still acknowledged at once

	// The arguments and results of one system call in each direction: methods that are
	// made functions once cost no allocation for each.
	receive, send       func(fd uintptr) bool
	buf                 []byte
	got                 int
	pieces              [][]byte
	one                 [1][]byte // of Write
	receiveErr, sendErr error
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
		s.raw, s.receive, s.send = raw, s.receiveNow, s.sendNow
		s.quick.Store(quickReads)
	}
	return s, nil
}

func quickAck(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }

// Read reads what is there, or waits. One goroutine at a time may call it.
func (s *Stream) Read(p []byte) (int, error) {
	if s.raw == nil {
		return s.in.Read(p)
	}
	s.buf = p
	err := s.raw.Read(s.receive)
	s.buf = nil
	switch {
	case err != nil:
		return 0, err
	case s.receiveErr != nil:
		return 0, os.NewSyscallError("recv", s.receiveErr)
	case s.got == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return s.got, nil
}

// receiveNow is one system call; false if there is nothing now.
func (s *Stream) receiveNow(fd uintptr) bool {
	s.got, s.receiveErr = nowait.Receive(int(fd), s.buf)
	if s.receiveErr == unix.EAGAIN {
		return false
	}
	if s.quick.Load() > 0 {
		s.quick.Add(-1)
		_ = quickAck(int(fd))
	}
	return true
}

// Write writes all of p.
func (s *Stream) Write(p []byte) (int, error) {
	s.one[0] = p
	err := s.Writev(s.one[:])
	s.one[0] = nil
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Writev writes all pieces, with one system call if there is room. It changes the list.
// One goroutine at a time may call it or Write.
func (s *Stream) Writev(pieces [][]byte) error {
	if s.raw == nil {
		for _, p := range pieces {
			if _, err := s.out.Write(p); err != nil {
				return err
			}
		}
		return nil
	}
	s.pieces = pieces
	err := s.raw.Write(s.send)
	s.pieces = nil
	if err == nil && s.sendErr != nil {
		err = os.NewSyscallError("send", s.sendErr)
	}
	return err
}

// sendNow sends what there is room for; false if that was not all.
func (s *Stream) sendNow(fd uintptr) bool {
	for len(s.pieces) > 0 {
		var n int
		if n, s.sendErr = nowait.Send(int(fd), s.pieces); s.sendErr != nil {
			return s.sendErr != unix.EAGAIN
		}
		for len(s.pieces) > 0 && n >= len(s.pieces[0]) {
			n -= len(s.pieces[0])
			s.pieces = s.pieces[1:]
		}
		if n > 0 {
			s.pieces[0] = s.pieces[0][n:]
		}
	}
	return true
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
