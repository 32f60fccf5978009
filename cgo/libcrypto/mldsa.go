package libcrypto

/*
#include "mldsa.h"

#cgo nocallback nano_mldsa44_available
#cgo noescape nano_mldsa44_private
#cgo nocallback nano_mldsa44_private
#cgo noescape nano_mldsa44_public
#cgo nocallback nano_mldsa44_public
#cgo noescape nano_mldsa44_encode
#cgo nocallback nano_mldsa44_encode
#cgo noescape nano_mldsa44_sign
#cgo nocallback nano_mldsa44_sign
#cgo noescape nano_mldsa44_verify
#cgo nocallback nano_mldsa44_verify
*/
import "C"

import (
	"runtime"
	"sync"
)

// Sizes of ML-DSA-44 in bytes (FIPS 204 table 2). The private key is kept as the
// seed that it is expanded from.
const (
	MLDSA44SeedSize      = 32
	MLDSA44PublicSize    = 1312
	MLDSA44SignatureSize = 2420
)

// maxContext is the longest context of a signature: one byte holds its length
// (FIPS 204 section 5.2).
const maxContext = 255

// HaveMLDSA44 tells whether the libcrypto that is linked has ML-DSA-44: 3.5 and
// later have. Without it all that makes an MLDSA44Key fails.
var HaveMLDSA44 = sync.OnceValue(func() bool { return C.nano_mldsa44_available() != 0 })

// MLDSA44Key is an ML-DSA-44 key (FIPS 204), public or private.
type MLDSA44Key struct {
	key
	public [MLDSA44PublicSize]byte
}

// NewMLDSA44Public takes an encoded public key. Every string of the length is one.
func NewMLDSA44Public(public *[MLDSA44PublicSize]byte) (*MLDSA44Key, error) {
	var fail failure
	k := &MLDSA44Key{public: *public}
	if err := k.own(C.nano_mldsa44_public(pointer(public[:]), fail.c()), &fail, false); err != nil {
		return nil, err
	}
	return k, nil
}

// NewMLDSA44Private expands a seed, which must be random and stays the caller's to
// wipe.
func NewMLDSA44Private(seed *[MLDSA44SeedSize]byte) (*MLDSA44Key, error) {
	var fail failure
	k := new(MLDSA44Key)
	if err := k.own(C.nano_mldsa44_private(pointer(seed[:]), fail.c()), &fail, true); err != nil {
		return nil, err
	}
	if C.nano_mldsa44_encode(k.ptr, pointer(k.public[:]), fail.c()) != C.NANO_OK {
		k.Free()
		return nil, fail.err()
	}
	return k, nil
}

// Public returns the encoded public key, which belongs to the key.
func (k *MLDSA44Key) Public() *[MLDSA44PublicSize]byte { return &k.public }

// Sign returns a signature of message under a context of at most 255 bytes. It
// is another one each time: the hedged variant of FIPS 204.
func (k *MLDSA44Key) Sign(context, message []byte) ([]byte, error) {
	switch {
	case k.ptr == nil:
		return nil, errFreed
	case !k.private:
		return nil, &Error{"not a private key"}
	case len(context) > maxContext:
		return nil, &Error{"ML-DSA: context too long"}
	}
	var fail failure
	sig := make([]byte, MLDSA44SignatureSize)
	code := C.nano_mldsa44_sign(k.ptr, pointer(context), C.size_t(len(context)), pointer(message),
		C.size_t(len(message)), pointer(sig), fail.c())
	runtime.KeepAlive(k)
	if code != C.NANO_OK {
		return nil, fail.err()
	}
	return sig, nil
}

// Verify tells whether sig is the key's signature of message under the context.
func (k *MLDSA44Key) Verify(context, message, sig []byte) bool {
	if k.ptr == nil || len(sig) != MLDSA44SignatureSize || len(context) > maxContext {
		return false
	}
	code := C.nano_mldsa44_verify(k.ptr, pointer(context), C.size_t(len(context)), pointer(message),
		C.size_t(len(message)), pointer(sig))
	runtime.KeepAlive(k)
	return code == C.NANO_OK
}
