package listener

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/monitor"
	"nano_ssh_server/server/sandbox"
)

const (
	// gateConnections is after how many connections a gate is replaced: what
	// somebody could have left in its memory ends with it.
	gateConnections = 1000
	// gateLoad is how many connections a gate has before another one is started,
	// up to the number of processors: one gate uses them all, so that it is for the
	// day when a gate dies, with what it has, that there are more.
	gateLoad = 256
	// accountLinger is how long an account's process waits for another login.
	accountLinger = 5 * time.Second
	// gateFiles is how many descriptors a gate may have: MaxStartups is what bounds
	// its connections.
	gateFiles = 65536
)

// roles are the processes of the server.
type roles struct {
	gating  sync.Mutex // held while a gate starts
	gates   []*role    // that take connections
	started sync.Once  // the log says once what a gate lacks

	children sync.Map       // *role by pid, that are to be waited for
	handing  sync.WaitGroup // connections on their way to an account's process

	mu       sync.Mutex // guards accounts and what is in them
	accounts map[string]*accountRole
}

// accountRole is the process of one privilege: made once by the first login that
// needs it, while others wait.
type accountRole struct {
	key      string
	ready    chan struct{}
	role     *role // nil: it could not be started
	err      error
	reserved int // logins on their way to it
	timer    *time.Timer
}

// startGate starts a gate and confines it.
func (s *server) startGate() (*role, error) {
	now := s.settings.Load()
	c := s.confinement(now.base)
	r, err := s.spawn(monitor.Gate, GateName, "gate", func(argv []string, attr *syscall.ProcAttr) (int, error) {
		return sandbox.Start(&sandbox.GateConfig{UID: c.UID, GID: c.GID, Dirs: c.Dirs, NoFile: uint64(c.Files)}, argv, attr)
	})
	if err != nil {
		return nil, err
	}
	f, err := r.call(ipc.Confine, ipc.Marshal(c))
	var missing ipc.Names
	if err == nil {
		err = ipc.Unmarshal(f.Payload, &missing)
	}
	if err == nil {
		err = r.link.Note(ipc.Configure, 0, ipc.Marshal(now.gate))
	}
	if err != nil {
		r.dismiss()
		return nil, fmt.Errorf("gate: %w", err)
	}
	s.roles.started.Do(func() {
		for _, m := range missing.Names {
			s.log.Info("The gate goes on without %s", m)
		}
	})
	return r, nil
}

// gateDirs are the directories that a gate may have as its root: empty, and root's.
var gateDirs = []string{"/run/sshd", "/var/empty", "/var/empty/sshd"}

// confinement says whom a gate becomes: the configured account, else sshd, else nobody.
func (s *server) confinement(c *config.Config) *ipc.Confinement {
	k := &ipc.Confinement{UID: 65534, GID: 65534, Dirs: gateDirs, Files: gateFiles}
	for _, name := range []string{c.PrivilegeSeparationUser, "sshd", "nobody"} {
		if name == "" {
			continue
		}
		if a, err := user.Lookup(name); err == nil && a.UID != 0 {
			k.UID, k.GID = a.UID, a.GID
			break
		}
	}
	return k
}

// gate returns the gate for a new connection.
func (s *server) gate() (*role, error) {
	if s.settings.Load().base.PreauthIsolation == config.IsolateConnection {
		return s.startGate()
	}
	p := &s.roles
	p.gating.Lock()
	defer p.gating.Unlock()
	p.gates = slices.DeleteFunc(p.gates, func(r *role) bool { return r.worn() })
	var best *role
	load := 0
	for _, r := range p.gates {
		if n := r.load(); best == nil || n < load {
			best, load = r, n
		}
	}
	if best != nil && (load < gateLoad || len(p.gates) >= runtime.NumCPU()) {
		return best, nil
	}
	r, err := s.startGate()
	if err != nil {
		return best, err
	}
	p.gates = append(p.gates, r)
	return r, nil
}

// worn reports that a gate takes no more connections.
func (r *role) worn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over || r.leaving || r.condemned || r.given >= gateConnections
}

// idle is called when a process has no connection left.
func (p *roles) idle(r *role) {
	if r.kind == monitor.Gate {
		// Not in the way of whoever starts another gate.
		go p.idleGate(r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.accounts {
		if a.role == r {
			a.linger(p)
		}
	}
}

func (p *roles) idleGate(r *role) {
	p.gating.Lock()
	defer p.gating.Unlock()
	i := slices.Index(p.gates, r)
	// One gate stays at rest.
	if r.load() > 0 || i >= 0 && len(p.gates) == 1 && !r.worn() {
		return
	}
	if i >= 0 {
		p.gates = slices.Delete(p.gates, i, i+1)
	}
	r.dismiss()
}

// linger lets an account's process end some time after its last connection. The
// lock is held.
func (a *accountRole) linger(p *roles) {
	if a.reserved > 0 || a.role.load() > 0 {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = time.AfterFunc(accountLinger, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if a.reserved > 0 || a.role.load() > 0 || p.accounts[a.key] != a {
			return
		}
		delete(p.accounts, a.key)
		a.role.dismiss()
	})
}

// gone forgets a process that has ended.
func (p *roles) gone(r *role) {
	if r.kind == monitor.Gate {
		p.gating.Lock()
		defer p.gating.Unlock()
		p.gates = slices.DeleteFunc(p.gates, func(g *role) bool { return g == r })
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, a := range p.accounts {
		if a.role == r {
			delete(p.accounts, key)
		}
	}
}

// renew has gates with the new settings: connections that are there keep theirs.
func (s *server) renew() {
	p := &s.roles
	p.gating.Lock()
	old := p.gates
	p.gates = nil
	p.gating.Unlock()
	for _, r := range old {
		p.idleGate(r)
	}
	s.prestart()
}

// prestart has a gate ready before the first connection needs it.
func (s *server) prestart() {
	if !s.separate || s.settings.Load().base.PreauthIsolation == config.IsolateConnection {
		return
	}
	if _, err := s.gate(); err != nil {
		s.log.Error("%v", err)
	}
}

// accountKey names the privilege that a login needs a process of.
func accountKey(g *ipc.Grant, isolate bool, id uint32) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d", g.Account.UID, g.Account.GID)
	groups := slices.Clone(g.Account.Groups)
	slices.Sort(groups)
	for _, n := range slices.Compact(groups) {
		b.WriteString(" " + strconv.FormatUint(uint64(n), 10))
	}
	if isolate {
		fmt.Fprintf(&b, " connection %d", id)
	}
	// Last, since only this may hold any byte.
	b.WriteString(" " + g.Account.Name + " " + g.Settings.ChrootDirectory)
	return b.String()
}

// reserve returns the process for a login, and keeps it from ending until release.
func (s *server) reserve(key string, g *ipc.Grant) (*accountRole, error) {
	p := &s.roles
	p.mu.Lock()
	a := p.accounts[key]
	if a == nil {
		a = &accountRole{key: key, ready: make(chan struct{})}
		if p.accounts == nil {
			p.accounts = map[string]*accountRole{}
		}
		p.accounts[key] = a
		a.reserved++
		p.mu.Unlock()
		r, err := s.startAccount(g)
		p.mu.Lock()
		a.role, a.err = r, err
		if err != nil {
			delete(p.accounts, key)
		}
		p.mu.Unlock()
		close(a.ready)
		return a, err
	}
	a.reserved++
	p.mu.Unlock()
	<-a.ready
	return a, a.err
}

func (s *server) unreserve(a *accountRole) {
	p := &s.roles
	p.mu.Lock()
	defer p.mu.Unlock()
	a.reserved--
	if a.role != nil {
		a.linger(p)
	}
}

// startAccount starts the process of a user.
func (s *server) startAccount(g *ipc.Grant) (*role, error) {
	r, err := s.spawn(monitor.Account, AccountName, "account "+g.Account.Name, asLogin(g.Account.UID))
	if err != nil {
		return nil, err
	}
	r.account = &g.Account
	id := &ipc.Identity{
		Name: g.Account.Name, UID: g.Account.UID, GID: g.Account.GID, Groups: g.Account.Groups,
		Chroot: g.Settings.ChrootDirectory, Syslog: s.syslog,
	}
	if _, err := r.call(ipc.Become, ipc.Marshal(id)); err != nil {
		r.dismiss()
		return nil, fmt.Errorf("account %s: %w", g.Account.Name, err)
	}
	return r, nil
}

// errGone means that a process ended when it was to get a connection.
var errGone = errors.New("the process has ended")

// handOver gives an authenticated connection to the process of its user.
func (s *server) handOver(c *connection, state []byte) {
	defer clear(state)
	if err := s.handOverTo(c, state); err != nil {
		c.monitor.Log().Error("%v", err)
		c.finish()
	}
}

func (s *server) handOverTo(c *connection, state []byte) error {
	c.authenticated()
	plain := c.monitor.Plain()
	grant, err := plain.Marshal()
	if err != nil {
		return err
	}
	isolate := c.settings.base.SessionIsolation == config.IsolateConnection
	a, err := s.reserve(accountKey(plain, isolate, c.id), plain)
	defer s.unreserve(a)
	if err != nil {
		return err
	}
	b := ipc.Marshal(&ipc.Serving{Place: c.place(), Grant: grant, State: state, HostKeys: c.monitor.HostKeys(), Announced: c.monitor.AnnouncedKeys()})
	defer clear(b)
	if !a.role.adopt(c) {
		return errGone
	}
	err = a.role.link.Note(ipc.Serve, c.id, b, c.fds...)
	if err != nil {
		a.role.release(c)
		return err
	}
	c.closeFiles()
	return nil
}
