package listener

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/monitor"
)

// socket is a listening socket. net's own accept makes a connection that waits in the
// poller of this process, which nobody reads here.
type socket struct {
	net.Listener
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool
}

func newSocket(l net.Listener) (*socket, error) {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("%T is no TCP socket", l)
	}
	of, err := t.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if e := of.Control(func(l uintptr) { fd, err = unix.FcntlInt(l, unix.F_DUPFD_CLOEXEC, 3) }); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	s := &socket{Listener: l, file: os.NewFile(uintptr(fd), "listener")}
	s.raw, err = s.file.SyscallConn()
	return s, err
}

func (s *socket) Close() error {
	s.closed.Store(true)
	return errors.Join(s.file.Close(), s.Listener.Close())
}

// accept takes the next connection of a listening socket. The descriptor never
// waits in this process: nobody reads it here.
func (s *socket) accept() (fd int, peer monitor.Peer, err error) {
	var remote unix.Sockaddr
	failed := s.raw.Read(func(l uintptr) bool {
		for {
			fd, remote, err = unix.Accept4(int(l), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			switch err {
			case unix.EINTR, unix.ECONNABORTED:
				continue
			case unix.EAGAIN:
				return false
			}
			return true
		}
	})
	switch {
	case failed != nil:
		return 0, peer, failed
	case err != nil:
		return 0, peer, os.NewSyscallError("accept4", err)
	}
	return fd, peerOf(fd, remote), nil
}

// peerOf names both ends of a socket; without addresses as sshd does.
func peerOf(fd int, remote unix.Sockaddr) monitor.Peer {
	local, _ := unix.Getsockname(fd)
	var p monitor.Peer
	p.RemoteHost, p.RemotePort = nameOf(remote)
	p.LocalHost, p.LocalPort = nameOf(local)
	p.RDomain, _ = unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	return p
}

func nameOf(a unix.Sockaddr) (host string, port int) {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr).String(), a.Port
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 && addr.Is6() {
			addr = addr.WithZone(zone(a.ZoneId))
		}
		return addr.String(), a.Port
	}
	return "UNKNOWN", 65535
}

// zone is the name of an interface, or its number.
func zone(id uint32) string {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		// struct ifreq: the name in 16 bytes, then the index.
		if r, err := unix.NewIfreq(""); err == nil {
			r.SetUint32(id)
			if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, r) == nil {
				return r.Name()
			}
		}
	}
	return strconv.FormatUint(uint64(id), 10)
}

// prepareSocket sets what a login needs of TCP, and TCPKeepAlive with the system's
// own times, as sshd.
func (s *server) prepareSocket(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if s.settings.Load().base.TCPKeepAlive != config.KeepAliveNo {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	}
}

// refuse tells a peer that it may not connect now, as sshd, if it can be told at once.
func refuse(fd int) {
	_, _ = unix.Write(fd, []byte("Not allowed at this time\r\n"))
	_ = unix.Close(fd)
}

// standardStream takes its own copies of descriptors 0 and 1, of which a socket
// needs one only, and points the old ones elsewhere: they would keep the connection
// open, and lead the output of anybody into it. Pipes, as the regression suite
// starts the server, have no addresses to tell.
func standardStream() (fds []int, peer monitor.Peer, err error) {
	peer = monitor.Peer{RemoteHost: "UNKNOWN", RemotePort: 65535, LocalHost: "UNKNOWN", LocalPort: 65535}
	copyOf := func(fd int) {
		if err != nil {
			return
		}
		var n int
		if n, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			fds = append(fds, n)
		}
	}
	copyOf(0)
	if _, e := unix.GetsockoptInt(0, unix.SOL_SOCKET, unix.SO_TYPE); e == nil {
		remote, _ := unix.Getpeername(0)
		peer = peerOf(0, remote)
	} else {
		copyOf(1)
	}
	if err != nil {
		return nil, peer, os.NewSyscallError("fcntl", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, peer, err
	}
	defer null.Close()
	for fd := range 2 {
		_ = unix.Dup3(int(null.Fd()), fd, 0)
	}
	return fds, peer, nil
}
