package listener

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/monitor"
	"nano_ssh_server/server/proto/sshkey"
)

// bind listens on the addresses of a configuration.
func (s *server) bind(c *config.Config) []*socket {
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
	fds, peer, err := standardStream()
	if err != nil {
		return err
	}
	if len(fds) == 1 {
		s.prepareSocket(fds[0])
	}
	return s.one(fds, peer)
}

// single serves the next connection and no other (-d).
func (s *server) single() error {
	type found struct {
		fd   int
		peer monitor.Peer
	}
	accepted := make(chan found)
	for _, l := range s.listeners {
		go func() {
			fd, peer, err := l.accept()
			if err != nil {
				return
			}
			select {
			case accepted <- found{fd, peer}:
			case <-s.ctx.Done():
				_ = unix.Close(fd)
			}
		}()
	}
	select {
	case c := <-accepted:
		// Others that come until the sockets are closed find nobody.
		go func() {
			for c := range accepted {
				_ = unix.Close(c.fd)
			}
		}()
		s.closeListeners()
		s.prepareSocket(c.fd)
		return s.one([]int{c.fd}, c.peer)
	case sig := <-s.signals:
		s.log.Terminating(int(sig.(syscall.Signal)))
		s.cancel()
		s.closeListeners()
		return nil
	}
}

// one serves one connection to its end, or to a signal's. The status after one
// that ended before a login is 255, as sshd's.
func (s *server) one(fds []int, peer monitor.Peer) error {
	c := s.begin(fds, peer, func() {})
	go c.start()
	select {
	case <-c.done:
	case <-s.signals:
		c.drop()
		s.end()
		return &exitError{status: exitFault}
	}
	if s.failed.Load() {
		return &exitError{status: exitFault}
	}
	return nil
}
