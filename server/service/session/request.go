package session

import (
	"slices"
	"strings"
	"syscall"

	"nano_ssh_server/server/host/login"
	"nano_ssh_server/server/host/pty"
)

const (
	// maxEnv is OpenSSH's bound for the variables of a session.
	maxEnv = 128
	// maxEnvBytes bounds their names and values together, in bytes: twice what the
	// kernel takes for one variable.
	maxEnvBytes = 256 << 10
)

// request handles one request (RFC 4254 section 6) and says how to answer it. then,
// if not nil, runs after the answer, so that no output comes before that. A payload
// that is malformed refuses the request.
func (x *session) request(name string, payload []byte) (ok bool, then func()) {
	x.server.log.Debugf(1, "session_input_channel_req: session %d req %s", x.id, name)
	provoke(name)
	// These are for any time of a session; the rest is for its beginning, where
	// shell, exec and subsystem may come once and nothing may come after them.
	switch name {
	case "window-change":
		return x.windowChange(payload), nil
	case "break":
		return x.sendBreak(payload), nil
	case "signal":
		return x.signal(payload), nil
	}
	x.mu.Lock()
	over := x.started || x.gone
	x.mu.Unlock()
	if over {
		return false, nil
	}
	switch name {
	case "pty-req":
		return x.allocate(payload), nil
	case "env":
		return x.setEnv(payload), nil
	case "x11-req":
		return x.forwardX11(payload), nil
	case "auth-agent-req@openssh.com":
		return x.server.forwardAgent(payload), nil
	case "shell":
		if len(payload) == 0 {
			return x.start(kindShell, "")
		}
	case "exec":
		if command, err := parseText(payload); err == nil {
			return x.start(kindCommand, command)
		}
	case "subsystem":
		if subsystem, err := parseText(payload); err == nil {
			return x.start(kindSubsystem, subsystem)
		}
	}
	return false, nil
}

// useOf is ChannelTimeout's name of what a client asked for, whatever is forced.
func useOf(k kind, text string) string {
	switch k {
	case kindShell:
		return "session:shell"
	case kindSubsystem:
		return "session:subsystem:" + text
	}
	return "session:command"
}

// start begins what the session is for.
func (x *session) start(k kind, text string) (bool, func()) {
	p, err := x.server.policy.match(k, text)
	if err != nil {
		x.server.log.Errorf("session %d: refused, its configuration cannot be resolved: %v", x.id, err)
		return false, nil
	}
	pl, err := p.plan(k, text)
	if err != nil {
		x.server.log.Infof("%s", err)
		return false, nil
	}
	x.mu.Lock()
	gone := x.gone
	x.started = !gone
	x.plan = pl
	term := x.pty
	x.mu.Unlock()
	if gone {
		return false, nil
	}
	x.policy = p
	x.ch.SetUse(useOf(k, text))
	if p.Match != nil {
		x.client = slices.DeleteFunc(x.client, func(v login.Variable) bool { return !login.AcceptEnv(v, p.AcceptEnv) })
		if term != nil && !p.PermitPTY {
			x.dropTerminal(term)
			term = nil
		}
	}
	on, class := "", p.QoSBulk
	if term != nil {
		on, class = " on "+strings.TrimPrefix(term.name, "/dev/"), p.QoSInteractive
	}
	if p.SetServiceClass != nil {
		p.SetServiceClass(class)
	}
	x.server.log.Verbosef("Starting session: %s%s for %s from %.200s port %s id %d",
		pl.describe(), on, p.Account.Name, p.RemoteAddr, p.RemotePort, x.id)
	return true, x.run
}

// match returns the policy of a session that is for this.
func (p *Policy) match(k kind, text string) (*Policy, error) {
	if p.Match == nil {
		return p, nil
	}
	own := *p
	err := p.Match(&own, k.String(), text)
	return &own, err
}

// dropTerminal takes back a terminal that was not to be had for this program: it
// starts as if pty-req had been refused.
func (x *session) dropTerminal(t *terminal) {
	x.server.log.Debugf(1, "Allocating a pty not permitted for this session.")
	x.mu.Lock()
	x.pty = nil
	x.mu.Unlock()
	t.close()
	x.term, x.lostPTY = "", true
	x.ch.SetInteractive(false)
}

func (x *session) allocate(payload []byte) bool {
	log := x.server.log
	if !x.policy.PermitPTY {
		log.Debugf(1, "Allocating a pty not permitted for this connection.")
		return false
	}
	q, err := parsePTY(payload)
	if err != nil {
		return false
	}
	x.mu.Lock()
	again := x.pty != nil
	x.mu.Unlock()
	if again { // sshd ends the connection here
		log.Errorf("Protocol error: you already have a pty.")
		return false
	}
	master, slave, name, err := x.server.opener.OpenPTY()
	if err != nil {
		log.Errorf("session_pty_req: session %d alloc failed: %v", x.id, err)
		return false
	}
	if err := pty.ApplyModes(slave, q.modes); err != nil {
		log.Errorf("session_pty_req: session %d terminal modes: %v", x.id, err)
	}
	if err := pty.SetSize(master, q.size); err != nil {
		log.Errorf("session_pty_req: session %d terminal size: %v", x.id, err)
	}
	t := &terminal{opener: x.server.opener, master: master, slave: slave, name: name}
	x.mu.Lock()
	gone := x.gone
	if !gone {
		x.pty = t
	}
	x.mu.Unlock()
	if gone {
		t.close()
		return false
	}
	x.term = q.term
	// Before the answer, which keeps its order with the data that comes after it.
	x.ch.SetInteractive(true)
	log.Debugf(1, "session_pty_req: session %d alloc %s", x.id, name)
	return true
}

// windowChange succeeds without a terminal too, as with sshd: clients send it as
// soon as their own changes.
func (x *session) windowChange(payload []byte) bool {
	size, err := parseSize(payload)
	if err != nil {
		return false
	}
	if t := x.terminal(); t != nil {
		_ = pty.SetSize(t.master, size) // fails once the terminal is gone
	}
	return true
}

func (x *session) sendBreak(payload []byte) bool {
	t := x.terminal()
	return parseBreak(payload) == nil && t != nil && pty.SendBreak(t.master) == nil
}

func (x *session) terminal() *terminal {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pty
}

func (x *session) setEnv(payload []byte) bool {
	name, value, err := parseEnv(payload)
	if err != nil {
		return false
	}
	log := x.server.log
	size := len(name) + len(value)
	if len(x.client) > maxEnv || x.bytes+size > maxEnvBytes {
		log.Debugf(2, "Ignoring env request %s: too many env vars", name)
		return false
	}
	v := login.Variable{Name: name, Value: value}
	if !login.AcceptEnv(v, x.policy.AcceptEnv) {
		log.Debugf(2, "Ignoring env request %s: disallowed name", name)
		return false
	}
	log.Debugf(2, "Setting env %d: %s=%s", len(x.client), name, value)
	x.client = append(x.client, v)
	x.bytes += size
	return true
}

// signal sends a signal to the process group of the session's program (RFC 4254
// section 6.9). As with sshd not to a forced command, which the user did not
// choose, nor to a subsystem.
func (x *session) signal(payload []byte) bool {
	name, err := parseText(payload)
	if err != nil {
		return false
	}
	log := x.server.log
	sig, known := signals[name]
	if !known {
		log.Errorf("session_signal_req: unsupported signal %q", name)
		return false
	}
	x.mu.Lock()
	pl, program := x.plan, x.program
	x.mu.Unlock()
	switch {
	case program == nil:
		log.Errorf("session_signal_req: no pid for session %d", x.id)
		return false
	case pl.forced != "":
		log.Errorf("session_signal_req: refusing to send signal %s to forced-command session", name)
		return false
	case pl.kind == kindSubsystem:
		log.Errorf("session_signal_req: refusing to send signal %s to subsystem session", name)
		return false
	}
	if cred := x.policy.Credential; cred != nil && !ownedBy(program.pid, cred.Uid) {
		// This process is root and may signal anybody; the user may not.
		return false
	}
	log.Debugf(1, "session_signal_req: signal %s, killpg(%d, %d)", name, program.pid, int(sig))
	return program.signal(sig) == nil
}

// signals are those of RFC 4254 section 6.10; sshd takes HUP, INT, KILL, QUIT,
// TERM, USR1 and USR2 of them.
var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP,
	"ILL": syscall.SIGILL, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

// signalName is the name of a signal that ended a program. Others than those of
// the RFC have, with sshd, this name of no meaning.
func signalName(sig syscall.Signal) string {
	for name, s := range signals {
		if s == sig {
			return name
		}
	}
	return "SIG@openssh.com"
}

func (x *session) forwardX11(payload []byte) bool {
	q, err := parseX11(payload)
	if err != nil {
		x.server.log.Errorf("Invalid X11 forwarding data")
		return false
	}
	forwarder := x.policy.Forwarder
	if forwarder == nil {
		return false
	}
	if x.display() != nil {
		x.server.log.Errorf("session_x11_req: session %d: x11 forwarding already active", x.id)
		return false
	}
	display, err := forwarder.X11(q)
	if err != nil {
		x.server.log.Debugf(1, "session_x11_req: session %d: %v", x.id, err)
		return false
	}
	x.mu.Lock()
	gone := x.gone
	if !gone {
		x.x11, x.x11Req = display, q
	}
	x.mu.Unlock()
	if gone && display.Close != nil {
		display.Close()
	}
	return !gone
}

func (x *session) display() *X11 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.x11
}

// forwardAgent opens the agent's socket, one for all sessions of the connection.
func (s *Server) forwardAgent(payload []byte) bool {
	if len(payload) != 0 || s.policy.Forwarder == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != "" {
		return true
	}
	socket, err := s.policy.Forwarder.Agent()
	if err != nil {
		s.log.Debugf(1, "session_auth_agent_req: %v", err)
		return false
	}
	s.agent = socket
	return true
}

func (s *Server) agentSocket() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agent
}
