package listener

import (
	"context"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/listener/source"
	"nano_ssh_server/server/monitor"
)

// connection is the listener's side of an SSH connection: its place among the
// startups, its time limit, and the monitor's memory of it. The socket is here until
// the account role has it, so that no gate ever sends a descriptor.
//
//	accepted ──► gate ──Export──► account ──► finish
//	               └──Ended, time limit──────►
type connection struct {
	s        *server
	id       uint32
	settings *settings // those it began with
	monitor  *monitor.Connection
	peer     monitor.Peer

	asked sync.Mutex // held while the monitor answers the gate
	grace *time.Timer
	leave func() // ends its place among the startups
	bug   bool   // a role said that it failed by a fault of its own
	lost  bool   // its process ended under it

	mu     sync.Mutex
	fds    []int
	role   *role
	stream *ipc.Stream // in one-process mode, which owns the descriptors then
	ended  bool
	authed bool
	late   bool // the time limit ended it
	done   chan struct{}
}

// begin makes a connection of one descriptor, or two, and starts its time limit.
func (s *server) begin(fds []int, peer monitor.Peer, leave func()) *connection {
	now := s.settings.Load()
	c := &connection{
		s: s, id: s.lastID.Add(1), settings: now, monitor: monitor.New(now.shared, peer), peer: peer,
		leave: sync.OnceFunc(leave), fds: fds, done: make(chan struct{}),
	}
	c.monitor.Log().Connection(peer.RemoteHost, peer.RemotePort, peer.LocalHost, peer.LocalPort, peer.RDomain)
	if d := now.base.LoginGraceTime; d > 0 {
		c.grace = time.AfterFunc(d, c.expire)
	}
	s.live.Add(1)
	s.setLoad(int(s.served.Add(1)))
	return c
}

// expireGrace is how long a gate may take to close a connection whose time is over.
const expireGrace = 2 * time.Second

// expire ends a connection whose user did not log in in time.
func (c *connection) expire() {
	c.mu.Lock()
	over, r, stream := c.authed || c.ended, c.role, c.stream
	c.mu.Unlock()
	if over {
		return
	}
	c.mu.Lock()
	c.late = true
	c.mu.Unlock()
	c.monitor.Log().LoginTimeout(c.peer.RemoteHost, c.peer.RemotePort)
	if stream != nil {
		_ = stream.Close()
		return
	}
	if r != nil {
		_ = r.link.Note(ipc.Drop, c.id, nil)
		time.AfterFunc(expireGrace, c.shutdown)
		return
	}
	c.shutdown()
}

// shutdown cuts the connection for whoever holds it.
func (c *connection) shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fd := range c.fds {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
}

// authenticated ends the time limit and the place among the startups.
func (c *connection) authenticated() {
	c.mu.Lock()
	c.authed = true
	c.mu.Unlock()
	if c.grace != nil {
		c.grace.Stop()
	}
	c.leave()
}

// finish is the last thing that happens to a connection.
func (c *connection) finish() {
	c.mu.Lock()
	again := c.ended
	c.ended = true
	authed := c.authed
	c.mu.Unlock()
	if again {
		return
	}
	if c.grace != nil {
		c.grace.Stop()
	}
	c.leave()
	c.closeFiles()
	c.monitor.Over()
	if !authed {
		c.s.failed.Store(true)
		c.penalise()
	}
	close(c.done)
	c.s.live.Done()
	c.s.setLoad(int(c.s.served.Add(-1)))
}

// penalise counts the end of a connection that did not log in against its source.
func (c *connection) penalise() {
	how := c.monitor.Outcome()
	c.mu.Lock()
	late := c.late
	c.mu.Unlock()
	class := source.NoAuth
	switch {
	case c.bug || c.lost:
		class = source.Crash
	case how.Refused:
		class = source.RefuseConnection
	case late:
		class = source.GraceExceeded
	case how.Tried && how.Invalid:
		class = source.InvalidUser
	case how.Tried:
		class = source.AuthFail
	}
	if addr, err := netip.ParseAddr(c.peer.RemoteHost); err == nil {
		c.s.sources.Penalise(addr, class, time.Now())
	}
}

// closeFiles gives up the socket.
func (c *connection) closeFiles() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fd := range c.fds {
		_ = unix.Close(fd)
	}
	c.fds = nil
}

// drop ends a connection that is served.
func (c *connection) drop() {
	c.mu.Lock()
	r := c.role
	c.mu.Unlock()
	if r != nil {
		_ = r.link.Note(ipc.Drop, c.id, nil)
	}
}

func (c *connection) place() ipc.Place {
	return ipc.Place{
		RemoteHost: c.peer.RemoteHost, RemotePort: uint32(c.peer.RemotePort),
		LocalHost: c.peer.LocalHost, LocalPort: uint32(c.peer.LocalPort),
	}
}

// start gives the connection to its first role.
func (c *connection) start() {
	if c.s.separate {
		c.toGate()
		return
	}
	c.inMemory()
}

// toGate gives the connection to a gate; another one if that ends meanwhile.
func (c *connection) toGate() {
	var err error
	for range 3 {
		var r *role
		if r, err = c.s.gate(); r == nil {
			break
		}
		if !r.adopt(c) {
			err = errGone
			continue
		}
		place := c.place()
		if err = r.link.Note(ipc.Connect, c.id, ipc.Marshal(&place), c.fds...); err == nil {
			return
		}
		r.release(c)
	}
	c.monitor.Log().Error("%v", err)
	c.finish()
}

// inMemory runs the connection through all roles in this process.
func (c *connection) inMemory() {
	defer c.finish()
	defer func() {
		// The last place where a panic of this connection can be kept from the others.
		if v := recover(); v != nil {
			c.monitor.Log().Bug(v, debug.Stack())
			c.s.failed.Store(true)
		}
	}()
	stream, err := ipc.NewStream(c.fds...)
	if err != nil {
		c.monitor.Log().Error("%v", err)
		return
	}
	c.mu.Lock()
	c.stream, c.fds = stream, nil
	c.mu.Unlock()
	defer stream.Close()
	stop := context.AfterFunc(c.s.ctx, func() { _ = stream.Close() })
	defer stop()
	_ = c.s.serve(&Session{ // it told the log how it ended
		Stream: stream, Monitor: c.monitor, Place: c.place(), Gate: c.settings.gate, Change: os.Geteuid() == 0,
		Authenticated: c.authenticated,
	})
}
