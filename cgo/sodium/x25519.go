package sodium

/*
#include <sodium.h>

#cgo noescape crypto_scalarmult_curve25519
#cgo nocallback crypto_scalarmult_curve25519
#cgo noescape crypto_scalarmult_curve25519_base
#cgo nocallback crypto_scalarmult_curve25519_base
*/
import "C"

import (
	"errors"
	"unsafe"
)

// ErrLowOrder means that a peer's X25519 point has a small order, so that the
// shared secret would not depend on our key. RFC 8731 section 3 asks to end
// the key exchange then.
var ErrLowOrder = errors.New("sodium: X25519 point of low order")

// X25519Base computes the public value of scalar (RFC 7748 section 6.1).
func X25519Base(public, scalar *[32]byte) {
	C.crypto_scalarmult_curve25519_base(array32(public), array32(scalar))
}

// X25519 computes the secret shared by scalar and a peer's point (RFC 7748
// section 6.1). An all-zero result is ErrLowOrder, and shared is zero then.
func X25519(shared, scalar, point *[32]byte) error {
	if C.crypto_scalarmult_curve25519(array32(shared), array32(scalar), array32(point)) != 0 {
		clear(shared[:])
		return ErrLowOrder
	}
	return nil
}

func array32(a *[32]byte) *C.uchar {
	return (*C.uchar)(unsafe.Pointer(a))
}
