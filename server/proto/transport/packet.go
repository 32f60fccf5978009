package transport

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"nano_ssh_server/server/proto/cipher"
)

const (
	headRoom = 5 // packet length and padding length
	// tailRoom holds padding and tag: at most 4+15 bytes of padding for a block
	// of 16, and a tag of 64 (hmac-sha2-512).
	tailRoom = 96
	// smallPayload and largePayload are the two pooled sizes: control messages
	// and full channel packets (RFC 4254 section 5.2 with 32 KiB of data).
	smallPayload = 512
	largePayload = 32<<10 + 16
)

// A Packet is one message with room in front and behind, so that it is framed
// and encrypted where it stands. It is used once, then goes back to a pool.
type Packet struct {
	buf   []byte
	n     int          // payload bytes
	after func() error // runs once the packet is sealed, before the next one is
	next  *Packet
	// Cancel, if set and true when the packet's turn to be queued comes, drops
	// the packet: nothing of a channel may follow its CLOSE.
	Cancel *atomic.Bool
}

var smallPool = sync.Pool{New: func() any { return &Packet{buf: make([]byte, headRoom+smallPayload+tailRoom)} }}
var largePool = sync.Pool{New: func() any { return &Packet{buf: make([]byte, headRoom+largePayload+tailRoom)} }}

// NewPacket returns a packet with room for a payload of n bytes.
func NewPacket(n int) *Packet {
	var p *Packet
	switch {
	case n <= smallPayload:
		p = smallPool.Get().(*Packet)
	case n <= largePayload:
		p = largePool.Get().(*Packet)
	default:
		p = &Packet{buf: make([]byte, headRoom+n+tailRoom)}
	}
	p.n = n
	return p
}

// Payload returns the payload's bytes, to be filled by the caller.
func (p *Packet) Payload() []byte { return p.buf[headRoom : headRoom+p.n] }

// Truncate shortens the payload to n bytes.
func (p *Packet) Truncate(n int) {
	if n < p.n {
		p.n = n
	}
}

func (p *Packet) cancelled() bool { return p.Cancel != nil && p.Cancel.Load() }

// Discard gives back a packet that will not be sent.
func (p *Packet) Discard() { p.release() }

func (p *Packet) release() {
	p.after, p.next, p.Cancel = nil, nil, nil
	switch len(p.buf) {
	case headRoom + smallPayload + tailRoom:
		smallPool.Put(p)
	case headRoom + largePayload + tailRoom:
		largePool.Put(p)
	}
}

// seal frames and encrypts the packet in place and returns its wire form
// (RFC 4253 section 6). Padding is the least that the cipher allows.
func (p *Packet) seal(c cipher.Cipher, seq uint32) ([]byte, error) {
	block := c.BlockSize()
	covered := 1 + p.n // what is padded to a multiple of the block
	if !c.LengthClear() {
		covered += 4
	}
	padding := block - covered%block
	if padding < 4 {
		padding += block
	}
	length := 1 + p.n + padding
	binary.BigEndian.PutUint32(p.buf, uint32(length))
	p.buf[4] = byte(padding)
	fillPadding(p.buf[headRoom+p.n:][:padding])
	whole := p.buf[: 4+length+c.TagSize() : len(p.buf)]
	return whole, c.Seal(seq, whole)
}

// fillPadding writes bytes of the runtime's ChaCha8 generator. Padding is
// encrypted and needs no better source; a system call a packet is what OpenSSH
// pays here.
func fillPadding(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, rand.Uint64())
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], rand.Uint64())
		copy(b, last[:])
	}
}
