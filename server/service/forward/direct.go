package forward

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
)

// dialTimeout bounds the making of a connection, name and all addresses included:
// about what Linux takes to give up on one address.
const dialTimeout = 2 * time.Minute

// openFailed is all that a client is told of a refusal, as by sshd.
const openFailed = "open failed"

// OpenTCP handles a channel of the type "direct-tcpip": it connects to a host and port.
func (s *Server) OpenTCP(n *connection.NewChannel) {
	d, err := parseDirectTCP(n.Extra)
	if err != nil {
		s.log.Debugf(1, "server_request_direct_tcpip: %v", err)
		n.Reject(msg.OpenAdministrativelyProhibited, openFailed)
		return
	}
	s.log.Debugf(1, "server_request_direct_tcpip: originator %s port %d, target %s port %d",
		d.originator, d.originatorPort, d.host, d.port)
	if !s.allowed(config.ForwardLocal, s.policy.AllowTCP) {
		s.log.Infof("refused local port forward: originator %s port %d, target %s port %d",
			d.originator, d.originatorPort, d.host, d.port)
		n.Reject(msg.OpenAdministrativelyProhibited, openFailed)
		return
	}
	if !s.mayOpen(d.host, d.port) {
		s.log.Infof("Received request from %.100s port %d to connect to host %.100s port %d, but the request was denied.",
			s.policy.RemoteAddr, s.policy.RemotePort, d.host, d.port)
		n.Reject(msg.OpenAdministrativelyProhibited, openFailed)
		return
	}
	s.connect(n, d, s.dialTCP)
}

// OpenStreamLocal handles a channel of the type "direct-streamlocal@openssh.com": it
// connects to a local socket.
func (s *Server) OpenStreamLocal(n *connection.NewChannel) {
	d, err := parseDirectStreamLocal(n.Extra)
	if err != nil {
		s.log.Debugf(1, "server_request_direct_streamlocal: %v", err)
		n.Reject(msg.OpenAdministrativelyProhibited, openFailed)
		return
	}
	d.port = socketPort
	s.log.Debugf(1, "server_request_direct_streamlocal: originator %s port %d, target %s",
		d.originator, d.originatorPort, d.host)
	if !s.allowed(config.ForwardLocal, s.policy.AllowStreamLocal) {
		s.log.Infof("refused streamlocal port forward: originator %s port %d, target %s",
			d.originator, d.originatorPort, d.host)
		n.Reject(msg.OpenAdministrativelyProhibited, openFailed)
		return
	}
	if !s.allowedTCP(config.ForwardLocal) || !s.mayOpen(d.host, d.port) {
		s.log.Infof("Received request to connect to path %.100s, but the request was denied.", d.host)
		n.Reject(msg.OpenAdministrativelyProhibited, openFailed)
		return
	}
	s.connect(n, d, s.dialStreamLocal)
}

// connect makes the connection, confirms the channel, and serves both until they end.
func (s *Server) connect(n *connection.NewChannel, d direct, dial func(context.Context, direct) (net.Conn, error)) {
	if !s.begin() {
		n.Reject(msg.OpenConnectFailed, openFailed)
		return
	}
	defer s.running.Done()
	socket, err := s.dialInTurn(d, dial)
	if err != nil {
		n.Reject(msg.OpenConnectFailed, s.logDialError(d, err))
		return
	}
	r, err := s.newRelay(socket, n.Type)
	if err != nil {
		n.Reject(msg.OpenConnectFailed, openFailed)
		return
	}
	ch := n.Accept(r)
	s.log.Debugf(1, "channel %d: connected to %.100s port %d", ch.ID(), d.host, d.port)
	r.run(ch)
}

// dialInTurn waits for one of maxDials places; the client's channel waits with it.
func (s *Server) dialInTurn(d direct, dial func(context.Context, direct) (net.Conn, error)) (net.Conn, error) {
	select {
	case s.dials <- struct{}{}:
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
	defer func() { <-s.dials }()
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	defer cancel()
	return dial(ctx, d)
}

// logDialError logs why there is no connection and returns what the client is told.
func (s *Server) logDialError(d direct, err error) string {
	if s.ctx.Err() != nil {
		return openFailed // the connection is gone
	}
	if text, ok := unknownHost(err); ok {
		s.log.Errorf("connect_to %.100s: unknown host (%s)", d.host, text)
		return text
	}
	text := reason(err)
	if d.port == socketPort {
		s.log.Errorf("connect to %.100s port %d failed: %s", d.host, d.port, text)
		return text
	}
	s.log.Debugf(1, "connect_to %.100s port %d: %s", d.host, d.port, text)
	s.log.Errorf("connect_to %.100s port %d: failed.", d.host, d.port)
	return text
}

// dialTCP tries all addresses of the host, the two families side by side, and returns
// the first connection. Nagle's algorithm is off, as net does it and sshd too.
func (s *Server) dialTCP(ctx context.Context, d direct) (net.Conn, error) {
	if d.host == "" {
		return nil, noSuchHost(d.host) // net would take it for this machine
	}
	host := d.host
	if a, ok := shortIPv4(host); ok {
		host = a.String()
	}
	dialer := &net.Dialer{Resolver: s.resolver, KeepAlive: -1, KeepAliveConfig: s.keepAlive()}
	port := strconv.Itoa(d.port)
	socket, err := dialer.DialContext(ctx, s.network(), net.JoinHostPort(host, port))
	if _, unknown := unknownHost(err); unknown && strings.EqualFold(host, "localhost") {
		// Empty containers have no /etc/hosts, but this name needs none (RFC 6761).
		for _, a := range s.ofFamily(loopback) {
			if socket, err = dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(a, uint16(d.port)).String()); err == nil {
				break
			}
		}
	}
	return socket, err
}

func noSuchHost(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (s *Server) network() string {
	switch s.policy.AddressFamily {
	case config.FamilyIPv4:
		return "tcp4"
	case config.FamilyIPv6:
		return "tcp6"
	}
	return "tcp"
}

// keepAlive leaves the times to the system, as sshd does.
func (s *Server) keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: s.policy.KeepAlive, Idle: -1, Interval: -1, Count: -1}
}

// shortIPv4 reads the forms of an IPv4 address with fewer than four parts, such as
// 127.1, which getaddrinfo(3) knows and people use, and net does not know: the last
// part fills all bytes that are left. Parts are decimal here.
func shortIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, p := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, err := strconv.ParseUint(p, 10, bits)
		if err != nil || len(p) > 1 && p[0] == '0' || p[0] == '+' {
			return netip.Addr{}, false
		}
		value = value<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}
