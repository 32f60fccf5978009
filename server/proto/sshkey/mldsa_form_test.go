package sshkey

import (
	"bytes"
	"encoding/pem"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/algo"
)

func TestCompositeNames(t *testing.T) {
	const certificate = "ssh-mldsa44-ed25519-cert-v01@openssh.com"
	if plain, ok := PlainType(certificate); plain != TypeMLDSA44Ed25519 || !ok {
		t.Errorf("%s %v", plain, ok)
	}
	if plain, ok := PlainType(TypeMLDSA44Ed25519); plain != TypeMLDSA44Ed25519 || ok {
		t.Errorf("%s %v", plain, ok)
	}
	if got := CertificateType(TypeMLDSA44Ed25519); got != certificate {
		t.Error(got)
	}
	for name, want := range map[string]string{
		TypeMLDSA44Ed25519: "MLDSA44-ED25519", certificate: "MLDSA44-ED25519-CERT", "ssh-mldsa44-ed25519": "unknown",
		"ssh-mldsa44-ed25519-cert-v01": "unknown", "ssh-mldsa44-ed25519@openssh.com-cert-v01@openssh.com": "unknown",
	} {
		if got := TypeName(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Every name that may stand in the configuration is one of this package's.
func TestSupported(t *testing.T) {
	for _, name := range append(append([]string{}, algo.AllHostKey...), algo.AllCASignature...) {
		plain, _ := PlainType(name)
		if want := plain != TypeMLDSA44Ed25519 || libcrypto.HaveMLDSA44(); Supported(name) != want {
			t.Errorf("%s: %v", name, Supported(name))
		}
	}
	if Supported("ssh-xmss@openssh.com") || Supported("") {
		t.Error("a type that does not exist")
	}
}

// Without ML-DSA in libcrypto the type does not exist, whatever is in files.
func TestCompositeMissing(t *testing.T) {
	if Supported(TypeMLDSA44Ed25519) {
		t.Skip("the linked libcrypto has ML-DSA-44")
	}
	if _, err := generateComposite(); !errors.Is(err, ErrUnknownType) {
		t.Error(err)
	}
	if _, _, err := ParsePrivate(compositeFile(t)); !errors.Is(err, ErrUnknownType) {
		t.Error(err)
	}
	if _, err := ParsePublic(signatureBlob(TypeMLDSA44Ed25519, make([]byte, compositePublicSize))); !errors.Is(err, ErrUnknownType) {
		t.Error(err)
	}
}

// x/crypto, which does not know the type, must at least read past it.
func TestCompositeSignatureForm(t *testing.T) {
	needMLDSA(t)
	signature, err := compositeKey(t).Sign(TypeMLDSA44Ed25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	var s ssh.Signature
	if err := ssh.Unmarshal(signature, &s); err != nil || s.Format != TypeMLDSA44Ed25519 || len(s.Blob) != 2420+64 || len(s.Rest) != 0 {
		t.Errorf("%v %s %d", err, s.Format, len(s.Blob))
	}
}

func FuzzCompositePublic(f *testing.F) {
	f.Add(make([]byte, compositePublicSize), make([]byte, compositeSignatureSize))
	if key, err := generateComposite(); err == nil {
		signature, err := key.Sign(TypeMLDSA44Ed25519, []byte("data"))
		check(err)
		f.Add(key.Public().(*compositePublic).blob[4+len(TypeMLDSA44Ed25519)+4:], signature[len(signature)-compositeSignatureSize:])
	}
	f.Fuzz(func(t *testing.T, both, value []byte) {
		blob := signatureBlob(TypeMLDSA44Ed25519, both)
		key, err := ParsePublic(blob)
		if err != nil {
			if key != nil || len(both) == compositePublicSize && Supported(TypeMLDSA44Ed25519) {
				t.Fatal(key, err)
			}
			return
		}
		if !bytes.Equal(key.Blob(), blob) {
			t.Fatal("another key")
		}
		if key.Verify(TypeMLDSA44Ed25519, []byte("other data"), signatureBlob(TypeMLDSA44Ed25519, value)) == nil {
			t.Fatal("forged")
		}
	})
}

func FuzzCompositePrivate(f *testing.F) {
	text := compositeFile(f)
	f.Add(text)
	block, _ := pem.Decode(text)
	for _, i := range []int{15, 70, 1400, 1480, 2900, len(block.Bytes) - 30, len(block.Bytes) - 1} {
		bad := bytes.Clone(block.Bytes)
		bad[i] ^= 1
		f.Add(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: bad}))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		key, _, err := ParsePrivate(text)
		if (key == nil) == (err == nil) {
			t.Fatal(key, err)
		}
		if err != nil {
			return
		}
		defer key.Wipe()
		algorithm := key.Algorithms()[0]
		signature, err := key.Sign(algorithm, []byte("data"))
		if err != nil || key.Public().Verify(algorithm, []byte("data"), signature) != nil {
			t.Fatal("the halves of a key do not belong together", err)
		}
	})
}
