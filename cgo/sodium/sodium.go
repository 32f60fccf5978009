// Package sodium holds the primitives that the server takes from libsodium:
// X25519, Ed25519, ML-KEM-768, argon2id, random bytes, wiping and comparing.
//
// The key exchange, the public keys and the one-time password call it. It
// never does bulk encryption (cgo/libcrypto is several times faster), and no
// input from a peer makes it panic: every bad point, key or signature is an
// error or false.
//
// Ed25519 keys are made and used, and passwords hashed, through
// github.com/jamesruan/sodium. That package panics on input it does not like,
// so nothing that a peer sent goes into it.
package sodium

/*
#cgo LDFLAGS: -lsodium
#include <sodium.h>

#cgo noescape randombytes_buf
#cgo nocallback randombytes_buf
#cgo noescape sodium_memzero
#cgo nocallback sodium_memzero
#cgo noescape sodium_memcmp
#cgo nocallback sodium_memcmp
*/
import "C"

import "unsafe"

// The wrapper of our import sets the library up too and panics unless it is the
// first: Go initialises imports before importers, so it is.
//
// The library is set up before main runs, which means before a sandbox could
// forbid what the setup needs (reading the CPU's features, opening random).
func init() {
	if C.sodium_init() < 0 {
		panic("sodium: libsodium cannot start: no source of random bytes")
	}
}

// VersionText returns libsodium's version, for example "1.0.22".
func VersionText() string {
	return C.GoString(C.sodium_version_string())
}

// Random fills b with unpredictable bytes from the kernel.
func Random(b []byte) {
	if len(b) > 0 {
		C.randombytes_buf(unsafe.Pointer(&b[0]), C.size_t(len(b)))
	}
}

// Memzero overwrites b with zeros. The compiler cannot leave it out, which it
// may do with a loop over a slice that nobody reads again.
func Memzero(b []byte) {
	if len(b) > 0 {
		C.sodium_memzero(unsafe.Pointer(&b[0]), C.size_t(len(b)))
	}
}

// Equal tells whether a and b hold the same bytes. Its time depends on their
// lengths only.
func Equal(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 {
		return true
	}
	return C.sodium_memcmp(unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), C.size_t(len(a))) == 0
}

// bytePointer returns the address of the first byte as C wants it. C gets a
// valid address for empty slices too: some functions are declared nonnull.
func bytePointer(b []byte) *C.uchar {
	if len(b) == 0 {
		return (*C.uchar)(unsafe.Pointer(&emptyInput))
	}
	return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b)))
}

var emptyInput byte
