package sshkey

import (
	"sync"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

// Bounds of an RSA modulus in bits: less is no key, and more would let a peer
// choose what verifying a signature costs. OpenSSH has the same.
const (
	rsaMinBits = 1024
	rsaMaxBits = 16384
)

// rsaDigests gives the hash of each signature algorithm (RFC 4253 section 6.6,
// RFC 8332 section 3).
var rsaDigests = map[string]string{TypeRSA: "sha1", AlgorithmRSA256: "sha256", AlgorithmRSA512: "sha512"}

type rsaPublic struct {
	blob []byte
	key  *libcrypto.RSAKey
}

func newRSAPublic(n, e []byte) (*rsaPublic, error) {
	if bits := bitLen(n); bits < rsaMinBits || bits > rsaMaxBits {
		return nil, ErrKeyLength
	}
	key, err := libcrypto.NewRSAPublic(n, e)
	if err != nil {
		return nil, malformed(err)
	}
	blob := wire.AppendMpint(wire.AppendText(nil, TypeRSA), key.E())
	return &rsaPublic{wire.AppendMpint(blob, key.N()), key}, nil
}

func parseRSA(_ string, r *wire.Reader) (PublicKey, error) {
	e, n := r.Mpint(), r.Mpint()
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	key, err := newRSAPublic(n, e)
	if err != nil {
		return nil, err
	}
	return key, nil
}

func (k *rsaPublic) Type() string { return TypeRSA }
func (k *rsaPublic) Blob() []byte { return k.blob }
func (k *rsaPublic) Bits() int    { return k.key.Bits() }

func (k *rsaPublic) Verify(algorithm string, data, signature []byte) error {
	digest := rsaDigests[algorithm]
	if digest == "" {
		return wrongAlgorithm(algorithm, TypeRSA)
	}
	r, err := signatureOf(algorithm, signature)
	if err != nil {
		return err
	}
	value := r.String()
	if err := r.End(); err != nil {
		return malformed(err)
	}
	if !k.key.Verify(digest, data, value) {
		return ErrSignature
	}
	return nil
}

type rsaPrivate struct {
	mu     sync.RWMutex
	key    *libcrypto.RSAKey
	public *rsaPublic
}

// rsaNumbers are those of OpenSSH's key files, big-endian.
type rsaNumbers struct{ n, e, d, iqmp, p, q []byte }

// newRSAPrivate checks that the numbers belong together, by a signature: a
// damaged file would otherwise show in a client's "incorrect signature" only.
func newRSAPrivate(m *rsaNumbers) (*rsaPrivate, error) {
	public, err := newRSAPublic(m.n, m.e)
	if err != nil {
		return nil, err
	}
	private, err := libcrypto.NewRSAPrivate(m.n, m.e, m.d, m.p, m.q, m.iqmp)
	if err != nil {
		return nil, malformed(err)
	}
	k := &rsaPrivate{key: private, public: public}
	signature, err := k.Sign(AlgorithmRSA256, nil)
	if err != nil || public.Verify(AlgorithmRSA256, nil, signature) != nil {
		k.Wipe()
		return nil, badFormat("numbers of an RSA key do not belong together")
	}
	return k, nil
}

func (k *rsaPrivate) Public() PublicKey { return k.public }
func (k *rsaPrivate) String() string    { return hidden(k.public) }
func (k *rsaPrivate) GoString() string  { return hidden(k.public) }

func (k *rsaPrivate) Algorithms() []string {
	return []string{AlgorithmRSA512, AlgorithmRSA256, TypeRSA}
}

func (k *rsaPrivate) Sign(algorithm string, data []byte) ([]byte, error) {
	digest := rsaDigests[algorithm]
	if digest == "" {
		return nil, wrongAlgorithm(algorithm, TypeRSA)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	value, err := k.key.Sign(digest, data)
	if err != nil {
		return nil, err
	}
	return signatureBlob(algorithm, value), nil
}

func (k *rsaPrivate) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key.Free()
}

func (k *rsaPrivate) appendFields(b []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	d, iqmp, p, q, err := k.key.Secrets()
	if err != nil {
		return nil, err
	}
	b = wire.AppendMpint(wire.AppendMpint(b, k.key.N()), k.key.E())
	for _, number := range [][]byte{d, iqmp, p, q} {
		b = wire.AppendMpint(b, number)
		sodium.Memzero(number)
	}
	return b, nil
}
