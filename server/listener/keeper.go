package listener

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/monitor"
)

// A listener that ends, or that makes room for another version of the program, leaves
// the processes of users who are logged in to a keeper: this program again, which
// answers them as the monitor did until the last of their connections is over. It
// listens nowhere. So sessions rekey, and their logouts are recorded, after the server
// was restarted.
//
//	listener ──Keep: link, pidfd, stderr, what the monitor knows──► keeper ◄──► account processes

// KeeperName is what a keeper is started under. Its arguments are the listener's name,
// the directory that its paths start from, and the listener's own arguments.
const KeeperName = "nano_ssh_server-keeper"

const (
	// entrustGrace is how long requests and logins that are under way may take
	// before their process goes to a keeper.
	entrustGrace = 3 * time.Second
	// pidfdWait bounds the wait for a process that was killed.
	pidfdWait = 2 * endGrace
)

// entrust leaves all account processes that have connections to a keeper. New ones must
// not come any more. A process that cannot be left goes on without a monitor.
func (s *server) entrust() {
	waitFor(s.roles.handing.Wait)
	var kept []*role
	p := &s.roles
	p.mu.Lock()
	for _, a := range p.accounts {
		if a.role != nil && a.role.load() > 0 {
			kept = append(kept, a.role)
		}
	}
	p.mu.Unlock()
	if len(kept) == 0 {
		return
	}
	keeper, err := s.startKeeper()
	if err != nil {
		s.log.Error("sessions go on without a monitor: %v", err)
		return
	}
	defer keeper.Close()
	for _, r := range kept {
		if err := r.give(keeper); err != nil {
			s.log.Error("%s [%d] goes on without a monitor: %v", r.name, r.pid, err)
		}
	}
}

// waitFor waits for something that others do, but not for ever.
func waitFor(wait func()) bool {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(entrustGrace):
		return false
	}
}

// startKeeper returns the link to a keeper that is ready.
func (s *server) startKeeper() (*ipc.Link, error) {
	near, far, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer far.Close()
	link, err := ipc.Open(near, ipc.MaxRequest, false)
	if err != nil {
		near.Close()
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		link.Close()
		return nil, err
	}
	defer null.Close()
	argv := append([]string{KeeperName, s.name, s.startDir}, s.args...)
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), null.Fd(), os.Stderr.Fd(), far.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	// Nobody else must have it: the end of a keeper that cannot start shows by that.
	far.Close()
	if err != nil {
		link.Close()
		return nil, fmt.Errorf("cannot start a keeper: %w", err)
	}
	s.roles.children.Store(pid, nil)
	go func() { _ = link.Serve(func(f *ipc.Frame) { f.CloseFiles() }) }()
	timer := time.AfterFunc(startGrace, link.Close)
	defer timer.Stop()
	if _, err = link.Call(ipc.Keep, 0, nil); err != nil {
		link.Close()
		return nil, fmt.Errorf("keeper: %w", err)
	}
	return link, nil
}

// give leaves the process to a keeper. It is none of this listener's any more, even if
// that fails.
func (r *role) give(keeper *ipc.Link) error {
	defer r.forget()
	pidfd, err := unix.PidfdOpen(r.pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(pidfd)
	r.kept.Store(true)
	r.link.Pause()
	if !waitFor(func() { <-r.paused; r.answering.Wait() }) {
		return errors.New("a request of it does not end")
	}
	k := &ipc.Kept{PID: uint32(r.pid), Account: *r.account, Unread: r.link.Unread()}
	r.mu.Lock()
	for id, c := range r.conns {
		m := c.monitor.Keep()
		m.ID = id
		k.Connections = append(k.Connections, m)
	}
	r.mu.Unlock()
	// What this process has of the link and of stderr nobody reads any more.
	var failed error
	err = r.link.Control(func(socket uintptr) {
		failed = control(r.stderr, func(stderr int) {
			_, failed = keeper.Call(ipc.Keep, 0, ipc.Marshal(k), int(socket), pidfd, stderr)
		})
	})
	return errors.Join(err, failed)
}

// forget has the listener go on without the process, but for its end.
func (r *role) forget() {
	r.s.roles.gone(r)
	r.link.Close()
	r.mu.Lock()
	conns := r.conns
	r.conns, r.over = nil, true
	r.mu.Unlock()
	for range conns {
		r.s.live.Done()
		r.s.served.Add(-1)
	}
	go func() {
		_, _ = syscall.Wait4(r.pid, nil, 0, nil)
		r.s.roles.children.Delete(r.pid)
	}()
}

// Keep is the whole keeper, started with a command line. It returns the exit status.
func Keep(args []string, title func(string)) int {
	s := &server{setTitle: title, setLoad: func(int) {}, syslog: -1, separate: true}
	if err := s.keep(args); err != nil {
		if s.log == nil {
			s.log = log.New(log.NewWriter(os.Stderr), log.Info)
		}
		s.log.Fatal("keeper: %v", err)
		return exitFault
	}
	return 0
}

// errByHand is for people who start a role.
var errByHand = errors.New("it is started by a server that ends, not by hand")

func (s *server) keep(args []string) error {
	link, err := ipc.Inherited(LinkFD)
	if err != nil || len(args) < 3 {
		return errByHand
	}
	s.setTitle("sshd: [keeper]")
	if s.name, err = args[1], os.Chdir(args[2]); err != nil {
		return err
	}
	if s.opts, err = parseFlags(args[3:]); err != nil {
		return err
	}
	if s.profile = config.SshdProfile(); s.name != asSSHD {
		s.profile = config.NanoProfile(config.NanoDir())
	}
	s.log = log.New(log.NewWriter(os.Stderr), s.level(nil))
	if err := s.openLogFile(); err != nil {
		return err
	}
	next, err := s.load()
	if err != nil {
		return err
	}
	s.setSink(next.base)
	s.apply(next)
	_ = os.Chdir("/")
	s.catchSignals()
	defer signal.Stop(s.signals)
	go func() {
		for sig := range s.signals {
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				os.Exit(0) // connections go on without a monitor
			}
		}
	}()
	if err := link.Serve(func(f *ipc.Frame) { s.take(link, f) }); err != nil {
		return err
	}
	s.live.Wait()
	return nil
}

// take goes on with a process of the listener's.
func (s *server) take(link *ipc.Link, f *ipc.Frame) {
	defer f.CloseFiles()
	var err error
	switch {
	case f.Method != ipc.Keep || !f.WantsAnswer():
		err = ipc.ErrProtocol
	case len(f.Files) > 0:
		err = s.adoptRole(f)
	}
	if err != nil {
		_ = link.Refuse(f, err)
		return
	}
	_ = link.Answer(f, nil)
}

func (s *server) adoptRole(f *ipc.Frame) error {
	var k ipc.Kept
	if err := ipc.Unmarshal(f.Payload, &k); err != nil {
		return err
	}
	if len(f.Files) != 3 {
		return fmt.Errorf("%w: %d descriptors", ipc.ErrProtocol, len(f.Files))
	}
	r := s.newRole(monitor.Account, "account "+k.Account.Name)
	r.pid, r.account = int(k.PID), &k.Account
	socket := os.NewFile(uintptr(f.Files[0]), "link")
	r.pidfd, r.stderr = os.NewFile(uintptr(f.Files[1]), "pidfd"), os.NewFile(uintptr(f.Files[2]), "stderr")
	f.Files = nil
	var err error
	if r.link, err = ipc.Resume(socket, ipc.MaxRequest, k.Unread); err != nil {
		return err
	}
	now := s.settings.Load()
	for i := range k.Connections {
		m := monitor.Resume(now.shared, &k.Account, &k.Connections[i])
		c := &connection{
			s: s, id: k.Connections[i].ID, settings: now, monitor: m, role: r, leave: func() {},
			authed: true, done: make(chan struct{}),
		}
		r.conns[c.id] = c
		s.live.Add(1)
	}
	// As one that lingers when it has no connection left.
	p := &s.roles
	p.mu.Lock()
	if p.accounts == nil {
		p.accounts = map[string]*accountRole{}
	}
	key := fmt.Sprint(r.pid)
	p.accounts[key] = &accountRole{key: key, role: r}
	p.mu.Unlock()
	go r.logComplaints()
	go r.attend()
	s.log.Debug("keeper: %s [%d] with %d connections", r.name, r.pid, len(r.conns))
	return nil
}

// waitPidfd waits for the end of a process that has been told to end.
func waitPidfd(f *os.File) {
	_ = control(f, func(fd int) {
		for end := time.Now().Add(pidfdWait); time.Now().Before(end); {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(end).Milliseconds()))
			if n > 0 || err != nil && err != unix.EINTR {
				return
			}
		}
	})
}

func signalPidfd(f *os.File, sig unix.Signal) {
	_ = control(f, func(fd int) { _ = unix.PidfdSendSignal(fd, sig, nil, 0) })
}

// control runs f on a file's descriptor, which stays open meanwhile.
func control(file *os.File, f func(fd int)) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}
