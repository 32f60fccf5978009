package raw

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
)

// VerifyHostKey checks the server's signature over an exchange hash.
func VerifyHostKey(algorithm string, blob, hash, signature []byte) error {
	k, s := NewFields(blob), NewFields(signature)
	keyType, sigType, sig := k.Text(), s.Text(), s.Bytes()
	if s.Failed() || len(s.Rest()) != 0 || sigType != algorithm {
		return fmt.Errorf("raw: host signature is %q, agreed on %q", sigType, algorithm)
	}
	ok := false
	switch keyType {
	case "ssh-ed25519":
		public := k.Bytes()
		ok = algorithm == keyType && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, hash, sig)
	case "ecdsa-sha2-nistp256":
		if curve := k.Text(); curve != "nistp256" || algorithm != keyType {
			return errors.New("raw: malformed ecdsa host key")
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Bytes())
		if err != nil {
			return fmt.Errorf("raw: ecdsa host key: %w", err)
		}
		parts := NewFields(sig)
		r, v := new(big.Int).SetBytes(parts.Bytes()), new(big.Int).SetBytes(parts.Bytes())
		sum := sha256.Sum256(hash)
		ok = !parts.Failed() && ecdsa.Verify(public, sum[:], r, v)
	case "ssh-rsa":
		e, n := new(big.Int).SetBytes(k.Bytes()), new(big.Int).SetBytes(k.Bytes())
		h, sum, err := rsaDigest(algorithm, hash)
		if err != nil {
			return err
		}
		ok = rsa.VerifyPKCS1v15(&rsa.PublicKey{N: n, E: int(e.Int64())}, h, sum, sig) == nil
	default:
		return fmt.Errorf("raw: host key type %q is not spoken here", keyType)
	}
	if !ok || k.Failed() {
		return errors.New("raw: the host key's signature does not verify")
	}
	return nil
}

func rsaDigest(algorithm string, data []byte) (crypto.Hash, []byte, error) {
	switch algorithm {
	case "rsa-sha2-256":
		sum := sha256.Sum256(data)
		return crypto.SHA256, sum[:], nil
	case "rsa-sha2-512":
		sum := sha512.Sum512(data)
		return crypto.SHA512, sum[:], nil
	case "ssh-rsa":
		sum := sha1.Sum(data)
		return crypto.SHA1, sum[:], nil
	}
	return 0, nil, fmt.Errorf("raw: %q is no RSA signature algorithm", algorithm)
}

// Blob returns the wire form of the public part of an ed25519 or RSA key.
func Blob(key crypto.Signer) []byte {
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		return Append(nil, "ssh-ed25519", []byte(public))
	case *rsa.PublicKey:
		return Append(nil, "ssh-rsa", big.NewInt(int64(public.E)), public.N)
	}
	panic(fmt.Sprintf("raw: no wire form for %T", key))
}

// SignWith returns the wire form of a signature over data: computed as algorithm
// says, and called name in its own header (usually the same).
func SignWith(key crypto.Signer, algorithm, name string, data []byte) ([]byte, error) {
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return Append(nil, name, ed25519.Sign(key, data)), nil
	case *rsa.PrivateKey:
		h, sum, err := rsaDigest(algorithm, data)
		if err != nil {
			return nil, err
		}
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, h, sum)
		return Append(nil, name, sig), err
	}
	return nil, fmt.Errorf("raw: cannot sign with %T", key)
}

// RequestService asks for a service and waits for the answer.
func (c *Conn) RequestService(name string) error {
	if err := c.Send(Msg(ServiceRequest, name)); err != nil {
		return err
	}
	_, err := c.Expect(ServiceAccept)
	return err
}

// AuthResult is the server's answer to an authentication request.
type AuthResult struct {
	Success bool
	PKOK    bool // the key offered would do (query step)
	Partial bool
	Methods []string
	Payload []byte // the whole message
}

// AuthAnswer waits for the answer to an authentication request.
func (c *Conn) AuthAnswer() (*AuthResult, error) {
	p, err := c.Expect(UserauthSuccess, UserauthFailure, UserauthPKOK)
	if err != nil {
		return nil, err
	}
	r := &AuthResult{Success: p[0] == UserauthSuccess, PKOK: p[0] == UserauthPKOK, Payload: p}
	if p[0] == UserauthFailure {
		f := NewFields(p[1:])
		r.Methods, r.Partial = f.List(), f.Bool()
		if f.Failed() || len(f.Rest()) != 0 {
			return nil, errors.New("raw: malformed USERAUTH_FAILURE")
		}
	}
	return r, nil
}

func (c *Conn) auth(request []byte) (*AuthResult, error) {
	if err := c.Send(request); err != nil {
		return nil, err
	}
	return c.AuthAnswer()
}

// NoneRequest builds a request of the method "none".
func NoneRequest(user string) []byte {
	return Msg(UserauthRequest, user, "ssh-connection", "none")
}

// PasswordRequest builds a request of the method "password".
func PasswordRequest(user, password string) []byte {
	return Msg(UserauthRequest, user, "ssh-connection", "password", false, password)
}

// AuthNone asks with the method "none".
func (c *Conn) AuthNone(user string) (*AuthResult, error) { return c.auth(NoneRequest(user)) }

// AuthPassword asks with a password.
func (c *Conn) AuthPassword(user, password string) (*AuthResult, error) {
	return c.auth(PasswordRequest(user, password))
}

// AuthQuery asks whether a key would do, without a signature.
func (c *Conn) AuthQuery(user, algorithm string, blob []byte) (*AuthResult, error) {
	return c.auth(Msg(UserauthRequest, user, "ssh-connection", "publickey", false, algorithm, blob))
}

// KeyLogin is a signed request of the method "publickey" in every detail. Zero
// fields are filled in correctly from Key.
type KeyLogin struct {
	User      string
	Key       crypto.Signer
	Algorithm string // announced in the request; by default the key's best
	SignAs    string // how the signature is computed
	SigName   string // what the signature calls itself
	Blob      []byte // the public key sent
	SessionID []byte // what is signed over
	SignUser  string // the user name that is signed over
}

// Request builds the message.
func (l KeyLogin) Request(c *Conn) ([]byte, error) {
	if l.Algorithm == "" {
		l.Algorithm = "ssh-ed25519"
		if _, ok := l.Key.(*rsa.PrivateKey); ok {
			l.Algorithm = "rsa-sha2-512"
		}
	}
	fill := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	fill(&l.SignAs, l.Algorithm)
	fill(&l.SigName, l.SignAs)
	fill(&l.SignUser, l.User)
	if l.Blob == nil {
		l.Blob = Blob(l.Key)
	}
	if l.SessionID == nil {
		l.SessionID = c.SessionID
	}
	body := func(user string) []byte {
		return Msg(UserauthRequest, user, "ssh-connection", "publickey", true, l.Algorithm, l.Blob)
	}
	signature, err := SignWith(l.Key, l.SignAs, l.SigName, Append(nil, l.SessionID, Raw(body(l.SignUser))))
	if err != nil {
		return nil, err
	}
	return Append(body(l.User), signature), nil
}

// AuthKey logs in with a key.
func (c *Conn) AuthKey(l KeyLogin) (*AuthResult, error) {
	request, err := l.Request(c)
	if err != nil {
		return nil, err
	}
	return c.auth(request)
}

// Login runs the handshake, the service request and a key login.
func (c *Conn) Login(k *KexInit, user string, key crypto.Signer) error {
	if err := c.Handshake(k); err != nil {
		return err
	}
	if err := c.RequestService("ssh-userauth"); err != nil {
		return err
	}
	r, err := c.AuthKey(KeyLogin{User: user, Key: key})
	if err != nil {
		return err
	}
	if !r.Success {
		return fmt.Errorf("raw: login refused, methods left: %v", r.Methods)
	}
	return nil
}
