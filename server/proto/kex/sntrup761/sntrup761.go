// Package sntrup761 is the key encapsulation Streamlined NTRU Prime with the
// parameters p = 761, q = 4591, w = 286, as the round 3 submission of NTRU Prime
// to NIST's competition specifies it and as OpenSSH has used it since 8.5.
//
// The package kex calls Encapsulate with a key that a peer chose: every key of
// the right length gives a result, none an error or a panic. GenerateKey and
// Decapsulate are the client's side, which only tests need.
//
// No branch, index, division or length of a loop depends on a secret: sums are
// reduced by multiplication, choices are masks, the secret polynomial is shuffled
// by a sorting network. The exception is GenerateKey, which starts again when a
// random polynomial has no inverse; what it throws away is nobody's secret. Random
// bytes come from the caller.
package sntrup761

import (
	"errors"
	"runtime"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
)

// Sizes in bytes.
const (
	PublicKeySize    = 1158
	SecretKeySize    = 2*smallSize + PublicKeySize + smallSize + hashSize // 1763
	CiphertextSize   = roundedSize + hashSize                             // 1039
	SharedSecretSize = hashSize
)

const (
	roundedSize = 1007 // a polynomial of multiples of 3
	smallSize   = 191  // a polynomial of -1, 0 and 1
	hashSize    = 32
)

// The bytes that stand before what is hashed, a different one for each use.
const (
	hashSessionBad  = 0 // session key after a ciphertext that is not genuine
	hashSessionGood = 1 // session key
	hashConfirm     = 2
	hashInput       = 3 // the encoded secret polynomial
	hashPublic      = 4 // the public key
)

var (
	// ErrPublicKey means that a public key is not of PublicKeySize.
	ErrPublicKey = errors.New("sntrup761: public key of wrong length")
	// ErrCiphertext means that a ciphertext is not of CiphertextSize.
	ErrCiphertext = errors.New("sntrup761: ciphertext of wrong length")
	// ErrSecretKey means that a secret key is not of SecretKeySize.
	ErrSecretKey = errors.New("sntrup761: secret key of wrong length")
)

// Random fills a slice with unpredictable bytes.
type Random func([]byte)

// scratch is the memory of one operation, in one piece so that one wipe does.
type scratch struct {
	words   [p]uint32 // random numbers to be sorted
	random  [4 * p]byte
	r, e    small
	h, c    ring
	product product
	encoded [smallSize]byte
	text    [CiphertextSize]byte
}

func (s *scratch) wipe() {
	*s = scratch{}
	runtime.KeepAlive(s)
}

// Encapsulate makes a shared secret and the ciphertext that tells it to the
// holder of the public key's other half. The caller wipes the secret. Every key
// of the right length has a result: a forged one leads to a secret that its sender
// cannot compute, which the exchange hash's signature then makes plain.
func Encapsulate(public []byte, random Random) (ciphertext, secret []byte, err error) {
	if len(public) != PublicKeySize {
		return nil, nil, ErrPublicKey
	}
	s := new(scratch)
	defer s.wipe()
	publicHash, err := prefixHash(hashPublic, public)
	if err != nil {
		return nil, nil, err
	}
	s.randomShort(&s.r, random)
	ciphertext = make([]byte, CiphertextSize)
	if err = s.hide(ciphertext, public, publicHash); err != nil {
		return nil, nil, err
	}
	if secret, err = sessionKey(hashSessionGood, s.encoded[:], ciphertext); err != nil {
		return nil, nil, err
	}
	return ciphertext, secret, nil
}

// hide computes the ciphertext of s.r and leaves its encoding in s.encoded.
func (s *scratch) hide(ciphertext, public, publicHash []byte) error {
	encodeSmall(s.encoded[:], &s.r)
	decodeRing(&s.h, public)
	s.product.multiply(&s.c, &s.h, &s.r)
	roundToThree(&s.c)
	encodeRounded(ciphertext[:roundedSize], &s.c)
	confirm, err := confirmation(s.encoded[:], publicHash)
	copy(ciphertext[roundedSize:], confirm)
	return err
}

// Decapsulate recovers the shared secret. A ciphertext that is not genuine gives
// a secret that nobody else has, not an error.
func Decapsulate(ciphertext, secretKey []byte) (secret []byte, err error) {
	switch {
	case len(ciphertext) != CiphertextSize:
		return nil, ErrCiphertext
	case len(secretKey) != SecretKeySize:
		return nil, ErrSecretKey
	}
	cut := func(n int) (b []byte) {
		b, secretKey = secretKey[:n], secretKey[n:]
		return b
	}
	f, inverse, public, reject, publicHash := cut(smallSize), cut(smallSize), cut(PublicKeySize), cut(smallSize), secretKey
	s := new(scratch)
	defer s.wipe()
	s.decrypt(ciphertext[:roundedSize], f, inverse)
	if err := s.hide(s.text[:], public, publicHash); err != nil {
		return nil, err
	}
	same := maskZero(differ(s.text[:], ciphertext))
	for i := range s.encoded {
		s.encoded[i] = choose(same, s.encoded[i], reject[i])
	}
	return sessionKey(byte(same&hashSessionGood), s.encoded[:], ciphertext)
}

// decrypt recovers the polynomial of a ciphertext into s.r. One that is not of
// weight w gives a fixed other polynomial.
func (s *scratch) decrypt(ciphertext, f, inverse []byte) {
	decodeRounded(&s.c, ciphertext)
	decodeSmall(&s.r, f)
	s.product.multiply(&s.c, &s.c, &s.r)
	for i, c := range s.c {
		s.e[i] = int8(reduce3(int32(reduceQ(3 * int32(c)))))
	}
	decodeSmall(&s.r, inverse)
	s.product.multiplySmall(&s.r, &s.e, &s.r)
	weight := 0
	for _, r := range s.r {
		weight += int(r & 1)
	}
	right := maskZero(uint32(weight ^ w))
	for i := range s.r {
		other := byte(0)
		if i < w { // a public index
			other = 1
		}
		s.r[i] = int8(choose(right, byte(s.r[i]), other))
	}
}

// GenerateKey makes a pair of keys. The caller wipes the secret one.
func GenerateKey(random Random) (public, secretKey []byte, err error) {
	s := new(scratch)
	defer s.wipe()
	var g, f, inverse small
	for ok := false; !ok; {
		s.randomSmall(&g, random)
		ok = invertSmall(&inverse, &g)
	}
	s.randomShort(&f, random)
	invertThrice(&s.h, &f)
	s.product.multiply(&s.h, &s.h, &g)

	public = make([]byte, PublicKeySize)
	encodeRing(public, &s.h)
	secretKey = make([]byte, SecretKeySize)
	encodeSmall(secretKey[:smallSize], &f)
	encodeSmall(secretKey[smallSize:2*smallSize], &inverse)
	rest := secretKey[2*smallSize:]
	rest = rest[copy(rest, public):]
	random(rest[:smallSize])
	hash, err := prefixHash(hashPublic, public)
	if err != nil {
		return nil, nil, err
	}
	copy(rest[smallSize:], hash)
	clear(g[:])
	clear(f[:])
	clear(inverse[:])
	return public, secretKey, nil
}

// prefixHash is the first half of SHA-512 over a byte and the parts.
func prefixHash(prefix byte, parts ...[]byte) ([]byte, error) {
	var all [3][]byte
	all[0] = []byte{prefix}
	n := 1 + copy(all[1:], parts)
	sum, err := libcrypto.Digest("sha512", make([]byte, 0, 64), all[:n]...)
	if err != nil {
		return nil, err
	}
	sodium.Memzero(sum[hashSize:])
	return sum[:hashSize], nil
}

// confirmation is what a ciphertext ends with: a hash that only one who knows the
// polynomial can compute.
func confirmation(encoded, publicHash []byte) ([]byte, error) {
	input, err := prefixHash(hashInput, encoded)
	if err != nil {
		return nil, err
	}
	defer sodium.Memzero(input)
	return prefixHash(hashConfirm, input, publicHash)
}

func sessionKey(prefix byte, encoded, ciphertext []byte) ([]byte, error) {
	input, err := prefixHash(hashInput, encoded)
	if err != nil {
		return nil, err
	}
	defer sodium.Memzero(input)
	return prefixHash(prefix, input, ciphertext)
}
