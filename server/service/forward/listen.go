package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/wire"
)

const (
	// reservedPort is the first port that needs no privileges.
	reservedPort = 1024
	// lookupTimeout bounds the look-up of a name to listen on; other requests of the
	// client wait behind it.
	lookupTimeout = 20 * time.Second
	// maxAddresses bounds the addresses that one name may have listening sockets on.
	maxAddresses = 16
	// portTries bounds how many ports are tried until one is free in all families.
	portTries = 8
)

var (
	loopback = []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	wildcard = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
)

// ListenTCP handles tcpip-forward: it listens, and opens a channel of the type
// "forwarded-tcpip" for each connection.
func (s *Server) ListenTCP(g *connection.GlobalRequest) {
	address, number, err := parseListen(g.Payload)
	if err != nil {
		s.log.Debugf(1, "server_input_global_request: tcpip-forward: %v", err)
		g.Reply(false, nil)
		return
	}
	s.log.Debugf(1, "server_input_global_request: tcpip-forward listen %s port %d", address, number)
	if !s.allowed(config.ForwardRemote, s.policy.AllowTCP) || number == 0 && !g.WantReply ||
		number != 0 && number < reservedPort && s.policy.UID != 0 {
		s.log.Debugf(1, "Server has disabled port forwarding.")
		g.Reply(false, nil)
		return
	}
	if !s.mayListen(address, number) {
		s.log.Infof("Received request from %.100s port %d to remote forward to host %.100s port %d, but the request was denied.",
			s.policy.RemoteAddr, s.policy.RemotePort, address, number)
		g.Reply(false, nil)
		return
	}
	bound, ok := s.listenTCP(address, number)
	var reply []byte
	if ok && number == 0 {
		reply = wire.AppendUint32(nil, uint32(bound))
	}
	g.Reply(ok, reply)
}

// CancelTCP handles cancel-tcpip-forward: the address must be the one that was asked
// for, the port the one that is listened on.
func (s *Server) CancelTCP(g *connection.GlobalRequest) {
	address, number, err := parseListen(g.Payload)
	if err != nil {
		s.log.Debugf(1, "server_input_global_request: cancel-tcpip-forward: %v", err)
		g.Reply(false, nil)
		return
	}
	s.log.Debugf(1, "server_input_global_request: cancel-tcpip-forward addr %s port %d", address, number)
	g.Reply(s.stop(place{address, number}), nil)
}

// listenTCP listens on all addresses that stand for the one that the client asked
// for. It returns the port.
func (s *Server) listenTCP(address string, number int) (bound int, ok bool) {
	if number != 0 && s.listens(place{address, number}) {
		s.log.Errorf("channel_setup_fwd_listener_tcpip: cannot listen to port: %d", number)
		return 0, false
	}
	addresses, err := s.bindAddresses(address)
	if err != nil {
		text, known := unknownHost(err)
		if !known {
			text = reason(err)
		}
		s.log.Errorf("channel_setup_fwd_listener_tcpip: getaddrinfo(%.64s): %s", address, text)
		return 0, false
	}
	sockets, bound := s.bind(addresses, number)
	if len(sockets) == 0 {
		s.log.Errorf("channel_setup_fwd_listener_tcpip: cannot listen to port: %d", number)
		return 0, false
	}
	if number == 0 {
		s.log.Debugf(1, "Allocated listen port %d", bound)
	}
	l := &listener{server: s, place: place{address, bound}, kind: "forwarded-tcpip", sockets: sockets}
	l.extra = func(c net.Conn) []byte {
		_, port := hostPort(c.LocalAddr())
		originator, originatorPort := hostPort(c.RemoteAddr())
		return forwardedTCP(address, port, originator, originatorPort)
	}
	return bound, l.start()
}

// hostPort splits the address of a TCP socket.
func hostPort(a net.Addr) (string, int) {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return p.Addr().Unmap().String(), int(p.Port())
	}
	return "UNKNOWN", maxPort
}

// bindAddresses says what to listen on (sshd_config(5), GatewayPorts): everything, an
// address of the client's choice, or the loopback addresses, of which a client may
// choose one in any case.
func (s *Server) bindAddresses(host string) ([]netip.Addr, error) {
	all := host == "" || host == "*"
	switch gateway := s.policy.GatewayPorts; {
	case gateway == config.GatewayYes || gateway == config.GatewayClientSpecified && all:
		if !all && host != "0.0.0.0" {
			s.log.Debugf(1, "Forwarding listen address \"%s\" overridden by server GatewayPorts", host)
		}
		return s.ofFamily(wildcard), nil
	case gateway == config.GatewayClientSpecified && host != "localhost", host == "127.0.0.1", host == "::1":
		return s.lookup(host)
	}
	return s.ofFamily(loopback), nil
}

func (s *Server) lookup(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return s.ofFamily([]netip.Addr{a.Unmap()}), nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	defer cancel()
	found, err := s.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for i, a := range found {
		found[i] = a.Unmap()
	}
	found = s.ofFamily(found)
	if len(found) == 0 {
		return nil, noSuchHost(host)
	}
	return found[:min(len(found), maxAddresses)], nil
}

// ofFamily leaves the addresses that AddressFamily allows.
func (s *Server) ofFamily(list []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool {
		return s.policy.AddressFamily == config.FamilyIPv4 && !a.Is4() ||
			s.policy.AddressFamily == config.FamilyIPv6 && !a.Is6()
	})
}

// bind makes listening sockets of one port on all addresses that can have it; one is
// enough, as for sshd: a kernel may know no IPv6. If the port is for us to choose, one
// is looked for that is free on all of them.
func (s *Server) bind(addresses []netip.Addr, number int) ([]net.Listener, int) {
	for try := 1; ; try++ {
		last := number != 0 || try == portTries
		sockets, bound, taken := s.bindOnce(addresses, number, last)
		if !taken || last {
			return sockets, bound
		}
		closeAll(sockets)
	}
}

func (s *Server) bindOnce(addresses []netip.Addr, number int, last bool) (sockets []net.Listener, bound int, taken bool) {
	lc := net.ListenConfig{KeepAlive: -1, KeepAliveConfig: s.keepAlive()}
	lc.SetMultipathTCP(false) // sshd speaks plain TCP, and it costs less
	bound = number
	for i, a := range addresses {
		at := netip.AddrPortFrom(a, uint16(bound))
		network := "tcp6" // these sockets take no IPv4, so that both may have the port
		if a.Is4() {
			network = "tcp4"
		}
		s.log.Debugf(1, "Local forwarding listening on %s port %d.", a, bound)
		l, err := lc.Listen(s.ctx, network, at.String())
		if err != nil {
			taken = taken || len(sockets) > 0 && errors.Is(err, syscall.EADDRINUSE)
			say := s.log.Verbosef
			if i == len(addresses)-1 && last {
				say = s.log.Errorf
			}
			say("bind [%s]:%s: %.100s", a, strconv.Itoa(bound), reason(err))
			continue
		}
		setBacklog(l.(*net.TCPListener))
		sockets = append(sockets, l)
		_, bound = hostPort(l.Addr())
	}
	return sockets, bound, taken
}

func closeAll(sockets []net.Listener) {
	for _, l := range sockets {
		l.Close()
	}
}
