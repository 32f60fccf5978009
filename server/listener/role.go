package listener

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/monitor"
)

// The names that role processes are started under, and where each finds its link.
const (
	GateName    = "nano_ssh_server-gate"
	AccountName = "nano_ssh_server-account"
	LinkFD      = 3
)

// titleRoom is the length of an argument whose place the process's title takes, in bytes.
const titleRoom = 128

const (
	// maxCalls is how many requests of one process are answered at once; it waits
	// for an answer before it reads on.
	maxCalls = 256
	// startGrace is how long a process may take to start, on the slowest machine.
	startGrace = 20 * time.Second
	// endGrace is how long a process whose link is closed may take to end.
	endGrace = 3 * time.Second
	// maxComplaints bounds the lines that a process may put into the log by way of
	// its stderr, where only the Go runtime writes.
	maxComplaints = 100
)

// role is a process that the listener started: a gate, or an account's.
type role struct {
	s       *server
	kind    monitor.Role
	name    string // in log lines
	pid     int
	pidfd   *os.File     // of a process that another listener started; nil: it is a child
	account *ipc.Account // nil: a gate
	link    *ipc.Link
	stderr  *os.File

	calls     chan struct{}  // a place for each request under way
	answering sync.WaitGroup // requests under way
	kept      atomic.Bool    // it is a keeper's
	paused    chan struct{}  // closed when the link is, for a keeper

	mu        sync.Mutex
	conns     map[uint32]*connection
	given     int  // connections so far
	leaving   bool // the listener wants it to end
	condemned bool // it asked for what the table does not allow
	over      bool
}

// starter starts this program under other arguments.
type starter func(argv []string, attr *syscall.ProcAttr) (pid int, err error)

// asLogin starts a process that gives up root's rights by itself, first of all. For the
// kernel's audit, and for last(1), it and what it starts is a login of the user: only a
// thread can say so of itself, so this one is made for it and ends with it.
func asLogin(uid uint32) starter {
	return func(argv []string, attr *syscall.ProcAttr) (pid int, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			// Kernels without audit do not have the file.
			_ = os.WriteFile("/proc/thread-self/loginuid", strconv.AppendUint(nil, uint64(uid), 10), 0)
			pid, err = syscall.ForkExec("/proc/self/exe", argv, attr)
		}()
		<-done
		return pid, err
	}
}

// spawn starts a role's process. Its link is served at once.
func (s *server) spawn(kind monitor.Role, argv0, name string, start starter) (*role, error) {
	near, far, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer far.Close()
	r := s.newRole(kind, name)
	if r.link, err = ipc.Open(near, ipc.MaxRequest, false); err != nil {
		near.Close()
		return nil, err
	}
	if err = r.exec(argv0, far, start); err != nil {
		near.Close()
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	s.roles.children.Store(r.pid, r)
	go r.attend()
	return r, nil
}

func (s *server) newRole(kind monitor.Role, name string) *role {
	return &role{
		s: s, kind: kind, name: name, calls: make(chan struct{}, maxCalls),
		conns: map[uint32]*connection{}, paused: make(chan struct{}),
	}
}

// exec starts this very program in another role. Its stderr comes here: a process
// of a user must not hold a terminal of root's.
func (r *role) exec(argv0 string, far *os.File, start starter) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	stderr, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	var env []string
	for _, name := range []string{"TZ", "GOTRACEBACK"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	r.pid, err = start([]string{argv0, strings.Repeat(" ", titleRoom)}, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{null.Fd(), null.Fd(), theirs.Fd(), far.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		stderr.Close()
		return err
	}
	r.stderr = stderr
	go r.logComplaints()
	return nil
}

// logComplaints logs what the process writes to stderr, at most so much.
func (r *role) logComplaints() {
	defer r.stderr.Close()
	lines := bufio.NewScanner(r.stderr)
	for n := 0; lines.Scan(); n++ {
		if n < maxComplaints {
			r.s.log.Error("%s [%d]: %s", r.name, r.pid, lines.Text())
		}
	}
	_, _ = io.Copy(io.Discard, r.stderr)
}

// attend serves the link until it ends, and then sees that the process does.
func (r *role) attend() {
	err := r.link.Serve(r.handle)
	if r.kept.Load() {
		close(r.paused)
		return
	}
	if err != nil {
		r.condemn(err)
	}
	r.mu.Lock()
	leaving, condemned := r.leaving, r.condemned
	r.over = true
	conns := r.conns
	r.conns = nil
	r.mu.Unlock()
	if r.kind == monitor.Gate || condemned {
		r.kill()
	}
	status := r.reap()
	r.s.roles.gone(r)
	if !leaving {
		r.s.log.Error("%s [%d] ended: %s", r.name, r.pid, status)
	}
	for _, c := range conns {
		// Of many only one brought the process down: the others are not to pay.
		c.lost = len(conns) == 1 && !leaving
		c.finish()
	}
}

// reap waits for the end of the process, which its link's end announced, and says how
// it ended.
func (r *role) reap() string {
	timer := time.AfterFunc(endGrace, r.kill)
	defer timer.Stop()
	if r.pidfd != nil {
		waitPidfd(r.pidfd)
		r.pidfd.Close()
		return "as nobody's child"
	}
	defer r.s.roles.children.Delete(r.pid)
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(r.pid, &status, 0, nil); err != syscall.EINTR {
			return describe(status)
		}
	}
}

func (r *role) kill() {
	if r.pidfd != nil {
		signalPidfd(r.pidfd, unix.SIGKILL)
		return
	}
	_ = syscall.Kill(r.pid, syscall.SIGKILL)
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// condemn ends a process that does what it must not: a bug, or somebody else's will.
func (r *role) condemn(err error) {
	r.mu.Lock()
	again := r.condemned
	r.condemned = true
	r.mu.Unlock()
	if !again {
		r.s.log.Fatal("%s [%d] is ended: %v", r.name, r.pid, err)
	}
	r.kill()
	r.link.Close() // nothing else that it sent counts
}

// dismiss lets the process end.
func (r *role) dismiss() {
	r.mu.Lock()
	r.leaving = true
	r.mu.Unlock()
	r.link.Close()
}

// handle gives a frame of the process to the monitor's side of its connection.
func (r *role) handle(f *ipc.Frame) {
	r.mu.Lock()
	c := r.conns[f.Connection]
	r.mu.Unlock()
	switch {
	case c == nil:
		r.condemn(fmt.Errorf("%s for connection %d, which it does not have", f.Method, f.Connection))
	case f.Method == ipc.Log || r.kind == monitor.Account && !f.WantsAnswer():
		r.answer(c, f)
	case r.kind == monitor.Gate && !c.asked.TryLock():
		// A gate asks one question at a time about a connection.
		r.condemn(fmt.Errorf("%s before the last request was answered", f.Method))
	case f.WantsAnswer():
		r.calls <- struct{}{}
		r.answering.Go(func() {
			defer func() { <-r.calls }()
			r.answer(c, f)
		})
	default:
		r.answer(c, f)
	}
}

// answer asks the monitor and sends its answer.
func (r *role) answer(c *connection, f *ipc.Frame) {
	defer func() {
		// The last place where a fault of the monitor's can be kept from others.
		if v := recover(); v != nil {
			c.monitor.Log().Bug(v, debug.Stack())
			_ = r.link.Note(ipc.Drop, c.id, nil)
		}
	}()
	a, err := r.ask(c, f)
	switch {
	case monitor.IsOffence(err):
		r.condemn(err)
	case f.WantsAnswer() && err != nil:
		_ = r.link.Refuse(f, err)
	case f.WantsAnswer():
		fds := make([]int, len(a.Files))
		for i, file := range a.Files {
			fds[i] = int(file.Fd())
		}
		_ = r.link.Answer(f, a.Reply, fds...)
		for _, file := range a.Files {
			file.Close()
		}
	case a.State != nil:
		r.release(c)
		r.s.roles.handing.Go(func() { r.s.handOver(c, a.State) })
	case a.Ended:
		c.bug = a.Bug
		r.release(c)
		c.finish()
	}
}

// ask has the monitor handle the frame. The gate may ask again once this returns:
// the answer is sent after that.
func (r *role) ask(c *connection, f *ipc.Frame) (monitor.Answer, error) {
	if r.kind == monitor.Gate && f.Method != ipc.Log {
		defer c.asked.Unlock()
	}
	return c.monitor.Handle(r.kind, f)
}

// call asks the process for an answer that it gives at its start. One that does not
// come in time ends it: others wait for it.
func (r *role) call(m ipc.Method, payload []byte) (*ipc.Frame, error) {
	timer := time.AfterFunc(startGrace, func() { r.condemn(errSlow) })
	defer timer.Stop()
	return r.link.Call(m, 0, payload)
}

var errSlow = errors.New("it does not start in time")

// adopt makes the connection the process's. It fails if that has ended.
func (r *role) adopt(c *connection) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.leaving || r.condemned {
		return false
	}
	r.conns[c.id] = c
	r.given++
	c.mu.Lock()
	c.role = r
	c.mu.Unlock()
	return true
}

// release takes a connection from the process.
func (r *role) release(c *connection) {
	r.mu.Lock()
	delete(r.conns, c.id)
	idle := len(r.conns) == 0
	r.mu.Unlock()
	if idle {
		r.s.roles.idle(r)
	}
}

func (r *role) load() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}
