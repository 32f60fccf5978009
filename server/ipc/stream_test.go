package ipc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tcpPair returns a Stream and the other end of its connection.
func tcpPair(t *testing.T) (*Stream, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	f, err := near.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStream(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); far.Close() })
	return s, far
}

// socketPair is the same without TCP.
func socketPair(t *testing.T) (*Stream, net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "socket")
	defer f.Close()
	far, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStream(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); far.Close() })
	return s, far
}

// TestStream moves more than a socket holds in both directions, in pieces, to the end.
func TestStream(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (*Stream, net.Conn){"TCP": tcpPair, "local": socketPair} {
		t.Run(name, func(t *testing.T) {
			s, far := pair(t)
			data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
			echoed := make(chan error, 1)
			go func() {
				_, err := io.Copy(far, far)
				echoed <- errors.Join(err, far.(interface{ CloseWrite() error }).CloseWrite())
			}()
			written := make(chan error, 1)
			go func() {
				for rest := data; len(rest) > 0; {
					var pieces [][]byte
					for i := 0; i < 100 && len(rest) > 0; i++ { // more than one call takes
						n := min(len(rest), 1+i*997)
						pieces, rest = append(pieces, rest[:n], nil), rest[n:]
					}
					if err := s.Writev(pieces); err != nil {
						written <- err
						return
					}
				}
				_, err := s.Write([]byte("the end"))
				written <- err
			}()
			got := make([]byte, len(data)+len("the end"))
			if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got[:len(data)], data) || string(got[len(data):]) != "the end" {
				t.Errorf("%v, or other bytes", err)
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
			if n, err := s.Read(nil); n != 0 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			// The other side says no more; then this one does, and is told nothing else.
			if err := unix.Shutdown(descriptor(t, s), unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Read(got); n != 0 || err != io.EOF {
				t.Errorf("%d bytes, %v at the end", n, err)
			}
			if err := <-echoed; err != nil {
				t.Error(err)
			}
			if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("%v after the end", err)
			}
		})
	}
}

func descriptor(t *testing.T, s *Stream) (fd int) {
	t.Helper()
	conn, err := s.in.SyscallConn()
	if err == nil {
		err = conn.Control(func(p uintptr) { fd = int(p) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestStreamClosed: Close ends calls that wait.
func TestStreamClosed(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (*Stream, net.Conn){"TCP": tcpPair, "local": socketPair} {
		t.Run(name, func(t *testing.T) {
			s, _ := pair(t)
			ended := make(chan error, 2)
			go func() {
				_, err := s.Read(make([]byte, 1))
				ended <- err
			}()
			go func() {
				for {
					if _, err := s.Write(make([]byte, 1<<20)); err != nil {
						ended <- err
						return
					}
				}
			}()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := <-ended; err == nil || errors.Is(err, io.EOF) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}
