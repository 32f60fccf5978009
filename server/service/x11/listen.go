package x11

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// basePort is the port of display 0.
	basePort = 6000
	// maxDisplays is how many numbers are tried from X11DisplayOffset on: sshd's bound.
	maxDisplays = 1000
	maxPort     = 1<<16 - 1
)

// errAllTaken is sshd's text.
const errAllTaken reason = "Failed to allocate internet-domain X11 display socket."

// family is a place to listen for one version of the Internet protocol.
type family struct{ network, address string }

func families(localhost bool) []family {
	if localhost {
		return []family{{"tcp6", "::1"}, {"tcp4", "127.0.0.1"}}
	}
	return []family{{"tcp6", "::"}, {"tcp4", "0.0.0.0"}}
}

// listen opens the first display that is free in every family. One that another
// user's program has in one of them is not: programs of this session would show that
// user their cookie (CVE-2008-1483).
func listen(p *Policy, all []family) (number int, listeners []net.Listener, err error) {
	for number = p.DisplayOffset; number < p.DisplayOffset+maxDisplays; number++ {
		port := basePort + number
		if number < 0 || port > maxPort {
			break
		}
		listeners, err = listenAll(p, all, port)
		if err != nil {
			return 0, nil, err
		}
		if listeners != nil {
			return number, listeners, nil
		}
	}
	return 0, nil, errAllTaken
}

// listenAll listens on a port in every family that this machine has. It returns nil
// if one of them has the port in use.
func listenAll(p *Policy, all []family, port int) (listeners []net.Listener, err error) {
	for _, f := range all {
		l, err := listenOne(f, port, p.UseLocalhost)
		switch {
		case err == nil:
			listeners = append(listeners, l)
			continue
		case missing(err):
			p.Log.Debugf(2, "Socket family %s not supported", f.network)
			continue
		}
		closeAll(listeners)
		p.Log.Debugf(2, "bind port %d: %.100s", port, err)
		if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			return nil, nil
		}
		return nil, fmt.Errorf("socket: %w", err)
	}
	if listeners == nil {
		return nil, errors.New("socket: no address family")
	}
	return listeners, nil
}

// missing reports whether a family, or its address, is not there at all. Nobody but
// the administrator can bring that about. sshd takes a missing address, as where IPv6
// is switched off by sysctl(8), for one in use and finds no display at all.
func missing(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPFNOSUPPORT) ||
		errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

func listenOne(f family, port int, localhost bool) (net.Listener, error) {
	config := net.ListenConfig{
		KeepAlive: -1, // as sshd: a program may be silent for as long as it likes
		Control: func(_, _ string, c syscall.RawConn) error {
			if localhost {
				return nil
			}
			// Package net allows the reuse of addresses. Somebody else could then have
			// the same port on one of the machine's addresses (CVE-2008-3259).
			var failed error
			if err := c.Control(func(fd uintptr) {
				failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
			}); err != nil {
				return err
			}
			return failed
		},
	}
	config.SetMultipathTCP(false) // X's programs speak plain TCP
	// Package net sets TCP_NODELAY on what is accepted: X needs it.
	return config.Listen(context.Background(), f.network, net.JoinHostPort(f.address, strconv.Itoa(port)))
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
