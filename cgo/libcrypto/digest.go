package libcrypto

/*
#include "nano.h"

#cgo noescape nano_digest_init
#cgo nocallback nano_digest_init
#cgo noescape nano_digest_update
#cgo nocallback nano_digest_update
#cgo noescape nano_digest_final
#cgo nocallback nano_digest_final
#cgo noescape nano_digest_peek
#cgo nocallback nano_digest_peek
#cgo noescape nano_digest_wipe
#cgo nocallback nano_digest_wipe
*/
import "C"

import "unsafe"

type digestInfo struct {
	kind C.int
	size int    // bytes
	name string // OpenSSL's, for signatures
}

var digests = map[string]digestInfo{
	"md5":    {C.NANO_MD5, 16, "MD5"},
	"sha1":   {C.NANO_SHA1, 20, "SHA1"},
	"sha256": {C.NANO_SHA256, 32, "SHA2-256"},
	"sha384": {C.NANO_SHA384, 48, "SHA2-384"},
	"sha512": {C.NANO_SHA512, 64, "SHA2-512"},
}

// Hash computes a digest in steps. Its state is in Go's memory: a forgotten
// Free leaks nothing, it only leaves the state unwiped.
type Hash struct {
	state C.struct_nano_digest
	info  digestInfo
}

// NewHash knows "md5", "sha1", "sha256", "sha384" and "sha512".
func NewHash(name string) (*Hash, error) {
	info, ok := digests[name]
	if !ok {
		return nil, &Error{"unknown digest"}
	}
	h := &Hash{info: info}
	h.Reset()
	return h, nil
}

// Size returns the digest's length in bytes.
func (h *Hash) Size() int { return h.info.size }

// Write adds p. It never fails.
func (h *Hash) Write(p []byte) (int, error) {
	C.nano_digest_update(&h.state, pointer(p), C.size_t(len(p)))
	return len(p), nil
}

// Sum appends the digest of what was written so far to dst; writing may go on.
func (h *Hash) Sum(dst []byte) []byte {
	var out [C.NANO_DIGEST_MAX]byte
	C.nano_digest_peek(&h.state, (*C.uint8_t)(unsafe.Pointer(&out)))
	return append(dst, out[:h.info.size]...)
}

// Reset forgets what was written.
func (h *Hash) Reset() {
	C.nano_digest_init(&h.state, h.info.kind)
}

// Free wipes the state; afterwards the Hash is as after Reset.
func (h *Hash) Free() {
	C.nano_digest_wipe(&h.state)
	h.Reset()
}

// Digest appends the digest of all parts, one after the other, to dst. Names
// as for NewHash.
func Digest(name string, dst []byte, parts ...[]byte) ([]byte, error) {
	info, ok := digests[name]
	if !ok {
		return nil, &Error{"unknown digest"}
	}
	var state C.struct_nano_digest
	var out [C.NANO_DIGEST_MAX]byte
	C.nano_digest_init(&state, info.kind)
	for _, part := range parts {
		C.nano_digest_update(&state, pointer(part), C.size_t(len(part)))
	}
	C.nano_digest_final(&state, (*C.uint8_t)(unsafe.Pointer(&out)))
	C.nano_digest_wipe(&state)
	dst = append(dst, out[:info.size]...)
	wipe(out[:])
	return dst, nil
}

// DigestSize returns the length in bytes of a digest, 0 for an unknown name.
func DigestSize(name string) int { return digests[name].size }
