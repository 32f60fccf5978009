package libcrypto

/*
#include "nano.h"

#cgo noescape nano_dsa_new
#cgo nocallback nano_dsa_new
*/
import "C"

// dsaHalf is the length in bytes of each number of an ssh-dss signature.
const dsaHalf = 20

// DSAKey is an ssh-dss key (RFC 4253 section 6.6), public or private. It is
// for old peers that someone configured; the algorithm is off by default.
type DSAKey struct {
	key
}

// NewDSA takes big-endian numbers; x is nil for a public key. p has 1024 bits
// and q 160, the only sizes of ssh-dss. A libcrypto that was built without DSA
// gives an error.
func NewDSA(p, q, g, y, x []byte) (*DSAKey, error) {
	if n := trim(p); len(n) != 128 || n[127]&1 == 0 {
		return nil, &Error{"DSA: modulus out of range"}
	}
	if n := trim(q); len(n) != dsaHalf || n[dsaHalf-1]&1 == 0 {
		return nil, &Error{"DSA: group order out of range"}
	}
	if len(trim(g)) > 128 || len(trim(y)) > 128 || len(trim(x)) > dsaHalf {
		return nil, &Error{"DSA: number out of range"}
	}
	var fail failure
	k := new(DSAKey)
	ptr := C.nano_dsa_new(pointer(p), C.size_t(len(p)), pointer(q), C.size_t(len(q)), pointer(g), C.size_t(len(g)),
		pointer(y), C.size_t(len(y)), pointer(x), C.size_t(len(x)), fail.c())
	if err := k.own(ptr, &fail, len(x) > 0); err != nil {
		return nil, err
	}
	return k, nil
}

// Sign returns the 40 byte signature of message: r and s, 20 bytes each, with
// SHA-1 as ssh-dss wants.
func (k *DSAKey) Sign(message []byte) ([]byte, error) {
	r, s, err := k.signPair("sha1", message)
	if err != nil {
		return nil, err
	}
	if len(r) > dsaHalf || len(s) > dsaHalf {
		return nil, &Error{"DSA: signature out of range"}
	}
	sig := make([]byte, 2*dsaHalf)
	copy(sig[dsaHalf-len(r):], r)
	copy(sig[2*dsaHalf-len(s):], s)
	return sig, nil
}

// Verify tells whether sig, 40 bytes, is the key's signature of message.
func (k *DSAKey) Verify(message, sig []byte) bool {
	return len(sig) == 2*dsaHalf && k.verifyPair("sha1", message, sig[:dsaHalf], sig[dsaHalf:])
}
