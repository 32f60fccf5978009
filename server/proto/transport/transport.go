// Package transport is the server side of the SSH transport layer (RFC 4253,
// RFC 8308, OpenSSH PROTOCOL 1.6 and 1.9): identification, key exchange and
// rekeying, packet protection, compression, and the message phases.
//
// The gate role runs it up to authentication and exports its state; the account
// role imports that state and goes on. It works over any io.ReadWriteCloser and
// never touches a file, a socket option or the clock of the machine otherwise
// than through timers.
//
// One goroutine calls Handshake and Receive. Any goroutine may send. Nothing
// that Receive does waits for the peer to read: output is queued, and Receive
// stops reading while the queue is full.
//
//	version ──► BeforeKex ──KEXINIT──► InFirstKex ──NEWKEYS──► Service
//	                                                              │ SERVICE_ACCEPT sent
//	                                   Connection ◄───────── Userauth
//	                                        USERAUTH_SUCCESS sent
//	  From Service on a KEXINIT of either side leads through InKex and back.
package transport

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// Signer is the privileged side of a key exchange: it owns the host keys.
type Signer interface {
	// PublicKey returns the wire form of the host key that signs under the
	// given algorithm, or nil if there is none.
	PublicKey(algorithm string) []byte
	// Sign returns the wire form of a signature over an exchange hash.
	// sessionID is the first exchange's hash (equal to hash in that exchange).
	Sign(sessionID, hash []byte, algorithm string) ([]byte, error)
}

// Config is what all connections of a server share. It is read only.
type Config struct {
	Version           string // identification without CR LF: "SSH-2.0-..."
	KexAlgorithms     []string
	HostKeyAlgorithms []string // those that Signer can serve
	Ciphers           []string
	MACs              []string
	Compression       []string      // "none", "zlib@openssh.com"
	PubkeyAlgorithms  []string      // announced in server-sig-algs (RFC 8308 section 3.1)
	RekeyBytes        uint64        // 0: by the cipher's block size, as RFC 4344 section 3.2
	RekeyInterval     time.Duration // 0: no limit by time
	Signer            Signer
	// Moduli chooses a group for diffie-hellman-group-exchange (RFC 4419).
	Moduli func(min, n, max uint32) (p, g []byte, err error)
	// Random fills its argument from the system's generator.
	Random func([]byte)
	// Debug, if set, is told of each negotiation and rekeying.
	Debug func(format string, args ...any)
	// Recovered is told, on the stack of the panic, of one in a goroutine that
	// the transport started itself; the connection ends then. nil: the panic goes on.
	Recovered func(v any)
}

// PeerError is an offence of the peer. The connection ends with this reason.
type PeerError struct {
	Reason uint32
	Text   string
	Err    error
}

func (e *PeerError) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

func (e *PeerError) Unwrap() error { return e.Err }

func peerError(reason uint32, format string, args ...any) *PeerError {
	return &PeerError{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// DisconnectError is the peer's own DISCONNECT message. Text is as it came:
// escape it before it reaches a log.
type DisconnectError struct {
	Reason uint32
	Text   string
}

func (e *DisconnectError) Error() string {
	return fmt.Sprintf("peer disconnected: %d: %q", e.Reason, e.Text)
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("transport: connection closed")

// Conn is one SSH connection, server side.
type Conn struct {
	stream        io.ReadWriteCloser
	cfg           *Config
	clientVersion string
	sessionID     []byte
	hostKey       []byte
	strict        bool // strict key exchange was agreed (OpenSSH PROTOCOL 1.9)
	phase         msg.Phase
	begun         bool // Begin was called
	in            inbound
	out           outbound
	kx            exchange
	secrets       [2]*DirectionState // for Export; wiped when the connection phase starts
	timer         *time.Timer        // rekey by time

	closeOnce sync.Once
}

// New returns a connection that has sent and read nothing yet.
func New(stream io.ReadWriteCloser, cfg *Config) *Conn {
	c := &Conn{stream: stream, cfg: cfg, phase: msg.Service}
	c.in.init(stream)
	c.out.init(c)
	return c
}

// SessionID returns the session identifier (RFC 4253 section 7.2); nil before
// the first key exchange. The caller must not change it.
func (c *Conn) SessionID() []byte { return c.sessionID }

// HostKey returns the wire form of the host key that signed the first key
// exchange; nil before that, and on an imported connection.
func (c *Conn) HostKey() []byte { return c.hostKey }

// ClientVersion returns the client's identification line without CR LF. It has
// only printable ASCII characters.
func (c *Conn) ClientVersion() string { return c.clientVersion }

// Handshake exchanges identifications and runs the first key exchange.
func (c *Conn) Handshake() error {
	if err := c.exchangeVersions(); err != nil {
		return c.fail(err)
	}
	if err := c.startKex(); err != nil {
		return c.fail(err)
	}
	for !c.kx.firstDone {
		if _, err := c.step(); err != nil {
			return c.fail(err)
		}
	}
	return nil
}

// OnReclaim has f called, by the goroutine of Receive, before the memory of packets that
// Receive returned is used for something else, and before Receive waits. So whoever has
// several packets in hand can pass them on together. Call it before Receive; f must
// not block.
func (c *Conn) OnReclaim(f func()) { c.in.reclaim = f }

// Receive returns the next packet for the layer above; it is valid until the function
// given to OnReclaim is called, without one until the next call. Key exchange, IGNORE, DEBUG, UNIMPLEMENTED, EXT_INFO and PING are
// handled inside. The error is io.EOF when the peer went without a word,
// *DisconnectError when it said so, *PeerError for its offences (it has been
// told), and whatever the stream returned otherwise.
func (c *Conn) Receive() ([]byte, error) {
	for {
		payload, err := c.step()
		if err != nil {
			return nil, c.fail(err)
		}
		if payload != nil {
			return payload, nil
		}
	}
}

// step reads one packet and handles it, or returns it for the layer above.
func (c *Conn) step() ([]byte, error) {
	if err := c.out.waitForReader(); err != nil {
		return nil, err
	}
	payload, err := c.in.readPacket()
	if err != nil {
		return nil, err
	}
	number, phase := payload[0], c.currentPhase()
	if !msg.Allowed(number, phase) {
		if msg.Known(number) || phase&(msg.Service|msg.Userauth|msg.Connection) == 0 {
			return nil, peerError(msg.ReasonProtocolError, "%s not allowed here", msg.Name(number))
		}
		reply := wire.AppendUint32([]byte{msg.Unimplemented}, c.in.seq-1)
		return nil, c.Send(reply)
	}
	if number < msg.UserauthRequest {
		c.in.reclaim() // a key exchange may take a while
	}
	switch {
	case number == msg.KexInit:
		err = c.onKexInit(payload)
	case number == msg.NewKeys:
		err = c.onNewKeys(payload)
	case number >= msg.KexFirst && number <= msg.KexLast:
		err = c.onKexMessage(payload)
	case number < msg.ServiceRequest || number == msg.ExtInfo || number == msg.Ping:
		err = c.onTransportMessage(payload)
	default:
		return payload, c.rekeyIfDue()
	}
	return nil, err
}

// currentPhase is the phase that decides what the peer may send now.
func (c *Conn) currentPhase() msg.Phase {
	switch {
	case c.kx.peerInit == nil && !c.kx.firstDone:
		return msg.BeforeKex
	case c.kx.peerInit == nil:
		return c.phase
	case c.kx.firstDone || c.strict:
		return msg.InKex
	}
	return msg.InFirstKexBare
}

func (c *Conn) onTransportMessage(payload []byte) error {
	r := wire.NewReader(payload[1:])
	switch payload[0] {
	case msg.Disconnect:
		e := &DisconnectError{Reason: r.Uint32(), Text: r.Text()}
		if r.Err() != nil {
			return peerError(msg.ReasonProtocolError, "malformed DISCONNECT")
		}
		return e
	case msg.Ping:
		data := r.String()
		if err := r.End(); err != nil {
			return peerError(msg.ReasonProtocolError, "malformed PING")
		}
		return c.Send(wire.AppendString([]byte{msg.Pong}, data))
	}
	// IGNORE, DEBUG, UNIMPLEMENTED need no answer; of EXT_INFO (RFC 8308) nothing
	// that a client announces changes what this server does.
	return nil
}

// Send queues one message; it copies payload. It does not wait for the peer,
// but for the few messages before authentication is over, which are written at once.
// SERVICE_ACCEPT and USERAUTH_SUCCESS move the connection to its next phase.
func (c *Conn) Send(payload []byte) error {
	p := NewPacket(len(payload))
	copy(p.Payload(), payload)
	switch {
	case c.phase == msg.Connection:
	case payload[0] == msg.ServiceAccept:
		c.phase = msg.Userauth
	case payload[0] == msg.UserauthSuccess:
		p.after = func() error { c.phase = msg.Connection; return nil }
	}
	return c.out.enqueue(p, Control, false, false)
}

// SendPacket queues a packet of data that the caller filled; the packet belongs
// to the transport from then on. It waits while the class has too much queued, and
// usually writes the packet before it returns. With more set it may leave that to
// the caller's next call, which has to follow at once.
func (c *Conn) SendPacket(p *Packet, class Class, more bool) error {
	return c.out.enqueue(p, class, true, more)
}

// QueuePacket queues a packet that must keep its order with data of that class,
// without waiting.
func (c *Conn) QueuePacket(p *Packet, class Class) error {
	return c.out.enqueue(p, class, false, false)
}

// Begin is called once, by the goroutine of Receive, when the connection phase
// starts for good on this side: compression starts, the copies of the keys that
// Export would have needed are wiped, and RekeyInterval begins.
func (c *Conn) Begin() error {
	c.wipeSecrets()
	c.begun = true
	c.compressIn(c.kx.agreed.compressIn)
	if err := c.compressOut(c.kx.agreed.compressOut); err != nil {
		return err
	}
	if d := c.cfg.RekeyInterval; d > 0 {
		c.kx.mu.Lock()
		c.timer = time.AfterFunc(d, func() { c.guard(func() { _ = c.startKex() }) })
		c.kx.mu.Unlock()
	}
	return nil
}

// Disconnect tells the peer why the connection ends (RFC 4253 section 11.1),
// as far as it can be told without waiting long, and closes the stream.
func (c *Conn) Disconnect(reason uint32, text string) {
	b := wire.AppendUint32([]byte{msg.Disconnect}, reason)
	b = wire.AppendText(wire.AppendText(b, text), "")
	p := NewPacket(len(b))
	copy(p.Payload(), b)
	_ = c.out.enqueue(p, urgent, false, false)
	c.out.drain(disconnectWait)
	c.Close()
}

// disconnectWait is how long a DISCONNECT may take to leave: long enough for a
// slow path, short enough that a peer that does not read cannot hold a slot.
const disconnectWait = 2 * time.Second

// fail ends the connection after an error of Handshake or Receive.
func (c *Conn) fail(err error) error {
	var p *PeerError
	if errors.As(err, &p) && p.Reason != 0 {
		c.Disconnect(p.Reason, p.Text)
	}
	c.Close()
	return err
}

// guard runs f at the start of a goroutine of our own and turns its panic, which
// nobody else could recover, into the end of this connection (THREATS row 34).
func (c *Conn) guard(f func()) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if c.cfg.Recovered == nil {
			panic(v)
		}
		c.cfg.Recovered(v)
		c.Close()
	}()
	f()
}

// Flush waits until all queued output has been handed to the stream, or d has passed.
func (c *Conn) Flush(d time.Duration) { c.out.drain(d) }

// Close closes the stream and frees the keys. It may be called at any time and
// from any goroutine.
func (c *Conn) Close() error {
	var err error
	c.closeOnce.Do(func() {
		err = c.stream.Close()
		c.kx.mu.Lock()
		if c.timer != nil {
			c.timer.Stop()
		}
		if c.kx.deadline != nil {
			c.kx.deadline.Stop()
		}
		c.kx.mu.Unlock()
		c.out.close(ErrClosed)
	})
	return err
}

// Free releases the cipher contexts and wipes what is left of the keys. Call it
// once, after the goroutine that calls Receive is done with the connection.
func (c *Conn) Free() {
	c.Close()
	c.wipeSecrets()
	c.in.cipher.Free()
	c.out.free()
	if c.kx.method != nil {
		c.kx.method.Free()
	}
}
