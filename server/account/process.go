package account

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/transport"
)

// Process is what the process of an account is given by main, which knows the
// packages that this one must not import.
type Process struct {
	Link *ipc.Link
	// Become gives the process exactly the user's rights.
	Become func(*ipc.Identity) error
	Title  func(string) // what ps(1) shows
	Load   func(connections int)
	Random func([]byte)
}

// process is the running process of one user.
type process struct {
	*Process
	name string
	last log.Sink // for lines after the listener's end
	live sync.WaitGroup

	mu      sync.Mutex
	streams map[uint32]*ipc.Stream
	fault   error
}

// Run serves the connections of one user until the listener closes the link and
// the last of them has ended: those that are there survive the listener. SIGTERM
// ends them all.
func Run(cfg *Process) error {
	p := &process{Process: cfg, streams: map[uint32]*ipc.Stream{}}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	// A file that grows beyond the limit is the sftp session's error, not everybody's end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGXFSZ)
	go func() {
		for range signals {
			p.terminate()
		}
	}()
	err := cfg.Link.Serve(p.handle)
	p.live.Wait()
	signal.Stop(signals)
	return errors.Join(err, p.fault)
}

func (p *process) handle(f *ipc.Frame) {
	switch {
	case f.Method == ipc.Become && p.name == "":
		p.become(f)
	case f.Method == ipc.Serve && p.name != "":
		p.serve(f)
	case f.Method == ipc.Drop:
		p.mu.Lock()
		stream := p.streams[f.Connection]
		p.mu.Unlock()
		if stream != nil {
			_ = stream.Close()
		}
	default:
		f.CloseFiles()
		p.end(ipc.ErrProtocol)
	}
}

// terminate ends all connections, and with them the process (SIGTERM): programs get
// SIGHUP, as at any end.
func (p *process) terminate() {
	p.Link.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stream := range p.streams {
		_ = stream.Close()
	}
}

// end ends the process once its connections have ended: Link.Serve returns.
func (p *process) end(err error) {
	p.fault = err
	p.Link.Close()
}

func (p *process) become(f *ipc.Frame) {
	var id ipc.Identity
	err := ipc.Unmarshal(f.Payload, &id)
	if err == nil {
		err = p.Become(&id)
	}
	if err != nil {
		_ = p.Link.Refuse(f, err)
		p.end(err)
		return
	}
	p.name = id.Name
	if id.Syslog >= 0 {
		p.last = log.NewSyslog("sshd", log.Facility(id.Syslog))
	}
	p.title(0)
	_ = p.Link.Answer(f, nil)
}

func (p *process) title(n int) {
	plural := "s"
	if n == 1 {
		plural = ""
	}
	p.Load(n)
	p.Title(fmt.Sprintf("sshd: %s [%d session%s]", p.name, n, plural))
}

// serve starts serving one connection.
func (p *process) serve(f *ipc.Frame) {
	login, m, err := p.login(f)
	clear(f.Payload) // it held the keys
	if err != nil {
		f.CloseFiles()
		p.end(err)
		return
	}
	stream, err := ipc.NewStream(f.Files...)
	if err != nil {
		login.State.Wipe()
		f.CloseFiles()
		_ = p.Link.Note(ipc.Ended, f.Connection, ipc.Marshal(&ipc.End{}))
		return
	}
	p.mu.Lock()
	p.streams[f.Connection] = stream
	p.title(len(p.streams))
	p.mu.Unlock()
	p.live.Go(func() {
		err := Serve(stream, login.State, login.Config())
		_ = stream.Close()
		p.mu.Lock()
		delete(p.streams, f.Connection)
		p.title(len(p.streams))
		p.mu.Unlock()
		_ = m.Last(ipc.Ended, ipc.Marshal(&ipc.End{Bug: errors.Is(err, ErrBug)}))
	})
}

// login reads what the listener says of a connection. Nothing of it shares the
// frame's memory.
func (p *process) login(f *ipc.Frame) (*Login, *remote, error) {
	var s ipc.Serving
	if err := ipc.Unmarshal(f.Payload, &s); err != nil {
		return nil, nil, err
	}
	grant, err := ipc.UnmarshalGrant(s.Grant)
	if err != nil {
		return nil, nil, err
	}
	state, err := transport.UnmarshalState(s.State)
	if err != nil {
		return nil, nil, err
	}
	for _, list := range [][]ipc.HostKey{s.HostKeys, s.Announced} {
		for i := range list {
			list[i].Blob = bytes.Clone(list[i].Blob)
		}
	}
	m := &remote{Conversation: ipc.NewConversation(p.Link, f.Connection), keys: s.HostKeys}
	m.log = log.New(relay{m.Conversation, p.last}, log.Level(grant.Settings.LogLevel))
	return &Login{Grant: grant, Place: s.Place, HostKeys: s.HostKeys, Announced: s.Announced, State: state, Monitor: m, Random: p.Random}, m, nil
}
