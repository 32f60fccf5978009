package sshkey

import (
	"bytes"
	"sync"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

// TypeMLDSA44Ed25519 is the composite of ML-DSA-44 and Ed25519, the post-quantum
// and the classical signature together, as OpenSSH 10.4 and 10.5 have it
// (draft-miller-sshm-mldsa44-ed25519-composite-sigs-00): a forger has to break both.
const TypeMLDSA44Ed25519 = "ssh-mldsa44-ed25519@openssh.com"

// Sizes in bytes. Keys, private keys and signatures are both halves one after the
// other, the post-quantum one first; a private half is the seed of its key.
const (
	ed25519SeedSize      = 32
	ed25519PublicSize    = 32
	ed25519SignatureSize = 64

	compositePublicSize    = libcrypto.MLDSA44PublicSize + ed25519PublicSize
	compositeSeedSize      = libcrypto.MLDSA44SeedSize + ed25519SeedSize
	compositeSignatureSize = libcrypto.MLDSA44SignatureSize + ed25519SignatureSize
)

// What both halves sign begins with these (draft-ietf-lamps-pq-composite-sigs-18
// sections 3.2 and 6). The label is also ML-DSA's own context, so that its half
// is no signature of a plain ML-DSA key.
const (
	compositePrefix = "CompositeAlgorithmSignatures2025"
	compositeLabel  = "COMPSIG-MLDSA44-Ed25519-SHA512"
)

// Supported tells whether signatures of a type, or signature algorithm, of this
// package can be made and checked here: TypeMLDSA44Ed25519 takes a libcrypto that
// has ML-DSA. Keys of a type that is not supported are ErrUnknownType.
func Supported(algorithm string) bool {
	plain, _ := PlainType(algorithm)
	return TypeName(plain) != "unknown" && (plain != TypeMLDSA44Ed25519 || libcrypto.HaveMLDSA44())
}

// compositeMessage is what both halves sign in the place of data: prefix, label,
// the context with its length, which in SSH is empty, and data's hash.
func compositeMessage(data []byte) ([]byte, error) {
	const noContext = "\x00"
	return libcrypto.Digest("sha512", []byte(compositePrefix+compositeLabel+noContext), data)
}

// compositePublic is TypeMLDSA44Ed25519.
type compositePublic struct {
	mldsa   [libcrypto.MLDSA44PublicSize]byte
	ed25519 [ed25519PublicSize]byte
	blob    []byte
}

func newCompositePublic(both *[compositePublicSize]byte) *compositePublic {
	return &compositePublic{
		mldsa:   [libcrypto.MLDSA44PublicSize]byte(both[:libcrypto.MLDSA44PublicSize]),
		ed25519: [ed25519PublicSize]byte(both[libcrypto.MLDSA44PublicSize:]),
		blob:    wire.AppendString(wire.AppendText(nil, TypeMLDSA44Ed25519), both[:]),
	}
}

func parseComposite(_ string, r *wire.Reader) (PublicKey, error) {
	both := r.String()
	if !libcrypto.HaveMLDSA44() {
		return nil, ErrUnknownType
	}
	if len(both) != compositePublicSize {
		return nil, badFormat("ML-DSA-44 and Ed25519 key of %d bytes", len(both))
	}
	return newCompositePublic((*[compositePublicSize]byte)(both)), nil
}

func (k *compositePublic) Type() string { return TypeMLDSA44Ed25519 }
func (k *compositePublic) Blob() []byte { return k.blob }

// Bits is what ssh-keygen -l shows, the size of the curve.
func (k *compositePublic) Bits() int { return 256 }

func (k *compositePublic) Verify(algorithm string, data, signature []byte) error {
	if algorithm != TypeMLDSA44Ed25519 {
		return wrongAlgorithm(algorithm, TypeMLDSA44Ed25519)
	}
	r, err := signatureOf(algorithm, signature)
	if err != nil {
		return err
	}
	both := r.String()
	if err := r.End(); err != nil {
		return malformed(err)
	}
	if len(both) != compositeSignatureSize {
		return badFormat("ML-DSA-44 and Ed25519 signature of %d bytes", len(both))
	}
	message, err := compositeMessage(data)
	if err != nil {
		return err
	}
	// The key is expanded here and not by parseComposite: most keys of a file are
	// only compared.
	key, err := libcrypto.NewMLDSA44Public(&k.mldsa)
	if err != nil {
		return err
	}
	defer key.Free()
	mldsa, ed25519 := both[:libcrypto.MLDSA44SignatureSize], both[libcrypto.MLDSA44SignatureSize:]
	if !sodium.Ed25519Verify(&k.ed25519, message, ed25519) || !key.Verify([]byte(compositeLabel), message, mldsa) {
		return ErrSignature
	}
	return nil
}

// compositePrivate holds the seeds in Go's memory, where nothing copies them, and
// the expanded ML-DSA key in libcrypto's.
type compositePrivate struct {
	mu      sync.RWMutex // Wipe against Sign
	wiped   bool
	seeds   [compositeSeedSize]byte
	ed25519 [ed25519SeedSize + ed25519PublicSize]byte
	mldsa   *libcrypto.MLDSA44Key
	public  *compositePublic
}

func newCompositePrivate(seeds *[compositeSeedSize]byte) (*compositePrivate, error) {
	if !libcrypto.HaveMLDSA44() {
		return nil, ErrUnknownType
	}
	mldsa, err := libcrypto.NewMLDSA44Private((*[libcrypto.MLDSA44SeedSize]byte)(seeds[:libcrypto.MLDSA44SeedSize]))
	if err != nil {
		return nil, err
	}
	k := new(compositePrivate)
	k.mldsa, k.seeds = mldsa, *seeds
	var both [compositePublicSize]byte
	copy(both[:], mldsa.Public()[:])
	sodium.Ed25519Keypair((*[ed25519PublicSize]byte)(both[libcrypto.MLDSA44PublicSize:]), &k.ed25519,
		(*[ed25519SeedSize]byte)(seeds[libcrypto.MLDSA44SeedSize:]))
	k.public = newCompositePublic(&both)
	return k, nil
}

func (k *compositePrivate) Public() PublicKey    { return k.public }
func (k *compositePrivate) Algorithms() []string { return []string{TypeMLDSA44Ed25519} }
func (k *compositePrivate) String() string       { return hidden(k.public) }
func (k *compositePrivate) GoString() string     { return hidden(k.public) }

func (k *compositePrivate) Sign(algorithm string, data []byte) ([]byte, error) {
	if algorithm != TypeMLDSA44Ed25519 {
		return nil, wrongAlgorithm(algorithm, TypeMLDSA44Ed25519)
	}
	message, err := compositeMessage(data)
	if err != nil {
		return nil, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.wiped {
		return nil, errWiped
	}
	mldsa, err := k.mldsa.Sign([]byte(compositeLabel), message)
	if err != nil {
		return nil, err
	}
	var ed25519 [ed25519SignatureSize]byte
	sodium.Ed25519Sign(&ed25519, message, &k.ed25519)
	return signatureBlob(algorithm, append(mldsa, ed25519[:]...)), nil
}

func (k *compositePrivate) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wiped = true
	sodium.Memzero(k.seeds[:])
	sodium.Memzero(k.ed25519[:])
	k.mldsa.Free()
}

// appendFields appends the key as OpenSSH's files have it, or fails after Wipe.
func (k *compositePrivate) appendFields(b []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.wiped {
		return nil, errWiped
	}
	b = wire.AppendUint32(b, compositePublicSize)
	b = append(append(b, k.public.mldsa[:]...), k.public.ed25519[:]...)
	return wire.AppendString(b, k.seeds[:]), nil
}

// sectionComposite makes the key anew from the seeds. The public key that the
// file has beside them must be theirs: clients would refuse every signature
// otherwise, and of an Ed25519 seed under two public keys signatures tell the key.
func sectionComposite(r *wire.Reader) (PrivateKey, error) {
	both, seeds := r.String(), r.String()
	if len(both) != compositePublicSize || len(seeds) != compositeSeedSize {
		return nil, badFormat("ML-DSA-44 and Ed25519 key of %d and %d bytes", len(both), len(seeds))
	}
	k, err := newCompositePrivate((*[compositeSeedSize]byte)(seeds))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.public.mldsa[:], both[:libcrypto.MLDSA44PublicSize]) ||
		!bytes.Equal(k.public.ed25519[:], both[libcrypto.MLDSA44PublicSize:]) {
		k.Wipe()
		return nil, badFormat("the halves of the key do not belong together")
	}
	return k, nil
}
