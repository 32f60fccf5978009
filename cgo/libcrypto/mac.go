package libcrypto

/*
#include "nano.h"

#cgo noescape nano_hmac_new
#cgo nocallback nano_hmac_new
#cgo noescape nano_mac_umac_new
#cgo nocallback nano_mac_umac_new
#cgo noescape nano_mac_sum
#cgo nocallback nano_mac_sum
#cgo noescape nano_mac_verify
#cgo nocallback nano_mac_verify
#cgo noescape nano_mac_free
#cgo nocallback nano_mac_free
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// MAC is an HMAC (RFC 4253 section 6.4, RFC 6668) or a UMAC (RFC 4418, as in
// umac-64@openssh.com and umac-128@openssh.com) of packets.
type MAC struct {
	ctx     *C.struct_nano_mac
	cleanup runtime.Cleanup
	fail    failure
	size    int
}

func (m *MAC) own(ctx *C.struct_nano_mac, size int) (*MAC, error) {
	if ctx == nil {
		return nil, m.fail.err()
	}
	m.ctx, m.size = ctx, size
	m.cleanup = runtime.AddCleanup(m, func(ctx *C.struct_nano_mac) { C.nano_mac_free(ctx) }, ctx)
	return m, nil
}

// NewHMAC knows the digests of NewHash. The key may have any length.
func NewHMAC(name string, key []byte) (*MAC, error) {
	info, ok := digests[name]
	if !ok {
		return nil, &Error{"unknown digest"}
	}
	m := new(MAC)
	return m.own(C.nano_hmac_new(info.kind, pointer(key), C.size_t(len(key)), m.fail.c()), info.size)
}

// NewUMAC makes a UMAC with tags of 8 or 16 bytes.
func NewUMAC(tagBytes int, key *[16]byte) (*MAC, error) {
	if tagBytes != 8 && tagBytes != 16 {
		return nil, &Error{"umac: tag length"}
	}
	m := new(MAC)
	return m.own(C.nano_mac_umac_new(C.int(tagBytes), (*C.uint8_t)(unsafe.Pointer(key)), m.fail.c()), tagBytes)
}

// Size returns the length of a whole tag in bytes.
func (m *MAC) Size() int { return m.size }

// Sum writes the tag of data into tag: its first len(tag) bytes, at most Size
// (hmac-sha1-96 takes 12 of 20). The sequence number goes before the data in
// an HMAC, as four bytes, and is the nonce of a UMAC. UMAC takes up to 16 MiB.
func (m *MAC) Sum(seq uint32, data, tag []byte) error {
	return m.sum(uint64(seq), data, tag)
}

func (m *MAC) sum(nonce uint64, data, tag []byte) error {
	if m.ctx == nil {
		return errFreed
	}
	code := C.nano_mac_sum(m.ctx, C.uint64_t(nonce), pointer(data), C.size_t(len(data)),
		pointer(tag), C.size_t(len(tag)), m.fail.c())
	runtime.KeepAlive(m)
	return m.fail.result(code, ErrAuth)
}

// Verify compares tag with the one that Sum would write, in constant time. A
// wrong, an empty or a too long tag is ErrAuth.
func (m *MAC) Verify(seq uint32, data, tag []byte) error {
	if m.ctx == nil {
		return errFreed
	}
	code := C.nano_mac_verify(m.ctx, C.uint32_t(seq), pointer(data), C.size_t(len(data)),
		pointer(tag), C.size_t(len(tag)), m.fail.c())
	runtime.KeepAlive(m)
	return m.fail.result(code, ErrAuth)
}

// Free wipes the key. It may be called twice.
func (m *MAC) Free() {
	if m.ctx != nil {
		m.cleanup.Stop()
		C.nano_mac_free(m.ctx)
		m.ctx = nil
	}
}
