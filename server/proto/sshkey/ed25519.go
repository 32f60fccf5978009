package sshkey

import (
	"sync"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

// ed25519Public is ssh-ed25519 (RFC 8709).
type ed25519Public struct {
	point [32]byte
	blob  []byte
}

func newEd25519Public(point *[32]byte) *ed25519Public {
	return &ed25519Public{*point, wire.AppendString(wire.AppendText(nil, TypeEd25519), point[:])}
}

func parseEd25519(_ string, r *wire.Reader) (PublicKey, error) {
	point := r.String()
	if len(point) != 32 {
		return nil, badFormat("Ed25519 key of %d bytes", len(point))
	}
	return newEd25519Public((*[32]byte)(point)), nil
}

func (k *ed25519Public) Type() string { return TypeEd25519 }
func (k *ed25519Public) Blob() []byte { return k.blob }
func (k *ed25519Public) Bits() int    { return 256 }

func (k *ed25519Public) Verify(algorithm string, data, signature []byte) error {
	if algorithm != TypeEd25519 {
		return wrongAlgorithm(algorithm, TypeEd25519)
	}
	r, err := signatureOf(algorithm, signature)
	if err != nil {
		return err
	}
	value := r.String()
	if err := r.End(); err != nil {
		return malformed(err)
	}
	if !sodium.Ed25519Verify(&k.point, data, value) {
		return ErrSignature
	}
	return nil
}

// ed25519Private holds its key in Go's memory, where nothing copies it.
type ed25519Private struct {
	mu      sync.RWMutex // Wipe against Sign
	wiped   bool
	private [64]byte // seed and public key
	public  *ed25519Public
}

func newEd25519Private(seed *[32]byte) *ed25519Private {
	k := new(ed25519Private)
	var public [32]byte
	sodium.Ed25519Keypair(&public, &k.private, seed)
	k.public = newEd25519Public(&public)
	return k
}

// GenerateEd25519 makes a key.
func GenerateEd25519() (PrivateKey, error) {
	var seed [32]byte
	defer sodium.Memzero(seed[:])
	sodium.Random(seed[:])
	return newEd25519Private(&seed), nil
}

func (k *ed25519Private) Public() PublicKey    { return k.public }
func (k *ed25519Private) Algorithms() []string { return []string{TypeEd25519} }
func (k *ed25519Private) String() string       { return hidden(k.public) }
func (k *ed25519Private) GoString() string     { return hidden(k.public) }

func (k *ed25519Private) Sign(algorithm string, data []byte) ([]byte, error) {
	if algorithm != TypeEd25519 {
		return nil, wrongAlgorithm(algorithm, TypeEd25519)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.wiped {
		return nil, errWiped
	}
	var signature [64]byte
	sodium.Ed25519Sign(&signature, data, &k.private)
	return signatureBlob(algorithm, signature[:]), nil
}

func (k *ed25519Private) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wiped = true
	sodium.Memzero(k.private[:])
}

// appendFields appends the key as OpenSSH's files have it, or fails after Wipe.
func (k *ed25519Private) appendFields(b []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.wiped {
		return nil, errWiped
	}
	return wire.AppendString(wire.AppendString(b, k.public.point[:]), k.private[:]), nil
}
