// Package sshkey reads, writes, uses and names SSH keys: public key blobs (RFC
// 4253 section 6.6, RFC 5656, RFC 8709, OpenSSH's PROTOCOL.u2f), signatures,
// private key files, certificates (OpenSSH's PROTOCOL.certkeys).
//
// Host keys, user authentication and certificate checks call it. It reads no
// file and decides about nobody: which algorithms are accepted, how long an RSA
// key must be, who a certificate's principals are, is its callers' matter. What a
// peer sends is an error at worst, never a panic.
package sshkey

import (
	"bytes"
	"errors"
	"fmt"

	"nano_ssh_server/server/proto/wire"
)

// Names of key types. RSA keys serve three signature algorithms (RFC 8332), the
// names of the others' algorithms are those of the keys, and sk-ecdsa keys also serve
// AlgorithmWebAuthn.
const (
	TypeEd25519   = "ssh-ed25519"
	TypeECDSA256  = "ecdsa-sha2-nistp256"
	TypeECDSA384  = "ecdsa-sha2-nistp384"
	TypeECDSA521  = "ecdsa-sha2-nistp521"
	TypeRSA       = "ssh-rsa"
	TypeDSA       = "ssh-dss"
	TypeSKEd25519 = "sk-ssh-ed25519@openssh.com"
	TypeSKECDSA   = "sk-ecdsa-sha2-nistp256@openssh.com"

	AlgorithmRSA256   = "rsa-sha2-256"
	AlgorithmRSA512   = "rsa-sha2-512"
	AlgorithmWebAuthn = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
)

var (
	// ErrMalformed means that data is not a key or signature of the kind that it says.
	ErrMalformed = errors.New("sshkey: invalid format")
	// ErrUnknownType means that a key is of a type that this package does not have.
	ErrUnknownType = errors.New("sshkey: unknown or unsupported key type")
	// ErrKeyLength means that an RSA key has less than 1024 or more than 16384 bits.
	ErrKeyLength = errors.New("sshkey: invalid key length")
	// ErrAlgorithm means that a key and a signature algorithm do not fit, or that
	// a signature is of another algorithm than announced (THREATS row 27).
	ErrAlgorithm = errors.New("sshkey: signature algorithm does not match")
	// ErrSignature means that a signature is not the key's signature of the data.
	ErrSignature = errors.New("sshkey: incorrect signature")
	// ErrEncrypted means that a private key needs a passphrase.
	ErrEncrypted = errors.New("sshkey: private key is encrypted")
)

// PublicKey is a public key. It may be used by many goroutines.
type PublicKey interface {
	// Type returns the name of the key's type, for example "ssh-rsa".
	Type() string
	// Blob returns the key in its wire form, which belongs to the key.
	Blob() []byte
	// Verify checks a signature blob. algorithm is the one that was announced: it
	// must fit the key, and the signature must name the same. The error wraps
	// ErrAlgorithm, ErrMalformed or ErrSignature.
	Verify(algorithm string, data, signature []byte) error
	// Bits returns the size that ssh-keygen -l shows: of an RSA modulus, of a curve.
	Bits() int
}

// PrivateKey is a private key. It may be used by many goroutines until Wipe.
type PrivateKey interface {
	Public() PublicKey
	// Sign returns a signature blob, the name of the algorithm included.
	Sign(algorithm string, data []byte) (signature []byte, err error)
	// Algorithms returns the names that Sign takes, the best first.
	Algorithms() []string
	// Wipe overwrites the key. It may be called twice; Sign fails afterwards.
	Wipe()
}

// keyType is one row of the table of key types.
type keyType struct {
	name  string                                                  // as OpenSSH's logs call it
	parse func(keyType string, r *wire.Reader) (PublicKey, error) // what follows the type in a blob
}

var keyTypes = map[string]keyType{
	TypeEd25519:   {"ED25519", parseEd25519},
	TypeECDSA256:  {"ECDSA", parseECDSA},
	TypeECDSA384:  {"ECDSA", parseECDSA},
	TypeECDSA521:  {"ECDSA", parseECDSA},
	TypeRSA:       {"RSA", parseRSA},
	TypeDSA:       {"DSA", parseDSA},
	TypeSKEd25519: {"ED25519-SK", parseSecurityKey},
	TypeSKECDSA:   {"ECDSA-SK", parseSecurityKey},

	TypeMLDSA44Ed25519: {"MLDSA44-ED25519", parseComposite},
}

// ParsePublic reads a public key blob. All of it must be the key, in the one
// form that Blob would give. Certificates are ErrUnknownType: ParseCertificate
// reads them, so that nobody takes one for a plain key.
func ParsePublic(blob []byte) (PublicKey, error) {
	r := wire.NewReader(blob)
	name := r.Text()
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	t, ok := keyTypes[name]
	if !ok {
		return nil, fmt.Errorf("%w %.64q", ErrUnknownType, name)
	}
	key, err := t.parse(name, r)
	if rerr := r.End(); rerr != nil {
		return nil, malformed(rerr) // and whatever came of reading on is a result of it
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Equal tells whether two keys are the same key.
func Equal(a, b PublicKey) bool { return bytes.Equal(a.Blob(), b.Blob()) }

func malformed(err error) error { return fmt.Errorf("%w: %w", ErrMalformed, err) }

func badFormat(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// signatureOf reads the name of a signature blob, which must be algorithm, and
// returns a reader of the rest.
func signatureOf(algorithm string, signature []byte) (*wire.Reader, error) {
	r := wire.NewReader(signature)
	name := r.String()
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	if string(name) != algorithm {
		return nil, fmt.Errorf("%w: %.64q in place of %s", ErrAlgorithm, name, algorithm)
	}
	return r, nil
}

func wrongAlgorithm(algorithm string, keyType string) error {
	return fmt.Errorf("%w: %.64q with a key of type %s", ErrAlgorithm, algorithm, keyType)
}

// signatureBlob is the form of all signatures but those of security keys.
func signatureBlob(algorithm string, value []byte) []byte {
	b := make([]byte, 0, 8+len(algorithm)+len(value))
	return wire.AppendString(wire.AppendText(b, algorithm), value)
}
