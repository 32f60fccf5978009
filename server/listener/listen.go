package listener

import (
	"context"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/config"
)

// bindAll listens on every address and reports each failure in sshd's words.
// Sockets of both families are separate, as in sshd, so that the addresses in
// logs are plain.
func bindAll(addresses []config.ListenAddr, logError func(string, ...any)) []*socket {
	var out []*socket
	for _, a := range addresses {
		if a.Addr.Addr().Is6() && a.Addr.Addr().IsUnspecified() && !haveIPv6() {
			continue
		}
		l, err := bind(a)
		if err != nil {
			logError("Bind to port %d on %s failed: %s.", a.Addr.Port(), a.Addr.Addr(), reason(err))
			continue
		}
		out = append(out, l)
	}
	return out
}

func haveIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

func bind(a config.ListenAddr) (*socket, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: func(network, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			if network == "tcp6" && failed == nil {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
			}
			if a.RDomain != "" && failed == nil {
				failed = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, a.RDomain)
			}
		})
		return errors.Join(err, failed)
	}}
	lc.SetMultipathTCP(false)
	network := "tcp6"
	if a.Addr.Addr().Is4() {
		network = "tcp4"
	}
	l, err := lc.Listen(context.Background(), network, a.Addr.String())
	if err != nil {
		return nil, err
	}
	return newSocket(l)
}

// reason returns the innermost error's text, as strerror(3) has it.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := errno.Error()
		if text != "" {
			return string(text[0]-'a'+'A') + text[1:]
		}
	}
	return err.Error()
}

// addressOf splits a socket address for logs and the environment of sessions.
func addressOf(a net.Addr) (host string, port int) {
	if t, ok := a.(*net.TCPAddr); ok {
		host = t.AddrPort().Addr().Unmap().String()
		return host, t.Port
	}
	return "UNKNOWN", 65535
}
