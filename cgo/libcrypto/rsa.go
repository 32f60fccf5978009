package libcrypto

/*
#include <stdlib.h>
#include "nano.h"

#cgo noescape nano_rsa_generate
#cgo nocallback nano_rsa_generate
#cgo noescape nano_rsa_public
#cgo nocallback nano_rsa_public
#cgo noescape nano_rsa_private
#cgo nocallback nano_rsa_private
#cgo noescape nano_rsa_sign
#cgo nocallback nano_rsa_sign
#cgo noescape nano_rsa_verify
#cgo nocallback nano_rsa_verify
*/
import "C"

import (
	"math/bits"
	"runtime"
	"unsafe"
)

// RSAKey is an RSA key for PKCS#1 v1.5 signatures (RFC 8332), public or
// private.
type RSAKey struct {
	key
	bits int
	n, e []byte
}

func (k *RSAKey) set(n, e []byte) {
	k.n, k.e = append([]byte(nil), trim(n)...), append([]byte(nil), trim(e)...)
	k.bits = 8*len(k.n) - bits.LeadingZeros8(k.n[0])
}

// trim removes leading zeros.
func trim(n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

// NewRSAPublic takes modulus and exponent, big-endian. A modulus of 1024 to
// 16384 bits and an odd exponent from 3 to 64 bits are taken: more would let a
// peer choose what verifying its key costs.
func NewRSAPublic(n, e []byte) (*RSAKey, error) {
	var fail failure
	k := new(RSAKey)
	ptr := C.nano_rsa_public(pointer(n), C.size_t(len(n)), pointer(e), C.size_t(len(e)), fail.c())
	if err := k.own(ptr, &fail, false); err != nil {
		return nil, err
	}
	k.set(n, e)
	return k, nil
}

// NewRSAPrivate takes the numbers of OpenSSH's key files, big-endian. n must be
// p times q.
func NewRSAPrivate(n, e, d, p, q, iqmp []byte) (*RSAKey, error) {
	var fail failure
	k := new(RSAKey)
	ptr := C.nano_rsa_private(pointer(n), C.size_t(len(n)), pointer(e), C.size_t(len(e)),
		pointer(d), C.size_t(len(d)), pointer(p), C.size_t(len(p)), pointer(q), C.size_t(len(q)),
		pointer(iqmp), C.size_t(len(iqmp)), fail.c())
	if err := k.own(ptr, &fail, true); err != nil {
		return nil, err
	}
	k.set(n, e)
	return k, nil
}

// GenerateRSA makes a key of 1024 to 16384 bits. 3072 bits take about a second.
func GenerateRSA(bits int) (*RSAKey, error) {
	if bits < 1024 || bits > 16384 {
		return nil, &Error{"RSA: key size"}
	}
	var fail failure
	k := new(RSAKey)
	if err := k.own(C.nano_rsa_generate(C.int(bits), fail.c()), &fail, true); err != nil {
		return nil, err
	}
	n, err := k.number("n")
	if err == nil {
		var e []byte
		if e, err = k.number("e"); err == nil {
			k.set(n, e)
			return k, nil
		}
	}
	k.Free()
	return nil, err
}

// Bits returns the length of the modulus.
func (k *RSAKey) Bits() int { return k.bits }

// N returns the modulus, big-endian. It belongs to the key.
func (k *RSAKey) N() []byte { return k.n }

// E returns the public exponent, big-endian. It belongs to the key.
func (k *RSAKey) E() []byte { return k.e }

// Secrets returns the private numbers in the order of OpenSSH's key files
// after n and e. The caller wipes them.
func (k *RSAKey) Secrets() (d, iqmp, p, q []byte, err error) {
	for _, field := range []struct {
		name string
		out  *[]byte
	}{{"d", &d}, {"rsa-coefficient1", &iqmp}, {"rsa-factor1", &p}, {"rsa-factor2", &q}} {
		if *field.out, err = k.number(field.name); err != nil {
			return nil, nil, nil, nil, err
		}
	}
	return d, iqmp, p, q, nil
}

// Sign returns a PKCS#1 v1.5 signature of message, as long as the modulus.
// digest is a name of NewHash.
func (k *RSAKey) Sign(digest string, message []byte) ([]byte, error) {
	if k.ptr == nil {
		return nil, errFreed
	}
	if !k.private {
		return nil, &Error{"not a private key"}
	}
	text, err := digestText(digest)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(text))
	var fail failure
	sig := make([]byte, (k.bits+7)/8)
	length := C.size_t(len(sig))
	code := C.nano_rsa_sign(k.ptr, text, pointer(message), C.size_t(len(message)), pointer(sig), &length, fail.c())
	runtime.KeepAlive(k)
	if code != C.NANO_OK {
		return nil, fail.err()
	}
	return sig[:length], nil
}

// Verify tells whether sig is the key's PKCS#1 v1.5 signature of message. One
// that is shorter than the modulus counts as if zeros stood before it, as with
// OpenSSH; one that is longer is false.
func (k *RSAKey) Verify(digest string, message, sig []byte) bool {
	if k.ptr == nil {
		return false
	}
	text, err := digestText(digest)
	if err != nil {
		return false
	}
	defer C.free(unsafe.Pointer(text))
	code := C.nano_rsa_verify(k.ptr, text, pointer(message), C.size_t(len(message)), pointer(sig), C.size_t(len(sig)))
	runtime.KeepAlive(k)
	return code == C.NANO_OK
}
