// Package monitor is the privileged side of a connection: it signs with the host
// keys and decides who may log in, and remembers what it decided.
//
// It answers the gate's questions and never sees the peer's socket. Every value
// that goes in or out is plain data, and table.go says when each question may be
// asked. What a session may do comes only from the tries that succeeded: the key
// whose signature verified, not the last one offered (CVE-2024-45337).
package monitor

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/hostkey"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/login"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
)

// Shared is what all connections of one configuration share. It is read only.
type Shared struct {
	File     *config.File
	Keys     *hostkey.Set
	Users    *user.Database
	Verifier *user.Verifier
	Log      *log.Logger
	// Only is the one account that may log in, when an ordinary user started
	// the server; it answers to its own name and to "user". nil: all accounts.
	Only *user.Account
	// OneTime lets the holder of a one-time password in as OneTimeAccount, under the
	// name "user" or its own; nil: none.
	OneTime        *user.OneTimePassword
	OneTimeAccount *user.Account
	// Chroots says that account processes can serve ChrootDirectory.
	Chroots bool
	// NoShell lets accounts in whose shell does not exist: they get what needs none,
	// such as internal-sftp.
	NoShell bool
	// ProgramDir is a folder with this program under other programs' names; "": none.
	ProgramDir string
	// Records are where logins are recorded; nil: nowhere.
	Records *login.Recorder
	// Resolver is asked for names with UseDNS, HostFiles for hosts with
	// HostbasedAuthentication; nil: the machine's.
	Resolver  auth.Resolver
	HostFiles *auth.HostFiles
	// Version and LocalUser are what Match compares with: the program's version and the
	// name of the account that it runs as.
	Version, LocalUser string
	// Secret blurs the time of failures for each user name differently.
	Secret [16]byte
}

// Peer is where a connection comes from and goes to. Addresses are numeric, or
// "UNKNOWN" with port 65535 where there is no socket.
type Peer struct {
	RemoteHost, LocalHost string
	RemotePort, LocalPort int
	RDomain               string // the device that the socket is bound to: a routing domain (VRF); "": none
}

// Connection is the monitor's side of one connection. One goroutine at a time asks
// it; Log and LogPeer may be called from any.
//
//	      Sign                Start          the last method succeeds          HandOver
//	(new) ────► keyExchanged ───────► named ─────────────────────────► granted ────────► served
type Connection struct {
	shared    *Shared
	peer      Peer
	log       *log.Logger
	logID     int
	public    atomic.Pointer[public]
	sessionID []byte
	hostKey   []byte // public key of the first signature

	table sync.Mutex // guards phase and asked
	phase phase
	asked [ipc.MethodCount]int // how often each request came

	resolved   string // the peer's name with UseDNS; "": it has none
	name       string // as the client named the user, without style
	signedName string // with it: what the client signs
	account    *user.Account
	valid      bool // else account is a decoy
	shadow     *user.Shadow
	chroot     string // ChrootDirectory with its tokens replaced
	oneTime    bool   // the password to check is the one-time password
	cfg        *config.Config
	sessions   []config.SessionBlock // what of the configuration depends on a session's program

	// limited says that AuthenticationMethods is set; chains is what is left of
	// its lists then.
	limited  bool
	chains   [][]string
	authInfo []string          // completed methods, for Grant
	usedKeys [][]byte          // that completed one
	rights   *auth.Permissions // of all completed methods together
	expired  bool              // the password that was right has to be changed
	tries    int               // that failed, as userauth counts them
	failures int               // those of them that were judged here, for the log's level
	grant    *Grant

	terminals terminals
}

// public is what other goroutines may look at.
type public struct {
	log  *log.Logger
	peer log.Peer
}

// lastID numbers connections in the log: readers put the lines of one together
// by the number in the tag, which is a process's in sshd.
var lastID atomic.Int64

// New returns the monitor's side of a new connection.
func New(s *Shared, p Peer) *Connection {
	id := os.Getpid() + int(lastID.Add(1)) - 1
	c := &Connection{shared: s, peer: p, log: s.Log.WithID(id), logID: id, cfg: s.File.Base(), phase: phaseNew}
	c.publish()
	return c
}

// publish shows the state to other goroutines.
func (c *Connection) publish() {
	named := c.phase&(phaseNamed|phaseGranted|phaseServed) != 0
	c.public.Store(&public{log: c.log, peer: log.Peer{
		Addr: c.peer.RemoteHost, Port: c.peer.RemotePort, User: c.name,
		Started: named, Invalid: named && !c.valid, Authenticated: c.grant != nil,
	}})
}

// Log is the logger with this connection's number.
func (c *Connection) Log() *log.Logger { return c.public.Load().log }

// LogPeer describes the peer for log lines.
func (c *Connection) LogPeer() log.Peer { return c.public.Load().peer }

// Config is the configuration that applies as far as the connection has come.
func (c *Connection) Config() *config.Config { return c.cfg }

// MaxAuthTries is how many failures end the connection.
func (c *Connection) MaxAuthTries() int { return c.cfg.MaxAuthTries }

// Grant returns what the login was given, nil before it succeeded.
func (c *Connection) Grant() *Grant { return c.grant }

// Outcome is how a connection that did not log in fared, for its source's account.
type Outcome struct {
	Tried   bool // a method was tried and failed
	Invalid bool // the user does not exist or may not log in
	Refused bool // by RefuseConnection
}

// Outcome says how far the connection came. It is called after its end.
func (c *Connection) Outcome() Outcome {
	named := c.name != ""
	return Outcome{Tried: c.tries > 0, Invalid: named && !c.valid, Refused: named && c.cfg.RefuseConnection}
}

// PublicKey returns the host key that signs under an algorithm, nil if there is none.
func (c *Connection) PublicKey(algorithm string) []byte { return c.shared.Keys.PublicKey(algorithm) }

var (
	errForeignSession = errors.New("monitor: signature asked for another session")
	errNoHash         = errors.New("monitor: signature asked for something that is no exchange hash")
)

// Exchange hashes have 20 (SHA-1) to 64 (SHA-512) bytes.
const minHash, maxHash = 20, 64

// Sign signs an exchange hash. The first call fixes the session identifier,
// which is that call's hash (RFC 4253 section 7.2); others must name it.
func (c *Connection) Sign(sessionID, hash []byte, algorithm string) ([]byte, error) {
	if err := c.permit(ipc.Sign); err != nil {
		return nil, err
	}
	switch {
	case len(hash) < minHash || len(hash) > maxHash:
		return nil, errNoHash
	case c.sessionID == nil && !bytes.Equal(sessionID, hash), c.sessionID != nil && !bytes.Equal(sessionID, c.sessionID):
		return nil, errForeignSession
	}
	signature, err := c.shared.Keys.Sign(algorithm, hash)
	if err == nil && c.sessionID == nil {
		c.sessionID = bytes.Clone(sessionID)
		c.hostKey = c.shared.Keys.PublicKey(algorithm)
		c.enter(phaseKeyExchanged)
	}
	return signature, err
}
