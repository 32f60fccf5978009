package libcrypto

/*
#include "nano.h"

#cgo noescape nano_chachapoly_new
#cgo nocallback nano_chachapoly_new
#cgo noescape nano_chachapoly_length
#cgo nocallback nano_chachapoly_length
#cgo noescape nano_chachapoly_seal
#cgo nocallback nano_chachapoly_seal
#cgo noescape nano_chachapoly_open
#cgo nocallback nano_chachapoly_open
#cgo noescape nano_chachapoly_free
#cgo nocallback nano_chachapoly_free
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// TagSize is the length in bytes of the tags of ChaCha20Poly1305 and GCM.
const TagSize = 16

// ChaCha20Poly1305 is chacha20-poly1305@openssh.com (OpenSSH's
// PROTOCOL.chacha20poly1305). One value serves either direction.
type ChaCha20Poly1305 struct {
	ctx     *C.struct_nano_chachapoly
	cleanup runtime.Cleanup
	fail    failure
}

// NewChaCha20Poly1305 keeps key in the library's memory: 32 bytes for bodies
// (K_2 of the specification), then 32 for lengths (K_1), as they are derived.
func NewChaCha20Poly1305(key *[64]byte) (*ChaCha20Poly1305, error) {
	c := new(ChaCha20Poly1305)
	c.ctx = C.nano_chachapoly_new((*C.uint8_t)(unsafe.Pointer(key)), c.fail.c())
	if c.ctx == nil {
		return nil, c.fail.err()
	}
	c.cleanup = runtime.AddCleanup(c, func(ctx *C.struct_nano_chachapoly) { C.nano_chachapoly_free(ctx) }, c.ctx)
	return c, nil
}

// Length decrypts the packet length from the first four bytes of a packet and
// leaves them as they are: Open needs them. Nothing has been authenticated
// yet. Without four bytes, or after Free, it is 0, which no packet has.
func (c *ChaCha20Poly1305) Length(seq uint32, head []byte) uint32 {
	if c.ctx == nil || len(head) < 4 {
		return 0
	}
	var length C.uint32_t
	code := C.nano_chachapoly_length(c.ctx, C.uint32_t(seq), pointer(head), &length, c.fail.c())
	runtime.KeepAlive(c)
	if code != C.NANO_OK {
		return 0
	}
	return uint32(length)
}

// Seal encrypts and authenticates one packet in place: four length bytes, the
// body, 16 bytes of room for the tag. seq is the packet's sequence number and
// must not come twice with one key.
func (c *ChaCha20Poly1305) Seal(seq uint32, packet []byte) error {
	if c.ctx == nil {
		return errFreed
	}
	code := C.nano_chachapoly_seal(c.ctx, C.uint32_t(seq), pointer(packet), C.size_t(len(packet)), c.fail.c())
	runtime.KeepAlive(c)
	return c.fail.result(code, ErrAuth)
}

// Open checks the tag of one packet (layout as for Seal) and then decrypts
// length and body in place. A wrong tag is ErrAuth, and nothing is decrypted.
func (c *ChaCha20Poly1305) Open(seq uint32, packet []byte) error {
	if c.ctx == nil {
		return errFreed
	}
	code := C.nano_chachapoly_open(c.ctx, C.uint32_t(seq), pointer(packet), C.size_t(len(packet)), c.fail.c())
	runtime.KeepAlive(c)
	return c.fail.result(code, ErrAuth)
}

// Free wipes the key. It may be called twice.
func (c *ChaCha20Poly1305) Free() {
	if c.ctx != nil {
		c.cleanup.Stop()
		C.nano_chachapoly_free(c.ctx)
		c.ctx = nil
	}
}
