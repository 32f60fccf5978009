package monitor

import (
	"bytes"
	"maps"
	"slices"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
)

// Keep is what a keeper has to know of a served connection to answer for it when the
// listener is gone. No request of it may be under way. The connection is the keeper's
// from here on: its terminals and records are not taken back here.
func (c *Connection) Keep() ipc.KeptConnection {
	t := &c.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	k := ipc.KeptConnection{
		LogID: uint32(c.logID), LogLevel: int32(c.Log().Level()), User: c.name, Host: c.resolved, SessionID: c.sessionID,
		Place: ipc.Place{
			RemoteHost: c.peer.RemoteHost, RemotePort: uint32(c.peer.RemotePort),
			LocalHost: c.peer.LocalHost, LocalPort: uint32(c.peer.LocalPort),
		},
		MaxSessions: int32(c.cfg.MaxSessions),
	}
	if t.message != nil {
		k.HasMessage, k.Message = true, *t.message
	}
	for _, name := range slices.Sorted(maps.Keys(t.names)) {
		k.Terminals = append(k.Terminals, ipc.KeptTerminal{Name: name, PID: uint32(t.names[name].pid)})
	}
	t.names = nil
	return k
}

// Resume returns a served connection that another process kept for this one: s is the
// configuration of today, and the host keys are those that it has.
func Resume(s *Shared, a *ipc.Account, k *ipc.KeptConnection) *Connection {
	cfg := *s.File.Base()
	cfg.MaxSessions = int(k.MaxSessions)
	c := &Connection{
		shared: s, logID: int(k.LogID), log: s.Log.WithID(int(k.LogID)).WithLevel(log.Level(k.LogLevel)),
		peer: Peer{
			RemoteHost: k.Place.RemoteHost, RemotePort: int(k.Place.RemotePort),
			LocalHost: k.Place.LocalHost, LocalPort: int(k.Place.LocalPort),
		},
		cfg: &cfg, phase: phaseServed, sessionID: bytes.Clone(k.SessionID), name: k.User, resolved: k.Host, valid: true,
		account: &user.Account{
			Name: a.Name, Gecos: a.Gecos, Home: a.Home, Shell: a.Shell, UID: a.UID, GID: a.GID, Groups: a.Groups,
		},
	}
	c.grant = &Grant{User: k.User, Account: c.account, Config: c.cfg}
	if k.HasMessage {
		c.terminals.message = &k.Message
	}
	c.terminals.names = map[string]*recorded{}
	for _, t := range k.Terminals {
		c.terminals.names[t.Name] = &recorded{pid: int(t.PID)}
	}
	c.publish()
	return c
}
