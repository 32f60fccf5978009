// Package ipc is how the processes of the server talk: what they say to each
// other, as data that can be marshalled.
//
// The monitor makes a Grant when a user is in; the account role works by it. Both
// are processes of one binary, but neither trusts what it reads: parsers here
// are those of a wire protocol.
package ipc

import (
	"errors"
	"fmt"
	"time"

	"nano_ssh_server/server/proto/wire"
)

// Grant is what a login was given: who it is, what it may do and how it is to be
// served. It is plain data, complete for the process that serves the user, and
// holds no secret.
type Grant struct {
	User            string // as the client named it
	Method          string // that completed the login
	Account         Account
	Permissions     Permissions
	Settings        Settings
	AuthInfo        []string // lines of ExposeAuthInfo's file: "publickey ssh-ed25519 AAAA..."
	PasswordExpired bool     // nothing but changing it is allowed
}

// Account is the user's line of passwd(5) and groups.
type Account struct {
	Name, Gecos, Home, Shell string
	UID, GID                 uint32
	Groups                   []uint32
}

// Permissions are what the options of the key, or of several, leave to do.
type Permissions struct {
	PortForwarding, AgentForwarding, X11Forwarding bool
	PTY, UserRC                                    bool

	HasForceCommand bool // ForceCommand counts, even if it is empty
	ForceCommand    string
	Environment     []string // NAME=value
	PermitOpen      []Permit // empty: any target
	PermitListen    []Permit // empty: any address
	Tunnel          int32    // device number; -1: not said, 1<<31-1: any
}

// Permit is one permitopen or permitlisten value.
type Permit struct {
	Host string
	Port uint16 // 0: any
}

// Settings are the values of sshd_config keywords, with the Match blocks that
// apply, that the account role needs. Numbers that stand for words are host/config's.
type Settings struct {
	// Sessions.
	ForceCommand, ChrootDirectory                  string
	PermitTTY, PermitUserRC, PermitUserEnvironment bool
	PermitUserEnvironmentPatterns                  string
	PrintMotd, ExposeAuthInfo                      bool
	AcceptEnv, SetEnv                              []string
	Subsystems                                     []Subsystem
	MaxSessions                                    int32
	XAuthLocation, ProgramDir                      string
	// SessionBlocks change them, once a session asks for its program.
	SessionBlocks []SessionBlock

	// The connection.
	ClientAliveInterval     time.Duration
	ClientAliveCountMax     int32
	UnusedConnectionTimeout time.Duration
	ChannelTimeouts         []ChannelTimeout
	QoSInteractive, QoSBulk int32
	LogLevel                int32

	// Forwarding.
	DisableForwarding                              bool
	AllowTCPForwarding, AllowStreamLocalForwarding int32
	AllowAgentForwarding                           bool
	AgentSocketPath                                string
	AddressFamily                                  int32
	KeepAliveAll                                   bool // TCPKeepAlive all
	GatewayPorts, PermitTunnel                     int32
	PermitOpen, PermitListen                       []string
	StreamLocalBindMask                            uint32
	StreamLocalBindUnlink                          bool
	X11Forwarding, X11UseLocalhost                 bool
	X11DisplayOffset                               int32

	// Later key exchanges.
	KexAlgorithms []string
	Ciphers, MACs []string
	Compression   bool
	RekeyBytes    uint64
	RekeyInterval time.Duration
}

// Subsystem is one Subsystem line.
type Subsystem struct{ Name, Command string }

// SessionBlock is a Match block on what a session is for, as host/config has it.
type SessionBlock struct {
	Criteria []SessionCriterion
	Lines    []SessionLine
}

// SessionCriterion is sessiontype or command, with its pattern list.
type SessionCriterion struct{ Name, Pattern string }

// SessionLine is a line of a block, as it was written.
type SessionLine struct {
	File          string
	Number        uint32
	Keyword, Text string
}

// ChannelTimeout is one value of ChannelTimeout.
type ChannelTimeout struct {
	Type    string
	Timeout time.Duration
}

// MaxGrant bounds a marshalled Grant in bytes: authorized_keys options and
// configuration lists of any size that people have, and little for a process to hold.
const MaxGrant = 4 << 20

// grantVersion is the first field: processes of two versions must not guess.
const grantVersion = 1

// ErrGrant means that data is no marshalled Grant.
var ErrGrant = errors.New("ipc: malformed grant")

// Marshal returns the grant as UnmarshalGrant reads it. It fails if that is
// longer than MaxGrant.
func (g *Grant) Marshal() ([]byte, error) {
	c := &codec{b: wire.AppendUint32(nil, grantVersion)}
	c.grant(g)
	if len(c.b) > MaxGrant {
		return nil, fmt.Errorf("%w: %d bytes", ErrGrant, len(c.b))
	}
	return c.b, nil
}

// UnmarshalGrant reads what Marshal wrote. The error wraps ErrGrant.
func UnmarshalGrant(b []byte) (*Grant, error) {
	if len(b) > MaxGrant {
		return nil, fmt.Errorf("%w: %d bytes", ErrGrant, len(b))
	}
	c := &codec{r: wire.NewReader(b)}
	if v := c.r.Uint32(); c.r.Err() == nil && v != grantVersion {
		return nil, fmt.Errorf("%w: version %d", ErrGrant, v)
	}
	g := &Grant{}
	c.grant(g)
	if err := c.r.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	return g, nil
}

// grant visits every field once, for both directions: the order here is the format.
func (c *codec) grant(g *Grant) {
	c.text(&g.User, &g.Method)
	c.account(&g.Account)
	p := &g.Permissions
	c.bool(&p.PortForwarding, &p.AgentForwarding, &p.X11Forwarding, &p.PTY, &p.UserRC, &p.HasForceCommand)
	c.text(&p.ForceCommand)
	c.texts(&p.Environment)
	list(c, &p.PermitOpen, c.permit)
	list(c, &p.PermitListen, c.permit)
	c.int32(&p.Tunnel)

	c.settings(&g.Settings)
	c.texts(&g.AuthInfo)
	c.bool(&g.PasswordExpired)
}

func (c *codec) account(a *Account) {
	c.text(&a.Name, &a.Gecos, &a.Home, &a.Shell)
	c.uint32(&a.UID, &a.GID)
	list(c, &a.Groups, func(v *uint32) { c.uint32(v) })
}

func (c *codec) settings(s *Settings) {
	c.text(&s.ForceCommand, &s.ChrootDirectory)
	c.bool(&s.PermitTTY, &s.PermitUserRC, &s.PermitUserEnvironment)
	c.text(&s.PermitUserEnvironmentPatterns)
	c.bool(&s.PrintMotd, &s.ExposeAuthInfo)
	c.texts(&s.AcceptEnv, &s.SetEnv)
	list(c, &s.Subsystems, func(v *Subsystem) { c.text(&v.Name, &v.Command) })
	c.int32(&s.MaxSessions)
	c.text(&s.XAuthLocation, &s.ProgramDir)
	list(c, &s.SessionBlocks, c.sessionBlock)

	c.duration(&s.ClientAliveInterval)
	c.int32(&s.ClientAliveCountMax)
	c.duration(&s.UnusedConnectionTimeout)
	list(c, &s.ChannelTimeouts, func(v *ChannelTimeout) { c.text(&v.Type); c.duration(&v.Timeout) })
	c.int32(&s.QoSInteractive, &s.QoSBulk, &s.LogLevel)

	c.bool(&s.DisableForwarding)
	c.int32(&s.AllowTCPForwarding, &s.AllowStreamLocalForwarding)
	c.bool(&s.AllowAgentForwarding)
	c.text(&s.AgentSocketPath)
	c.int32(&s.AddressFamily)
	c.bool(&s.KeepAliveAll)
	c.int32(&s.GatewayPorts, &s.PermitTunnel)
	c.texts(&s.PermitOpen, &s.PermitListen)
	c.uint32(&s.StreamLocalBindMask)
	c.bool(&s.StreamLocalBindUnlink, &s.X11Forwarding, &s.X11UseLocalhost)
	c.int32(&s.X11DisplayOffset)

	c.texts(&s.KexAlgorithms, &s.Ciphers, &s.MACs)
	c.bool(&s.Compression)
	c.uint64(&s.RekeyBytes)
	c.duration(&s.RekeyInterval)
}

func (c *codec) sessionBlock(b *SessionBlock) {
	list(c, &b.Criteria, func(v *SessionCriterion) { c.text(&v.Name, &v.Pattern) })
	list(c, &b.Lines, func(v *SessionLine) {
		c.text(&v.File)
		c.uint32(&v.Number)
		c.text(&v.Keyword, &v.Text)
	})
}

func (c *codec) permit(v *Permit) {
	port := uint32(v.Port)
	c.text(&v.Host)
	c.uint32(&port)
	if port > 1<<16-1 {
		c.r.Fail(errors.New("port out of range"))
		port = 0
	}
	v.Port = uint16(port)
}
