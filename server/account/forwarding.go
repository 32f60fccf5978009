package account

import (
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/service/agent"
	"nano_ssh_server/server/service/forward"
	"nano_ssh_server/server/service/session"
	"nano_ssh_server/server/service/tun"
	"nano_ssh_server/server/service/x11"
)

// Forwarding is what a login may forward. Where a part is nil it may not.
type Forwarding struct {
	Ports *forward.Policy
	Agent *agent.Policy
	X11   *x11.Policy
	Tun   *tun.Policy
}

// forwarding is what configuration and key leave of it. A process that is not the
// user's yet must make no socket in the user's name (THREATS row 18): there is none.
func (l *Login) forwarding(p *session.Policy) Forwarding {
	s, k := &l.Grant.Settings, &l.Grant.Permissions
	if l.Change || l.Grant.PasswordExpired {
		return Forwarding{}
	}
	off := s.DisableForwarding
	f := Forwarding{
		Ports: &forward.Policy{
			UID: int(l.Grant.Account.UID), DisableForwarding: off, PortForwarding: k.PortForwarding,
			AllowTCP: config.Forwarding(s.AllowTCPForwarding), AllowStreamLocal: config.Forwarding(s.AllowStreamLocalForwarding),
			PermitOpen: s.PermitOpen, PermitListen: s.PermitListen,
			KeyPermitOpen: forwardPermits(k.PermitOpen), KeyPermitListen: forwardPermits(k.PermitListen),
			GatewayPorts: config.GatewayPorts(s.GatewayPorts), AddressFamily: config.AddressFamily(s.AddressFamily),
			KeepAlive:           s.KeepAliveAll,
			StreamLocalBindMask: s.StreamLocalBindMask, StreamLocalBindUnlink: s.StreamLocalBindUnlink,
			RemoteAddr: l.Place.RemoteHost, RemotePort: int(l.Place.RemotePort), Log: p.Log,
		},
		Agent: &agent.Policy{
			Permit: s.AllowAgentForwarding && k.AgentForwarding && !off, Account: p.Account, SocketPath: s.AgentSocketPath, Log: p.Log,
		},
		X11: &x11.Policy{
			Permit: s.X11Forwarding && !off, PermitKey: k.X11Forwarding,
			DisplayOffset: int(s.X11DisplayOffset), UseLocalhost: s.X11UseLocalhost, XAuthLocation: s.XAuthLocation,
			Account: p.Account, Log: p.Log,
		},
		Tun: &tun.Policy{Permit: config.Tunnel(s.PermitTunnel), Device: int(k.Tunnel), Account: p.Account, Log: p.Log},
	}
	if off {
		f.Tun.Permit = config.TunnelNo
	}
	return f
}

func forwardPermits(list []ipc.Permit) []forward.Permit {
	var out []forward.Permit
	for _, p := range list {
		out = append(out, forward.Permit{Host: p.Host, Port: p.Port})
	}
	return out
}

// forwarder is the forwarding of one connection.
type forwarder struct {
	Forwarding
	ports *forward.Server
	tun   *tun.Server
	agent *agent.Forwarder
	x11   *x11.Forwarder
}

// register adds the services to a connection's configuration; broken ends that
// connection.
func (f Forwarding) register(c *connection.Config, broken func()) *forwarder {
	w := &forwarder{Forwarding: f}
	if f.Ports != nil {
		w.ports = forward.NewServer(f.Ports, nil)
		w.ports.Register(c)
	}
	if f.Tun != nil {
		w.tun = tun.New(f.Tun, broken)
		c.Open[tun.ChannelType] = w.tun.Open
		c.Arriving = func(kind string) {
			if kind == tun.ChannelType {
				w.tun.Arriving()
			}
		}
	}
	return w
}

// attach gives the services the connection to open channels on.
func (w *forwarder) attach(mux *connection.Mux) {
	if w.ports != nil {
		w.ports.SetOpener(mux)
	}
	if w.Agent != nil {
		w.agent = agent.New(mux, w.Forwarding.Agent)
	}
	if w.X11 != nil {
		w.x11 = x11.New(mux, w.Forwarding.X11)
	}
}

// close takes everything away that hangs on the connection (THREATS row 32).
func (w *forwarder) close() {
	if w.x11 != nil {
		w.x11.Close()
	}
	if w.agent != nil {
		w.agent.Close()
	}
	if w.tun != nil {
		w.tun.Close()
	}
	if w.ports != nil {
		w.ports.Close()
	}
}

// sessionForwarder is what sessions ask of it.
type sessionForwarder struct{ *forwarder }

func (s sessionForwarder) Agent() (socket string, err error) { return s.agent.Open() }

func (s sessionForwarder) X11(r session.X11Request) (*session.X11, error) { return s.x11.Open(r) }
