package main

import (
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/account"
	"nano_ssh_server/server/gate"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/listener"
	"nano_ssh_server/server/monitor"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/service/session"
)

// serve runs one connection through gate and account in this process.
func serve(s *listener.Session) error {
	m := s.Monitor
	state, err := gate.Authenticate(s.Stream, &gate.Config{Transport: transportConfig(s, m.Config()), Monitor: m})
	if err != nil {
		return err
	}
	s.Authenticated()
	grant := m.Grant()
	policy := sessionPolicy(s, grant)
	policy.OpenSSHClient = strings.HasPrefix(state.ClientVersion, "SSH-2.0-OpenSSH")
	return account.Serve(s.Stream, state, &account.Config{
		Transport: transportConfig(s, grant.Config), Session: policy,
		Opener:              session.Local{Account: grant.Account},
		ClientAliveInterval: grant.Config.ClientAliveInterval, ClientAliveCountMax: grant.Config.ClientAliveCountMax,
		Peer: m.LogPeer(), Log: m.Log(),
	})
}

// transportConfig is a configuration as the transport reads it.
func transportConfig(s *listener.Session, c *config.Config) *transport.Config {
	t := &transport.Config{
		Version:       listener.Identification(c.VersionAddendum),
		KexAlgorithms: c.KexAlgorithms, HostKeyAlgorithms: s.HostKeyAlgorithms(c),
		Ciphers: c.Ciphers, MACs: c.MACs, Compression: []string{"none"},
		PubkeyAlgorithms: c.PubkeyAcceptedAlgorithms,
		RekeyBytes:       c.RekeyBytes, RekeyInterval: c.RekeyInterval,
		Signer: s.Monitor, Moduli: monitor.Moduli(c.ModuliFile), Random: sodium.Random,
		Debug:     s.Monitor.Log().Debug,
		Recovered: func(v any) { s.Monitor.Log().Bug(v, debug.Stack()) },
	}
	if c.Compression {
		t.Compression = append(t.Compression, "zlib@openssh.com")
	}
	return t
}

// sessionPolicy is what a grant lets a user's sessions do.
func sessionPolicy(s *listener.Session, g *monitor.Grant) *session.Policy {
	c, a, p, peer := g.Config, g.Account, g.Permissions, s.Peer
	policy := &session.Policy{
		Account:      a,
		ForceCommand: c.ForceCommand, HasKeyCommand: p.HasForceCommand, KeyCommand: p.ForceCommand,
		PermitPTY: c.PermitTTY && p.PTY, PermitUserRC: c.PermitUserRC && p.UserRC,
		PermitUserEnvironment: c.PermitUserEnvironment, UserEnvironmentPatterns: c.PermitUserEnvironmentPatterns,
		KeyEnvironment: p.Environment, SetEnv: c.SetEnv, AcceptEnv: c.AcceptEnv,
		Subsystems: map[string]string{},
		RemoteAddr: peer.RemoteHost, RemotePort: strconv.Itoa(peer.RemotePort),
		LocalAddr: peer.LocalHost, LocalPort: strconv.Itoa(peer.LocalPort),
		PrintMotd: c.PrintMotd, PrintLastLog: c.PrintLastLog, PasswordExpired: g.PasswordExpired,
		MaxSessions: c.MaxSessions, XAuthLocation: c.XAuthLocation,
		Log: sessionLog{s.Monitor.Log()},
	}
	if s.Root {
		policy.Credential = &syscall.Credential{Uid: a.UID, Gid: a.GID, Groups: a.Groups}
	}
	for _, sub := range c.Subsystem {
		policy.Subsystems[sub.Name] = sub.Command
	}
	return policy
}
