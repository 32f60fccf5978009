package libcrypto

/*
#include "nano.h"

#cgo noescape nano_gcm_new
#cgo nocallback nano_gcm_new
#cgo noescape nano_gcm_seal
#cgo nocallback nano_gcm_seal
#cgo noescape nano_gcm_open
#cgo nocallback nano_gcm_open
#cgo noescape nano_gcm_state
#cgo nocallback nano_gcm_state
#cgo noescape nano_gcm_free
#cgo nocallback nano_gcm_free
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// GCM is aes128-gcm@openssh.com or aes256-gcm@openssh.com (RFC 5647), for one
// direction.
type GCM struct {
	ctx     *C.struct_nano_gcm
	cleanup runtime.Cleanup
	fail    failure
	encrypt bool
}

// NewGCM takes a key of 16 or 32 bytes and the 12 byte IV of the first packet:
// four fixed bytes and the invocation counter (RFC 5647 section 7.1).
func NewGCM(key, iv []byte, encrypt bool) (*GCM, error) {
	if len(key) != 16 && len(key) != 32 {
		return nil, &Error{"aes-gcm: key length"}
	}
	if len(iv) != 12 {
		return nil, &Error{"aes-gcm: IV length"}
	}
	var direction C.int
	if encrypt {
		direction = 1
	}
	c := &GCM{encrypt: encrypt}
	c.ctx = C.nano_gcm_new(pointer(key), C.size_t(len(key)), pointer(iv), direction, c.fail.c())
	if c.ctx == nil {
		return nil, c.fail.err()
	}
	c.cleanup = runtime.AddCleanup(c, func(ctx *C.struct_nano_gcm) { C.nano_gcm_free(ctx) }, c.ctx)
	return c, nil
}

// Seal encrypts and authenticates one packet in place: four length bytes,
// which stay clear and are authenticated, the body, 16 bytes of room for the
// tag. The invocation counter moves on, even when it fails. After 2^64 - 1
// packets it refuses.
func (c *GCM) Seal(packet []byte) error {
	if c.ctx == nil {
		return errFreed
	}
	if !c.encrypt {
		return &Error{"aes-gcm: made for opening"}
	}
	code := C.nano_gcm_seal(c.ctx, pointer(packet), C.size_t(len(packet)), c.fail.c())
	runtime.KeepAlive(c)
	return c.fail.result(code, ErrAuth)
}

// Open checks and decrypts one packet in place, layout as for Seal. With a
// wrong tag it is ErrAuth and the packet is wiped.
func (c *GCM) Open(packet []byte) error {
	if c.ctx == nil {
		return errFreed
	}
	if c.encrypt {
		return &Error{"aes-gcm: made for sealing"}
	}
	code := C.nano_gcm_open(c.ctx, pointer(packet), C.size_t(len(packet)), c.fail.c())
	runtime.KeepAlive(c)
	return c.fail.result(code, ErrAuth)
}

// State returns the IV of the next packet, to go on elsewhere with NewGCM.
func (c *GCM) State() (iv [12]byte) {
	if c.ctx != nil {
		C.nano_gcm_state(c.ctx, (*C.uint8_t)(unsafe.Pointer(&iv)))
		runtime.KeepAlive(c)
	}
	return iv
}

// Free wipes the key. It may be called twice.
func (c *GCM) Free() {
	if c.ctx != nil {
		c.cleanup.Stop()
		C.nano_gcm_free(c.ctx)
		c.ctx = nil
	}
}
