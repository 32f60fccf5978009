package listener

import (
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// stream is a connection's socket with what a login needs of TCP.
//
// OpenSSH's client writes twice in a row at two moments of each login; its Nagle
// algorithm holds the second write until our kernel acknowledges the first, and
// our kernel delays that by 40 ms unless it is told otherwise after each read.
// Quick acknowledgements took `ssh host true` from 96 to 20 ms.
type stream struct {
	net.Conn
	raw   rawControl
	quick atomic.Bool
}

type rawControl interface {
	Control(func(fd uintptr)) error
}

func newStream(c net.Conn, keepAlive bool) *stream {
	s := &stream{Conn: c}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
		// The system's own times, as with sshd's TCPKeepAlive.
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: keepAlive, Idle: -1, Interval: -1, Count: -1})
		if raw, err := tcp.SyscallConn(); err == nil {
			s.raw = raw
			s.quick.Store(true)
		}
	}
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.quick.Load() {
		_ = s.raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		})
	}
	return n, err
}

// LoginDone ends the quick acknowledgements: in a bulk transfer they would only cost.
func (s *stream) LoginDone() { s.quick.Store(false) }

// newPipes takes its own descriptors of the two files. They wait in the poller, so
// that a time limit can end a read.
func newPipes(in, out *os.File) (*pipes, error) {
	p := &pipes{}
	for _, f := range []struct {
		from *os.File
		to   **os.File
	}{{in, &p.in}, {out, &p.out}} {
		fd, err := unix.FcntlInt(f.from.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		_ = unix.SetNonblock(fd, true)
		*f.to = os.NewFile(uintptr(fd), f.from.Name())
	}
	return p, nil
}

// freeStandard points descriptors 0 and 1 elsewhere: they are the connection's,
// and would keep it open, and lead the output of anybody into it.
func freeStandard() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	for fd := range 2 {
		_ = unix.Dup3(int(null.Fd()), fd, 0)
	}
}

// pipes is -i over two descriptors that are no socket, as the regression suite
// starts it: OpenSSH then has no addresses to tell.
type pipes struct {
	in, out *os.File
}

func (p *pipes) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pipes) Write(b []byte) (int, error) { return p.out.Write(b) }

func (p *pipes) Close() error {
	err := p.in.Close()
	if e := p.out.Close(); err == nil {
		err = e
	}
	return err
}
