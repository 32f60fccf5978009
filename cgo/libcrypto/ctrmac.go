package libcrypto

/*
#include "nano.h"

#cgo noescape nano_ctrmac_seal
#cgo nocallback nano_ctrmac_seal
#cgo noescape nano_ctrmac_open
#cgo nocallback nano_ctrmac_open
*/
import "C"

import "runtime"

// CTRMAC is AES-CTR with a MAC: encrypt-and-MAC (RFC 4253 section 6.4), or
// encrypt-then-MAC with a clear length field (the -etm@openssh.com MACs of
// OpenSSH's PROTOCOL section 1.5). One packet is one call into C.
type CTRMAC struct {
	ctr  *CTR
	mac  *MAC
	tag  C.size_t
	etm  C.int
	fail failure
}

// NewCTRMAC takes a key of 16, 24 or 32 bytes and the 16 byte first counter.
// The MAC belongs to the result from then on: its Free frees both. tagBytes is
// mac.Size, see NewCTRMACTruncated for shorter tags.
func NewCTRMAC(key, iv []byte, mac *MAC, etm bool) (*CTRMAC, error) {
	if mac == nil {
		return nil, &Error{"no MAC"}
	}
	return NewCTRMACTruncated(key, iv, mac, mac.size, etm)
}

// NewCTRMACTruncated is NewCTRMAC with tags cut to tagBytes (hmac-sha1-96 and
// hmac-md5-96: 12).
func NewCTRMACTruncated(key, iv []byte, mac *MAC, tagBytes int, etm bool) (*CTRMAC, error) {
	if mac == nil || mac.ctx == nil || tagBytes < 8 || tagBytes > mac.size {
		return nil, &Error{"no MAC, or tag length"}
	}
	ctr, err := NewCTR(key, iv)
	if err != nil {
		return nil, err
	}
	c := &CTRMAC{ctr: ctr, mac: mac, tag: C.size_t(tagBytes)}
	if etm {
		c.etm = 1
	}
	return c, nil
}

// TagSize returns the length of a packet's tag in bytes.
func (c *CTRMAC) TagSize() int { return int(c.tag) }

func (c *CTRMAC) freed() bool { return c.ctr.block.ctx == nil || c.mac.ctx == nil }

// Seal encrypts and authenticates one packet in place: four length bytes, the
// body, TagSize bytes of room. Of the encrypted part, whole blocks of 16
// bytes: the body with encrypt-then-MAC, else length and body.
func (c *CTRMAC) Seal(seq uint32, packet []byte) error {
	if c.freed() {
		return errFreed
	}
	code := C.nano_ctrmac_seal(c.ctr.block.ctx, c.mac.ctx, c.etm, c.tag, C.uint32_t(seq),
		pointer(packet), C.size_t(len(packet)), c.fail.c())
	runtime.KeepAlive(c)
	return c.fail.result(code, ErrAuth)
}

// OpenFirst decrypts the first block of a packet in place, so that the caller
// learns the length. It is for encrypt-and-MAC only; block has 16 bytes.
func (c *CTRMAC) OpenFirst(block []byte) error {
	if c.etm != 0 || len(block) != 16 {
		return &Error{"not a first block of encrypt-and-MAC"}
	}
	return c.ctr.XOR(block)
}

// Open checks and decrypts one packet in place, layout as for Seal. already is
// how many bytes OpenFirst has decrypted: 16, or 0 (always with
// encrypt-then-MAC). A wrong tag or a broken block is ErrAuth; with
// encrypt-and-MAC the packet is wiped then.
func (c *CTRMAC) Open(seq uint32, packet []byte, already int) error {
	if c.freed() {
		return errFreed
	}
	if already != 0 && (already != 16 || c.etm != 0) {
		return &Error{"bytes already decrypted"}
	}
	code := C.nano_ctrmac_open(c.ctr.block.ctx, c.mac.ctx, c.etm, c.tag, C.uint32_t(seq),
		pointer(packet), C.size_t(len(packet)), C.size_t(already), c.fail.c())
	runtime.KeepAlive(c)
	return c.fail.result(code, ErrAuth)
}

// State returns the counter of the next block, as CTR.State.
func (c *CTRMAC) State() [16]byte { return c.ctr.State() }

// Free wipes both keys. It may be called twice.
func (c *CTRMAC) Free() {
	c.ctr.Free()
	c.mac.Free()
}
