// Package account is the role that serves an authenticated connection with the
// privileges of its user: channels and the services on them.
//
// It goes on with a transport state that the gate exported. It asks the
// monitor, through the interface below, for what only the privileged side can do.
package account

import (
	"errors"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/service/forward"
	"nano_ssh_server/server/service/session"
)

// Config is what one connection needs.
type Config struct {
	Transport *transport.Config
	Session   *session.Policy
	Opener    session.Opener
	// Forwarding is what may be forwarded; the zero value is nothing.
	Forwarding Forwarding
	// Announced are announced to the client, and proved by Prove (OpenSSH PROTOCOL
	// 2.5); none: no announcement.
	Announced []ipc.HostKey
	Prove     func(algorithm string, blob []byte) ([]byte, error)
	// AuthInfo are the lines of ExposeAuthInfo's file; nil: no file.
	AuthInfo []string
	// ClientAliveInterval is after how much silence the client is asked for a
	// sign of life; after ClientAliveCountMax questions without one the
	// connection ends. 0: never.
	ClientAliveInterval time.Duration
	ClientAliveCountMax int
	// ChannelTimeouts close channels, and UnusedTimeout ends a connection without
	// any, that nobody uses.
	ChannelTimeouts []ipc.ChannelTimeout
	UnusedTimeout   time.Duration
	Peer            log.Peer
	Log             *log.Logger
}

// ErrTimeout ends a connection whose client no longer answers.
var ErrTimeout = errors.New("client not responding")

// ErrUnused ends a connection that had no channel for UnusedConnectionTimeout.
var ErrUnused = errors.New("connection without channels")

// ErrBug ends a connection in which our own code panicked.
var ErrBug = errors.New("internal error")

// Serve serves the connection until it ends, and returns why. All that hangs on
// the connection is gone then: channels, processes' terminals, keys.
func Serve(stream io.ReadWriteCloser, state *transport.State, cfg *Config) (err error) {
	defer func() {
		if v := recover(); v != nil {
			cfg.Log.Bug(v, debug.Stack())
			stream.Close()
			err = ErrBug
		}
	}()
	conn, err := transport.Import(stream, cfg.Transport, state)
	if err != nil {
		stream.Close()
		return err
	}
	defer conn.Free()
	if file := cfg.exposeAuthInfo(); file != "" {
		defer os.Remove(file)
	}
	c := &served{}
	muxConfig := &connection.Config{
		Open:      map[string]func(*connection.NewChannel){},
		Global:    map[string]func(*connection.GlobalRequest){},
		Recovered: func(v any) { c.bug.Store(true); cfg.Log.Bug(v, debug.Stack()) },
	}
	forwarder := cfg.Forwarding.register(muxConfig, func() { c.bug.Store(true); c.mux.Close() })
	policy := *cfg.Session
	if q, ok := stream.(interface{ SetServiceClass(int) }); ok {
		policy.SetServiceClass = q.SetServiceClass
	}
	if forwarder.Agent != nil {
		policy.Forwarder, policy.Interfaces = sessionForwarder{forwarder}, forwarder.tun.Interfaces
	}
	sessions := session.NewServer(&policy, cfg.Opener)
	defer sessions.Close()
	muxConfig.Open["session"] = func(n *connection.NewChannel) {
		if c.noMoreSessions.Load() {
			n.Reject(msg.OpenAdministrativelyProhibited, "no more sessions")
			return
		}
		sessions.Open(n)
	}
	muxConfig.Global["no-more-sessions@openssh.com"] = func(g *connection.GlobalRequest) { c.noMoreSessions.Store(true) }
	muxConfig.Global[forward.HostKeysProveRequest] = func(g *connection.GlobalRequest) { cfg.prove(g, state.SessionID) }
	mux := connection.New(conn, muxConfig)
	forwarder.attach(mux)
	defer forwarder.close()
	defer mux.Close() // whatever happens, nobody waits for a window any more
	c.mux, c.conn = mux, conn
	if err := conn.Begin(); err != nil {
		return err
	}
	cfg.announceHostKeys(mux)
	if cfg.ClientAliveInterval > 0 {
		stop := c.watch(cfg)
		defer stop()
	}
	stopTimeouts := c.watchUse(cfg)
	defer stopTimeouts()
	err = mux.Serve()
	switch {
	case c.bug.Load():
		return ErrBug // told with its stack
	case c.timedOut.Load():
		err = ErrTimeout
	case c.unused.Load():
		return ErrUnused
	}
	cfg.logEnd(err)
	return err
}

// logEnd writes what sshd writes at the end of an authenticated connection.
func (c *Config) logEnd(err error) {
	var told *transport.DisconnectError
	var offence *transport.PeerError
	switch {
	case errors.Is(err, ErrTimeout):
		c.Log.ClientTimeout(c.Peer)
	case errors.As(err, &told):
		c.Log.ReceivedDisconnect(c.Peer, told.Reason, told.Text)
		c.Log.Disconnected(c.Peer)
	case errors.As(err, &offence):
		c.Log.Disconnecting(c.Peer, offence.Text)
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		c.Log.Reset(c.Peer)
	default:
		c.Log.Closed(c.Peer)
	}
}

// served is the state of one connection.
type served struct {
	mux            *connection.Mux
	conn           *transport.Conn
	noMoreSessions atomic.Bool
	timedOut       atomic.Bool
	unused         atomic.Bool
	bug            atomic.Bool
}

// guard runs f at the start of a goroutine of the connection's: a panic in it ends
// this connection, and no other.
func (c *served) guard(l *log.Logger, f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.bug.Store(true)
			l.Bug(v, debug.Stack())
			c.mux.Close()
		}
	}()
	f()
}

// maxQuestions bounds the questions for a sign of life that wait for their answer:
// a client that sends data, but never answers, must not gather them.
const maxQuestions = 16

// watch asks a silent client for a sign of life (ClientAliveInterval): any
// packet is one. As in sshd a ClientAliveCountMax of 0 asks and never gives up.
// It returns a function that ends the watch.
func (c *served) watch(cfg *Config) (stop func()) {
	done := make(chan struct{})
	go c.guard(cfg.Log, func() {
		ticker := time.NewTicker(cfg.ClientAliveInterval)
		defer ticker.Stop()
		seen, asked := c.mux.Received(), 0
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if now := c.mux.Received(); now != seen {
				seen, asked = now, 0
				continue
			}
			if cfg.ClientAliveCountMax > 0 && asked >= cfg.ClientAliveCountMax {
				c.timedOut.Store(true)
				c.conn.Disconnect(msg.ReasonConnectionLost, "Timeout, client not responding.")
				return
			}
			asked++
			if c.mux.Pending() < maxQuestions {
				go c.guard(cfg.Log, func() { _, _, _ = c.mux.SendGlobal("keepalive@openssh.com", true, nil) })
			}
		}
	})
	return func() { close(done) }
}
