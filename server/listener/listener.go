// Package listener is the role that a server starts as: it reads the command
// line and the configuration, owns the listening sockets and the host keys,
// accepts and counts connections, reloads and ends.
//
// It never reads a byte that a peer sent: each accepted socket goes to a gate and
// then to an account process (role.go, roles.go), with the monitor answering their
// requests. A server that an ordinary user started is one process: there Serve,
// which main composes of both roles, runs each connection.
package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/listener/source"
	"nano_ssh_server/server/monitor"
)

// Session is one accepted connection on its way through the roles of one process.
type Session struct {
	Stream  io.ReadWriteCloser
	Monitor *monitor.Connection
	Place   ipc.Place
	Gate    *ipc.GateSettings
	// Change says that this process is root's: programs change to their user.
	Change bool
	// Authenticated ends the connection's time limit and its place among the
	// startups. It is called between the gate and the account role.
	Authenticated func()
}

// Serve runs one connection to its end and returns why it ended.
type Serve func(*Session) error

// Identification is the server's version line (RFC 4253 section 4.2), with
// VersionAddendum behind it.
func Identification(addendum string) string {
	line := "SSH-2.0-" + softwareVersion
	if addendum != "" && addendum != "none" {
		line += " " + addendum
	}
	return line
}

// server is a running listener.
type server struct {
	serve    Serve
	name     string // that the program was started under
	args     []string
	startDir string
	program  string // its file's name
	notify   *notifier
	// activated says that a service manager made the sockets.
	activated bool
	opts      *options
	profile   config.Profile
	logFile   *os.File // -E
	status    int
	failed    atomic.Bool // -i: the connection ended before a login
	settings  atomic.Pointer[settings]
	separate  bool  // roles are processes of their own
	syslog    int32 // facility that is logged to, -1: none
	roles     roles
	lastID    atomic.Uint32 // of the connections
	sources   *source.Table
	startups  startups
	setTitle  func(string)
	setLoad   func(connections int)
	served    atomic.Int32 // connections there are
	throttle  throttle
	log       *log.Logger

	ctx       context.Context // ends with the server
	cancel    context.CancelFunc
	live      sync.WaitGroup
	mu        sync.Mutex
	listeners []*socket
	signals   chan os.Signal
}

// catchSignals comes before anybody can know that the server is there: a signal
// from then on must not end it unheard.
func (s *server) catchSignals() {
	s.signals = make(chan os.Signal, 4)
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1)
}

// settings are what a reload replaces; a connection keeps those it began with.
type settings struct {
	file   *config.File
	base   *config.Config
	shared *monitor.Shared
	gate   *ipc.GateSettings
}

// acceptLoop accepts on one socket until it is closed.
func (s *server) acceptLoop(l *socket) {
	delay := time.Duration(0)
	for {
		fd, peer, err := l.accept()
		if err == nil {
			delay = 0
			s.accepted(fd, peer)
			continue
		}
		if l.closed.Load() || s.ctx.Err() != nil {
			return
		}
		// Out of descriptors or memory: wait for some to come back, as sshd does.
		s.log.Error("accept: %s", reason(err))
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(delay):
		case <-s.ctx.Done():
			return
		}
	}
}

// accepted starts a connection unless its source, or there being too many that
// have not authenticated, speaks against it.
func (s *server) accepted(fd int, peer monitor.Peer) {
	addr, _ := netip.ParseAddr(peer.RemoteHost)
	now := time.Now()
	place, refusal := s.sources.Enter(addr, now)
	n, _, _ := s.startups.state()
	ok := refusal == source.Admitted
	if ok {
		if n, ok = s.startups.enter(); !ok {
			s.sources.Leave(place)
			refusal = log.PastMaxStartups
		}
	}
	level := log.Info
	if !refusal.Penalty() {
		level = s.throttle.note(s.log, now, ok, n < s.startups.begin())
	}
	if !ok {
		s.log.Dropped(level, n, peer.RemoteHost, peer.RemotePort, peer.LocalHost, peer.LocalPort, string(refusal))
		refuse(fd)
		return
	}
	s.prepareSocket(fd)
	c := s.begin([]int{fd}, peer, func() {
		s.sources.Leave(place)
		s.startups.leave()
		s.title()
	})
	s.title()
	go c.start()
}

// title shows the startups in ps(1), as sshd.
func (s *server) title() {
	now, begin, full := s.startups.state()
	s.setTitle(fmt.Sprintf("sshd: [listener] %d of %d-%d startups", now, begin, full))
}

// run serves until a signal ends the server and returns the exit status.
func (s *server) run() int {
	defer signal.Stop(s.signals)
	for _, l := range s.listeners {
		s.live.Go(func() { s.acceptLoop(l) })
	}
	for sig := range s.signals {
		switch sig {
		case syscall.SIGHUP:
			s.log.Restarting()
			s.notify.reloading()
			if s.upgraded() {
				s.upgrade()
			}
			s.reload()
			s.notify.ready()
			continue
		case syscall.SIGUSR1:
			s.drain()
			return 0
		}
		s.log.Terminating(int(sig.(syscall.Signal)))
		if s.name == asSSHD && sig != syscall.SIGTERM {
			s.end()
			return exitFault
		}
		break
	}
	return s.end()
}

// endWait bounds how long the end waits for sessions to let go: their process
// groups have got HUP by then.
const endWait = 5 * time.Second

// end closes the sockets and all connections.
func (s *server) end() int {
	s.notify.stopping("Ending.")
	s.cancel()
	s.closeListeners()
	removePidFile(s.settings.Load().base.PidFile)
	if s.separate && s.opts.debug == 0 && !s.opts.inetd {
		s.entrust() // sessions go on in their processes, as sshd's do
		return 0
	}
	done := make(chan struct{})
	go func() { s.live.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(endWait):
		s.log.Error("some sessions did not end in time")
	}
	return 0
}

func (s *server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.listeners = nil
}

var errFaults = errors.New("the new one has faults")

// reload reads the configuration and the host keys again. A configuration with
// faults leaves everything as it was: sshd would end, and lock its users out.
func (s *server) reload() {
	next, err := s.load()
	if faults := (config.Errors)(nil); errors.As(err, &faults) {
		s.logFaults(faults)
		err = errFaults
	}
	if err != nil {
		s.log.Error("reload failed, the old configuration stays: %v", err)
		return
	}
	old := s.settings.Load()
	if !s.activated && listening(next.base) != listening(old.base) && !s.rebind(next.base, old.base) {
		s.log.Error("reload failed, the old configuration stays: no address to listen on")
		return
	}
	s.log.SetLevel(s.level(next.base))
	s.apply(next)
	if s.separate {
		s.renew()
	}
	if err := writePidFile(next.base.PidFile); err != nil {
		s.log.Error("Couldn't create pid file %q: %s", next.base.PidFile, reason(err))
	}
}

// rebind replaces the listening sockets. If none of the new ones can be had, it
// takes those of the old configuration again and reports false.
func (s *server) rebind(c, old *config.Config) bool {
	s.closeListeners()
	listeners := s.bind(c)
	ok := len(listeners) > 0
	if !ok {
		listeners = s.bind(old)
	}
	for _, l := range listeners {
		if ok {
			host, port := addressOf(l.Addr())
			s.log.Listening(host, port, "")
		}
		s.listen(l)
	}
	return ok
}

// listen accepts on one more socket.
func (s *server) listen(l *socket) {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.live.Go(func() { s.acceptLoop(l) })
}

// drain ends the server gracefully (SIGUSR1): no new connections, and an end when
// the last one is over. A second signal to end does so at once.
func (s *server) drain() {
	s.notify.stopping("Waiting for connections to end.")
	s.log.Info("Received signal %d; waiting for connections to end.", int(syscall.SIGUSR1))
	s.closeListeners()
	removePidFile(s.settings.Load().base.PidFile)
	done := make(chan struct{})
	go func() { s.live.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		case sig := <-s.signals:
			if sig == syscall.SIGHUP || sig == syscall.SIGUSR1 {
				continue
			}
			s.log.Terminating(int(sig.(syscall.Signal)))
			s.end()
			return
		}
	}
}

// listening is a configuration's addresses in comparable form.
func listening(c *config.Config) string {
	return fmt.Sprint(c.Port, c.ListenAddress, c.AddressFamily)
}
