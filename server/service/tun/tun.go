// Package tun serves tun@openssh.com channels (OpenSSH PROTOCOL section 2.3): a
// virtual network interface of this machine, tun(4), joined to one of the client's.
//
// The account role makes one Server for each connection, in a process that runs as
// the user, and registers its Open for the channel type. The rights are the kernel's
// business: a user without privileges gets only an interface that an administrator
// made for that user. The package gives no interface an address or a route, and never
// keeps a packet: what does not fit now is lost, as on any network.
package tun

import (
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/service/session"
)

// ChannelType is the type that Open is for.
const ChannelType = "tun@openssh.com"

// maxDevices bounds the interfaces of one connection: people have one or two, each
// costs the kernel a network device.
const maxDevices = 32

// NoDevice is Policy.Device of a key that says nothing of tunnels.
const NoDevice = -1

// Policy is what a login may do.
type Policy struct {
	// Permit is PermitTunnel; TunnelNo with DisableForwarding.
	Permit config.Tunnel
	// Device is the number that the key's option tunnel="n" forces, anyUnit (2^31-1)
	// or NoDevice.
	Device  int
	Account *user.Account
	Log     session.Logger
}

// Texts of sshd.
const (
	textMode   = "Unsupported tunnel device mode."
	textRefuse = "Server has rejected tunnel device forwarding"
	textFailed = "Failed to open the tunnel device."
)

// Server serves the tunnels of one connection.
type Server struct {
	policy *Policy
	open   func(request) (*os.File, string, error)
	broken func() // ends the connection after a bug of ours

	mu      sync.Mutex
	settled sync.Cond // opening is 0
	opening int       // requests that have arrived and are not answered
	closed  bool
	count   int // with those that are being opened
	links   map[*link]struct{}
	names   []string // in the order of their opening
}

// New returns a Server for one connection. broken ends that connection; it is called
// after a panic of this package, which is logged.
func New(p *Policy, broken func()) *Server {
	s := &Server{policy: p, open: openDevice, broken: broken, links: map[*link]struct{}{}}
	s.settled.L = &s.mu
	return s
}

// Arriving says that Open will be called. Package connection calls it in the order of
// the client's messages, Open in goroutines of their own: a session that the client
// asks for after its tunnel then knows that there will be one.
func (s *Server) Arriving() {
	s.mu.Lock()
	s.opening++
	s.mu.Unlock()
}

func (s *Server) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening = max(s.opening-1, 0)
	if s.opening == 0 {
		s.settled.Broadcast()
	}
}

// Open accepts a channel of ChannelType and joins it to an interface, or refuses it.
func (s *Server) Open(n *connection.NewChannel) {
	defer s.settle()
	if !boundaries {
		n.Reject(msg.OpenUnknownChannelType, "unknown channel type")
		return
	}
	l, reason := s.connect(n.Extra)
	if l == nil {
		n.Reject(reason, "open failed")
		return
	}
	l.start(any(n.Accept(l)).(channel))
}

// connect opens the interface that a client asks for, or says with which of RFC
// 4254's reasons it is refused.
func (s *Server) connect(extra []byte) (l *link, reason uint32) {
	refuse := func(text string, reason uint32) (*link, uint32) {
		s.policy.Log.Debugf(1, "%s", text)
		return nil, reason
	}
	q, err := parseRequest(extra)
	switch {
	case errors.Is(err, errMode):
		return refuse(textMode, msg.OpenConnectFailed)
	case err != nil:
		return refuse(err.Error(), msg.OpenConnectFailed)
	case s.policy.Permit&config.Tunnel(q.mode) == 0, uint32(os.Geteuid()) != s.policy.Account.UID:
		// Root would make interfaces for everybody (THREATS row 18).
		return refuse(textRefuse, msg.OpenConnectFailed)
	}
	if forced := s.policy.Device; forced != NoDevice {
		if q.unit != anyUnit && q.unit != uint32(forced) {
			return refuse(textFailed, msg.OpenConnectFailed)
		}
		q.unit = uint32(forced)
	}
	if !s.reserve() {
		return refuse(textFailed, msg.OpenResourceShortage)
	}
	device, name, err := s.open(q)
	if err == nil {
		l, err = newLink(s, q.mode, device)
	}
	if err != nil {
		s.unreserve()
		s.policy.Log.Debugf(1, "%v", err)
		return refuse(textFailed, msg.OpenConnectFailed)
	}
	if !s.keep(l, name) {
		return refuse(textFailed, msg.OpenConnectFailed)
	}
	s.policy.Log.Debugf(1, "Tunnel forwarding using interface %s", name)
	return l, 0
}

// reserve counts an interface before it is there, so that many requests at once
// cannot pass the bound.
func (s *Server) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.count >= maxDevices {
		return false
	}
	s.count++
	return true
}

func (s *Server) unreserve() {
	s.mu.Lock()
	s.count--
	s.mu.Unlock()
}

func (s *Server) keep(l *link, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.device.Close()
		return false
	}
	s.links[l] = struct{}{}
	s.names = append(s.names, name)
	if len(s.names) > maxDevices { // of those, the oldest are gone
		s.names = s.names[1:]
	}
	return true
}

func (s *Server) forget(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.links[l]; there {
		delete(s.links, l)
		s.count--
	}
}

// Interfaces is what SSH_TUNNEL says in sessions that start from now on: the
// interfaces that were opened, with commas between. A client asks for its interface
// right before its session, so those that are being opened are waited for: they need
// nothing but this machine.
func (s *Server) Interfaces() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.opening > 0 {
		s.settled.Wait()
	}
	return strings.Join(s.names, ",")
}

// Close closes all interfaces; those that were made for this connection vanish.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	links := s.links
	s.links = map[*link]struct{}{}
	s.mu.Unlock()
	for l := range links {
		l.abort()
	}
}

// guard runs f; a panic in it is our bug: it ends this connection only.
func (s *Server) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			for _, line := range log.BugLines(v, debug.Stack()) {
				s.policy.Log.Errorf("%s", line)
			}
			s.broken()
		}
	}()
	f()
}
