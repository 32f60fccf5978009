package listener

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/proto/sshkey"
)

// bind listens on the addresses of a configuration.
func (s *server) bind(c *config.Config) []net.Listener {
	addresses, err := c.Listen(nil)
	if err != nil {
		s.log.Fatal("%v", err)
		return nil
	}
	return bindAll(addresses, s.log.Error)
}

// announce says where the server listens; nano_ssh_server also tells the person
// who started it how to get in. The one-time password goes to the terminal only,
// never to the log.
func (s *server) announce(now *settings) {
	for _, l := range s.listeners {
		host, port := addressOf(l.Addr())
		s.log.Listening(host, port, "")
	}
	if s.name == asSSHD {
		return
	}
	name := "user"
	if now.shared.Only == nil && now.shared.OneTime == nil {
		name = "NAME"
	}
	if once := now.shared.OneTime; once != nil {
		password := once.Reveal()
		defer sodium.Memzero(password)
		defer fmt.Fprintf(os.Stderr, "One-time password for %s: %s\n", name, password)
	}
	if s.opts.quiet || s.logFile != nil {
		return
	}
	for _, key := range now.shared.Keys.Public() {
		fmt.Fprintf(os.Stderr, "Host key: %s %s\n", sshkey.TypeName(key.Type()), sshkey.FingerprintSHA256(key.Blob()))
	}
	_, port := addressOf(s.listeners[0].Addr())
	fmt.Fprintf(os.Stderr, "Log in with: ssh -p %d %s@localhost\n", port, name)
}

// inetd serves the one connection on descriptors 0 and 1 (-i).
func (s *server) inetd() error {
	c, err := net.FileConn(os.Stdin)
	if err != nil {
		p, err := newPipes(os.Stdin, os.Stdout)
		if err != nil {
			return err
		}
		freeStandard()
		return s.one(p, nil, nil)
	}
	freeStandard()
	return s.one(newStream(c, s.keepAlive()), c.RemoteAddr(), c.LocalAddr())
}

// single serves the next connection and no other (-d).
func (s *server) single() error {
	accepted := make(chan net.Conn)
	for _, l := range s.listeners {
		s.live.Go(func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case accepted <- c:
			case <-s.ctx.Done():
				_ = c.Close()
			}
		})
	}
	select {
	case c := <-accepted:
		// Others that come until the sockets are closed find nobody.
		go func() {
			for c := range accepted {
				_ = c.Close()
			}
		}()
		s.closeListeners()
		return s.one(newStream(c, s.keepAlive()), c.RemoteAddr(), c.LocalAddr())
	case sig := <-s.signals:
		s.log.Terminating(int(sig.(syscall.Signal)))
		s.cancel()
		s.closeListeners()
		return nil
	}
}

// one serves one connection to its end, or to a signal's. The status after one
// that ended before a login is 255, as sshd's.
func (s *server) one(stream io.ReadWriteCloser, remote, local net.Addr) error {
	done := make(chan struct{})
	s.live.Go(func() {
		defer close(done)
		s.connection(stream, remote, local)
	})
	select {
	case <-done:
	case <-s.signals:
		s.end()
		return &exitError{status: exitFault}
	}
	if s.failed.Load() {
		return &exitError{status: exitFault}
	}
	return nil
}
