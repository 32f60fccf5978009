// Package agent forwards the client's authentication agent: programs of the user's
// sessions find a socket in SSH_AUTH_SOCK, and each connection to it becomes a channel
// auth-agent@openssh.com to the client.
//
// The account role makes one Forwarder for each connection, in a process that runs as
// the user. The package never makes a socket as anybody else (THREATS row 18), knows
// nothing of the agent's protocol and sees no key.
package agent

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/service/agent/relay"
	"nano_ssh_server/server/service/session"
)

// channelType is what the client knows its agent by.
const channelType = "auth-agent@openssh.com"

// maxConnections bounds the programs that talk to the agent at a time: more than
// tools need that start many ssh at once, since each is done with the agent in
// milliseconds, and few against the channels of a connection. The next ones wait.
const maxConnections = 256

// Policy is what a login may do, and where its socket goes.
type Policy struct {
	// Permit is AllowAgentForwarding, what the key's options leave of it, and not
	// DisableForwarding.
	Permit  bool
	Account *user.Account
	// SocketPath is AgentSocketPath with its tokens: "user:DIRECTORY" below the home
	// unless absolute, or "shared:DIRECTORY". Empty: DefaultSocketPath.
	SocketPath string
	Log        session.Logger
}

// reason is why there is no socket: sshd's words, where it has them.
type reason string

func (r reason) Error() string { return string(r) }

const (
	errDisabled reason = "agent forwarding disabled"
	errTwice    reason = "authentication forwarding requested twice."
	errOther    reason = "agent forwarding disabled: this process does not run as the user"
	errClosed   reason = "agent forwarding disabled: the connection has ended"
)

// Forwarder is the agent of one connection. Its methods may be called from any
// goroutine.
type Forwarder struct {
	mux    *connection.Mux
	policy *Policy

	mu     sync.Mutex
	closed bool
	socket *socket
	relay  *relay.Relay
}

// New returns a Forwarder that has no socket yet.
func New(mux *connection.Mux, p *Policy) *Forwarder { return &Forwarder{mux: mux, policy: p} }

// Open makes the connection's one socket and returns its path, which is what
// SSH_AUTH_SOCK says. The error is for the log.
func (f *Forwarder) Open() (path string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.policy.Permit:
		return "", errDisabled
	case f.closed:
		return "", errClosed
	case f.socket != nil:
		f.policy.Log.Errorf("%s", errTwice)
		return "", errTwice
	case uint32(os.Geteuid()) != f.policy.Account.UID:
		// Root would make it where the user cannot, and for everybody.
		return "", errOther
	}
	s, err := openSocket(f.policy)
	if err != nil {
		return "", err
	}
	f.socket = s
	f.relay = relay.Serve(&relay.Config{
		Mux: f.mux, Kind: channelType, Limit: maxConnections, Admit: f.admit,
		AcceptError: "accept from auth socket", Log: f.policy.Log,
	}, s.listener)
	return s.path, nil
}

// Close takes the socket away, with the directory that was made for it alone, and
// closes all connections.
func (f *Forwarder) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.relay == nil {
		return
	}
	f.relay.Close()
	f.socket.remove()
	f.relay = nil
}

// admit lets in programs of the user's and of root. The socket's mode says the same
// already; this holds where the mode was changed.
func (f *Forwarder) admit(c relay.Local) (extra []byte, ok bool) {
	peer, err := peerUID(c)
	if err != nil {
		f.policy.Log.Errorf("getpeereid: %v", err)
		return nil, false
	}
	if own := f.policy.Account.UID; !welcome(peer, own) {
		f.policy.Log.Errorf("uid mismatch: peer euid %d != uid %d", peer, own)
		return nil, false
	}
	return nil, true
}

func welcome(peer, own uint32) bool { return peer == own || peer == 0 }

// peerUID returns the effective user id that the other end had when it connected.
func peerUID(c relay.Local) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, fmt.Errorf("SO_PEERCRED: %w", failed)
	}
	return cred.Uid, nil
}
