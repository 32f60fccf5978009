package sshkey

import (
	"strings"
	"sync"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

// ecdsaDigests gives the hash that goes with each curve (RFC 5656 section 6.2.1).
var ecdsaDigests = map[string]string{"nistp256": "sha256", "nistp384": "sha384", "nistp521": "sha512"}

// ecdsaPublic is one of ecdsa-sha2-nistp256, 384 and 521 (RFC 5656 section 3.1).
type ecdsaPublic struct {
	name, digest string
	blob         []byte
	key          *libcrypto.ECDSAKey
}

func newECDSAPublic(curve string, key *libcrypto.ECDSAKey) *ecdsaPublic {
	name := "ecdsa-sha2-" + curve
	blob := wire.AppendText(wire.AppendText(nil, name), curve)
	return &ecdsaPublic{name, ecdsaDigests[curve], wire.AppendString(blob, key.Point()), key}
}

func parseECDSA(name string, r *wire.Reader) (PublicKey, error) {
	curve := strings.TrimPrefix(name, "ecdsa-sha2-")
	key, err := readPoint(curve, r)
	if err != nil {
		return nil, err
	}
	return newECDSAPublic(curve, key), nil
}

// readPoint reads the name of the curve and a point on it.
func readPoint(curve string, r *wire.Reader) (*libcrypto.ECDSAKey, error) {
	if got := r.String(); string(got) != curve {
		return nil, badFormat("curve %.32q in a key of %s", got, curve)
	}
	key, err := libcrypto.NewECDSAPublic(curve, r.String())
	if err != nil {
		return nil, malformed(err)
	}
	return key, nil
}

func (k *ecdsaPublic) Type() string { return k.name }
func (k *ecdsaPublic) Blob() []byte { return k.blob }
func (k *ecdsaPublic) Bits() int    { return k.key.Bits() }

func (k *ecdsaPublic) Verify(algorithm string, data, signature []byte) error {
	if algorithm != k.name {
		return wrongAlgorithm(algorithm, k.name)
	}
	r, err := signatureOf(algorithm, signature)
	if err != nil {
		return err
	}
	value := r.String()
	if err := r.End(); err != nil {
		return malformed(err)
	}
	return verifyPair(k.key, k.digest, data, value)
}

// verifyPair checks the two numbers of an ECDSA signature (RFC 5656 section 3.1.2).
func verifyPair(key *libcrypto.ECDSAKey, digest string, data, value []byte) error {
	r := wire.NewReader(value)
	first, second := r.Mpint(), r.Mpint()
	if err := r.End(); err != nil {
		return malformed(err)
	}
	if !key.Verify(digest, data, first, second) {
		return ErrSignature
	}
	return nil
}

type ecdsaPrivate struct {
	mu     sync.RWMutex
	key    *libcrypto.ECDSAKey
	curve  string
	public *ecdsaPublic
}

// newECDSAPrivate checks that both halves belong together.
func newECDSAPrivate(curve string, point, scalar []byte) (*ecdsaPrivate, error) {
	if ecdsaDigests[curve] == "" {
		return nil, ErrUnknownType
	}
	if len(scalar) == 0 || len(point) == 0 {
		return nil, badFormat("EC key of which one half is missing")
	}
	private, err := libcrypto.NewECDSAPrivate(curve, point, scalar)
	if err != nil {
		return nil, malformed(err)
	}
	public, err := libcrypto.NewECDSAPublic(curve, point)
	if err != nil {
		private.Free()
		return nil, malformed(err)
	}
	return &ecdsaPrivate{key: private, curve: curve, public: newECDSAPublic(curve, public)}, nil
}

func (k *ecdsaPrivate) Public() PublicKey    { return k.public }
func (k *ecdsaPrivate) Algorithms() []string { return []string{k.public.name} }
func (k *ecdsaPrivate) String() string       { return hidden(k.public) }
func (k *ecdsaPrivate) GoString() string     { return hidden(k.public) }

func (k *ecdsaPrivate) Sign(algorithm string, data []byte) ([]byte, error) {
	if algorithm != k.public.name {
		return nil, wrongAlgorithm(algorithm, k.public.name)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	r, s, err := k.key.Sign(k.public.digest, data)
	if err != nil {
		return nil, err
	}
	return signatureBlob(algorithm, wire.AppendMpint(wire.AppendMpint(nil, r), s)), nil
}

func (k *ecdsaPrivate) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key.Free()
}

func (k *ecdsaPrivate) appendFields(b []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	scalar := k.key.Scalar()
	if scalar == nil {
		return nil, errWiped
	}
	defer sodium.Memzero(scalar)
	b = wire.AppendString(wire.AppendText(b, k.curve), k.key.Point())
	return wire.AppendMpint(b, scalar), nil
}
