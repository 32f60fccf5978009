package cipher

import (
	"encoding/binary"
	"fmt"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/algo"
)

// cbcMaxPacket is how many bytes before its tag a packet pretends to have
// whose length cannot be right, and how many are taken in before any error is
// reported: the transport's limit on a packet's length.
const cbcMaxPacket = 256 << 10

// A DiscardError is ErrMAC with a request: read and throw away N more bytes
// before telling the peer. See cbc.
type DiscardError struct {
	N int // bytes
}

func (e *DiscardError) Error() string { return fmt.Sprintf("%v (%d bytes to discard)", ErrMAC, e.N) }

// Unwrap returns ErrMAC.
func (e *DiscardError) Unwrap() error { return ErrMAC }

// cbc is a cipher in CBC mode (RFC 4253 section 6.3) with a MAC as in ctr. It is
// for old peers, and only if configured.
//
// With encrypt-and-MAC, the length is decrypted before anything is
// authenticated, and in CBC an attacker may put any earlier ciphertext block in
// its place. Whoever sees after how many bytes the connection ends then learns
// 14 to 32 bits of that block (CVE-2008-5161). So every wrong packet looks the
// same: a length that cannot be right is taken for the longest, whose tag
// is computed and found wrong; and a wrong tag of a shorter packet asks for as many
// bytes more (DiscardError). Encrypt-then-MAC has no such trouble.
type cbc struct {
	lib     *libcrypto.CBC
	mac     *libcrypto.MAC
	tag     int
	etm     bool
	already int  // bytes of the current packet that Length has decrypted
	broken  bool // the current packet's length was replaced
}

func newCBC(d Direction, name string, key, iv []byte, mac *libcrypto.MAC, sizes algo.MACSizes) (Cipher, error) {
	lib, err := libcrypto.NewCBC(name, key, iv, d == Seal)
	if err != nil {
		return nil, err
	}
	return &cbc{lib: lib, mac: mac, tag: sizes.TagLen, etm: sizes.ETM}, nil
}

func (c *cbc) BlockSize() int    { return c.lib.BlockSize() }
func (c *cbc) TagSize() int      { return c.tag }
func (c *cbc) LengthClear() bool { return c.etm }
func (c *cbc) IV() []byte        { return c.lib.State() }

func (c *cbc) Free() {
	c.lib.Free()
	c.mac.Free()
}

func (c *cbc) FirstBytes() int {
	if c.etm {
		return 4
	}
	return c.lib.BlockSize()
}

func (c *cbc) Length(_ uint32, first []byte) (uint32, error) {
	if c.etm {
		return clearLength(first)
	}
	block := c.lib.BlockSize()
	if len(first) < block {
		return 0, errShort
	}
	if err := c.lib.Crypt(first[:block]); err != nil {
		return 0, tagError(err)
	}
	c.already = block
	length := binary.BigEndian.Uint32(first)
	// A body has at least five bytes and four of them padding; the sum cannot
	// overflow behind the first comparison.
	if length > cbcMaxPacket-4 || length < 5 || (length+4)%uint32(block) != 0 {
		c.broken = true
		length = cbcMaxPacket - 4
	}
	return length, nil
}

func (c *cbc) Open(seq uint32, packet []byte) error {
	already, broken := c.already, c.broken
	c.already, c.broken = 0, false
	end := len(packet) - c.tag
	if c.etm {
		if end < 4 || (end-4)%c.lib.BlockSize() != 0 {
			return errShort
		}
		if err := c.mac.Verify(seq, packet[:end], packet[end:]); err != nil {
			return tagError(err)
		}
		return c.lib.Crypt(packet[4:end])
	}
	if end < max(4, already) || end%c.lib.BlockSize() != 0 {
		return errShort
	}
	if err := c.lib.Crypt(packet[already:end]); err != nil {
		return err
	}
	err := tagError(c.mac.Verify(seq, packet[:end], packet[end:]))
	if err == nil && broken {
		err = ErrMAC
	}
	if err == ErrMAC {
		clear(packet)
		return &DiscardError{N: max(0, cbcMaxPacket-end)}
	}
	return err
}

func (c *cbc) Seal(seq uint32, packet []byte) error {
	end := len(packet) - c.tag
	start := 0 // of what is encrypted
	if c.etm {
		start = 4
	}
	if end < 4 || (end-start)%c.lib.BlockSize() != 0 {
		return errShort
	}
	if c.etm {
		if err := c.lib.Crypt(packet[4:end]); err != nil {
			return err
		}
		return c.mac.Sum(seq, packet[:end], packet[end:])
	}
	if err := c.mac.Sum(seq, packet[:end], packet[end:]); err != nil {
		return err
	}
	return c.lib.Crypt(packet[:end])
}
