// Package raw is an SSH client for tests that must be able to say anything: each
// step of the protocol is a function of its own that a test can leave out, repeat
// or corrupt, and a packet can have any length, padding and contents.
//
// It shares no code with the server: Go's own crypto packages do the work, so a
// mistake of the server's is not repeated here. It speaks curve25519-sha256 and
// ecdh-sha2-nistp256, strict key exchange, chacha20-poly1305@openssh.com,
// aes128-gcm@openssh.com and aes128-ctr with hmac-sha2-256 in both orders.
//
// A Conn is for one goroutine, except that one may send while another reads.
// Every read has a deadline; nothing here waits for ever.
package raw

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// Message numbers (RFC 4250 section 4.1, RFC 8308, OpenSSH PROTOCOL 1.9).
const (
	Disconnect          = 1
	Ignore              = 2
	Unimplemented       = 3
	Debug               = 4
	ServiceRequest      = 5
	ServiceAccept       = 6
	ExtInfo             = 7
	KexInitMsg          = 20
	NewKeys             = 21
	KexECDHInit         = 30
	KexECDHReply        = 31
	UserauthRequest     = 50
	UserauthFailure     = 51
	UserauthSuccess     = 52
	UserauthBanner      = 53
	UserauthPKOK        = 60
	GlobalRequest       = 80
	RequestSuccess      = 81
	RequestFailure      = 82
	ChannelOpen         = 90
	ChannelConfirmation = 91
	ChannelOpenFailure  = 92
	ChannelWindowAdjust = 93
	ChannelData         = 94
	ChannelExtended     = 95
	ChannelEOF          = 96
	ChannelClose        = 97
	ChannelRequest      = 98
	ChannelSuccess      = 99
	ChannelFailure      = 100
	Ping                = 192
	Pong                = 193
)

// DefaultTimeout is how long a read or write may take.
const DefaultTimeout = 20 * time.Second

// maxPacket bounds what is read from a server (bytes of one packet).
const maxPacket = 512 << 10

// ErrDisconnected is matched by every error that says that the server ended the
// connection: with a DISCONNECT message, by closing it, or by a reset.
var ErrDisconnected = errors.New("raw: the server ended the connection")

// DisconnectError is the server's DISCONNECT message.
type DisconnectError struct {
	Reason uint32
	Text   string
}

func (e *DisconnectError) Error() string {
	return fmt.Sprintf("raw: server disconnected: reason %d: %q", e.Reason, e.Text)
}

// Is makes errors.Is(err, ErrDisconnected) true.
func (e *DisconnectError) Is(target error) bool { return target == ErrDisconnected }

// closedError is a connection that ended without a message.
type closedError struct{ err error }

func (e *closedError) Error() string        { return "raw: connection closed: " + e.err.Error() }
func (e *closedError) Unwrap() error        { return e.err }
func (e *closedError) Is(target error) bool { return target == ErrDisconnected }

// direction is what one direction of the connection is protected with.
type direction struct {
	prot protection
	seq  uint32
}

// Conn is one connection to a server.
type Conn struct {
	Net     net.Conn
	Timeout time.Duration // for each read and write; DefaultTimeout if zero

	ClientVersion string // without CR LF
	ServerVersion string

	// Mangle, if set, changes the bytes of each packet on their way out.
	Mangle func(wire []byte) []byte

	// VerifyHost, if set, takes the place of VerifyHostKey.
	VerifyHost func(algorithm string, blob, hash, signature []byte) error

	clientInit []byte // payloads of the KEXINITs in force
	serverInit []byte
	Server     *KexInit // the server's last KEXINIT
	Chosen     Choice
	SessionID  []byte
	HostKey    []byte // public key blob that the last exchange was signed with

	strict  bool
	private *ephemeral
	secret  []byte // K as it goes into hashes
	hash    []byte // H of the last exchange

	in, out direction
	r       *bufio.Reader
	queue   [][]byte // packets put back by Peek-like helpers
}

// Dial connects to a server over TCP; nothing is sent yet.
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, DefaultTimeout)
	if err != nil {
		return nil, err
	}
	return New(c), nil
}

// New starts on a connection that is already there.
func New(c net.Conn) *Conn {
	return &Conn{
		Net: c,
		in:  direction{prot: plain{}},
		out: direction{prot: plain{}},
		r:   bufio.NewReaderSize(c, 64<<10),
	}
}

// Close closes the connection without a word.
func (c *Conn) Close() error { return c.Net.Close() }

// Reset closes the connection so that the server sees a reset.
func (c *Conn) Reset() error {
	if tcp, ok := c.Net.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return c.Net.Close()
}

func (c *Conn) deadline() time.Time {
	if c.Timeout == 0 {
		return time.Now().Add(DefaultTimeout)
	}
	return time.Now().Add(c.Timeout)
}

// WriteBytes writes bytes as they are.
func (c *Conn) WriteBytes(b []byte) error {
	if err := c.Net.SetWriteDeadline(c.deadline()); err != nil {
		return err
	}
	_, err := c.Net.Write(b)
	return err
}

// SendVersion sends the identification line; line is without CR LF.
func (c *Conn) SendVersion(line string) error {
	c.ClientVersion = line
	return c.WriteBytes([]byte(line + "\r\n"))
}

// ReadVersion reads the server's identification line.
func (c *Conn) ReadVersion() (string, error) {
	_ = c.Net.SetReadDeadline(c.deadline())
	for range 20 {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", ended(err)
		}
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "SSH-") {
			c.ServerVersion = line
			return line, nil
		}
	}
	return "", errors.New("raw: no identification line in the first 20 lines")
}

// Versions exchanges the identification lines.
func (c *Conn) Versions() error {
	if err := c.SendVersion("SSH-2.0-raw_test"); err != nil {
		return err
	}
	_, err := c.ReadVersion()
	return err
}

// ended turns what a read returns at the end of a connection into one kind of
// error; a deadline that has passed stays what it is.
func ended(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("raw: the server said nothing in time: %w", err)
	}
	return &closedError{err}
}

// IsTimeout reports whether a read ended because nothing came in time.
func IsTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// SeqIn returns the number that the next packet from the server has.
func (c *Conn) SeqIn() uint32 { return c.in.seq }

// SeqOut returns the number that the next packet to the server has.
func (c *Conn) SeqOut() uint32 { return c.out.seq }

// Strict reports whether strict key exchange is in force.
func (c *Conn) Strict() bool { return c.strict }

// Frame is one packet in every detail. Zero fields are filled in correctly.
type Frame struct {
	Payload []byte
	Padding []byte  // bytes of padding; nil: as many as are right, random
	PadLen  *byte   // the padding length field, if it shall lie
	Length  *uint32 // the packet length field, if it shall lie
}

// U32 and U8 make the pointers that a Frame wants.
func U32(v uint32) *uint32 { return &v }

// U8 is U32 for a byte.
func U8(v byte) *byte { return &v }

// encode returns the packet as it goes over the wire, and counts it.
func (c *Conn) encode(f Frame) []byte {
	padding := f.Padding
	if padding == nil {
		block := c.out.prot.block()
		head := 1
		if !c.out.prot.lengthClear() {
			head = 5
		}
		n := block - (head+len(f.Payload))%block
		if n < 4 {
			n += block
		}
		padding = make([]byte, n)
		_, _ = rand.Read(padding)
	}
	padLen := byte(len(padding))
	if f.PadLen != nil {
		padLen = *f.PadLen
	}
	length := uint32(1 + len(f.Payload) + len(padding))
	if f.Length != nil {
		length = *f.Length
	}
	packet := appendUint32(nil, length)
	packet = append(packet, padLen)
	packet = append(packet, f.Payload...)
	packet = append(packet, padding...)
	wire := c.out.prot.seal(c.out.seq, packet)
	c.out.seq++
	if c.Mangle != nil {
		wire = c.Mangle(wire)
	}
	return wire
}

// SendFrame sends one packet with whatever is wrong in it.
func (c *Conn) SendFrame(f Frame) error { return c.WriteBytes(c.encode(f)) }

// Send sends one correct packet.
func (c *Conn) Send(payload []byte) error { return c.SendFrame(Frame{Payload: payload}) }

// SendAll sends several packets in one write.
func (c *Conn) SendAll(payloads ...[]byte) error {
	var wire []byte
	for _, p := range payloads {
		wire = append(wire, c.encode(Frame{Payload: p})...)
	}
	return c.WriteBytes(wire)
}

// Read returns the payload of the next packet, whatever it is. A DISCONNECT is
// returned as *DisconnectError.
func (c *Conn) Read() ([]byte, error) {
	if len(c.queue) > 0 {
		p := c.queue[0]
		c.queue = c.queue[1:]
		return p, nil
	}
	_ = c.Net.SetReadDeadline(c.deadline())
	body, err := c.in.prot.open(c.in.seq, c.r)
	if err != nil {
		return nil, err
	}
	c.in.seq++
	if len(body) < 1 || int(body[0])+1 > len(body) {
		return nil, errors.New("raw: the server's padding length is wrong")
	}
	payload := body[1 : len(body)-int(body[0])]
	if len(payload) == 0 {
		return nil, errors.New("raw: the server sent an empty packet")
	}
	if payload[0] == Disconnect {
		f := NewFields(payload[1:])
		reason, text := f.Uint32(), f.Text()
		return nil, &DisconnectError{Reason: reason, Text: text}
	}
	return payload, nil
}

// Unread puts a packet back so that the next Read returns it.
func (c *Conn) Unread(payload []byte) { c.queue = append([][]byte{payload}, c.queue...) }

// Expect reads packets until one with one of the given numbers comes. IGNORE,
// DEBUG, EXT_INFO, banners and global requests (answered with a failure where one
// is wanted) are passed over unless they are asked for; anything else is an error.
func (c *Conn) Expect(numbers ...byte) ([]byte, error) {
	for {
		p, err := c.Read()
		if err != nil {
			return nil, err
		}
		if slices.Contains(numbers, p[0]) {
			return p, nil
		}
		switch p[0] {
		case Ignore, Debug, ExtInfo, UserauthBanner:
		case GlobalRequest:
			f := NewFields(p[1:])
			f.Text()
			if f.Bool() {
				if err := c.Send([]byte{RequestFailure}); err != nil {
					return nil, err
				}
			}
		default:
			return nil, fmt.Errorf("raw: message %d came, expected one of %v", p[0], numbers)
		}
	}
}

// ReadUntilEnd reads until the server ends the connection, and returns the numbers
// of the messages that came before that. The error is nil if it did end.
func (c *Conn) ReadUntilEnd() (numbers []byte, end error, err error) {
	for {
		p, err := c.Read()
		switch {
		case err == nil:
			numbers = append(numbers, p[0])
		case errors.Is(err, ErrDisconnected):
			return numbers, err, nil
		default:
			return numbers, nil, err
		}
		if len(numbers) > 1<<20 {
			return numbers, nil, errors.New("raw: the server does not stop")
		}
	}
}

// Drain reads and throws away bytes until the connection ends or the deadline has
// passed; it returns how many came.
func (c *Conn) Drain() (int64, error) {
	_ = c.Net.SetReadDeadline(c.deadline())
	return io.Copy(io.Discard, c.r)
}

// SkipOut leaves out one number, as if a packet had been lost on the way.
func (c *Conn) SkipOut() { c.out.seq++ }
