package raw

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20"
	//lint:ignore SA1019 there is no other Go implementation for the construction of OpenSSH
	"golang.org/x/crypto/poly1305"
)

// protection is one direction's packet protection. packet is the length field
// followed by padding length, payload and padding.
type protection interface {
	block() int        // what packets are padded to
	lengthClear() bool // the length field does not count for the padding
	seal(seq uint32, packet []byte) []byte
	open(seq uint32, r io.Reader) (body []byte, err error)
}

var errMAC = errors.New("raw: the server's packet does not verify")

func readFull(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return ended(err)
	}
	return nil
}

func checkLength(n uint32) error {
	if n < 5 || n > maxPacket {
		return fmt.Errorf("raw: the server's packet length is %d", n)
	}
	return nil
}

// plain is what a connection starts with.
type plain struct{}

func (plain) block() int                          { return 8 }
func (plain) lengthClear() bool                   { return false }
func (plain) seal(_ uint32, packet []byte) []byte { return packet }

func (plain) open(_ uint32, r io.Reader) ([]byte, error) {
	var head [4]byte
	if err := readFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if err := checkLength(n); err != nil {
		return nil, err
	}
	body := make([]byte, n)
	return body, readFull(r, body)
}

// chachaPoly is chacha20-poly1305@openssh.com (OpenSSH PROTOCOL.chacha20poly1305).
type chachaPoly struct{ main, header [32]byte }

func newChachaPoly(key []byte) *chachaPoly {
	p := &chachaPoly{}
	copy(p.main[:], key[:32])
	copy(p.header[:], key[32:64])
	return p
}

func (*chachaPoly) block() int        { return 8 }
func (*chachaPoly) lengthClear() bool { return true }

func stream(key *[32]byte, seq uint32) *chacha20.Cipher {
	var nonce [12]byte
	binary.BigEndian.PutUint32(nonce[8:], seq)
	s, err := chacha20.NewUnauthenticatedCipher(key[:], nonce[:])
	if err != nil {
		panic(err) // the sizes are constants
	}
	return s
}

func (p *chachaPoly) body(seq uint32) (s *chacha20.Cipher, macKey [32]byte) {
	s = stream(&p.main, seq)
	s.XORKeyStream(macKey[:], macKey[:])
	s.SetCounter(1)
	return s, macKey
}

func (p *chachaPoly) seal(seq uint32, packet []byte) []byte {
	s, macKey := p.body(seq)
	wire := make([]byte, len(packet), len(packet)+16)
	stream(&p.header, seq).XORKeyStream(wire[:4], packet[:4])
	s.XORKeyStream(wire[4:], packet[4:])
	var tag [16]byte
	poly1305.Sum(&tag, wire, &macKey)
	return append(wire, tag[:]...)
}

func (p *chachaPoly) open(seq uint32, r io.Reader) ([]byte, error) {
	var head, clear [4]byte
	if err := readFull(r, head[:]); err != nil {
		return nil, err
	}
	stream(&p.header, seq).XORKeyStream(clear[:], head[:])
	n := binary.BigEndian.Uint32(clear[:])
	if err := checkLength(n); err != nil {
		return nil, err
	}
	wire := make([]byte, 4+int(n)+16)
	copy(wire, head[:])
	if err := readFull(r, wire[4:]); err != nil {
		return nil, err
	}
	s, macKey := p.body(seq)
	var tag [16]byte
	copy(tag[:], wire[4+n:])
	if !poly1305.Verify(&tag, wire[:4+n], &macKey) {
		return nil, errMAC
	}
	body := wire[4 : 4+n]
	s.XORKeyStream(body, body)
	return body, nil
}

// gcm is aes128-gcm@openssh.com (RFC 5647 as OpenSSH does it).
type gcm struct {
	aead  cipher.AEAD
	nonce [12]byte
}

func newGCM(key, iv []byte) *gcm {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	g := &gcm{aead: aead}
	copy(g.nonce[:], iv)
	return g
}

func (*gcm) block() int        { return 16 }
func (*gcm) lengthClear() bool { return true }

func (g *gcm) step() {
	binary.BigEndian.PutUint64(g.nonce[4:], binary.BigEndian.Uint64(g.nonce[4:])+1)
}

func (g *gcm) seal(_ uint32, packet []byte) []byte {
	wire := append(make([]byte, 0, len(packet)+16), packet[:4]...)
	wire = g.aead.Seal(wire, g.nonce[:], packet[4:], packet[:4])
	g.step()
	return wire
}

func (g *gcm) open(_ uint32, r io.Reader) ([]byte, error) {
	var head [4]byte
	if err := readFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if err := checkLength(n); err != nil {
		return nil, err
	}
	wire := make([]byte, int(n)+16)
	if err := readFull(r, wire); err != nil {
		return nil, err
	}
	body, err := g.aead.Open(wire[:0], g.nonce[:], wire, head[:])
	if err != nil {
		return nil, errMAC
	}
	g.step()
	return body, nil
}

// ctrHMAC is aes128-ctr with hmac-sha2-256, encrypt-and-MAC or encrypt-then-MAC.
type ctrHMAC struct {
	ctr    cipher.Stream
	macKey []byte
	etm    bool
}

func newCTR(key, iv, macKey []byte, etm bool) *ctrHMAC {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return &ctrHMAC{ctr: cipher.NewCTR(block, iv), macKey: macKey, etm: etm}
}

func (*ctrHMAC) block() int          { return 16 }
func (c *ctrHMAC) lengthClear() bool { return c.etm }

func (c *ctrHMAC) mac(seq uint32, data []byte) []byte {
	h := hmac.New(sha256.New, c.macKey)
	h.Write(appendUint32(nil, seq))
	h.Write(data)
	return h.Sum(nil)
}

func (c *ctrHMAC) seal(seq uint32, packet []byte) []byte {
	wire := append([]byte(nil), packet...)
	if c.etm {
		c.ctr.XORKeyStream(wire[4:], wire[4:])
		return append(wire, c.mac(seq, wire)...)
	}
	tag := c.mac(seq, packet)
	c.ctr.XORKeyStream(wire, wire)
	return append(wire, tag...)
}

func (c *ctrHMAC) open(seq uint32, r io.Reader) ([]byte, error) {
	first := 16
	if c.etm {
		first = 4
	}
	head := make([]byte, first)
	if err := readFull(r, head); err != nil {
		return nil, err
	}
	if !c.etm {
		c.ctr.XORKeyStream(head, head)
	}
	n := binary.BigEndian.Uint32(head)
	if err := checkLength(n); err != nil {
		return nil, err
	}
	if int(n)+4 < first {
		return nil, fmt.Errorf("raw: the server's packet length is %d", n)
	}
	wire := make([]byte, 4+int(n)+sha256.Size)
	copy(wire, head)
	if err := readFull(r, wire[first:]); err != nil {
		return nil, err
	}
	packet, tag := wire[:4+n], wire[4+n:]
	if c.etm {
		if subtle.ConstantTimeCompare(c.mac(seq, packet), tag) != 1 {
			return nil, errMAC
		}
		c.ctr.XORKeyStream(packet[4:], packet[4:])
		return packet[4:], nil
	}
	c.ctr.XORKeyStream(packet[first:], packet[first:])
	if subtle.ConstantTimeCompare(c.mac(seq, packet), tag) != 1 {
		return nil, errMAC
	}
	return packet[4:], nil
}

// newProtection makes the protection of one direction; letter picks the keys of
// RFC 4253 section 7.2: 'A' for client to server, 'B' for server to client.
func (c *Conn) newProtection(cipherName, macName string, letter byte) (protection, error) {
	key := func(offset byte, n int) []byte { return c.deriveKey(letter+offset, n) }
	const iv, enc, mac = 0, 2, 4
	switch cipherName {
	case "chacha20-poly1305@openssh.com":
		return newChachaPoly(key(enc, 64)), nil
	case "aes128-gcm@openssh.com":
		return newGCM(key(enc, 16), key(iv, 12)), nil
	case "aes128-ctr":
		switch macName {
		case "hmac-sha2-256", "hmac-sha2-256-etm@openssh.com":
			etm := macName != "hmac-sha2-256"
			return newCTR(key(enc, 16), key(iv, 16), key(mac, 32), etm), nil
		}
	}
	return nil, fmt.Errorf("raw: %q with %q is not spoken here", cipherName, macName)
}
