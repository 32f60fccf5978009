package libcrypto

/*
#include <stdlib.h>
#include "nano.h"

#cgo noescape nano_ec_generate
#cgo nocallback nano_ec_generate
#cgo noescape nano_ec_new
#cgo nocallback nano_ec_new
#cgo noescape nano_ec_point
#cgo nocallback nano_ec_point
#cgo noescape nano_ec_scalar
#cgo nocallback nano_ec_scalar
#cgo noescape nano_ecdh
#cgo nocallback nano_ecdh
#cgo noescape nano_pair_sign
#cgo nocallback nano_pair_sign
#cgo noescape nano_pair_verify
#cgo nocallback nano_pair_verify
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// curve is one of the NIST prime curves under the name that RFC 5656 uses.
type curve struct {
	name string // OpenSSL's
	size int    // bytes of a coordinate and of a scalar
}

var curves = map[string]curve{
	"nistp256": {"P-256", 32},
	"nistp384": {"P-384", 48},
	"nistp521": {"P-521", 66},
}

// maxPair is the room for each number of an ECDSA or DSA signature in bytes.
const maxPair = 66

// uncompressed tells whether point has the one form that SSH uses (RFC 5656
// section 3.1): 4, then both coordinates. Whether it lies on the curve is
// checked by libcrypto.
func (c curve) uncompressed(point []byte) bool {
	return len(point) == 1+2*c.size && point[0] == 4
}

// ecKey is what ECDH and ECDSA keys share.
type ecKey struct {
	key
	curve curve
	point []byte
}

func (k *ecKey) generate(name string) error {
	c, ok := curves[name]
	if !ok {
		return &Error{"unknown curve"}
	}
	text := C.CString(c.name)
	defer C.free(unsafe.Pointer(text))
	var fail failure
	k.curve = c
	if err := k.own(C.nano_ec_generate(text, fail.c()), &fail, true); err != nil {
		return err
	}
	k.point = make([]byte, 1+2*c.size)
	length := C.size_t(len(k.point))
	if code := C.nano_ec_point(k.ptr, pointer(k.point), &length, fail.c()); code != C.NANO_OK {
		k.Free()
		return fail.err()
	}
	return nil
}

// load takes a key from outside; scalar is nil for a public key.
func (k *ecKey) load(name string, point, scalar []byte) error {
	c, ok := curves[name]
	if !ok {
		return &Error{"unknown curve"}
	}
	if !c.uncompressed(point) || len(scalar) > c.size+1 {
		return ErrPeerValue
	}
	text := C.CString(c.name)
	defer C.free(unsafe.Pointer(text))
	var fail failure
	k.curve = c
	k.point = append([]byte(nil), point...)
	ptr := C.nano_ec_new(text, pointer(point), C.size_t(len(point)), pointer(scalar), C.size_t(len(scalar)), fail.c())
	if ptr == nil && scalar == nil {
		return ErrPeerValue
	}
	return k.own(ptr, &fail, scalar != nil)
}

// ECDHKey is an ephemeral key pair for one key exchange (RFC 5656 section 4).
type ECDHKey struct {
	ecKey
}

// GenerateECDH makes a key pair on "nistp256", "nistp384" or "nistp521".
func GenerateECDH(curve string) (*ECDHKey, error) {
	k := new(ECDHKey)
	if err := k.generate(curve); err != nil {
		return nil, err
	}
	return k, nil
}

// Public returns the uncompressed point. It belongs to the key.
func (k *ECDHKey) Public() []byte { return k.point }

// Shared returns the x coordinate of the shared point, as long as the field
// (32, 48 or 66 bytes); the caller wipes it. A peer's point that is compressed,
// off the curve or at infinity is ErrPeerValue.
func (k *ECDHKey) Shared(peer []byte) ([]byte, error) {
	if k.ptr == nil {
		return nil, errFreed
	}
	if !k.curve.uncompressed(peer) {
		return nil, ErrPeerValue
	}
	var fail failure
	secret := make([]byte, k.curve.size)
	length := C.size_t(len(secret))
	code := C.nano_ecdh(k.ptr, pointer(peer), C.size_t(len(peer)), pointer(secret), &length, fail.c())
	runtime.KeepAlive(k)
	if err := fail.result(code, ErrPeerValue); err != nil {
		wipe(secret)
		return nil, err
	}
	return secret[:length], nil
}

// ECDSAKey is an ECDSA key (RFC 5656 section 3), public or private.
type ECDSAKey struct {
	ecKey
}

// NewECDSAPublic takes an uncompressed point; one that is not on the curve is
// ErrPeerValue.
func NewECDSAPublic(curve string, point []byte) (*ECDSAKey, error) {
	k := new(ECDSAKey)
	if err := k.load(curve, point, nil); err != nil {
		return nil, err
	}
	return k, nil
}

// NewECDSAPrivate takes both halves of a key and checks that they belong
// together.
func NewECDSAPrivate(curve string, point, scalar []byte) (*ECDSAKey, error) {
	if len(scalar) == 0 {
		return nil, &Error{"EC: no private key"}
	}
	k := new(ECDSAKey)
	if err := k.load(curve, point, scalar); err != nil {
		return nil, err
	}
	return k, nil
}

// GenerateECDSA makes a key on "nistp256", "nistp384" or "nistp521".
func GenerateECDSA(curve string) (*ECDSAKey, error) {
	k := new(ECDSAKey)
	if err := k.generate(curve); err != nil {
		return nil, err
	}
	return k, nil
}

// Point returns the uncompressed public point. It belongs to the key.
func (k *ECDSAKey) Point() []byte { return k.point }

// Bits returns the size of the curve: 256, 384 or 521.
func (k *ECDSAKey) Bits() int { return min(k.curve.size*8, 521) }

// Scalar returns the private number, as long as the field, or nil if the key
// is public only. The caller wipes it.
func (k *ECDSAKey) Scalar() []byte {
	if k.ptr == nil || !k.private {
		return nil
	}
	var fail failure
	scalar := make([]byte, k.curve.size)
	code := C.nano_ec_scalar(k.ptr, pointer(scalar), C.size_t(len(scalar)), fail.c())
	runtime.KeepAlive(k)
	if code != C.NANO_OK {
		return nil
	}
	return scalar
}

// Sign returns the two numbers of a signature of message, big-endian without
// leading zeros. digest is a name of NewHash; SSH ties it to the curve (RFC
// 5656 section 6.2.1).
func (k *ECDSAKey) Sign(digest string, message []byte) (r, s []byte, err error) {
	return k.key.signPair(digest, message)
}

// Verify tells whether r and s are the key's signature of message.
func (k *ECDSAKey) Verify(digest string, message, r, s []byte) bool {
	return k.key.verifyPair(digest, message, r, s)
}

func (k *key) signPair(digest string, message []byte) (r, s []byte, err error) {
	if k.ptr == nil {
		return nil, nil, errFreed
	}
	if !k.private {
		return nil, nil, &Error{"not a private key"}
	}
	text, err := digestText(digest)
	if err != nil {
		return nil, nil, err
	}
	defer C.free(unsafe.Pointer(text))
	var fail failure
	var rLength, sLength C.size_t
	r, s = make([]byte, maxPair), make([]byte, maxPair)
	code := C.nano_pair_sign(k.ptr, text, pointer(message), C.size_t(len(message)),
		pointer(r), &rLength, pointer(s), &sLength, fail.c())
	runtime.KeepAlive(k)
	if code != C.NANO_OK {
		return nil, nil, fail.err()
	}
	return r[:rLength], s[:sLength], nil
}

func (k *key) verifyPair(digest string, message, r, s []byte) bool {
	if k.ptr == nil {
		return false
	}
	text, err := digestText(digest)
	if err != nil {
		return false
	}
	defer C.free(unsafe.Pointer(text))
	code := C.nano_pair_verify(k.ptr, text, pointer(message), C.size_t(len(message)),
		pointer(r), C.size_t(len(r)), pointer(s), C.size_t(len(s)))
	runtime.KeepAlive(k)
	return code == C.NANO_OK
}
