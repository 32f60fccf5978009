package user

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/x/bcrypt"
	"github.com/go-crypt/x/crypt"
	"github.com/go-crypt/x/yescrypt"
)

// Bounds of the cost that a hash in /etc/shadow may ask for. A line beyond them
// is as good as no password: one login must not take a minute or a gigabyte.
const (
	// maxYescryptMemory is 128 * N * r bytes; YESCRYPT_COST_FACTOR 9 of 11. The
	// default of today's distributions (factor 5) takes 16 MiB.
	maxYescryptMemory = 256 << 20
	minYescryptN      = 1 << 10 // of libxcrypt, as the next
	maxYescryptN      = 1 << 18
	minSHARounds      = 1000 // SHA-crypt.txt by Ulrich Drepper: the least
	maxSHARounds      = 2_000_000
	defaultSHARounds  = 5000
	minBcryptCost     = 4
	maxBcryptCost     = 16 // 65536 rounds, some 4 s; the default is 10 or 12
)

// A scheme computes one family of crypt(5) hashes.
type scheme struct {
	prefix string
	// check tells whether the setting and digest are well formed and within the
	// bounds, before any password is hashed.
	check func(hash string) bool
	// compute returns the whole hash of the password under hash's setting.
	compute func(hash string, password []byte) []byte
}

var schemes = []scheme{
	{"$y$", checkYescrypt, computeYescrypt},
	{"$6$", checkSHA, func(h string, p []byte) []byte { return computeSHA(sha512.New, h, p) }},
	{"$5$", checkSHA, func(h string, p []byte) []byte { return computeSHA(sha256.New, h, p) }},
	{"$2b$", checkBcrypt, computeBcrypt},
	{"$2y$", checkBcrypt, computeBcrypt},
	{"$2a$", checkBcrypt, computeBcrypt},
	{"$1$", checkMD5, computeMD5},
}

func schemeOf(hash string) *scheme {
	for i := range schemes {
		if strings.HasPrefix(hash, schemes[i].prefix) {
			return &schemes[i]
		}
	}
	return nil
}

// knownHash reports whether Verify could succeed on the hash.
func knownHash(hash string) bool {
	s := schemeOf(hash)
	return s != nil && s.check(hash)
}

// verifyHash hashes the password under the hash's own setting and compares in
// constant time. It panics on nothing, whatever the hash.
func verifyHash(hash string, password []byte) bool {
	s := schemeOf(hash)
	// crypt(3) takes a C string: what follows a NUL would not count. No password
	// has one, so it is refused instead of matched by its beginning.
	if s == nil || !s.check(hash) || bytes.IndexByte(password, 0) >= 0 {
		return false
	}
	got := s.compute(hash, password)
	defer wipe(got)
	return subtle.ConstantTimeCompare(got, []byte(hash)) == 1
}

// itoa64 is the digit alphabet of crypt(5); bcrypt orders it differently.
func allItoa64(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func itoa64Value(c byte) int {
	return strings.IndexByte("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c)
}

// checkYescrypt takes $y$j<N><r>$<salt>$<43 digits>: flags "j" (the defaults), one
// digit each for log2 N and r. It is what libxcrypt writes for every cost factor.
func checkYescrypt(hash string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 5 || len(parts[2]) != 3 || parts[2][0] != 'j' {
		return false
	}
	if len(parts[3]) > 86 || !allItoa64(parts[3]) || len(parts[4]) != 43 || !allItoa64(parts[4]) {
		return false
	}
	logN, r := itoa64Value(parts[2][1])+1, itoa64Value(parts[2][2])+1
	if logN < 1 || logN > 18 || r < 1 || r > 32 {
		return false
	}
	if yescrypt.Decode64([]byte(parts[3])) == nil {
		return false
	}
	n := 1 << logN
	return n >= minYescryptN && n <= maxYescryptN && 128*n*r <= maxYescryptMemory
}

func computeYescrypt(hash string, password []byte) []byte {
	out, err := yescrypt.Hash(password, []byte(hash))
	if err != nil {
		return nil
	}
	return out
}

// splitSHA takes $5$ or $6$, an optional rounds=N$, the salt, and the digest.
func splitSHA(hash string) (setting, salt, digest string, rounds int, ok bool) {
	rest := hash[3:]
	rounds = defaultSHARounds
	if r, found := strings.CutPrefix(rest, "rounds="); found {
		number, after, found := strings.Cut(r, "$")
		n, err := strconv.Atoi(number)
		// Other spellings of a number are never written, and would not compare.
		if !found || err != nil || strconv.Itoa(n) != number || n < minSHARounds || n > maxSHARounds {
			return "", "", "", 0, false
		}
		rounds, rest = n, after
	}
	salt, digest, found := strings.Cut(rest, "$")
	if !found || len(salt) > 16 {
		return "", "", "", 0, false
	}
	return hash[:len(hash)-len(digest)], salt, digest, rounds, true
}

func checkSHA(hash string) bool {
	_, _, digest, _, ok := splitSHA(hash)
	want := 86
	if strings.HasPrefix(hash, "$5$") {
		want = 43
	}
	return ok && len(digest) == want && allItoa64(digest)
}

func computeSHA(h func() hash.Hash, hash string, password []byte) []byte {
	setting, salt, _, rounds, _ := splitSHA(hash)
	return append([]byte(setting), crypt.KeySHACrypt(h, password, []byte(salt), rounds)...)
}

// checkBcrypt takes $2x$<cost>$<22 of salt><31 of digest>.
func checkBcrypt(hash string) bool {
	if len(hash) != 60 || hash[6] != '$' || !allItoa64(hash[7:]) {
		return false
	}
	c1, c2 := hash[4], hash[5]
	if c1 < '0' || c1 > '9' || c2 < '0' || c2 > '9' {
		return false
	}
	cost := int(c1-'0')*10 + int(c2-'0')
	return cost >= minBcryptCost && cost <= maxBcryptCost
}

// computeBcrypt returns the hash itself when the password matches: the library
// compares (in constant time) and has no way to return what it computed.
func computeBcrypt(hash string, password []byte) []byte {
	// It ends the key with a NUL of its own in a fresh copy, which it leaves
	// behind; 72 bytes are all that bcrypt looks at.
	key := make([]byte, min(len(password), 72), 73)
	defer func() { wipe(key[:cap(key)]) }()
	copy(key, password)
	if bcrypt.CompareHashAndPassword([]byte(hash), key) != nil {
		return nil
	}
	return []byte(hash)
}

// checkMD5 takes $1$<salt of at most 8>$<22 digits>.
func checkMD5(hash string) bool {
	salt, digest, found := strings.Cut(hash[3:], "$")
	return found && len(salt) <= 8 && len(digest) == 22 && allItoa64(digest)
}

func computeMD5(hash string, password []byte) []byte {
	salt, _, _ := strings.Cut(hash[3:], "$")
	out := []byte("$1$" + salt + "$")
	return append(out, crypt.KeyMD5Crypt(password, []byte(salt))...)
}
