// Package libcrypto holds the primitives that the server takes from OpenSSL's
// libcrypto, 3.0 or later: packet ciphers and MACs, digests, NIST curves, RSA,
// DSA and finite-field Diffie-Hellman; from 3.5 on also ML-DSA-44.
//
// proto/cipher, proto/kex and proto/sshkey call it. A packet is one call into
// C, works in place and allocates nothing; contexts are kept for the life of a
// key and wiped by Free (a forgotten one by the garbage collector). No input
// makes it panic: what a peer got wrong is ErrAuth or ErrPeerValue, anything
// else that fails is an *Error. It never reads a configuration file, never
// parses DER or PEM, and starts no thread.
//
// A value that carries state (ciphers, MACs, Hash) is for one goroutine at a
// time. Keys may be used by many, but not while Free runs.
package libcrypto

/*
#cgo CFLAGS: -O3
#cgo LDFLAGS: -lcrypto
#include "nano.h"

#cgo noescape OPENSSL_cleanse
#cgo nocallback OPENSSL_cleanse
*/
import "C"

import (
	"errors"
	"unsafe"
)

func init() {
	C.nano_init()
}

// ErrAuth means that a packet's tag is wrong or that the packet is too short
// to have one. The packet's bytes are worthless afterwards.
var ErrAuth = errors.New("libcrypto: message authentication failed")

// ErrPeerValue means that a peer's public value is out of range or not on the
// curve.
var ErrPeerValue = errors.New("libcrypto: peer's public value is not valid")

// Error is a failure of the library or a misuse of this package. No peer can
// cause one.
type Error struct {
	Text string
}

func (e *Error) Error() string { return "libcrypto: " + e.Text }

var errFreed = &Error{"used after Free"}

// failure receives the text of an error from the call that failed.
type failure C.struct_nano_error

func (f *failure) c() *C.struct_nano_error { return (*C.struct_nano_error)(f) }

func (f *failure) err() error {
	return &Error{C.GoString(&f.text[0])}
}

// result turns what a C function returned into an error; bad stands for a
// peer's fault.
func (f *failure) result(code C.int, bad error) error {
	switch code {
	case C.NANO_OK:
		return nil
	case C.NANO_BAD:
		return bad
	}
	return f.err()
}

// VersionText returns the library's name and version, for example
// "OpenSSL 3.5.7 9 Jun 2026".
func VersionText() string {
	return C.GoString(C.OpenSSL_version(C.OPENSSL_VERSION))
}

// pointer returns the address of the first byte; C gets it together with the
// length and reads nothing when that is zero.
func pointer(b []byte) *C.uint8_t {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b)))
}

// wipe overwrites temporary secrets.
func wipe(b []byte) {
	if len(b) > 0 {
		C.OPENSSL_cleanse(unsafe.Pointer(&b[0]), C.size_t(len(b)))
	}
}
