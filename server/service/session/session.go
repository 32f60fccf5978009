// Package session serves session channels (RFC 4254 section 6): a terminal, a
// shell, a command, a subsystem, and the report of how it ended.
//
// The account role makes one Server for each connection, in a process that has
// the user's rights, and registers its Open for the channel type "session". What
// only the privileged side can do (open a terminal for the user, record a login)
// goes through Opener. The package authenticates nobody: the Policy that it is
// given says what this login may do. It is OpenSSH's behaviour that it follows, down
// to the order of exit-status, EOF and CLOSE; where it does not, a comment says why.
//
// Programs inherit this process's umask, so the role sets that (sshd: no more than
// 022). They inherit no descriptor, no ignored signal, and the limit of open files
// that this process was started with.
package session

import (
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
)

// Policy is what a login may do and what its programs are told. A Server does
// not change it.
type Policy struct {
	Account *user.Account
	// Credential is what programs run as; nil if this process is the user already.
	Credential *syscall.Credential

	ForceCommand  string // of the configuration; empty: none. It goes before the key's
	HasKeyCommand bool   // the key's options force KeyCommand, which may be empty
	KeyCommand    string

	// Match stores in p, a copy of the policy, what counts for a session that asks for
	// its program: kind is shell, exec or subsystem, command what the client asked for.
	// With an error the session is refused. nil: the policy is the same for all; else
	// PermitPTY and AcceptEnv, which are needed before, are what Match may allow.
	Match func(p *Policy, kind, command string) error

	PermitPTY    bool
	PermitUserRC bool
	// PermitUserEnvironment lets KeyEnvironment and ~/.ssh/environment in;
	// UserEnvironmentPatterns is its list of patterns, empty for any name.
	PermitUserEnvironment   bool
	UserEnvironmentPatterns string
	KeyEnvironment          []string // of the key's options, "name=value"
	SetEnv                  []string // of the configuration, "name=value"
	AcceptEnv               []string // patterns

	// Subsystems maps names to command lines. One whose first word is a key of
	// Builtin is run by that function, everything else by the user's shell.
	Subsystems map[string]string
	Builtin    map[string]Builtin

	RemoteAddr, RemotePort, LocalAddr, LocalPort string

	PrintMotd       bool
	PasswordExpired bool // nothing but a change of the password is allowed
	MaxSessions     int  // on this connection; 0: none, forwarding only
	AuthInfoFile    string
	// ProgramDir has scp, for commands that find none elsewhere; "": none.
	ProgramDir string
	// SetServiceClass takes, when a session starts, the value of IPQoS for sessions with
	// a terminal, QoSInteractive, or that for those without, QoSBulk; it may be nil.
	SetServiceClass         func(int)
	QoSInteractive, QoSBulk int
	// Interfaces is what SSH_TUNNEL says; nil: nothing.
	Interfaces func() string
	// OpenSSHClient says that the client's version is OpenSSH's: it alone is told
	// by eow@openssh.com that a program no longer reads.
	OpenSSHClient bool

	// Nologin is what nologin(5) has for the account; nil reads this system's.
	Nologin func() (text []byte, line string, closed bool)

	Forwarder     Forwarder // nil refuses x11-req and auth-agent-req@openssh.com
	XAuthLocation string

	Log Logger // nil: no log
}

// Logger takes lines in sshd's wording. They quote the peer and the user as they
// are: the sink escapes.
type Logger interface {
	Errorf(format string, args ...any)
	Infof(format string, args ...any)
	Verbosef(format string, args ...any)
	Debugf(level int, format string, args ...any)
}

// Opener does what needs privileges. Its methods may be called from any goroutine.
type Opener interface {
	// OpenPTY opens a terminal that belongs to the user. The master must wait in
	// the poller, the slave must block, as pty.Open makes them.
	OpenPTY() (master, slave *os.File, name string, err error)
	// ClosePTY takes it back; the master is still open, so that the name is still it.
	ClosePTY(name string)
	// LoginMessage is what a user sees at login before the message of the day:
	// what will expire, the last login. It is asked once for a connection.
	LoginMessage() string
	// LoginRecord and LogoutRecord note that a session's first process runs on a
	// terminal, and that it has ended.
	LoginRecord(tty string, pid int)
	LogoutRecord(tty string, pid int)
}

// Forwarder sets up what programs reach the client by. Its methods are called by
// requests on session channels, one at a time for a channel.
type Forwarder interface {
	// X11 opens a display for one session.
	X11(r X11Request) (*X11, error)
	// Agent opens the agent's socket. It is called once for a connection.
	Agent() (socket string, err error)
}

// X11 is a forwarded display.
type X11 struct {
	Display     string // what DISPLAY says, such as localhost:10.0
	AuthDisplay string // what xauth(1) calls it, such as unix:10.0
	Close       func() // called when the session ends; may be nil
}

// Server serves the session channels of one connection.
type Server struct {
	policy *Policy
	opener Opener
	log    Logger

	mu      sync.Mutex
	slots   []*session // index: the number in log lines; nil: free
	closed  bool
	greeted bool
	agent   string // path of the forwarded agent's socket
}

// NewServer returns a Server for one connection.
func NewServer(p *Policy, o Opener) *Server {
	prepareProcess()
	s := &Server{policy: p, opener: o, log: p.Log}
	if s.log == nil {
		s.log = silent{}
	}
	return s
}

// Open accepts a channel of the type "session", or refuses it when MaxSessions
// are there already.
func (s *Server) Open(n *connection.NewChannel) {
	x := s.admit()
	if x == nil {
		n.Reject(msg.OpenConnectFailed, "open failed")
		return
	}
	x.attach(n.Accept(x))
}

// admit makes a session with the lowest free number, nil if there is none.
func (s *Server) admit() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	for i, x := range s.slots {
		if x == nil {
			s.slots[i] = newSession(s, i)
			return s.slots[i]
		}
	}
	if len(s.slots) >= s.policy.MaxSessions {
		s.log.Errorf("no more sessions")
		return nil
	}
	x := newSession(s, len(s.slots))
	s.slots = append(s.slots, x)
	return x
}

// release frees the number of a session that has ended.
func (s *Server) release(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[x.id] == x {
		s.slots[x.id] = nil
	}
}

// Close ends all sessions, as if their channels were closed: their processes get
// SIGHUP and lose their terminals and pipes. It waits a moment for them to end, so
// that a server that ends leaves none behind but those that ignore SIGHUP.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	all := append([]*session(nil), s.slots...)
	s.mu.Unlock()
	for _, x := range all {
		if x != nil {
			x.hangup()
			x.logClose()
		}
	}
	limit := time.Now().Add(hangupGrace)
	for _, x := range all {
		if x != nil && x.alive() {
			x.awaitReport(time.Until(limit))
		}
	}
}

// alive reports whether the session has a process.
func (x *session) alive() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.running != nil
}

// Active returns the number of sessions, those included whose channel is closed
// and whose process has not ended.
func (s *Server) Active() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, x := range s.slots {
		if x != nil {
			n++
		}
	}
	return n
}

// loginMessage returns the Opener's message the first time, then nothing.
func (s *Server) loginMessage() string {
	s.mu.Lock()
	again := s.greeted
	s.greeted = true
	s.mu.Unlock()
	if again {
		return ""
	}
	return s.opener.LoginMessage()
}

// guard runs f; a panic in it is our bug: it ends this session only.
func (x *session) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			for _, line := range log.BugLines(v, debug.Stack()) {
				x.server.log.Errorf("%s", line)
			}
			x.hangup()
			_ = x.ch.Close()
		}
	}()
	f()
}

type silent struct{}

func (silent) Errorf(string, ...any)      {}
func (silent) Infof(string, ...any)       {}
func (silent) Verbosef(string, ...any)    {}
func (silent) Debugf(int, string, ...any) {}
