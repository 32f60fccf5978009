package libcrypto

/*
#include <stdlib.h>
#include "nano.h"

#cgo noescape nano_dh_new
#cgo nocallback nano_dh_new
#cgo noescape nano_dh_public
#cgo nocallback nano_dh_public
#cgo noescape nano_dh_shared
#cgo nocallback nano_dh_shared
#cgo noescape nano_dh_group
#cgo nocallback nano_dh_group
#cgo noescape nano_dh_free
#cgo nocallback nano_dh_free
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// maxDHBytes is the length of the largest group, 16384 bits.
const maxDHBytes = 2048

// DH is an ephemeral key pair of finite-field Diffie-Hellman (RFC 4253 section
// 8, RFC 4419, RFC 8268).
type DH struct {
	ctx     *C.struct_nano_dh
	cleanup runtime.Cleanup
	size    int // bytes of p
}

// Group returns prime and generator, big-endian, of "group1" (RFC 2409), or
// "group14" to "group18" (RFC 3526).
func Group(name string) (p, g []byte, err error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	var fail failure
	p = make([]byte, maxDHBytes)
	length := C.size_t(len(p))
	if code := C.nano_dh_group(text, pointer(p), &length, fail.c()); code != C.NANO_OK {
		return nil, nil, fail.err()
	}
	return p[:length:length], []byte{2}, nil
}

// NewDH makes a private exponent of secretBits bits (less if the group is
// smaller) for the group with prime p and generator g, big-endian. p has 1024
// to 16384 bits and is odd, 1 < g < p-1. Whether p is prime is not checked:
// groups come from Group or from the administrator's moduli file.
func NewDH(p, g []byte, secretBits int) (*DH, error) {
	var fail failure
	dh := &DH{size: len(trim(p))}
	dh.ctx = C.nano_dh_new(pointer(p), C.size_t(len(p)), pointer(g), C.size_t(len(g)), C.int(min(secretBits, 8*maxDHBytes)), fail.c())
	if dh.ctx == nil {
		return nil, fail.err()
	}
	dh.cleanup = runtime.AddCleanup(dh, func(ctx *C.struct_nano_dh) { C.nano_dh_free(ctx) }, dh.ctx)
	return dh, nil
}

// Public returns our public value, big-endian without leading zeros, or nil
// after Free.
func (dh *DH) Public() []byte {
	if dh.ctx == nil {
		return nil
	}
	var fail failure
	out := make([]byte, dh.size)
	length := C.size_t(len(out))
	code := C.nano_dh_public(dh.ctx, pointer(out), &length, fail.c())
	runtime.KeepAlive(dh)
	if code != C.NANO_OK {
		return nil
	}
	return out[:length]
}

// Shared returns the shared number, big-endian without leading zeros; the
// caller wipes it. A peer's value that is not between 1 and p-1 (RFC 8268
// section 4), both excluded, or has fewer than four bits set, is ErrPeerValue.
func (dh *DH) Shared(peer []byte) ([]byte, error) {
	if dh.ctx == nil {
		return nil, errFreed
	}
	peer = trim(peer)
	if len(peer) > dh.size {
		return nil, ErrPeerValue
	}
	var fail failure
	secret := make([]byte, dh.size)
	length := C.size_t(len(secret))
	code := C.nano_dh_shared(dh.ctx, pointer(peer), C.size_t(len(peer)), pointer(secret), &length, fail.c())
	runtime.KeepAlive(dh)
	if err := fail.result(code, ErrPeerValue); err != nil {
		wipe(secret)
		return nil, err
	}
	return secret[:length], nil
}

// Free wipes the private exponent. It may be called twice.
func (dh *DH) Free() {
	if dh.ctx != nil {
		dh.cleanup.Stop()
		C.nano_dh_free(dh.ctx)
		dh.ctx = nil
	}
}
