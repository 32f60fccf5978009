package session

import (
	"os"
	"time"

	"nano_ssh_server/server/host/nowait"
)

// stdio is the two sides of a program's input and output.
type stdio struct {
	stdin, stdout, stderr *os.File // theirs
	pty                   *terminal
	input                 *os.File // ours: the pipe to stdin, or the terminal's master
	output, errors        *source
	ours                  []*os.File
}

// openStdio makes the terminal's slave or three pipes the program's. A subsystem's
// stderr goes nowhere, as with sshd.
func (x *session) openStdio() (*stdio, error) {
	if t := x.terminal(); t != nil {
		out, err := newSource(t.master, false)
		if err != nil {
			return nil, err
		}
		return &stdio{stdin: t.slave, stdout: t.slave, stderr: t.slave, pty: t, input: t.master, output: out}, nil
	}
	s := &stdio{}
	err := s.openPipes(x.plan.kind != kindSubsystem)
	for _, f := range s.ours {
		if !x.keep(f) && err == nil {
			err = os.ErrClosed
		}
	}
	if err != nil {
		s.closeTheirs()
		for _, f := range s.ours {
			f.Close()
		}
		return nil, err
	}
	return s, nil
}

func (s *stdio) openPipes(withErrors bool) (err error) {
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	var out, errs *os.File
	s.stdin, s.input = pipe()
	out, s.stdout = pipe()
	if withErrors {
		errs, s.stderr = pipe()
	} else if err == nil {
		s.stderr, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	for _, f := range []*os.File{s.input, out, errs} {
		if f != nil {
			s.ours = append(s.ours, f)
		}
	}
	if err == nil {
		s.output, err = newSource(out, true)
	}
	if err == nil && withErrors {
		s.errors, err = newSource(errs, true)
	}
	return err
}

// closeTheirs closes the program's side in this process.
func (s *stdio) closeTheirs() {
	for _, f := range []*os.File{s.stdin, s.stdout, s.stderr} {
		if f != nil {
			f.Close() // a terminal's slave three times: the others only say that it is closed
		}
	}
}

// startPumps moves the output to the client, from here on: what the session itself
// has to say before the program starts goes the same way. The channel that it returns
// is closed when all is sent, and EOF with it.
func (x *session) startPumps(std *stdio) (drained chan struct{}) {
	drained = make(chan struct{})
	if std.errors != nil {
		x.outputs.Add(1)
		go x.guard(func() {
			defer x.outputs.Done()
			std.errors.pump(x.ch.ExtendedReadFrom)
		})
	}
	go x.guard(func() {
		defer close(drained)
		std.output.pump(x.ch.ReadFrom)
		x.outputs.Wait()
		x.awaitExit()
		x.mu.Lock()
		x.sentEOF = true
		x.mu.Unlock()
		_ = x.ch.CloseWrite()
	})
	return drained
}

// exitGrace is how long EOF waits for the end of a program that has closed its
// output. Some clients (dropbear's, PuTTY's) answer EOF by closing the channel, and
// what comes after that, the exit status, is lost to them. A program that ends closes
// its output microseconds before.
const exitGrace = 100 * time.Millisecond

func (x *session) awaitExit() {
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case <-x.reported:
	case <-x.ctx.Done():
	case <-timer.C:
	}
}

// copyInput moves the client's data to the program, until its EOF or until the
// program takes no more, of which an OpenSSH client is told.
func (x *session) copyInput(std *stdio) {
	_, err := x.ch.WriteTo(nowait.NewSink(std.input))
	x.mu.Lock()
	over := x.inputEnd
	x.inputEnd = true
	x.mu.Unlock()
	if over {
		return
	}
	if std.pty == nil {
		std.input.Close() // the EOF of a terminal is for the user to type
	}
	if err != nil {
		x.sendEOW()
	}
}

// stopInput ends copyInput when the program has ended.
func (x *session) stopInput(std *stdio) {
	x.mu.Lock()
	over := x.inputEnd
	x.inputEnd = true
	x.mu.Unlock()
	if !over {
		x.sendEOW()
	}
	if std.pty == nil {
		std.input.Close()
	}
}

func (x *session) sendEOW() {
	if x.server.policy.OpenSSHClient {
		_, _ = x.ch.SendRequest("eow@openssh.com", false, nil)
	}
}
