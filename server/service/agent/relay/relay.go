// Package relay joins connections that come in on a local socket to channels that
// this server opens to the client: what forwarding of the agent and of X11 have in
// common.
//
// The packages agent and x11 make the sockets and call Serve. The package decides
// nothing about who may have a socket, and never makes or removes a file itself:
// closing a listener is what takes its socket away.
package relay

import (
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/service/session"
)

// acceptPause is how long accepting rests when the process or the machine has no
// more descriptors: sshd's second.
const acceptPause = time.Second

// Local is a connection of a program on this machine: *net.UnixConn or *net.TCPConn.
type Local interface {
	net.Conn
	CloseWrite() error
	SyscallConn() (syscall.RawConn, error)
}

// Config says what a connection that comes in becomes.
type Config struct {
	Mux  *connection.Mux
	Kind string // channel type
	// Limit bounds the connections that are there at a time. More wait in the
	// kernel's queue.
	Limit int
	// Single closes the listeners when the first connection is there.
	Single bool
	// Admit looks at a connection before it costs anything and returns the type
	// specific data of its channel; false closes it. It must not block.
	Admit func(Local) (extra []byte, ok bool)
	// AcceptError is what the log calls a failure to accept, in sshd's words.
	AcceptError string
	Log         session.Logger
}

// Relay is a group of listeners that belong together, and their connections.
type Relay struct {
	cfg       *Config
	listeners []net.Listener
	slots     chan struct{}
	stopped   chan struct{}
	once      sync.Once
	loops     sync.WaitGroup
	taken     atomic.Bool // Single: the one connection was there

	mu     sync.Mutex
	links  map[*link]struct{}
	closed bool
}

// Serve accepts connections on the listeners until Stop or Close, or until the Mux
// has ended. The listeners are the Relay's from here on.
func Serve(cfg *Config, listeners ...net.Listener) *Relay {
	r := &Relay{
		cfg: cfg, listeners: listeners, links: map[*link]struct{}{},
		slots: make(chan struct{}, cfg.Limit), stopped: make(chan struct{}),
	}
	for _, l := range listeners {
		r.loops.Add(1)
		go r.guard(func() {
			defer r.loops.Done()
			r.accept(l)
		})
	}
	// Nobody else might: a connection's end takes its listeners with it.
	go r.guard(func() {
		select {
		case <-cfg.Mux.Done():
			r.stop()
		case <-r.stopped:
		}
	})
	return r
}

// Stop closes the listeners and waits until nothing more is accepted. Connections
// that are there go on.
func (r *Relay) Stop() {
	r.stop()
	r.loops.Wait()
}

func (r *Relay) stop() {
	r.once.Do(func() {
		close(r.stopped)
		for _, l := range r.listeners {
			l.Close()
		}
	})
}

// Close closes the listeners and all connections.
func (r *Relay) Close() {
	r.Stop()
	r.mu.Lock()
	r.closed = true
	links := r.links
	r.links = map[*link]struct{}{}
	r.mu.Unlock()
	for l := range links {
		l.abort()
	}
}

// Idle reports whether the Relay is through: stopped, and without connections.
func (r *Relay) Idle() bool {
	select {
	case <-r.stopped:
	default:
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.links) == 0 && len(r.slots) == 0
}

// accept is the loop of one listener.
func (r *Relay) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if r.over(err) {
				return
			}
			continue
		}
		local := c.(Local)
		select {
		case r.slots <- struct{}{}:
		case <-r.stopped:
			local.Close()
			return
		}
		if r.cfg.Single {
			if !r.taken.CompareAndSwap(false, true) {
				local.Close()
				return
			}
			r.cfg.Log.Debugf(2, "single_connection: closing X11 listener.")
			r.stop()
		}
		extra, ok := r.cfg.Admit(local)
		if !ok {
			local.Close()
			<-r.slots
			continue
		}
		go r.guard(func() {
			defer func() { <-r.slots }()
			r.join(local, extra)
		})
	}
}

// over reports whether an error of Accept ends the loop. If there are no
// descriptors left it waits first, so as not to spin.
func (r *Relay) over(err error) bool {
	select {
	case <-r.stopped:
		return true
	default:
	}
	if errors.Is(err, net.ErrClosed) {
		return true
	}
	if errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINTR) {
		return false
	}
	r.cfg.Log.Errorf("%s: %.100s", r.cfg.AcceptError, systemText(err))
	timer := time.NewTimer(acceptPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-r.stopped:
		return true
	}
}

// systemText is the system's own text of an error, without Go's operation and address.
func systemText(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}

// join opens the channel and moves data until both directions have ended.
func (r *Relay) join(local Local, extra []byte) {
	l := &link{relay: r, local: local}
	if !r.add(l) {
		local.Close()
		return
	}
	defer r.remove(l)
	defer local.Close()
	raw, err := local.SyscallConn()
	if err != nil {
		return
	}
	ch, err := r.cfg.Mux.OpenChannel(r.cfg.Kind, extra, l)
	if err != nil {
		r.logRefusal(err)
		return
	}
	defer func() { _ = ch.Close() }()
	if !l.attach(ch) {
		return
	}
	sent := make(chan struct{})
	go r.guard(func() {
		defer close(sent)
		(&source{conn: raw}).pump(ch)
	})
	l.deliver(ch)
	<-sent
}

func (r *Relay) add(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.links[l] = struct{}{}
	return true
}

func (r *Relay) remove(l *link) {
	r.mu.Lock()
	delete(r.links, l)
	r.mu.Unlock()
}

// reasons are sshd's words for those of RFC 4254 section 5.1.
var reasons = map[uint32]string{
	msg.OpenAdministrativelyProhibited: "administratively prohibited",
	msg.OpenConnectFailed:              "connect failed",
	msg.OpenUnknownChannelType:         "unknown channel type",
	msg.OpenResourceShortage:           "resource shortage",
}

func (r *Relay) logRefusal(err error) {
	var refused *connection.OpenError
	if !errors.As(err, &refused) {
		return // the connection has ended
	}
	reason := reasons[refused.Reason]
	if reason == "" {
		reason = "unknown reason"
	}
	r.cfg.Log.Infof("channel %s: open failed: %s: %s", r.cfg.Kind, reason, refused.Text)
}

// guard runs f; a panic in it is our bug: it ends this connection only.
func (r *Relay) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			for _, line := range log.BugLines(v, debug.Stack()) {
				r.cfg.Log.Errorf("%s", line)
			}
			r.cfg.Mux.Close()
		}
	}()
	f()
}
