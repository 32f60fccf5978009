// Package forward forwards TCP ports and local sockets of one connection (RFC 4254
// section 7; OpenSSH PROTOCOL section 2.4): it connects to where the client asks, and
// listens where the client asks.
//
// The account role makes one Server for each connection, in a process that has the
// user's rights and no others, so that the kernel says what that user may reach
// (THREATS row 18). A Policy says what the configuration and the key leave of it. The
// package never raises its rights, never looks at the data that it moves, and writes
// nothing that a peer chose but into logs, whose sink escapes.
//
// A forwarding costs two goroutines and, while it is idle, no buffer.
package forward

import (
	"context"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/proto/connection"
)

const (
	// maxListeners bounds the forwardings of one connection that listen. sshd knows
	// no bound but descriptors; people forward some dozens.
	maxListeners = 256
	// maxPending bounds accepted connections for which the client has not opened its
	// end: one that never answers must not gather sockets without end.
	maxPending = 1024
	// maxDials bounds connections that are being made; the next ones wait their turn.
	// A browser behind `ssh -D` makes dozens, a scanner as many as it may.
	maxDials = 512
	// closeGrace bounds how long Close waits. All that it waits for ends at once when
	// the connection is gone, and after drainGrace at the latest.
	closeGrace = 5 * time.Second
)

// Policy is what a login may forward. The zero value allows nothing. A Server does
// not change it.
type Policy struct {
	// UID is the user. In a process of another user nothing is forwarded.
	UID int

	DisableForwarding              bool
	PortForwarding                 bool // what the key's options leave: no no-port-forwarding
	AllowTCP, AllowStreamLocal     config.Forwarding
	PermitOpen, PermitListen       []string // of the configuration: HOST:PORT; empty: any; "none" alone: nothing
	KeyPermitOpen, KeyPermitListen []Permit // of the key's options; empty: any

	GatewayPorts          config.GatewayPorts
	AddressFamily         config.AddressFamily
	KeepAlive             bool // TCPKeepAlive all: on forwarded connections too
	StreamLocalBindMask   uint32
	StreamLocalBindUnlink bool

	RemoteAddr string // the client, for log lines
	RemotePort int
	Log        Logger // nil: no log
}

// Permit is one permitopen or permitlisten option of a key. Port 0 is any.
type Permit struct {
	Host string
	Port uint16
}

// Logger takes lines in sshd's wording. They quote peers as they are: the sink escapes.
type Logger interface {
	Errorf(format string, args ...any)
	Infof(format string, args ...any)
	Verbosef(format string, args ...any)
	Debugf(level int, format string, args ...any)
}

// Opener opens channels to the client.
type Opener interface {
	OpenChannel(kind string, extra []byte, h connection.ChannelHandler) (*connection.Channel, error)
}

var _ Opener = (*connection.Mux)(nil)

// Server forwards for one connection. Its handlers may be called from any goroutine.
type Server struct {
	policy       *Policy
	opener       Opener
	log          Logger
	foreign      bool // this process is not the user's
	open, listen rules
	resolver     *net.Resolver
	dials        chan struct{}
	grace        time.Duration   // drainGrace
	ctx          context.Context // ends with the Server
	cancel       context.CancelFunc
	running      sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	listeners map[place]*listener
	relays    map[*relay]struct{}
	pending   int
}

// NewServer returns a Server for one connection. o may come later, by SetOpener.
func NewServer(p *Policy, o Opener) *Server {
	s := &Server{
		policy: p, opener: o, log: p.Log, foreign: os.Geteuid() != p.UID,
		open:      rules{user: keyRules(p.KeyPermitOpen), admin: configRules(p.PermitOpen)},
		listen:    rules{user: keyRules(p.KeyPermitListen), admin: configRules(p.PermitListen)},
		resolver:  &net.Resolver{PreferGo: true},
		dials:     make(chan struct{}, maxDials),
		listeners: map[place]*listener{}, relays: map[*relay]struct{}{},
		grace: drainGrace,
	}
	if s.log == nil {
		s.log = silent{}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// SetOpener sets what opens channels. Call it before the connection is served.
func (s *Server) SetOpener(o Opener) { s.opener = o }

// Register adds the channel types and global requests that the Server handles to a
// connection's configuration.
func (s *Server) Register(c *connection.Config) {
	if c.Open == nil {
		c.Open = map[string]func(*connection.NewChannel){}
	}
	if c.Global == nil {
		c.Global = map[string]func(*connection.GlobalRequest){}
	}
	c.Open["direct-tcpip"] = s.OpenTCP
	c.Open["direct-streamlocal@openssh.com"] = s.OpenStreamLocal
	c.Global["tcpip-forward"] = s.ListenTCP
	c.Global["cancel-tcpip-forward"] = s.CancelTCP
	c.Global["streamlocal-forward@openssh.com"] = s.ListenStreamLocal
	c.Global["cancel-streamlocal-forward@openssh.com"] = s.CancelStreamLocal
}

// Close ends all listeners, taking their sockets away, and all connections, made or
// being made, and waits for them. Call it when the connection has ended (Mux.Close):
// what the client sent before that is still delivered, for a moment.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	listeners := s.listeners
	s.listeners = map[place]*listener{}
	relays := make([]*relay, 0, len(s.relays))
	for r := range s.relays {
		relays = append(relays, r)
	}
	s.mu.Unlock()
	s.cancel()
	for _, l := range listeners {
		l.close()
	}
	for _, r := range relays {
		r.end()
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.log.Errorf("forwarded connections did not end")
	}
}

// Counts returns how many forwardings listen and how many connections there are.
func (s *Server) Counts() (listeners, connections int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.listeners), len(s.relays)
}

// begin counts a goroutine that Close waits for; false if it is too late to start one.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// guard runs f; a panic in it is our bug. It ends what recovered ends, and nothing else.
func (s *Server) guard(f, recovered func()) {
	defer func() {
		if v := recover(); v != nil {
			for _, line := range log.BugLines(v, debug.Stack()) {
				s.log.Errorf("%s", line)
			}
			recovered()
		}
	}()
	f()
}

type silent struct{}

func (silent) Errorf(string, ...any)      {}
func (silent) Infof(string, ...any)       {}
func (silent) Verbosef(string, ...any)    {}
func (silent) Debugf(int, string, ...any) {}
