package session

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"nano_ssh_server/server/host/login"
	"nano_ssh_server/server/proto/connection"
)

// Channel is what a session needs of *connection.Channel.
type Channel interface {
	io.Reader
	io.WriterTo // the client's data until its EOF
	io.Writer   // stdout
	WriteExtended(p []byte) (int, error)
	io.ReaderFrom // stdout
	ExtendedReadFrom(r io.Reader) (int64, error)
	CloseWrite() error
	SendRequest(name string, wantReply bool, payload []byte) (bool, error)
	SetInteractive(bool)
	SetUse(name string)
	Close() error
}

var _ Channel = (*connection.Channel)(nil)

// Builtin serves a subsystem inside this process: it reads the client's data from
// ch, writes to it, and returns the exit status. The context ends when the
// channel is closed. args[0] is its own name. It must not close ch.
type Builtin func(ctx context.Context, ch Channel, args []string) (status int)

// session is one session channel.
//
//	larval --shell, exec, subsystem--> running --program ended, output sent--> finished
//	   \                                  |                                     ^
//	    \----- the client closes ---------+---- hangup; the program is reaped --/
//
// Requests come one at a time. What runs between start and end runs in the
// goroutine of run; pumps move the data.
type session struct {
	server *Server
	id     int
	ready  chan struct{} // closed when ch is set
	ch     Channel
	ctx    context.Context
	cancel context.CancelFunc

	// Only requests touch these before the start, only run does after it.
	policy  *Policy          // of the server; from the start on this session's
	client  []login.Variable // env requests
	bytes   int              // of client
	term    string
	lostPTY bool // Match took the terminal away

	mu       sync.Mutex
	x11      *X11
	x11Req   X11Request
	started  bool
	gone     bool // the channel is closed
	finished bool // run is through, or will never begin
	plan     *plan
	pty      *terminal
	files    []io.Closer // our ends of what the program holds
	running  *process    // what a hangup is for: the program, or an rc file before it
	program  *process    // what the client's signals are for
	sentEOF  bool        // the program's output has ended, and the client knows
	inputEnd bool        // nothing goes to the program's input any more
	logOnce  sync.Once

	outputs  sync.WaitGroup
	reported chan struct{} // closed once the client was told how the program ended
}

func newSession(s *Server, id int) *session {
	x := &session{server: s, policy: s.policy, id: id, ready: make(chan struct{}), reported: make(chan struct{})}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	return x
}

func (x *session) attach(ch Channel) {
	x.ch = ch
	close(x.ready)
}

// Request handles a request of the client (connection.ChannelHandler).
func (x *session) Request(r *connection.Request) {
	<-x.ready
	ok, then := x.request(r.Name, r.Payload)
	r.Reply(ok)
	if then != nil {
		go x.guard(then)
	}
}

// Closed is called when the channel is closed (connection.ChannelHandler).
func (x *session) Closed() {
	<-x.ready
	x.hangup()
	x.mu.Lock()
	never := !x.started && !x.finished
	if never {
		x.finished = true
	}
	x.mu.Unlock()
	if never {
		x.end()
	}
}

// HoldClose keeps the channel of a program that has closed its output until it ends
// (connection.CloseHolder): its exit status is still to come.
func (x *session) HoldClose() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sentEOF && x.program != nil
}

// hangup takes everything from the session's programs that ties them to the
// client: they get SIGHUP as a process group, and their terminal or pipes go. sshd
// sends that signal only by way of a terminal; a command without one would go on
// unseen until it writes (THREATS row 32).
func (x *session) hangup() {
	x.mu.Lock()
	x.gone = true
	running, term, files := x.running, x.pty, x.files
	x.files = nil
	x.mu.Unlock()
	x.cancel()
	if running != nil {
		running.hangup()
	}
	if term != nil {
		term.close()
	}
	if running == nil {
		closeAll(files)
		return
	}
	// A shell that was told SIGHUP may still have a word to say ("Hangup"): it must
	// not die of SIGPIPE before its trap has run.
	go func() {
		x.awaitReport(hangupGrace)
		closeAll(files)
	}()
}

// hangupGrace is how long programs may take to end after SIGHUP before their pipes go.
const hangupGrace = time.Second

func closeAll(files []io.Closer) {
	for _, f := range files {
		f.Close()
	}
}

// awaitReport waits until the program has ended, for at most d.
func (x *session) awaitReport(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-x.reported:
	case <-timer.C:
	}
}

// end is the last thing that happens to a session.
func (x *session) end() {
	x.cancel()
	x.mu.Lock()
	term, x11 := x.pty, x.x11
	x.x11 = nil
	x.mu.Unlock()
	if term != nil {
		term.close()
	}
	if x11 != nil && x11.Close != nil {
		x11.Close()
	}
	x.logClose()
	x.server.release(x)
}

func (x *session) logClose() {
	x.logOnce.Do(func() {
		p := x.server.policy
		x.server.log.Verbosef("Close session: user %s from %.200s port %s id %d", p.Account.Name, p.RemoteAddr, p.RemotePort, x.id)
	})
}

// keep notes our end of something that a hangup must close. It closes it at once,
// and returns false, if that has been already.
func (x *session) keep(f io.Closer) bool {
	x.mu.Lock()
	gone := x.gone
	if !gone {
		x.files = append(x.files, f)
	}
	x.mu.Unlock()
	if gone {
		f.Close()
	}
	return !gone
}

// terminal is a session's pseudo-terminal.
type terminal struct {
	opener        Opener
	master, slave *os.File
	name          string
	once          sync.Once

	mu  sync.Mutex
	pid int // of the login that was recorded
}

func (t *terminal) record(pid int) {
	t.mu.Lock()
	t.pid = pid
	t.mu.Unlock()
	t.opener.LoginRecord(t.name, pid)
}

// close gives the terminal back. The kernel sends SIGHUP to whoever still has it.
func (t *terminal) close() {
	t.once.Do(func() {
		t.mu.Lock()
		pid := t.pid
		t.mu.Unlock()
		if pid != 0 {
			t.opener.LogoutRecord(t.name, pid)
		}
		t.opener.ClosePTY(t.name)
		t.slave.Close()
		t.master.Close()
	})
}
