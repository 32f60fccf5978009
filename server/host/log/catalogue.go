package log

import (
	"fmt"
	"time"
)

// The lines that programs and people read in sshd's log, word for word as
// OpenSSH 9.2 writes them (recordings in testdata). A line that sshd's
// unprivileged process writes needs a Logger made by WithPreauth as long as the
// user is not authenticated; its comment says so.

// Peer is the other end of a connection and how far it got.
type Peer struct {
	Addr string // "UNKNOWN" if there is none
	Port int
	User string // as the client named it; "" before it did
	// Invalid says that the user does not exist or may not log in,
	// Authenticated that it did.
	Invalid, Authenticated bool
	// Started says that the client named a user, even an empty one.
	Started bool
}

// String is `ADDR port N`, with the user in front once there is one.
func (p Peer) String() string {
	where := fmt.Sprintf("%.200s port %d", p.Addr, p.Port)
	switch {
	case p.Authenticated:
		return fmt.Sprintf("user %s %s", p.User, where)
	case !p.Started && p.User == "":
		return where
	case p.Invalid:
		return fmt.Sprintf("invalid user %s %s", p.User, where)
	}
	return fmt.Sprintf("authenticating user %s %s", p.User, where)
}

// userAndPlace is `[invalid user ]NAME from ADDR port N ssh2`.
func (p Peer) userAndPlace() string {
	invalid := ""
	if p.Invalid {
		invalid = "invalid user "
	}
	return fmt.Sprintf("%s%.100s from %.200s port %d ssh2", invalid, p.User, p.Addr, p.Port)
}

// Outcome is the first word of the line on an authentication attempt.
type Outcome string

// The outcomes.
const (
	Accepted  Outcome = "Accepted"
	Failed    Outcome = "Failed"
	Partial   Outcome = "Partial"   // one of several methods is done
	Postponed Outcome = "Postponed" // more messages belong to the attempt
)

// Attempt is one authentication attempt.
type Attempt struct {
	Outcome   Outcome
	Method    string // "publickey", "password", ...
	Submethod string // "pam", ...; often empty
	Peer      Peer
	Key       string // `ED25519 SHA256:...`, from the key's type and fingerprint; "" without a key
	Failures  int    // failed attempts so far
	MaxTries  int    // MaxAuthTries
}

// Auth logs an attempt. What concerns administrators (success, passwords,
// invalid users, from half of MaxAuthTries on everything) has level INFO, the
// rest VERBOSE. Only Postponed is a preauth line.
func (l *Logger) Auth(a Attempt) {
	level := Verbose
	if a.Outcome == Accepted || a.Peer.Invalid || a.Failures >= a.MaxTries/2 || a.Method == "password" {
		level = Info
	}
	method := a.Method
	if a.Submethod != "" {
		method += "/" + a.Submethod
	}
	key := ""
	if a.Key != "" {
		key = ": " + a.Key
	}
	if a.Outcome == Postponed {
		l = l.WithPreauth()
	}
	l.Log(level, "%s %s for %s%s", a.Outcome, method, a.Peer.userAndPlace(), key)
}

// InvalidUser logs a user that does not exist.
func (l *Logger) InvalidUser(user, addr string, port int) {
	l.Info("Invalid user %.100s from %.100s port %d", user, addr, port)
}

// NotAllowed logs why an account may not log in: ReasonLocked, or a text of
// ReasonNoShell, ReasonShellMode or ReasonFile.
func (l *Logger) NotAllowed(user, reason string) {
	l.Info("User %.100s not allowed because %s", user, reason)
}

// ReasonLocked is the reason that an account is locked.
const ReasonLocked = "account is locked"

// ReasonNoShell is the reason that a shell does not exist.
func ReasonNoShell(shell string) string { return fmt.Sprintf("shell %.100s does not exist", shell) }

// ReasonShellMode is the reason that a shell cannot be executed.
func ReasonShellMode(shell string) string {
	return fmt.Sprintf("shell %.100s is not executable", shell)
}

// ReasonFile is the reason that a file as /etc/nologin exists.
func ReasonFile(name string) string { return name + " exists" }

// NotAllowedFrom logs that AllowUsers and its kin refuse a user; the reasons
// follow.
func (l *Logger) NotAllowedFrom(user, host, reason string) {
	l.Info("User %.100s from %.100s not allowed because %s", user, host, reason)
}

// Reasons for NotAllowedFrom.
const (
	ReasonDenyUsers   = "listed in DenyUsers"
	ReasonAllowUsers  = "not listed in AllowUsers"
	ReasonNoGroup     = "not in any group"
	ReasonDenyGroups  = "a group is listed in DenyGroups"
	ReasonAllowGroups = "none of user's groups are listed in AllowGroups"
)

// RootRefused logs that PermitRootLogin refuses a root login that succeeded.
func (l *Logger) RootRefused(addr string, port int) {
	l.Info("ROOT LOGIN REFUSED FROM %.200s port %d", addr, port)
}

// Expired logs an account that expired.
func (l *Logger) Expired(user string) { l.Info("Account %.100s has expired", user) }

// AuthenticationRefused logs why a user's files are not trusted, for example
// `bad ownership or modes for file /home/x/.ssh/authorized_keys`.
func (l *Logger) AuthenticationRefused(reason string) { l.Info("Authentication refused: %s", reason) }

// AcceptedKey logs where a key that will do was found.
func (l *Logger) AcceptedKey(key, file string, line int) {
	l.Verbose("Accepted key %s found at %s:%d", key, file, line)
}

// MaxAuthTriesExceeded logs the attempt that was one too many, and the
// disconnection that follows. Preauth.
func (l *Logger) MaxAuthTriesExceeded(p Peer) {
	l.Error("maximum authentication attempts exceeded for %s", p.userAndPlace())
	l.Disconnecting(p, "Too many authentication failures")
}

// Connection logs a new connection.
func (l *Logger) Connection(addr string, port int, localAddr string, localPort int, rdomain string) {
	l.Verbose("Connection from %.500s port %d on %.500s port %d rdomain \"%s\"", addr, port, localAddr, localPort, rdomain)
}

// Closed logs that the peer closed the connection. Preauth, but after a failed
// version exchange without the mark. After authentication sshd leaves the user out.
func (l *Logger) Closed(p Peer) {
	if p.Authenticated {
		p = Peer{Addr: p.Addr, Port: p.Port}
	}
	l.Info("Connection closed by %s", p)
}

// Reset logs that the peer reset the connection. As Closed.
func (l *Logger) Reset(p Peer) { l.Info("Connection reset by %s", p) }

// ReceivedDisconnect logs the peer's disconnect message, of level INFO if its
// reason is 11, by application, else ERROR. Preauth.
func (l *Logger) ReceivedDisconnect(p Peer, reason uint32, text string) {
	const byApplication = 11
	level := Error
	if reason == byApplication {
		level = Info
	}
	l.Log(level, "Received disconnect from %.200s port %d:%d: %.400s", p.Addr, p.Port, reason, text)
}

// Disconnected logs the end after ReceivedDisconnect. Preauth.
func (l *Logger) Disconnected(p Peer) { l.Info("Disconnected from %s", p) }

// Disconnecting logs that this side sends a disconnect message. Preauth.
func (l *Logger) Disconnecting(p Peer, text string) { l.Info("Disconnecting %s: %.100s", p, text) }

// ConnectionFault logs a connection that ends for a fault, for example
// (Peer, "message authentication code incorrect"). Preauth.
func (l *Logger) ConnectionFault(p Peer, fault string) {
	l.Info("ssh_dispatch_run_fatal: Connection from %s: %s", p, fault)
}

// BadPacketLength logs a packet whose length cannot be. Preauth.
func (l *Logger) BadPacketLength(n uint32) { l.Info("Bad packet length %d.", n) }

// UnableToNegotiate logs that no common algorithm exists; kind is one of the
// Kind texts. Preauth.
func (l *Logger) UnableToNegotiate(addr string, port int, kind, offer string) {
	l.Info("Unable to negotiate with %.200s port %d: no matching %s found. Their offer: %s", addr, port, kind, offer)
}

// Kinds of algorithm for UnableToNegotiate.
const (
	KindKex         = "key exchange method"
	KindHostKey     = "host key type"
	KindCipher      = "cipher"
	KindMAC         = "MAC"
	KindCompression = "compression method"
)

// Faults of a version exchange, for BannerExchange.
const (
	FaultFormat  = "invalid format"                  // the line is none
	FaultVersion = "could not read protocol version" // another protocol version
	FaultTimeout = "Connection timed out"
)

// BannerExchange logs a version exchange that failed; detail, if not empty, is
// the line of level ERROR before it.
func (l *Logger) BannerExchange(addr string, port int, fault, detail string) {
	if detail != "" {
		l.Error("%s", detail)
	}
	l.Info("banner exchange: Connection from %.200s port %d: %s", addr, port, fault)
}

// Details for BannerExchange.
const (
	DetailCharacters = "kex_exchange_identification: banner line contains invalid characters"
	DetailTooLong    = "kex_exchange_identification: banner line too long"
	DetailNone       = "kex_exchange_identification: No SSH identification string received."
)

// DetailIdentifier is the detail for a line that is no SSH version.
func DetailIdentifier(line string) string {
	return fmt.Sprintf("kex_exchange_identification: client sent invalid protocol identifier \"%.256s\"", line)
}

// DetailVersion is the detail for a version that cannot be read.
func DetailVersion(line string) string {
	return fmt.Sprintf("Bad remote protocol version identification: '%.100s'", line)
}

// DetailMajor is the detail for another protocol version, which is a number.
func DetailMajor(remote int) string {
	return fmt.Sprintf("Protocol major versions differ: 2 vs. %d", remote)
}

// NoIdentification logs a peer that went before it sent its version line: first
// why, then Closed or Reset.
func (l *Logger) NoIdentification(p Peer, reset bool) {
	if reset {
		l.Error("kex_exchange_identification: read: Connection reset by peer")
		l.Reset(p)
		return
	}
	l.Error("kex_exchange_identification: Connection closed by remote host")
	l.Closed(p)
}

// LoginTimeout logs that LoginGraceTime is over.
func (l *Logger) LoginTimeout(addr string, port int) {
	l.Fatal("Timeout before authentication for %s port %d", addr, port)
}

// ClientTimeout logs a client that does not answer any more (ClientAlive*).
func (l *Logger) ClientTimeout(p Peer) { l.Info("Timeout, client not responding from %s", p) }

// Listening logs a socket that listens.
func (l *Logger) Listening(addr string, port int, rdomain string) {
	if rdomain != "" {
		rdomain = " rdomain " + rdomain
	}
	l.Info("Server listening on %s port %d%s.", addr, port, rdomain)
}

// BindFailed logs a socket that cannot be bound; reason is C's text of the error.
func (l *Logger) BindFailed(addr string, port int, reason string) {
	l.Error("Bind to port %d on %s failed: %.200s.", port, addr, reason)
}

// CannotBind logs that no socket listens.
func (l *Logger) CannotBind() { l.Fatal("Cannot bind any address.") }

// Terminating logs the signal that ends the server.
func (l *Logger) Terminating(signal int) { l.Info("Received signal %d; terminating.", signal) }

// Restarting logs SIGHUP.
func (l *Logger) Restarting() { l.Info("Received SIGHUP; restarting.") }

// Throttling logs that MaxStartups begins to drop connections.
func (l *Logger) Throttling() { l.Error("beginning MaxStartups throttling") }

// ThrottlingOver logs that it ends, how long it lasted and what it cost.
func (l *Logger) ThrottlingOver(lasted time.Duration, dropped int) {
	l.Info("exited MaxStartups throttling after %s, %d connections dropped", clock(lasted), dropped)
}

// clock writes hours, minutes and seconds as sshd does: 00:01:05.
func clock(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// StillThrottling logs, every ThrottlingInterval, that MaxStartups goes on to drop
// connections.
func (l *Logger) StillThrottling(lasted time.Duration, dropped int) {
	l.Error("in MaxStartups throttling for %s, %d connections dropped", clock(lasted), dropped)
}

// ThrottlingInterval is how often a long throttling is told.
const ThrottlingInterval = 5 * time.Minute

// Dropped logs a connection that MaxStartups drops: Info for the first after one of
// the lines above, Verbose for the rest, so that a flood does not fill the log. n
// counts the connections that are not authenticated.
func (l *Logger) Dropped(level Level, n int, addr string, port int, localAddr string, localPort int, why string) {
	l.Log(level, "drop connection #%d from [%s]:%d on [%s]:%d %s", n, addr, port, localAddr, localPort, why)
}

// PastMaxStartups is the usual reason for Dropped.
const PastMaxStartups = "past MaxStartups"

// UserChild logs the process that serves an authenticated user.
func (l *Logger) UserChild(pid int) { l.Verbose("User child is on pid %d", pid) }

// What StartSession starts.
const (
	StartShell   = "shell"
	StartCommand = "command"
)

// StartSubsystem is a subsystem for StartSession.
func StartSubsystem(name string) string { return fmt.Sprintf("subsystem '%.900s'", name) }

// StartForced is a forced command for StartSession; from is "config" or "key-option".
func StartForced(from, command string) string {
	return fmt.Sprintf("forced-command (%s) '%.900s'", from, command)
}

// StartSession logs the start of a session; tty is "" or a name like pts/0.
func (l *Logger) StartSession(what, tty, user, addr string, port, id int) {
	on := ""
	if tty != "" {
		on = " on " + tty
	}
	l.Verbose("Starting session: %s%s for %s from %.200s port %d id %d", what, on, user, addr, port, id)
}

// CloseSession logs the end of a session.
func (l *Logger) CloseSession(user, addr string, port, id int) {
	l.Verbose("Close session: user %s from %.200s port %d id %d", user, addr, port, id)
}

// SubsystemMissing logs a request for a subsystem that is not configured.
func (l *Logger) SubsystemMissing(name, user string) {
	l.Info("subsystem request for %.100s by user %s failed, subsystem not found", name, user)
}

// Transferred logs the end of a connection that the peer did not announce.
func (l *Logger) Transferred(sent, received uint64, addr string, port int) {
	l.Verbose("Transferred: sent %d, received %d bytes", sent, received)
	l.Verbose("Closing connection to %.500s port %d", addr, port)
}

// ConnectFailed logs a forwarding whose target cannot be reached.
func (l *Logger) ConnectFailed(host string, port int) {
	l.Error("connect_to %.100s port %d: failed.", host, port)
}
