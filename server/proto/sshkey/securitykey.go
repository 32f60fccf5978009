package sshkey

import (
	"bytes"
	"encoding/base64"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

// Flags of a security key's signature (OpenSSH's PROTOCOL.u2f; WebAuthn section 6.1).
const (
	FlagUserPresent  = 0x01 // somebody touched the key
	FlagUserVerified = 0x04 // PIN or fingerprint
	flagAttested     = 0x40
	flagExtensions   = 0x80
)

// SecurityKey is a public key whose private half lives in a FIDO authenticator:
// sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com.
type SecurityKey struct {
	name        string
	application string
	blob        []byte
	ed25519     [32]byte            // or
	ecdsa       *libcrypto.ECDSAKey // if not nil
}

// SecurityKeySignature is what a security key's signature says beside itself.
type SecurityKeySignature struct {
	Flags   byte   // FlagUserPresent, FlagUserVerified
	Counter uint32 // signatures that the authenticator made, if it counts them
}

func parseSecurityKey(name string, r *wire.Reader) (PublicKey, error) {
	k := &SecurityKey{name: name}
	b := wire.AppendText(nil, name)
	if name == TypeSKECDSA {
		key, err := readPoint("nistp256", r)
		if err != nil {
			return nil, err
		}
		k.ecdsa = key
		b = wire.AppendString(wire.AppendText(b, "nistp256"), key.Point())
	} else {
		point := r.String()
		if len(point) != 32 {
			return nil, badFormat("Ed25519 key of %d bytes", len(point))
		}
		copy(k.ed25519[:], point)
		b = wire.AppendString(b, point)
	}
	k.application = r.Text()
	k.blob = wire.AppendText(b, k.application)
	return k, nil
}

// Type implements PublicKey.
func (k *SecurityKey) Type() string { return k.name }

// Blob implements PublicKey.
func (k *SecurityKey) Blob() []byte { return k.blob }

// Bits implements PublicKey.
func (k *SecurityKey) Bits() int { return 256 }

// Application returns the relying party that the key was made for, "ssh:" or
// longer with OpenSSH. Escape it before it is logged.
func (k *SecurityKey) Application() string { return k.application }

// Verify implements PublicKey. A signature without a touch is ErrSignature: who
// allows that, or asks for more, uses VerifySecurityKey.
func (k *SecurityKey) Verify(algorithm string, data, signature []byte) error {
	s, err := k.VerifySecurityKey(algorithm, data, signature)
	if err == nil && s.Flags&FlagUserPresent == 0 {
		err = ErrSignature
	}
	return err
}

// VerifySecurityKey checks a signature and returns what it says; the caller
// judges the flags (THREATS row 26).
func (k *SecurityKey) VerifySecurityKey(algorithm string, data, signature []byte) (s SecurityKeySignature, err error) {
	web := algorithm == AlgorithmWebAuthn && k.ecdsa != nil
	if algorithm != k.name && !web {
		return s, wrongAlgorithm(algorithm, k.name)
	}
	r, err := signatureOf(algorithm, signature)
	if err != nil {
		return s, err
	}
	value := r.String()
	s.Flags, s.Counter = r.Byte(), r.Uint32()
	var origin, clientData, extensions []byte
	if web {
		origin, clientData, extensions = r.String(), r.String(), r.String()
	}
	if err := r.End(); err != nil {
		return SecurityKeySignature{}, malformed(err)
	}
	if web {
		if err := checkClientData(s.Flags, data, origin, clientData, extensions); err != nil {
			return SecurityKeySignature{}, err
		}
		data = clientData
	}
	signed, err := k.signedData(s, data, extensions)
	if err == nil {
		err = k.check(signed, value)
	}
	if err != nil {
		return SecurityKeySignature{}, err
	}
	return s, nil
}

// signedData is what the authenticator signs.
func (k *SecurityKey) signedData(s SecurityKeySignature, data, extensions []byte) ([]byte, error) {
	b, err := libcrypto.Digest("sha256", nil, []byte(k.application))
	if err != nil {
		return nil, err
	}
	b = wire.AppendUint32(append(b, s.Flags), s.Counter)
	return libcrypto.Digest("sha256", append(b, extensions...), data)
}

func (k *SecurityKey) check(signed, value []byte) error {
	if k.ecdsa != nil {
		return verifyPair(k.ecdsa, "sha256", signed, value)
	}
	if !sodium.Ed25519Verify(&k.ed25519, signed, value) {
		return ErrSignature
	}
	return nil
}

// checkClientData compares the JSON text that a browser made with what it must
// begin with: our data as the challenge and the origin. Whatever follows is
// signed too, and ignored, as in OpenSSH.
func checkClientData(flags byte, data, origin, clientData, extensions []byte) error {
	if bytes.IndexByte(origin, '"') >= 0 || flags&flagAttested != 0 || (flags&flagExtensions != 0) != (len(extensions) > 0) {
		return badFormat("WebAuthn signature")
	}
	want := append([]byte(`{"type":"webauthn.get","challenge":"`), base64.RawURLEncoding.EncodeToString(data)...)
	want = append(append(append(want, `","origin":"`...), origin...), '"')
	if !bytes.HasPrefix(clientData, want) {
		return ErrSignature
	}
	return nil
}
