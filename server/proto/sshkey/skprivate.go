package sshkey

import (
	"errors"
	"sync"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

// errNoAuthenticator is what signing gives before somebody gave the key a Signer.
var errNoAuthenticator = errors.New("sshkey: no way to the key's authenticator")

// SecurityKeyPrivate is the file of a key that lives in a FIDO authenticator: a handle,
// and no secret that could sign (OpenSSH's PROTOCOL.u2f). Whoever loads it sets Signer,
// which asks the authenticator, before others use the key.
type SecurityKeyPrivate struct {
	// Signer returns a signature blob of data. serialized is the key as OpenSSH's
	// ssh-sk-helper reads it.
	Signer func(serialized, data []byte) (signature []byte, err error)

	public   *SecurityKey
	mu       sync.RWMutex
	flags    byte
	handle   []byte // wiped: nil
	reserved []byte
}

func sectionSecurityKey(name string) func(r *wire.Reader) (PrivateKey, error) {
	return func(r *wire.Reader) (PrivateKey, error) {
		public, err := parseSecurityKey(name, r)
		if err != nil {
			return nil, err
		}
		// A copy: the section is wiped.
		k := &SecurityKeyPrivate{public: public.(*SecurityKey), flags: r.Byte()}
		k.handle = append([]byte{}, r.String()...)
		k.reserved = append([]byte{}, r.String()...)
		if err := r.Err(); err != nil {
			return nil, malformed(err)
		}
		return k, nil
	}
}

// Public implements PrivateKey.
func (k *SecurityKeyPrivate) Public() PublicKey { return k.public }

// String hides the handle.
func (k *SecurityKeyPrivate) String() string   { return hidden(k.public) }
func (k *SecurityKeyPrivate) GoString() string { return hidden(k.public) }

// Algorithms implements PrivateKey.
func (k *SecurityKeyPrivate) Algorithms() []string { return []string{k.public.name} }

// WithoutTouch has the authenticator sign without waiting for somebody: nobody is there
// to touch a host's key. It is called before others use the key.
func (k *SecurityKeyPrivate) WithoutTouch() { k.flags &^= FlagUserPresent }

// Sign implements PrivateKey. The signature is checked, whoever made it.
func (k *SecurityKeyPrivate) Sign(algorithm string, data []byte) ([]byte, error) {
	if algorithm != k.public.name {
		return nil, wrongAlgorithm(algorithm, k.public.name)
	}
	if k.Signer == nil {
		return nil, errNoAuthenticator
	}
	serialized, err := k.serialize()
	if err != nil {
		return nil, err
	}
	defer sodium.Memzero(serialized)
	signature, err := k.Signer(serialized, data)
	if err != nil {
		return nil, err
	}
	if _, err := k.public.VerifySecurityKey(algorithm, data, signature); err != nil {
		return nil, err
	}
	return signature, nil
}

// serialize is the key with its type in front, as in a private section.
func (k *SecurityKeyPrivate) serialize() ([]byte, error) {
	return k.appendFields(wire.AppendText(nil, k.public.name))
}

func (k *SecurityKeyPrivate) appendFields(b []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.handle == nil {
		return nil, errWiped
	}
	// The blob is the type, and then the very fields of the section.
	r := wire.NewReader(k.public.blob)
	r.String()
	b = append(append(b, r.Rest()...), k.flags)
	return wire.AppendString(wire.AppendString(b, k.handle), k.reserved), nil
}

// Wipe implements PrivateKey.
func (k *SecurityKeyPrivate) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	sodium.Memzero(k.handle)
	k.handle = nil
}
