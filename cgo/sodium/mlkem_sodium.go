//go:build sodium_mlkem && !sodium_no_mlkem

package sodium

/*
#include <sodium.h>
#include <stdint.h>

#ifndef crypto_kem_mlkem768_H
#error "this libsodium has no ML-KEM-768 (it came with 1.0.22): build without the tag sodium_mlkem, which takes Go's crypto/mlkem"
#endif

// The modulus check of FIPS 203 section 7.2: 768 coefficients of 12 bits, all
// below q = 3329; the last 32 bytes are a seed. The key is public, so this
// may take a branch. It stands here because callers rely on it, whatever the
// library's own version checks.
static int nano_mlkem768_key_valid(const unsigned char *key)
{
	const unsigned char *end = key + crypto_kem_mlkem768_PUBLICKEYBYTES - 32;

	for (; key < end; key += 3) {
		unsigned int low = key[0] | (unsigned int)(key[1] & 15) << 8;
		unsigned int high = (unsigned int)key[1] >> 4 | (unsigned int)key[2] << 4;

		if (low >= 3329 || high >= 3329)
			return 0;
	}
	return 1;
}

static int nano_mlkem768_encapsulate(unsigned char *ciphertext, unsigned char *secret,
    const unsigned char *public)
{
	if (!nano_mlkem768_key_valid(public))
		return -2;
	return crypto_kem_mlkem768_enc(ciphertext, secret, public);
}

static int nano_mlkem768_keypair(unsigned char *public, const unsigned char *seed)
{
	unsigned char expanded[crypto_kem_mlkem768_SECRETKEYBYTES];
	int result = crypto_kem_mlkem768_seed_keypair(public, expanded, seed);

	sodium_memzero(expanded, sizeof expanded);
	return result;
}

static int nano_mlkem768_decapsulate(unsigned char *secret, const unsigned char *ciphertext,
    const unsigned char *seed)
{
	unsigned char public[crypto_kem_mlkem768_PUBLICKEYBYTES];
	unsigned char expanded[crypto_kem_mlkem768_SECRETKEYBYTES];
	int result = crypto_kem_mlkem768_seed_keypair(public, expanded, seed);

	if (result == 0)
		result = crypto_kem_mlkem768_dec(secret, ciphertext, expanded);
	sodium_memzero(expanded, sizeof expanded);
	return result;
}

#cgo noescape nano_mlkem768_encapsulate
#cgo nocallback nano_mlkem768_encapsulate
#cgo noescape nano_mlkem768_keypair
#cgo nocallback nano_mlkem768_keypair
#cgo noescape nano_mlkem768_decapsulate
#cgo nocallback nano_mlkem768_decapsulate
*/
import "C"

import "unsafe"

// MLKEMLibrary says whose ML-KEM-768 is linked in.
const MLKEMLibrary = "libsodium"

// MLKEM768Encapsulate makes a shared secret and its ciphertext for a peer's
// encapsulation key (FIPS 203 section 7.2). A key with coefficients out of
// range is ErrMLKEMKey.
func MLKEM768Encapsulate(ciphertext *[MLKEM768CiphertextSize]byte, secret *[MLKEM768SecretSize]byte,
	public *[MLKEM768PublicSize]byte) error {
	switch C.nano_mlkem768_encapsulate((*C.uchar)(unsafe.Pointer(ciphertext)), array32(secret),
		(*C.uchar)(unsafe.Pointer(public))) {
	case 0:
		return nil
	case -2:
		return ErrMLKEMKey
	}
	return errMLKEM
}

// MLKEM768Keypair computes the encapsulation key of seed (FIPS 203 section
// 7.1, KeyGen_internal). The seed must be random and is the private key.
func MLKEM768Keypair(public *[MLKEM768PublicSize]byte, seed *[MLKEM768SeedSize]byte) error {
	if C.nano_mlkem768_keypair((*C.uchar)(unsafe.Pointer(public)), (*C.uchar)(unsafe.Pointer(seed))) != 0 {
		return errMLKEM
	}
	return nil
}

// MLKEM768Decapsulate recovers the shared secret (FIPS 203 section 7.3). A
// ciphertext that was tampered with gives a secret that nobody else has, not
// an error: the standard wants it so.
func MLKEM768Decapsulate(secret *[MLKEM768SecretSize]byte, ciphertext *[MLKEM768CiphertextSize]byte,
	seed *[MLKEM768SeedSize]byte) error {
	if C.nano_mlkem768_decapsulate(array32(secret), (*C.uchar)(unsafe.Pointer(ciphertext)),
		(*C.uchar)(unsafe.Pointer(seed))) != 0 {
		return errMLKEM
	}
	return nil
}
