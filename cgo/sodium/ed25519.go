package sodium

/*
#include <sodium.h>

#cgo noescape crypto_sign_verify_detached
#cgo nocallback crypto_sign_verify_detached
*/
import "C"

import (
	"github.com/jamesruan/sodium"
)

// Ed25519Keypair computes the key pair of seed (RFC 8032 section 5.1.5).
// private is the seed followed by the public key, the form that OpenSSH's key
// files and RFC 8709 use.
func Ed25519Keypair(public *[32]byte, private *[64]byte, seed *[32]byte) {
	pair := sodium.SeedSignKP(sodium.SignSeed{Bytes: seed[:]})
	copy(public[:], pair.PublicKey.Bytes)
	copy(private[:], pair.SecretKey.Bytes)
	Memzero(pair.SecretKey.Bytes)
}

// Ed25519Sign signs message with private, which Ed25519Keypair made (RFC 8032
// section 5.1.6). The signature covers the public key in the second half of
// private: never put together halves of two keys.
func Ed25519Sign(sig *[64]byte, message []byte, private *[64]byte) {
	signature := sodium.Bytes(message).SignDetached(sodium.SignSecretKey{Bytes: private[:]})
	copy(sig[:], signature.Bytes)
}

// Ed25519Verify tells whether sig is public's signature of message. A
// signature of the wrong length, a non-canonical one and a public key of
// small order are false.
func Ed25519Verify(public *[32]byte, message, sig []byte) bool {
	if len(sig) != C.crypto_sign_BYTES {
		return false
	}
	return C.crypto_sign_verify_detached(bytePointer(sig), bytePointer(message),
		C.ulonglong(len(message)), array32(public)) == 0
}
