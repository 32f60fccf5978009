package gate

import (
	"errors"
	"runtime/debug"
	"sync"

	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/transport"
)

// Process is what the gate's process is given by main, which knows the packages
// that a gate must not import.
type Process struct {
	Link *ipc.Link
	// Confine gives up all rights, and returns what could not be given up.
	Confine func(*ipc.Confinement) (missing []string, err error)
	Load    func(connections int)
	Random  func([]byte)
}

// process is a running gate.
type process struct {
	*Process
	mu       sync.Mutex
	settings *ipc.GateSettings
	streams  map[uint32]*ipc.Stream
	fault    error
}

// Run serves connections until the listener closes the link. It returns why it
// ended, nil for that.
func Run(cfg *Process) error {
	p := &process{Process: cfg, streams: map[uint32]*ipc.Stream{}}
	err := cfg.Link.Serve(p.handle)
	return errors.Join(err, p.fault)
}

func (p *process) handle(f *ipc.Frame) {
	switch f.Method {
	case ipc.Confine:
		p.confine(f)
	case ipc.Configure:
		next := &ipc.GateSettings{}
		if err := ipc.Unmarshal(f.Payload, next); err != nil {
			p.end(err)
			return
		}
		p.settings = next
	case ipc.Connect:
		p.connect(f)
	case ipc.Drop:
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

// end ends the process: Serve returns.
func (p *process) end(err error) {
	p.fault = err
	p.Link.Close()
}

// confine answers with what is missing, one a line, for the log.
func (p *process) confine(f *ipc.Frame) {
	var c ipc.Confinement
	err := ipc.Unmarshal(f.Payload, &c)
	var missing []string
	if err == nil {
		missing, err = p.Confine(&c)
	}
	if err != nil {
		_ = p.Link.Refuse(f, err)
		p.end(err)
		return
	}
	_ = p.Link.Answer(f, ipc.Marshal(&ipc.Names{Names: missing}))
}

func (p *process) connect(f *ipc.Frame) {
	var place ipc.Place
	err := ipc.Unmarshal(f.Payload, &place)
	if err != nil || p.settings == nil {
		f.CloseFiles()
		p.end(errors.Join(err, ipc.ErrProtocol))
		return
	}
	stream, err := ipc.NewStream(f.Files...)
	if err != nil {
		f.CloseFiles()
		_ = p.Link.Note(ipc.Ended, f.Connection, ipc.Marshal(&ipc.End{}))
		return
	}
	p.mu.Lock()
	p.streams[f.Connection] = stream
	p.Load(len(p.streams))
	p.mu.Unlock()
	r := newRemote(p.Link, f.Connection, p.settings, &place)
	go p.serve(stream, f.Connection, r)
}

// serve runs one connection up to its login, which makes it the account role's.
func (p *process) serve(stream *ipc.Stream, id uint32, r *remote) {
	cfg := &Config{Transport: TransportConfig(r.settings, r, p.Random), Monitor: r}
	state, err := Authenticate(stream, cfg)
	p.mu.Lock()
	delete(p.streams, id)
	p.Load(len(p.streams))
	p.mu.Unlock()
	if err != nil {
		_ = stream.Close()
		_ = r.Last(ipc.Ended, ipc.Marshal(&ipc.End{Bug: errors.Is(err, ErrBug)}))
		return
	}
	b := state.Marshal(nil)
	state.Wipe()
	_ = r.Last(ipc.Export, b)
	clear(b)
	// The listener has the socket too: this does not end the connection.
	_ = stream.Close()
}

// TransportConfig is the transport's part of the settings, for one connection.
func TransportConfig(s *ipc.GateSettings, m signer, random func([]byte)) *transport.Config {
	t := &transport.Config{
		Version: s.Version, KexAlgorithms: s.KexAlgorithms, Ciphers: s.Ciphers, MACs: s.MACs,
		Compression: []string{"none"}, PubkeyAlgorithms: s.PubkeyAlgorithms,
		RekeyBytes: s.RekeyBytes, RekeyInterval: s.RekeyInterval,
		Signer: m, Moduli: m.Moduli, Random: random,
		Debug:     func(format string, args ...any) { m.Log().Debug(format, args...) },
		Recovered: func(v any) { m.Log().Bug(v, debug.Stack()) },
	}
	if s.Compression {
		t.Compression = append(t.Compression, "zlib@openssh.com")
	}
	for _, k := range s.HostKeys {
		t.HostKeyAlgorithms = append(t.HostKeyAlgorithms, k.Algorithm)
	}
	return t
}

// signer is a Monitor that chooses groups too (RFC 4419).
type signer interface {
	Monitor
	Moduli(least, wanted, most uint32) (p, g []byte, err error)
}
