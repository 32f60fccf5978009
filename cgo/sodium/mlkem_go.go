//go:build !sodium_mlkem || sodium_no_mlkem

package sodium

import "crypto/mlkem"

// MLKEMLibrary says whose ML-KEM-768 is linked in.
const MLKEMLibrary = "Go crypto/mlkem"

// MLKEM768Encapsulate makes a shared secret and its ciphertext for a peer's
// encapsulation key (FIPS 203 section 7.2). A key with coefficients out of
// range is ErrMLKEMKey.
func MLKEM768Encapsulate(ciphertext *[MLKEM768CiphertextSize]byte, secret *[MLKEM768SecretSize]byte,
	public *[MLKEM768PublicSize]byte) error {
	key, err := mlkem.NewEncapsulationKey768(public[:])
	if err != nil {
		return ErrMLKEMKey
	}
	shared, text := key.Encapsulate()
	copy(secret[:], shared)
	copy(ciphertext[:], text)
	Memzero(shared)
	return nil
}

// MLKEM768Keypair computes the encapsulation key of seed (FIPS 203 section
// 7.1, KeyGen_internal). The seed must be random and is the private key.
func MLKEM768Keypair(public *[MLKEM768PublicSize]byte, seed *[MLKEM768SeedSize]byte) error {
	key, err := mlkem.NewDecapsulationKey768(seed[:])
	if err != nil {
		return errMLKEM
	}
	copy(public[:], key.EncapsulationKey().Bytes())
	return nil
}

// MLKEM768Decapsulate recovers the shared secret (FIPS 203 section 7.3). A
// ciphertext that was tampered with gives a secret that nobody else has, not
// an error: the standard wants it so.
func MLKEM768Decapsulate(secret *[MLKEM768SecretSize]byte, ciphertext *[MLKEM768CiphertextSize]byte,
	seed *[MLKEM768SeedSize]byte) error {
	key, err := mlkem.NewDecapsulationKey768(seed[:])
	if err != nil {
		return errMLKEM
	}
	shared, err := key.Decapsulate(ciphertext[:])
	if err != nil {
		return errMLKEM
	}
	copy(secret[:], shared)
	Memzero(shared)
	return nil
}
