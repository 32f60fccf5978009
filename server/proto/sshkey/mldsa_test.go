package sshkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/wire"
)

// needMLDSA skips a test where the linked libcrypto is older than 3.5.
func needMLDSA(t testing.TB) {
	t.Helper()
	if !Supported(TypeMLDSA44Ed25519) {
		t.Skip(libcrypto.VersionText() + " has no ML-DSA-44")
	}
}

func generateComposite() (PrivateKey, error) {
	var seeds [compositeSeedSize]byte
	sodium.Random(seeds[:])
	return privateOrNil(newCompositePrivate(&seeds))
}

func compositeKey(t testing.TB) PrivateKey {
	t.Helper()
	key, err := generateComposite()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(key.Wipe)
	return key
}

// compositeFile is a key file that another program made.
func compositeFile(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/mldsa44_ed25519")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type compositeVector struct {
	M, SK, S []byte
	PKSHA256 string
}

// readVector reads the draft's vector and makes its key.
func readVector(t *testing.T) (v compositeVector, key PrivateKey) {
	t.Helper()
	text, err := os.ReadFile("testdata/mldsa44_ed25519.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if key, err = newCompositePrivate((*[compositeSeedSize]byte)(v.SK)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(key.Wipe)
	return v, key
}

// The draft's vector: what is written first, what both halves sign, and how.
func TestCompositeVector(t *testing.T) {
	needMLDSA(t)
	v, key := readVector(t)
	blob := key.Public().Blob()
	both, ok := bytes.CutPrefix(blob, wire.AppendText(nil, TypeMLDSA44Ed25519))
	if !ok || len(both) != 4+1344 {
		t.Fatalf("a public key of %d bytes", len(both))
	}
	if sum := sha256.Sum256(both[4:]); hex.EncodeToString(sum[:]) != v.PKSHA256 {
		t.Error("another public key")
	}
	public, err := ParsePublic(blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := public.Verify(TypeMLDSA44Ed25519, v.M, signatureBlob(TypeMLDSA44Ed25519, v.S)); err != nil {
		t.Error(err)
	}
	if err := public.Verify(TypeMLDSA44Ed25519, v.M[1:], signatureBlob(TypeMLDSA44Ed25519, v.S)); !errors.Is(err, ErrSignature) {
		t.Errorf("of another message: %v", err)
	}
}

func TestCompositeSign(t *testing.T) {
	needMLDSA(t)
	key, other := compositeKey(t), compositeKey(t)
	public, err := ParsePublic(key.Public().Blob())
	if err != nil {
		t.Fatal(err)
	}
	if public.Type() != TypeMLDSA44Ed25519 || public.Bits() != 256 || !Equal(public, key.Public()) || Equal(public, other.Public()) {
		t.Errorf("%s %d", public.Type(), public.Bits())
	}
	for _, data := range [][]byte{nil, []byte("data"), make([]byte, 70_000)} {
		signature, err := key.Sign(TypeMLDSA44Ed25519, data)
		if err != nil || len(signature) != 4+len(TypeMLDSA44Ed25519)+4+2484 {
			t.Fatal(err, len(signature))
		}
		if err := public.Verify(TypeMLDSA44Ed25519, data, signature); err != nil {
			t.Error(err)
		}
		for _, bad := range []error{
			public.Verify(TypeMLDSA44Ed25519, append(data[:len(data):len(data)], 0), signature),
			other.Public().Verify(TypeMLDSA44Ed25519, data, signature),
		} {
			if !errors.Is(bad, ErrSignature) {
				t.Error(bad)
			}
		}
	}
}

// A signature whose one half is forged, of another message or another key's is
// none: both halves count, each on its own.
func TestCompositeHalves(t *testing.T) {
	needMLDSA(t)
	key, other := compositeKey(t), compositeKey(t)
	values := map[string][]byte{}
	for name, sign := range map[string]func() ([]byte, error){
		"good":          func() ([]byte, error) { return key.Sign(TypeMLDSA44Ed25519, []byte("data")) },
		"other message": func() ([]byte, error) { return key.Sign(TypeMLDSA44Ed25519, []byte("atad")) },
		"other key":     func() ([]byte, error) { return other.Sign(TypeMLDSA44Ed25519, []byte("data")) },
	} {
		signature, err := sign()
		if err != nil {
			t.Fatal(err)
		}
		values[name] = signature[len(signature)-compositeSignatureSize:]
	}
	verify := func(value []byte) error {
		return key.Public().Verify(TypeMLDSA44Ed25519, []byte("data"), signatureBlob(TypeMLDSA44Ed25519, value))
	}
	if err := verify(values["good"]); err != nil {
		t.Fatal(err)
	}
	const border = libcrypto.MLDSA44SignatureSize
	for _, name := range []string{"other message", "other key"} {
		if err := verify(append(bytes.Clone(values["good"][:border]), values[name][border:]...)); !errors.Is(err, ErrSignature) {
			t.Errorf("Ed25519 half of %s: %v", name, err)
		}
		if err := verify(append(bytes.Clone(values[name][:border]), values["good"][border:]...)); !errors.Is(err, ErrSignature) {
			t.Errorf("ML-DSA half of %s: %v", name, err)
		}
	}
	for _, i := range []int{0, 31, 32, 1000, border - 1, border, border + 31, border + 32, compositeSignatureSize - 1} {
		for _, bit := range []byte{1, 0x80} {
			value := bytes.Clone(values["good"])
			value[i] ^= bit
			if err := verify(value); !errors.Is(err, ErrSignature) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
	}
}

// Each half is bound to the composite: it is no signature of its own kind of key
// over the data, nor is such a one a half.
func TestCompositeSeparation(t *testing.T) {
	needMLDSA(t)
	key := compositeKey(t).(*compositePrivate)
	data := []byte("data")
	signature, err := key.Sign(TypeMLDSA44Ed25519, data)
	if err != nil {
		t.Fatal(err)
	}
	value := signature[len(signature)-compositeSignatureSize:]
	plain := newEd25519Public(&key.public.ed25519)
	if plain.Verify(TypeEd25519, data, signatureBlob(TypeEd25519, value[libcrypto.MLDSA44SignatureSize:])) == nil {
		t.Error("the Ed25519 half signs the data itself")
	}
	message, err := compositeMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := key.mldsa.Sign(nil, message)
	if err != nil {
		t.Fatal(err)
	}
	err = key.public.Verify(TypeMLDSA44Ed25519, data,
		signatureBlob(TypeMLDSA44Ed25519, append(bare, value[libcrypto.MLDSA44SignatureSize:]...)))
	if !errors.Is(err, ErrSignature) {
		t.Errorf("an ML-DSA half without the label: %v", err)
	}
}

func TestCompositeErrors(t *testing.T) {
	needMLDSA(t)
	key := compositeKey(t)
	signature, err := key.Sign(TypeMLDSA44Ed25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	value := signature[len(signature)-compositeSignatureSize:]
	for name, c := range map[string]struct {
		algorithm string
		signature []byte
		want      error
	}{
		"announced":  {TypeEd25519, signature, ErrAlgorithm},
		"named":      {TypeMLDSA44Ed25519, signatureBlob(TypeEd25519, value), ErrAlgorithm},
		"final name": {TypeMLDSA44Ed25519, signatureBlob("ssh-mldsa44-ed25519", value), ErrAlgorithm},
		"cut":        {TypeMLDSA44Ed25519, signature[:len(signature)-1], ErrMalformed},
		"longer":     {TypeMLDSA44Ed25519, append(bytes.Clone(signature), 0), ErrMalformed},
		"one less":   {TypeMLDSA44Ed25519, signatureBlob(TypeMLDSA44Ed25519, value[1:]), ErrMalformed},
		"one more":   {TypeMLDSA44Ed25519, signatureBlob(TypeMLDSA44Ed25519, append(bytes.Clone(value), 0)), ErrMalformed},
		"a half":     {TypeMLDSA44Ed25519, signatureBlob(TypeMLDSA44Ed25519, value[:libcrypto.MLDSA44SignatureSize]), ErrMalformed},
		"empty":      {TypeMLDSA44Ed25519, nil, ErrMalformed},
	} {
		if err := key.Public().Verify(c.algorithm, nil, c.signature); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := key.Sign(TypeEd25519, nil); !errors.Is(err, ErrAlgorithm) {
		t.Error(err)
	}
	both := key.Public().Blob()[4+len(TypeMLDSA44Ed25519)+4:]
	for _, bad := range [][]byte{nil, both[:len(both)-1], append(bytes.Clone(both), 0), both[:libcrypto.MLDSA44PublicSize]} {
		if k, err := ParsePublic(signatureBlob(TypeMLDSA44Ed25519, bad)); k != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("a public key of %d bytes: %v", len(bad), err)
		}
	}
	key.Wipe()
	key.Wipe()
	k := key.(*compositePrivate)
	if !bytes.Equal(k.seeds[:], make([]byte, len(k.seeds))) || !bytes.Equal(k.ed25519[:], make([]byte, len(k.ed25519))) {
		t.Error("secrets are left after Wipe")
	}
	if _, err := key.Sign(TypeMLDSA44Ed25519, nil); err == nil {
		t.Error("signs after Wipe")
	}
	if _, err := MarshalPrivate(key, ""); err == nil {
		t.Error("is written after Wipe")
	}
	if text := k.String() + k.GoString(); strings.Count(text, "private key of "+TypeMLDSA44Ed25519+" SHA256:") != 2 {
		t.Error(text)
	}
}

func TestCompositePrivateFile(t *testing.T) {
	needMLDSA(t)
	key, comment, err := ParsePrivate(compositeFile(t))
	if err != nil || comment != "user@example.com" {
		t.Fatal(comment, err)
	}
	defer key.Wipe()
	text, err := MarshalPrivate(key, comment)
	if err != nil {
		t.Fatal(err)
	}
	again, comment, err := ParsePrivate(text)
	if err != nil || comment != "user@example.com" || !Equal(again.Public(), key.Public()) {
		t.Fatal(comment, err)
	}
	defer again.Wipe()
	signature, err := again.Sign(TypeMLDSA44Ed25519, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Public().Verify(TypeMLDSA44Ed25519, []byte("data"), signature); err != nil {
		t.Error(err)
	}
	// But for the random check numbers, which are equal, the files are the same.
	ours, theirs := openBlock(t, text), openBlock(t, compositeFile(t))
	const header = len(opensshMagic) + 4 + 4 + 4 + 4 + 4 + 4 // "none" twice, no options, one key
	check := header + 4 + len(key.Public().Blob()) + 4
	copy(ours[check:check+8], theirs[check:check+8])
	if !bytes.Equal(ours, theirs) {
		t.Error("another file than the other program's")
	}
}

func openBlock(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

func TestCompositePrivateErrors(t *testing.T) {
	needMLDSA(t)
	key := compositeKey(t).(*compositePrivate)
	other := compositeKey(t).(*compositePrivate)
	both := append(bytes.Clone(key.public.mldsa[:]), key.public.ed25519[:]...)
	for name, fields := range map[string][]byte{
		"nothing":         nil,
		"no seeds":        wire.AppendString(nil, both),
		"short seeds":     wire.AppendString(wire.AppendString(nil, both), key.seeds[1:]),
		"long seeds":      wire.AppendString(wire.AppendString(nil, both), append(key.seeds[:], 0)),
		"short key":       wire.AppendString(wire.AppendString(nil, both[1:]), key.seeds[:]),
		"other seeds":     wire.AppendString(wire.AppendString(nil, both), other.seeds[:]),
		"other ML-DSA":    wire.AppendString(wire.AppendString(nil, both), append(other.seeds[:32:32], key.seeds[32:]...)),
		"other Ed25519":   wire.AppendString(wire.AppendString(nil, both), append(key.seeds[:32:32], other.seeds[32:]...)),
		"expanded secret": wire.AppendString(wire.AppendString(nil, both), append(key.seeds[:32:32], key.ed25519[:]...)),
	} {
		section := wire.AppendText(make([]byte, 8), TypeMLDSA44Ed25519)
		section = wire.AppendText(append(section, fields...), "")
		for i := byte(1); len(section)%opensshBlock != 0; i++ {
			section = append(section, i)
		}
		if k, _, err := parseSection(key.public.blob, section); k != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// compositeCertificate certifies key by ca, both of any type.
func compositeCertificate(t testing.TB, key PublicKey, ca PrivateKey) []byte {
	t.Helper()
	_, fields, _ := bytes.Cut(key.Blob(), wire.AppendText(nil, key.Type()))
	b := wire.AppendText(wire.AppendText(nil, CertificateType(key.Type())), "nonce")
	b = append(b, fields...)
	b = wire.AppendText(wire.AppendUint32(wire.AppendUint64(b, 7), uint32(UserCertificate)), "id")
	b = wire.AppendString(b, wire.AppendText(nil, "alice"))
	b = wire.AppendUint64(wire.AppendUint64(b, 0), 1<<63)
	b = wire.AppendText(wire.AppendText(wire.AppendText(b, ""), ""), "")
	b = wire.AppendString(b, ca.Public().Blob())
	signature, err := ca.Sign(ca.Algorithms()[0], b)
	if err != nil {
		t.Fatal(err)
	}
	return wire.AppendString(b, signature)
}

func TestCompositeCertificates(t *testing.T) {
	needMLDSA(t)
	key, data := compositeKey(t), []byte("data")
	ed, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, ca PrivateKey }{{key, ed}, {ed, key}, {key, compositeKey(t)}} {
		blob := compositeCertificate(t, c.key.Public(), c.ca)
		cert, err := ParseCertificate(blob)
		if err != nil {
			t.Fatal(err)
		}
		if !Equal(cert.Key, c.key.Public()) || !Equal(cert.CA, c.ca.Public()) || cert.SignatureAlgorithm != c.ca.Public().Type() {
			t.Errorf("%+v", cert)
		}
		signature, err := c.key.Sign(c.key.Algorithms()[0], data)
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.Verify(cert.Type(), data, signature); err != nil {
			t.Error(err)
		}
		again, _, err := ParseAuthorizedCertificate(MarshalAuthorized(cert, "a comment"))
		if err != nil || !Equal(again, cert) {
			t.Error(err)
		}
		blob[len(blob)-1] ^= 1
		if _, err := ParseCertificate(blob); !errors.Is(err, ErrCASignature) {
			t.Errorf("a forged certificate: %v", err)
		}
		if _, err := ParsePublic(blob); !errors.Is(err, ErrUnknownType) {
			t.Errorf("a certificate as a key: %v", err)
		}
	}
}
