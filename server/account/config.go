package account

import (
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/service/session"
	"nano_ssh_server/server/service/sftp"
)

// Login is an authenticated connection, as the monitor describes it.
type Login struct {
	Grant    *ipc.Grant
	Place    ipc.Place
	HostKeys []ipc.HostKey
	// Announced are all host keys.
	Announced []ipc.HostKey
	State     *transport.State
	Monitor   Monitor
	// Random fills its argument from the system's generator.
	Random func([]byte)
	// Change says that programs must change to the user: this process is still root.
	Change bool
}

// Config makes what Serve needs of a login.
func (l *Login) Config() *Config {
	g := l.Grant
	policy := l.policy()
	return &Config{
		Transport: l.transport(), Session: policy, Opener: l.Monitor,
		Forwarding: l.forwarding(policy), Announced: l.Announced, Prove: l.Monitor.Prove, AuthInfo: l.authInfo(),
		ChannelTimeouts: g.Settings.ChannelTimeouts, UnusedTimeout: g.Settings.UnusedConnectionTimeout,
		ClientAliveInterval: g.Settings.ClientAliveInterval, ClientAliveCountMax: int(g.Settings.ClientAliveCountMax),
		Peer: log.Peer{
			Addr: l.Place.RemoteHost, Port: int(l.Place.RemotePort), User: g.User, Started: true, Authenticated: true,
		},
		Log: l.Monitor.Log(),
	}
}

// transport is the transport's part, for later key exchanges.
func (l *Login) transport() *transport.Config {
	s, m := &l.Grant.Settings, l.Monitor
	t := &transport.Config{
		Version: l.State.ServerVersion, KexAlgorithms: s.KexAlgorithms, Ciphers: s.Ciphers, MACs: s.MACs,
		Compression: []string{"none"},
		RekeyBytes:  s.RekeyBytes, RekeyInterval: s.RekeyInterval,
		Signer: m, Moduli: m.Moduli, Random: l.Random, Debug: m.Log().Debug,
		Recovered: func(v any) { m.Log().Bug(v, debug.Stack()) },
	}
	if s.Compression {
		t.Compression = append(t.Compression, "zlib@openssh.com")
	}
	for _, k := range l.HostKeys {
		t.HostKeyAlgorithms = append(t.HostKeyAlgorithms, k.Algorithm)
	}
	return t
}

// policy is what the login lets the user's sessions do.
func (l *Login) policy() *session.Policy {
	s, p, a := &l.Grant.Settings, &l.Grant.Permissions, &l.Grant.Account
	policy := &session.Policy{
		Account: &user.Account{
			Name: a.Name, Gecos: a.Gecos, Home: a.Home, Shell: a.Shell, UID: a.UID, GID: a.GID, Groups: a.Groups,
		},
		HasKeyCommand: p.HasForceCommand, KeyCommand: p.ForceCommand,
		PermitUserEnvironment: s.PermitUserEnvironment, UserEnvironmentPatterns: s.PermitUserEnvironmentPatterns,
		KeyEnvironment: p.Environment,
		RemoteAddr:     l.Place.RemoteHost, RemotePort: strconv.Itoa(int(l.Place.RemotePort)),
		LocalAddr: l.Place.LocalHost, LocalPort: strconv.Itoa(int(l.Place.LocalPort)),
		PrintMotd: s.PrintMotd, PasswordExpired: l.Grant.PasswordExpired,
		MaxSessions: int(s.MaxSessions), XAuthLocation: s.XAuthLocation, ProgramDir: s.ProgramDir,
		OpenSSHClient: strings.HasPrefix(l.State.ClientVersion, "SSH-2.0-OpenSSH"),
		Log:           sessionLog{l.Monitor.Log()},
	}
	if s.ChrootDirectory != "" {
		policy.Nologin = l.Monitor.Nologin // the file is outside
	}
	if l.Change {
		policy.Credential = &syscall.Credential{Uid: a.UID, Gid: a.GID, Groups: a.Groups}
	}
	if !l.Change {
		// It runs here, with the user's rights: they must be this process's.
		policy.Builtin = map[string]session.Builtin{"internal-sftp": sftp.Builtin(&sftp.Login{
			Account: policy.Account, Client: policy.RemoteAddr, Fallback: policy.Log,
		})}
	}
	l.setSessions(policy)
	return policy
}

// authInfo is what ExposeAuthInfo's file has.
func (l *Login) authInfo() []string {
	if !l.Grant.Settings.ExposeAuthInfo || l.Change {
		return nil
	}
	return l.Grant.AuthInfo
}

// sessionLog gives host/log the shape that service/session declares.
type sessionLog struct{ l *log.Logger }

func (s sessionLog) Errorf(format string, args ...any)   { s.l.Error(format, args...) }
func (s sessionLog) Infof(format string, args ...any)    { s.l.Info(format, args...) }
func (s sessionLog) Verbosef(format string, args ...any) { s.l.Verbose(format, args...) }
func (s sessionLog) Debugf(level int, format string, args ...any) {
	s.l.Log(log.Debug1+log.Level(max(level, 1)-1), format, args...)
}
