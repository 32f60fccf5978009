package sshkey

import (
	"sync"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/wire"
)

// dsaBits is the size of the modulus of every ssh-dss key (RFC 4253 section 6.6).
const dsaBits = 1024

// dsaPublic is a key of the oldest type, for peers that somebody configured: its
// algorithm is off by default.
type dsaPublic struct {
	blob []byte
	key  *libcrypto.DSAKey
}

// dsaNumbers are those of a key, big-endian; x is nil in a public one.
type dsaNumbers struct{ p, q, g, y, x []byte }

func (m *dsaNumbers) public() (*dsaPublic, error) {
	key, err := libcrypto.NewDSA(m.p, m.q, m.g, m.y, nil)
	if err != nil {
		return nil, malformed(err)
	}
	b := wire.AppendText(nil, TypeDSA)
	for _, n := range [][]byte{m.p, m.q, m.g, m.y} {
		b = wire.AppendMpint(b, n)
	}
	return &dsaPublic{b, key}, nil
}

func parseDSA(_ string, r *wire.Reader) (PublicKey, error) {
	m := &dsaNumbers{p: r.Mpint(), q: r.Mpint(), g: r.Mpint(), y: r.Mpint()}
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	key, err := m.public()
	if err != nil {
		return nil, err
	}
	return key, nil
}

func (k *dsaPublic) Type() string { return TypeDSA }
func (k *dsaPublic) Blob() []byte { return k.blob }
func (k *dsaPublic) Bits() int    { return dsaBits }

func (k *dsaPublic) Verify(algorithm string, data, signature []byte) error {
	if algorithm != TypeDSA {
		return wrongAlgorithm(algorithm, TypeDSA)
	}
	r, err := signatureOf(algorithm, signature)
	if err != nil {
		return err
	}
	value := r.String()
	if err := r.End(); err != nil {
		return malformed(err)
	}
	if !k.key.Verify(data, value) {
		return ErrSignature
	}
	return nil
}

type dsaPrivate struct {
	mu     sync.RWMutex
	key    *libcrypto.DSAKey
	public *dsaPublic
}

// newDSAPrivate checks that the numbers belong together, by a signature.
func newDSAPrivate(m *dsaNumbers) (*dsaPrivate, error) {
	public, err := m.public()
	if err != nil {
		return nil, err
	}
	key, err := libcrypto.NewDSA(m.p, m.q, m.g, m.y, m.x)
	if err != nil {
		return nil, malformed(err)
	}
	k := &dsaPrivate{key: key, public: public}
	signature, err := k.Sign(TypeDSA, nil)
	if err != nil || public.Verify(TypeDSA, nil, signature) != nil {
		k.Wipe()
		return nil, badFormat("numbers of a DSA key do not belong together")
	}
	return k, nil
}

func (k *dsaPrivate) Public() PublicKey    { return k.public }
func (k *dsaPrivate) String() string       { return hidden(k.public) }
func (k *dsaPrivate) GoString() string     { return hidden(k.public) }
func (k *dsaPrivate) Algorithms() []string { return []string{TypeDSA} }

func (k *dsaPrivate) Sign(algorithm string, data []byte) ([]byte, error) {
	if algorithm != TypeDSA {
		return nil, wrongAlgorithm(algorithm, TypeDSA)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	value, err := k.key.Sign(data)
	if err != nil {
		return nil, err
	}
	return signatureBlob(TypeDSA, value), nil
}

func (k *dsaPrivate) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key.Free()
}

func sectionDSA(r *wire.Reader) (PrivateKey, error) {
	m := &dsaNumbers{}
	for _, number := range []*[]byte{&m.p, &m.q, &m.g, &m.y, &m.x} {
		*number = r.Mpint()
	}
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	return privateOrNil(newDSAPrivate(m))
}

// parseDSAPEM reads the sequence that OpenSSL writes under "DSA PRIVATE KEY".
func parseDSAPEM(data []byte) (PrivateKey, error) {
	outer := derReader{rest: data}
	r := outer.sequence()
	version := r.integer()
	m := &dsaNumbers{p: r.integer(), q: r.integer(), g: r.integer(), y: r.integer(), x: r.integer()}
	if !outer.end() || !r.end() || len(version) != 0 {
		return nil, badFormat("DSA key")
	}
	return privateOrNil(newDSAPrivate(m))
}
