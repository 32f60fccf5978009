package session

import (
	"fmt"
	"io"
	"path"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/wire"
)

// Exit statuses that sshd's child has when it never becomes the program.
const (
	exitFailed  = syscall.WaitStatus(1 << 8)   // no start, sftp only, password expired
	exitNologin = syscall.WaitStatus(254 << 8) // /etc/nologin
)

// run is a session from its start to its end.
//
// Output goes to the client as it comes. When the program has ended, exit-status
// goes at once, whatever is still unread. EOF goes when all output is sent: for
// pipes when everyone who holds them has closed them, be it long after the program
// itself; for a terminal when nothing is left to read. Then comes CLOSE.
func (x *session) run() {
	defer x.end()
	defer func() {
		x.mu.Lock()
		x.finished = true
		x.mu.Unlock()
	}()
	defer func() { _ = x.ch.Close() }()
	if x.plan.builtin != nil {
		x.runBuiltin()
		return
	}
	std, err := x.openStdio()
	if err != nil {
		x.server.log.Errorf("session %d: cannot start: %v", x.id, err)
		x.reportExit(exitFailed)
		_ = x.ch.CloseWrite()
		return
	}
	drained := x.startPumps(std)
	status := x.perform(std)
	std.closeTheirs()
	x.reportExit(status)
	x.stopInput(std)
	if std.pty != nil {
		// Whoever still has the terminal open no longer counts.
		std.output.finish()
	}
	<-drained
	for _, f := range std.ours {
		f.Close()
	}
}

// runBuiltin serves a subsystem in this process.
func (x *session) runBuiltin() {
	status := exitFailed
	if _, _, closed := x.policy.nologin(); closed {
		status = exitNologin
	} else if !x.policy.PasswordExpired {
		n := x.plan.builtin(x.ctx, x.ch, x.plan.args)
		status = syscall.WaitStatus((n & 255) << 8)
	}
	_ = x.ch.CloseWrite()
	x.reportExit(status)
}

// reportExit tells the client how the program ended (RFC 4254 section 6.10).
func (x *session) reportExit(status syscall.WaitStatus) {
	defer close(x.reported)
	if !status.Signaled() {
		_, _ = x.ch.SendRequest("exit-status", false, wire.AppendUint32(nil, uint32(status.ExitStatus())))
		return
	}
	b := wire.AppendText(nil, signalName(status.Signal()))
	b = wire.AppendBool(b, status.CoreDump())
	b = wire.AppendText(b, "") // sshd has no text and no language either
	_, _ = x.ch.SendRequest("exit-signal", false, wire.AppendText(b, ""))
}

// perform does what sshd's child does on its way to the program, starts it, and
// returns how it ended.
func (x *session) perform(std *stdio) syscall.WaitStatus {
	p := x.policy
	if text, line, closed := p.nologin(); closed {
		x.server.log.Infof("%s", line)
		_, _ = std.stderr.Write(text)
		return exitNologin
	}
	shell := p.Account.LoginShell()
	command := x.plan.command
	if p.PasswordExpired {
		return x.changePassword(std)
	}
	if std.pty != nil && command == nil {
		x.welcome(std.stdout)
	}
	if x.lostPTY {
		_, _ = io.WriteString(std.stderr, "A terminal is not permitted for this session.\r\n") // the client's own is raw
	}
	env := x.environment(std)
	dir := x.homeDirectory(std.stderr)
	x.runRC(std, shell, dir, env)
	if x.plan.sftpOnly {
		_, _ = io.WriteString(std.stdout, "This service allows sftp connections only.\n")
		return exitFailed
	}
	argv := []string{"-" + path.Base(shell)}
	if command != nil {
		argv = []string{path.Base(shell), "-c", *command}
	}
	return x.startProgram(std, shell, argv, env, dir)
}

// startProgram starts the session's program and waits for its end.
func (x *session) startProgram(std *stdio, file string, argv, env []string, dir string) syscall.WaitStatus {
	p := x.policy
	spec := &programSpec{
		path: file, argv: argv, env: env, dir: dir, stdin: std.stdin, stdout: std.stdout, stderr: std.stderr,
		terminal: std.pty != nil, credential: p.Credential,
	}
	proc, err := x.launch(spec, true)
	if err == unix.EACCES && p.Credential != nil && dir != "/" {
		// Only the user's rights can tell whether the directory was at fault.
		complain(std.stderr, dir, err)
		spec.dir = "/"
		proc, err = x.launch(spec, true)
	}
	if err != nil {
		fmt.Fprintf(std.stderr, "%s: %s\n", file, reason(err))
		return exitFailed
	}
	if std.pty != nil {
		std.pty.record(proc.pid)
	}
	std.closeTheirs()
	go x.guard(func() { x.copyInput(std) })
	return x.wait(proc)
}

// launch starts a program unless the client is gone, and makes it what a hangup
// is for.
func (x *session) launch(spec *programSpec, main bool) (*process, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone {
		return nil, unix.EPIPE
	}
	p, err := spawn(spec)
	runtime.KeepAlive(spec)
	if err != nil {
		return nil, err
	}
	x.running = p
	if main {
		x.program = p
	}
	return p, nil
}

func (x *session) wait(p *process) syscall.WaitStatus {
	status := p.wait()
	x.mu.Lock()
	x.running, x.program = nil, nil
	x.mu.Unlock()
	return status
}

func (p *Policy) nologin() (text []byte, line string, closed bool) {
	if p.Nologin != nil {
		return p.Nologin()
	}
	return user.System.Nologin(p.Account)
}
