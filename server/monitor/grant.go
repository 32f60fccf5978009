package monitor

import (
	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
)

// Grant is what a login was given. Nothing of it belongs to a try that failed.
type Grant struct {
	User            string // as the client named it
	Method          string // that completed the login
	Account         *user.Account
	Permissions     *auth.Permissions // of all methods that were asked for together
	Config          *config.Config    // with the Match blocks that apply
	Sessions        []config.SessionBlock
	Methods         []string // as ExposeAuthInfo lists them: method, and key if any
	PasswordExpired bool
}

func (c *Connection) makeGrant(method string) {
	c.grant = &Grant{
		User: c.name, Method: method, Account: c.account, Permissions: c.rights,
		Config: c.cfg, Sessions: c.sessions, Methods: c.authInfo, PasswordExpired: c.expired,
	}
	c.enter(phaseGranted)
	c.publish()
}

// Plain is the grant as it travels to the account role; nil before there is one.
func (c *Connection) Plain() *ipc.Grant {
	g := c.grant
	if g == nil {
		return nil
	}
	a, p := g.Account, g.Permissions
	plain := &ipc.Grant{
		User: g.User, Method: g.Method, AuthInfo: g.Methods, PasswordExpired: g.PasswordExpired,
		Account: ipc.Account{
			Name: a.Name, Gecos: a.Gecos, Home: a.Home, Shell: a.Shell, UID: a.UID, GID: a.GID, Groups: a.Groups,
		},
		Permissions: ipc.Permissions{
			PortForwarding: p.PortForwarding, AgentForwarding: p.AgentForwarding, X11Forwarding: p.X11Forwarding,
			PTY: p.PTY, UserRC: p.UserRC,
			HasForceCommand: p.HasForceCommand, ForceCommand: p.ForceCommand, Environment: p.Environment,
			PermitOpen: permits(p.PermitOpen), PermitListen: permits(p.PermitListen), Tunnel: int32(p.Tunnel),
		},
		Settings: plainSettings(g.Config, c.Log().Level()),
	}
	plain.Settings.ProgramDir = c.shared.ProgramDir
	plain.Settings.ChrootDirectory = c.chroot
	plain.Settings.SessionBlocks = plainBlocks(g.Sessions)
	return plain
}

func permits(list []auth.Permit) []ipc.Permit {
	var plain []ipc.Permit
	for _, p := range list {
		plain = append(plain, ipc.Permit{Host: p.Host, Port: p.Port})
	}
	return plain
}

func plainSettings(c *config.Config, level log.Level) ipc.Settings {
	s := ipc.Settings{
		ForceCommand: c.ForceCommand,
		PermitTTY:    c.PermitTTY, PermitUserRC: c.PermitUserRC, PermitUserEnvironment: c.PermitUserEnvironment,
		PermitUserEnvironmentPatterns: c.PermitUserEnvironmentPatterns,
		PrintMotd:                     c.PrintMotd, ExposeAuthInfo: c.ExposeAuthInfo,
		AcceptEnv: c.AcceptEnv, SetEnv: c.SetEnv,
		MaxSessions: int32(c.MaxSessions), XAuthLocation: c.XAuthLocation,

		ClientAliveInterval: c.ClientAliveInterval, ClientAliveCountMax: int32(c.ClientAliveCountMax),
		UnusedConnectionTimeout: c.UnusedConnectionTimeout,
		QoSInteractive:          int32(c.IPQoS.Interactive), QoSBulk: int32(c.IPQoS.Bulk), LogLevel: int32(level),

		DisableForwarding: c.DisableForwarding, AllowTCPForwarding: int32(c.AllowTCPForwarding),
		AllowStreamLocalForwarding: int32(c.AllowStreamLocalForwarding), AllowAgentForwarding: c.AllowAgentForwarding,
		AgentSocketPath: c.AgentSocketPath, AddressFamily: int32(c.AddressFamily), KeepAliveAll: c.TCPKeepAlive == config.KeepAliveAll,
		GatewayPorts: int32(c.GatewayPorts), PermitTunnel: int32(c.PermitTunnel),
		PermitOpen: c.PermitOpen, PermitListen: c.PermitListen,
		StreamLocalBindMask: c.StreamLocalBindMask, StreamLocalBindUnlink: c.StreamLocalBindUnlink,
		X11Forwarding: c.X11Forwarding, X11UseLocalhost: c.X11UseLocalhost, X11DisplayOffset: int32(c.X11DisplayOffset),

		KexAlgorithms: c.KexAlgorithms, Ciphers: c.Ciphers, MACs: c.MACs, Compression: c.Compression,
		RekeyBytes: c.RekeyBytes, RekeyInterval: c.RekeyInterval,
	}
	for _, sub := range c.Subsystem {
		s.Subsystems = append(s.Subsystems, ipc.Subsystem{Name: sub.Name, Command: sub.Command})
	}
	for _, t := range c.ChannelTimeout {
		s.ChannelTimeouts = append(s.ChannelTimeouts, ipc.ChannelTimeout{Type: t.Type, Timeout: t.Timeout})
	}
	return s
}

func plainBlocks(blocks []config.SessionBlock) []ipc.SessionBlock {
	var plain []ipc.SessionBlock
	for _, b := range blocks {
		var p ipc.SessionBlock
		for _, cr := range b.Criteria {
			p.Criteria = append(p.Criteria, ipc.SessionCriterion(cr))
		}
		for _, l := range b.Lines {
			p.Lines = append(p.Lines, ipc.SessionLine{File: l.File, Number: uint32(l.Number), Keyword: l.Keyword, Text: l.Text})
		}
		plain = append(plain, p)
	}
	return plain
}

// GateSettings are what a gate needs of the configuration; version is the
// identification line.
func (s *Shared) GateSettings(version string) *ipc.GateSettings {
	c := s.File.Base()
	return &ipc.GateSettings{
		Version: version, KexAlgorithms: c.KexAlgorithms, Ciphers: c.Ciphers, MACs: c.MACs,
		PubkeyAlgorithms: signatureAlgorithms(s.File.PubkeyAlgorithms()), Compression: c.Compression,
		RekeyBytes: c.RekeyBytes, RekeyInterval: c.RekeyInterval,
		HostKeys: s.hostKeys(c), LogLevel: int32(s.Log.Level()), DefaultMaxAuthTries: int32(c.MaxAuthTries),
	}
}

// HostKeys are the public host keys that the connection may use, by algorithm.
func (c *Connection) HostKeys() []ipc.HostKey { return c.shared.hostKeys(c.cfg) }

// AnnouncedKeys are all public host keys, with the algorithm that proves each: also
// those that HostKeyAlgorithms keeps from key exchanges.
func (c *Connection) AnnouncedKeys() []ipc.HostKey {
	var keys []ipc.HostKey
	for _, k := range c.shared.Keys.Announced() {
		keys = append(keys, ipc.HostKey{Algorithm: k.Algorithm, Blob: k.Blob})
	}
	return keys
}

func (s *Shared) hostKeys(c *config.Config) []ipc.HostKey {
	var keys []ipc.HostKey
	for _, algorithm := range s.Keys.Algorithms(c.HostKeyAlgorithms) {
		keys = append(keys, ipc.HostKey{Algorithm: algorithm, Blob: s.Keys.PublicKey(algorithm)})
	}
	return keys
}
