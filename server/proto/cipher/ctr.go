package cipher

import (
	"encoding/binary"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/algo"
)

// ctr is AES in counter mode (RFC 4344 section 4) with a MAC over the plain
// packet (RFC 4253 section 6.4: encrypt-and-MAC) or over the encrypted one (etm,
// OpenSSH's PROTOCOL section 1.5).
type ctr struct {
	lib     *libcrypto.CTRMAC
	etm     bool
	already int // bytes of the current packet that Length has decrypted
}

func newCTR(key, iv []byte, mac *libcrypto.MAC, sizes algo.MACSizes) (Cipher, error) {
	lib, err := libcrypto.NewCTRMACTruncated(key, iv, mac, sizes.TagLen, sizes.ETM)
	if err != nil {
		return nil, err
	}
	return &ctr{lib: lib, etm: sizes.ETM}, nil
}

func (c *ctr) BlockSize() int    { return 16 }
func (c *ctr) TagSize() int      { return c.lib.TagSize() }
func (c *ctr) LengthClear() bool { return c.etm }
func (c *ctr) Free()             { c.lib.Free() }

func (c *ctr) IV() []byte {
	iv := c.lib.State()
	return iv[:]
}

func (c *ctr) FirstBytes() int {
	if c.etm {
		return 4
	}
	return 16
}

func (c *ctr) Length(_ uint32, first []byte) (uint32, error) {
	if c.etm {
		return clearLength(first)
	}
	if len(first) < 16 {
		return 0, errShort
	}
	if err := c.lib.OpenFirst(first[:16]); err != nil {
		return 0, tagError(err)
	}
	c.already = 16
	return binary.BigEndian.Uint32(first), nil
}

func (c *ctr) Open(seq uint32, packet []byte) error {
	already := c.already
	c.already = 0
	return tagError(c.lib.Open(seq, packet, already))
}

func (c *ctr) Seal(seq uint32, packet []byte) error { return tagError(c.lib.Seal(seq, packet)) }
