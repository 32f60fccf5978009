package sodium

import "errors"

// Sizes of ML-KEM-768 in bytes (FIPS 203 table 3). The private key is kept as
// the 64 byte seed (d and z) that it is expanded from.
const (
	MLKEM768PublicSize     = 1184
	MLKEM768SeedSize       = 64
	MLKEM768CiphertextSize = 1088
	MLKEM768SecretSize     = 32
)

// ErrMLKEMKey means that a peer's encapsulation key failed the modulus check
// of FIPS 203 section 7.2: some coefficient is not below 3329.
var ErrMLKEMKey = errors.New("sodium: malformed ML-KEM-768 encapsulation key")

// errMLKEM is a failure of the library that no input is known to cause.
var errMLKEM = errors.New("sodium: ML-KEM-768 failed")
