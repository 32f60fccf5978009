package sodium

/*
#include <sodium.h>

#cgo noescape crypto_pwhash_str_verify
#cgo nocallback crypto_pwhash_str_verify
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/jamesruan/sodium"
)

// ErrPasswordHash means that a password could not be hashed.
var ErrPasswordHash = errors.New("sodium: argon2id failed")

// cheapest sets the cost that the hashing below uses to libsodium's minimum.
var cheapest = sync.OnceFunc(func() {
	sodium.CryptoPWHashOpsLimitInteractive = C.crypto_pwhash_OPSLIMIT_MIN
	sodium.CryptoPWHashMemLimitInteractive = C.crypto_pwhash_MEMLIMIT_MIN
})

// PasswordHash returns a salted argon2id hash of password as text, at the
// lowest cost that libsodium allows (one pass over 8 KiB).
//
// It is for generated one-time passwords of at least 100 bits only. Nobody
// searches 2^100 passwords at any cost for each, so a dear hash would protect
// nothing, and each guess of a stranger would burn our CPU and memory.
// A password that a human chose needs crypt(3) and its cost.
func PasswordHash(password []byte) (hash string, err error) {
	cheapest()
	defer func() {
		// The wrapper panics when memory runs out.
		if recover() != nil {
			hash, err = "", ErrPasswordHash
		}
	}()
	// The wrapper's conversion to a C string leaves a copy of the password
	// in freed memory. A one-time password has just been printed, so that is
	// bearable here, and here only.
	hash = string(sodium.PWHashStoreInteractive(string(password)).Value())
	if !strings.HasPrefix(hash, C.crypto_pwhash_argon2id_STRPREFIX) {
		return "", fmt.Errorf("%w: unexpected format", ErrPasswordHash)
	}
	return hash, nil
}

// PasswordVerify tells whether password is the one that PasswordHash made hash
// of. Text that is no such hash matches nothing. Callers bound the length of
// password (THREATS.md row 09); it may hold any bytes.
func PasswordVerify(hash string, password []byte) bool {
	var text [C.crypto_pwhash_STRBYTES]byte
	if len(hash) >= len(text) || strings.IndexByte(hash, 0) >= 0 {
		return false
	}
	copy(text[:], hash)
	return C.crypto_pwhash_str_verify((*C.char)(unsafe.Pointer(&text)),
		(*C.char)(unsafe.Pointer(bytePointer(password))), C.ulonglong(len(password))) == 0
}
