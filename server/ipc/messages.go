package ipc

import (
	"errors"
	"fmt"
	"time"

	"nano_ssh_server/server/proto/wire"
)

// Message is the payload of a frame, as a structure.
type Message interface{ fields(c *codec) }

// ErrMessage means that a payload is not what its method says.
var ErrMessage = errors.New("ipc: malformed message")

// Marshal returns a message as Unmarshal reads it.
func Marshal(m Message) []byte {
	c := &codec{}
	m.fields(c)
	return c.b
}

// Unmarshal reads what Marshal wrote. Slices of bytes share b. The error wraps
// ErrMessage.
func Unmarshal(b []byte, m Message) error {
	c := &codec{r: wire.NewReader(b)}
	m.fields(c)
	if err := c.r.End(); err != nil {
		return fmt.Errorf("%w: %T: %w", ErrMessage, m, err)
	}
	return nil
}

// Confinement is how a gate gives up its rights.
type Confinement struct {
	UID, GID uint32
	Dirs     []string // candidates for its empty root directory
	Files    uint32   // descriptors it may have
}

func (m *Confinement) fields(c *codec) {
	c.uint32(&m.UID, &m.GID)
	c.texts(&m.Dirs)
	c.uint32(&m.Files)
}

// Identity is whom an account process becomes.
type Identity struct {
	Name     string
	UID, GID uint32
	Groups   []uint32
	Chroot   string // empty: none
	// Syslog is the facility to log to, as its code, should the listener be gone;
	// -1: nowhere.
	Syslog int32
}

func (m *Identity) fields(c *codec) {
	c.text(&m.Name)
	c.uint32(&m.UID, &m.GID)
	list(c, &m.Groups, func(v *uint32) { c.uint32(v) })
	c.text(&m.Chroot)
	c.int32(&m.Syslog)
}

// HostKey is the public half of a host key under one of its algorithms.
type HostKey struct {
	Algorithm string
	Blob      []byte
}

func (c *codec) hostKeys(v *[]HostKey) {
	list(c, v, func(k *HostKey) { c.text(&k.Algorithm); c.bytes(&k.Blob) })
}

// GateSettings are what a gate needs of the configuration.
type GateSettings struct {
	Version             string // the identification line
	KexAlgorithms       []string
	Ciphers, MACs       []string
	PubkeyAlgorithms    []string
	Compression         bool
	RekeyBytes          uint64
	RekeyInterval       time.Duration
	HostKeys            []HostKey // in the order of HostKeyAlgorithms
	LogLevel            int32
	DefaultMaxAuthTries int32
}

func (m *GateSettings) fields(c *codec) {
	c.text(&m.Version)
	c.texts(&m.KexAlgorithms, &m.Ciphers, &m.MACs, &m.PubkeyAlgorithms)
	c.bool(&m.Compression)
	c.uint64(&m.RekeyBytes)
	c.duration(&m.RekeyInterval)
	c.hostKeys(&m.HostKeys)
	c.int32(&m.LogLevel, &m.DefaultMaxAuthTries)
}

// Place is where a connection comes from and goes to.
type Place struct {
	RemoteHost, LocalHost string
	RemotePort, LocalPort uint32
}

func (m *Place) fields(c *codec) {
	c.text(&m.RemoteHost, &m.LocalHost)
	c.uint32(&m.RemotePort, &m.LocalPort)
}

// Serving is an authenticated connection for an account process.
type Serving struct {
	Place    Place
	Grant    []byte    // a marshalled Grant
	State    []byte    // of the transport; it holds secrets
	HostKeys []HostKey // that sign later key exchanges
	// Announced are all host keys, with the algorithm that proves each (OpenSSH
	// PROTOCOL 2.5).
	Announced []HostKey
}

func (m *Serving) fields(c *codec) {
	m.Place.fields(c)
	c.bytes(&m.Grant, &m.State)
	c.hostKeys(&m.HostKeys)
	c.hostKeys(&m.Announced)
}

// SignRequest asks for a signature over an exchange hash.
type SignRequest struct {
	SessionID, Hash []byte
	Algorithm       string
}

func (m *SignRequest) fields(c *codec) {
	c.bytes(&m.SessionID, &m.Hash)
	c.text(&m.Algorithm)
}

// StartRequest names the user.
type StartRequest struct{ Name, Style, Service string }

func (m *StartRequest) fields(c *codec) { c.text(&m.Name, &m.Style, &m.Service) }

// Started is the answer to a StartRequest.
type Started struct {
	Banner       string
	MinimumTime  time.Duration // that a failure takes
	MaxAuthTries int32
	Invalid      bool  // the user does not exist or may not log in, for log lines
	LogLevel     int32 // of the Match blocks that apply
}

func (m *Started) fields(c *codec) {
	c.text(&m.Banner)
	c.duration(&m.MinimumTime)
	c.int32(&m.MaxAuthTries)
	c.bool(&m.Invalid)
	c.int32(&m.LogLevel)
}

// Names is a list of names.
type Names struct{ Names []string }

func (m *Names) fields(c *codec) { c.texts(&m.Names) }

// Verdict is what the monitor says to a try.
type Verdict struct{ OK, Partial bool }

func (m *Verdict) fields(c *codec) { c.bool(&m.OK, &m.Partial) }

// KeyRequest asks whether a key would do.
type KeyRequest struct {
	Algorithm string
	Blob      []byte
}

func (m *KeyRequest) fields(c *codec) { c.text(&m.Algorithm); c.bytes(&m.Blob) }

// SignedRequest is a try by public key.
type SignedRequest struct {
	Algorithm             string
	Blob, Data, Signature []byte
}

func (m *SignedRequest) fields(c *codec) {
	c.text(&m.Algorithm)
	c.bytes(&m.Blob, &m.Data, &m.Signature)
}

// HostbasedRequest is a try by the client's host key (RFC 4252 section 9).
type HostbasedRequest struct {
	Algorithm  string
	Blob       []byte
	Host, User string // as the client has them
	Signature  []byte
}

func (m *HostbasedRequest) fields(c *codec) {
	c.text(&m.Algorithm)
	c.bytes(&m.Blob)
	c.text(&m.Host, &m.User)
	c.bytes(&m.Signature)
}

// GroupRequest asks for a group of moduli(5): sizes in bits.
type GroupRequest struct{ Least, Wanted, Most uint32 }

func (m *GroupRequest) fields(c *codec) { c.uint32(&m.Least, &m.Wanted, &m.Most) }

// Group is a prime and a generator.
type Group struct{ P, G []byte }

func (m *Group) fields(c *codec) { c.bytes(&m.P, &m.G) }

// LogLine is a line for the log, without what the monitor puts to it.
type LogLine struct {
	Level int32
	Text  string
}

func (m *LogLine) fields(c *codec) { c.int32(&m.Level); c.text(&m.Text) }

// End is how a connection ended.
type End struct{ Bug bool } // our own code failed

func (m *End) fields(c *codec) { c.bool(&m.Bug) }

// Login is a session's first process on a terminal.
type Login struct {
	TTY string
	PID int32
}

func (m *Login) fields(c *codec) { c.text(&m.TTY); c.int32(&m.PID) }

// Text is a text.
type Text struct{ Text string }

func (m *Text) fields(c *codec) { c.text(&m.Text) }

// Closed is the answer to Nologin: whether the machine is closed to the user, what
// the user is told, and what the log.
type Closed struct {
	Closed     bool
	Text, Line string
}

func (m *Closed) fields(c *codec) { c.bool(&m.Closed); c.text(&m.Text, &m.Line) }
