// Package listener is the role that a server starts as: it reads the command
// line and the configuration, owns the listening sockets and the host keys,
// accepts and counts connections, reloads and ends.
//
// It never reads a byte that a peer sent: each accepted socket goes to Serve,
// which main composes of the gate and the account role, together with the
// monitor that answers their requests.
package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/monitor"
)

// Session is one accepted connection on its way through the roles.
type Session struct {
	Stream  io.ReadWriteCloser
	Monitor *monitor.Connection
	Peer    monitor.Peer
	Root    bool // this process is root's: sessions change to their user
	// Authenticated ends the connection's time limit and its place among the
	// startups. It is called between the gate and the account role.
	Authenticated func()
}

// Serve runs one connection to its end and returns why it ended.
type Serve func(*Session) error

// HostKeyAlgorithms are those of a configuration that a host key is there for.
func (s *Session) HostKeyAlgorithms(c *config.Config) []string {
	return s.Monitor.Algorithms(c.HostKeyAlgorithms)
}

// Identification is the server's version line (RFC 4253 section 4.2), with
// VersionAddendum behind it.
func Identification(addendum string) string {
	line := "SSH-2.0-nano_ssh_server_" + Version
	if addendum != "" && addendum != "none" {
		line += " " + addendum
	}
	return line
}

// server is a running listener.
type server struct {
	serve    Serve
	name     string // that the program was started under
	opts     *options
	profile  config.Profile
	logFile  *os.File // -E
	status   int
	failed   atomic.Bool // -i: the connection ended before a login
	settings atomic.Pointer[settings]
	startups startups
	throttle throttle
	log      *log.Logger

	ctx       context.Context // ends with the server
	cancel    context.CancelFunc
	live      sync.WaitGroup
	mu        sync.Mutex
	listeners []net.Listener
	signals   chan os.Signal
}

// catchSignals comes before anybody can know that the server is there: a signal
// from then on must not end it unheard.
func (s *server) catchSignals() {
	s.signals = make(chan os.Signal, 4)
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
}

// settings are what a reload replaces; a connection keeps those it began with.
type settings struct {
	file   *config.File
	base   *config.Config
	shared *monitor.Shared
}

// acceptLoop accepts on one socket until it is closed.
func (s *server) acceptLoop(l net.Listener) {
	delay := time.Duration(0)
	for {
		c, err := l.Accept()
		if err == nil {
			delay = 0
			s.accepted(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil {
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

// accepted starts a connection unless there are too many that have not authenticated.
func (s *server) accepted(c net.Conn) {
	n, ok := s.startups.enter()
	level := s.throttle.note(s.log, time.Now(), ok, n < s.startups.begin())
	if !ok {
		host, port := addressOf(c.RemoteAddr())
		lhost, lport := addressOf(c.LocalAddr())
		s.log.Dropped(level, n, host, port, lhost, lport, log.PastMaxStartups)
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, "Not allowed at this time\r\n")
		_ = c.Close()
		return
	}
	s.live.Go(func() { s.connection(newStream(c, s.keepAlive()), c.RemoteAddr(), c.LocalAddr()) })
}

func (s *server) keepAlive() bool {
	return s.settings.Load().base.TCPKeepAlive != config.KeepAliveNo
}

// connection runs one connection with its time limit.
func (s *server) connection(stream io.ReadWriteCloser, remote, local net.Addr) {
	now := s.settings.Load()
	var peer monitor.Peer
	peer.RemoteHost, peer.RemotePort = addressOf(remote)
	peer.LocalHost, peer.LocalPort = addressOf(local)
	m := monitor.New(now.shared, peer)
	m.Log().Connection(peer.RemoteHost, peer.RemotePort, peer.LocalHost, peer.LocalPort, "")
	defer stream.Close()
	stop := context.AfterFunc(s.ctx, func() { _ = stream.Close() })
	defer stop()
	var once sync.Once
	leave := func() { once.Do(s.startups.leave) }
	defer leave()
	authenticated := false
	defer func() {
		// The last place where a panic of this connection can be kept from the others.
		if v := recover(); v != nil {
			m.Log().Bug(v, debug.Stack())
			s.failed.Store(true)
		}
	}()
	var grace *time.Timer
	if d := now.base.LoginGraceTime; d > 0 {
		grace = time.AfterFunc(d, func() {
			m.Log().LoginTimeout(peer.RemoteHost, peer.RemotePort)
			_ = stream.Close()
		})
		defer grace.Stop()
	}
	err := s.serve(&Session{
		Stream: stream, Monitor: m, Peer: peer, Root: os.Geteuid() == 0,
		Authenticated: func() {
			authenticated = true
			if grace != nil {
				grace.Stop()
			}
			if q, ok := stream.(interface{ LoginDone() }); ok {
				q.LoginDone()
			}
			leave()
		},
	})
	if err != nil && !authenticated {
		s.failed.Store(true)
	}
}

// run serves until a signal ends the server and returns the exit status.
func (s *server) run() int {
	defer signal.Stop(s.signals)
	for _, l := range s.listeners {
		s.live.Go(func() { s.acceptLoop(l) })
	}
	for sig := range s.signals {
		if sig == syscall.SIGHUP {
			s.log.Restarting()
			s.reload()
			continue
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
	s.cancel()
	s.closeListeners()
	removePidFile(s.settings.Load().base.PidFile)
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

// reload reads the configuration and the host keys again. A configuration with
// faults leaves everything as it was: sshd would end, and lock its users out.
func (s *server) reload() {
	next, err := s.load()
	if err != nil {
		s.log.Error("reload failed, the old configuration stays: %v", err)
		return
	}
	old := s.settings.Load()
	if listening(next.base) != listening(old.base) && !s.rebind(next.base, old.base) {
		s.log.Error("reload failed, the old configuration stays: no address to listen on")
		return
	}
	s.log.SetLevel(s.level(next.base))
	s.apply(next)
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
	s.mu.Lock()
	s.listeners = listeners
	s.mu.Unlock()
	for _, l := range listeners {
		if ok {
			host, port := addressOf(l.Addr())
			s.log.Listening(host, port, "")
		}
		s.live.Go(func() { s.acceptLoop(l) })
	}
	return ok
}

// listening is a configuration's addresses in comparable form.
func listening(c *config.Config) string {
	return fmt.Sprint(c.Port, c.ListenAddress, c.AddressFamily)
}
