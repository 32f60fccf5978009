package user

import (
	"nano_ssh_server/cgo/sodium"
)

// The alphabet of one-time passwords: 32 characters, 5 bits each, without l and o,
// which look like 1 and 0, which are not there either.
const oneTimeAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"

const (
	oneTimeLen   = 20 // characters: 100 bits
	oneTimeGroup = 5  // characters between two hyphens
)

// A OneTimePassword is made when a server starts that nobody could log in to
// otherwise. Only its hash stays in memory after Reveal; it is never written to a
// file or a log, and dies with the process. It is safe for concurrent use once
// Reveal has returned.
type OneTimePassword struct {
	hash   string
	secret []byte // until Reveal
}

// NewOneTimePassword makes a password of 100 random bits.
func NewOneTimePassword() (*OneTimePassword, error) {
	secret := make([]byte, oneTimeLen)
	sodium.Random(secret)
	for i, b := range secret {
		secret[i] = oneTimeAlphabet[b&31] // 256 is a multiple of 32: no bias
	}
	hash, err := sodium.PasswordHash(secret)
	if err != nil {
		wipe(secret)
		return nil, err
	}
	return &OneTimePassword{hash: hash, secret: secret}, nil
}

// Reveal returns the password as it is shown to the person who started the
// server, in groups of five, and forgets it. Later calls return nil. The caller
// prints it to a terminal, never to the log, and wipes it.
func (p *OneTimePassword) Reveal() []byte {
	if p.secret == nil {
		return nil
	}
	shown := make([]byte, 0, oneTimeLen+oneTimeLen/oneTimeGroup-1)
	for i, c := range p.secret {
		if i > 0 && i%oneTimeGroup == 0 {
			shown = append(shown, '-')
		}
		shown = append(shown, c)
	}
	wipe(p.secret)
	p.secret = nil
	return shown
}

// Verify reports whether the password is this one. Hyphens, spaces and the case
// of letters do not count, since people type it. The comparison takes constant
// time; passwords over MaxPassword bytes are refused unhashed.
func (p *OneTimePassword) Verify(password []byte) bool {
	if len(password) > MaxPassword {
		return false
	}
	typed := make([]byte, 0, MaxPassword)
	defer func() { wipe(typed[:cap(typed)]) }()
	for _, c := range password {
		switch {
		case c == '-' || c == ' ':
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		typed = append(typed, c)
	}
	return sodium.PasswordVerify(p.hash, typed)
}

// String hides the password.
func (*OneTimePassword) String() string { return "[one-time password]" }

// GoString hides the password.
func (*OneTimePassword) GoString() string { return "user.OneTimePassword{}" }
