package sshkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/wire"
)

// goKeys are made by Go's own packages, one of each type.
var goKeys = sync.OnceValue(func() map[string]any {
	keys := map[string]any{}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	keys[TypeEd25519] = ed
	for name, curve := range map[string]elliptic.Curve{
		TypeECDSA256: elliptic.P256(), TypeECDSA384: elliptic.P384(), TypeECDSA521: elliptic.P521(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		check(err)
		keys[name] = key
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	keys[TypeRSA] = key
	return keys
})

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func goSigner(t testing.TB, key any) ssh.AlgorithmSigner {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.(ssh.AlgorithmSigner)
}

func algorithmsOf(keyType string) []string {
	if keyType == TypeRSA {
		return []string{AlgorithmRSA512, AlgorithmRSA256, TypeRSA}
	}
	return []string{keyType}
}

// TestVerifyGoSignatures checks signatures that golang.org/x/crypto/ssh makes.
func TestVerifyGoSignatures(t *testing.T) {
	data := []byte("data to sign")
	for name, goKey := range goKeys() {
		signer := goSigner(t, goKey)
		key, err := ParsePublic(signer.PublicKey().Marshal())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if key.Type() != name || !bytes.Equal(key.Blob(), signer.PublicKey().Marshal()) {
			t.Errorf("%s: type %s", name, key.Type())
		}
		for _, algorithm := range algorithmsOf(name) {
			for range 20 { // numbers with leading zeros want several
				s, err := signer.SignWithAlgorithm(rand.Reader, data, algorithm)
				if err != nil {
					t.Fatal(err)
				}
				signature := ssh.Marshal(s)
				if err := key.Verify(algorithm, data, signature); err != nil {
					t.Fatalf("%s: %v", algorithm, err)
				}
				if err := key.Verify(algorithm, append(data, 0), signature); !errors.Is(err, ErrSignature) {
					t.Fatalf("%s, other data: %v", algorithm, err)
				}
			}
		}
	}
}

// TestGoVerifies has golang.org/x/crypto/ssh check our signatures.
func TestGoVerifies(t *testing.T) {
	data := []byte("data to sign")
	for name, key := range privateKeys(t) {
		public, err := ssh.ParsePublicKey(key.Public().Blob())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fmt.Sprint(key.Algorithms()) != fmt.Sprint(algorithmsOf(name)) {
			t.Errorf("%s: algorithms %v", name, key.Algorithms())
		}
		for _, algorithm := range key.Algorithms() {
			for range 20 {
				signature, err := key.Sign(algorithm, data)
				if err != nil {
					t.Fatal(err)
				}
				var s ssh.Signature
				if err := ssh.Unmarshal(signature, &s); err != nil || s.Format != algorithm {
					t.Fatalf("%s: %v %s", algorithm, err, s.Format)
				}
				if err := public.Verify(data, &s); err != nil {
					t.Fatalf("%s: %v", algorithm, err)
				}
				if err := key.Public().Verify(algorithm, data, signature); err != nil {
					t.Fatalf("%s: %v", algorithm, err)
				}
			}
		}
		for _, algorithm := range []string{"", "none", "ssh-dss", name + "-cert-v01@openssh.com"} {
			if _, err := key.Sign(algorithm, data); !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%s signs with %q: %v", name, algorithm, err)
			}
		}
	}
}

// privateKeys are ours, made from Go's by the OpenSSH format.
func privateKeys(t testing.TB) map[string]PrivateKey {
	t.Helper()
	keys := map[string]PrivateKey{}
	for name, goKey := range goKeys() {
		key, comment, err := ParsePrivate(opensshFile(t, goKey, "a comment"))
		if err != nil || comment != "a comment" {
			t.Fatalf("%s: %q %v", name, comment, err)
		}
		t.Cleanup(key.Wipe)
		keys[name] = key
	}
	return keys
}

// THREATS row 27: the algorithm announced is the one that is checked.
func TestThreat27Algorithm(t *testing.T) {
	data := []byte("data")
	keys := privateKeys(t)
	names := []string{"", "ssh-dss", TypeEd25519, TypeECDSA256, TypeECDSA384, TypeECDSA521, TypeRSA, AlgorithmRSA256,
		AlgorithmRSA512, TypeSKEd25519, TypeSKECDSA, AlgorithmWebAuthn, "rsa-sha2-256-cert-v01@openssh.com"}
	for name, key := range keys {
		for _, signed := range key.Algorithms() {
			signature, err := key.Sign(signed, data)
			if err != nil {
				t.Fatal(err)
			}
			for _, announced := range names {
				err := key.Public().Verify(announced, data, signature)
				if announced == signed && err != nil || announced != signed && !errors.Is(err, ErrAlgorithm) {
					t.Errorf("key %s, signed %s, announced %s: %v", name, signed, announced, err)
				}
				// The name changed inside of the signature as well.
				_, value, _ := strings.Cut(string(signature), signed)
				renamed := append(wire.AppendText(nil, announced), value...)
				if err := key.Public().Verify(announced, data, renamed); announced != signed && err == nil {
					t.Errorf("key %s, signature of %s passes as %s", name, signed, announced)
				}
			}
			for other, otherKey := range keys {
				if other != name && otherKey.Public().Verify(signed, data, signature) == nil {
					t.Errorf("key %s verifies a signature of %s", other, name)
				}
			}
		}
	}
}

func TestBadSignatures(t *testing.T) {
	data := []byte("data")
	for name, key := range privateKeys(t) {
		algorithm := key.Algorithms()[0]
		good, err := key.Sign(algorithm, data)
		if err != nil {
			t.Fatal(err)
		}
		for n := range good {
			if err := key.Public().Verify(algorithm, data, good[:n]); err == nil {
				t.Errorf("%s: the first %d bytes pass", name, n)
			}
			changed := bytes.Clone(good)
			changed[n] ^= 0x40
			if err := key.Public().Verify(algorithm, data, changed); err == nil {
				t.Errorf("%s: byte %d changed", name, n)
			}
		}
		if err := key.Public().Verify(algorithm, data, append(good, 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a byte more: %v", name, err)
		}
	}
	pair := func(r, s []byte) []byte {
		value := wire.AppendString(wire.AppendString(nil, r), s)
		return signatureBlob(TypeECDSA256, value)
	}
	key := privateKeys(t)[TypeECDSA256].Public()
	for _, c := range [][2][]byte{
		{{}, {}}, {{0}, {0}}, {{1}, {0xff}}, {{0x80}, {1}}, {bytes.Repeat([]byte{1}, 1<<16), {1}}, {{1}, {1}}, {{0, 1}, {1}},
	} {
		if err := key.Verify(TypeECDSA256, data, pair(c[0], c[1])); err == nil {
			t.Errorf("passes: %.20x", c)
		}
	}
}

func TestParsePublicErrors(t *testing.T) {
	text := func(s ...string) (b []byte) {
		for _, s := range s {
			b = wire.AppendText(b, s)
		}
		return b
	}
	rsaBlob := func(e, n []byte) []byte { return wire.AppendMpint(wire.AppendMpint(text(TypeRSA), e), n) }
	odd := func(bits int) []byte {
		n := bytes.Repeat([]byte{0xff}, bits/8)
		return n
	}
	point := func(name, curve string, size int) []byte {
		return text(name, curve, "\x04"+strings.Repeat("\x01", 2*size))
	}
	for what, c := range map[string]struct {
		blob []byte
		want error
	}{
		"empty":             {nil, ErrMalformed},
		"short":             {[]byte{0, 0, 0, 5, 's'}, ErrMalformed},
		"huge":              {[]byte{0xff, 0xff, 0xff, 0xff, 's'}, ErrMalformed},
		"unknown":           {text("ssh-foo", "x"), ErrUnknownType},
		"dss":               {text("ssh-dss", "x"), ErrMalformed},
		"none":              {text("ssh-none", "x"), ErrUnknownType},
		"certificate":       {text("ssh-ed25519-cert-v01@openssh.com", "nonce"), ErrUnknownType},
		"algorithm":         {text(AlgorithmRSA256), ErrUnknownType},
		"ed25519 empty":     {text(TypeEd25519), ErrMalformed},
		"ed25519 short":     {text(TypeEd25519, strings.Repeat("x", 31)), ErrMalformed},
		"ed25519 long":      {text(TypeEd25519, strings.Repeat("x", 33)), ErrMalformed},
		"ed25519 trailing":  {append(text(TypeEd25519, strings.Repeat("x", 32)), 0), ErrMalformed},
		"ecdsa other curve": {point(TypeECDSA256, "nistp384", 48), ErrMalformed},
		"ecdsa off curve":   {point(TypeECDSA256, "nistp256", 32), ErrMalformed},
		"ecdsa infinity":    {text(TypeECDSA256, "nistp256", "\x00"), ErrMalformed},
		"ecdsa no point":    {text(TypeECDSA256, "nistp256"), ErrMalformed},
		"rsa 512":           {rsaBlob([]byte{1, 0, 1}, odd(512)), ErrKeyLength},
		"rsa 1016":          {rsaBlob([]byte{1, 0, 1}, odd(1016)), ErrKeyLength},
		"rsa 16392":         {rsaBlob([]byte{1, 0, 1}, odd(16392)), ErrKeyLength},
		"rsa e=0":           {rsaBlob(nil, odd(2048)), ErrMalformed},
		"rsa e=1":           {rsaBlob([]byte{1}, odd(2048)), ErrMalformed},
		"rsa e=4":           {rsaBlob([]byte{4}, odd(2048)), ErrMalformed},
		"rsa e large":       {rsaBlob(odd(2048), odd(2048)), ErrMalformed},
		"rsa even":          {rsaBlob([]byte{1, 0, 1}, append(odd(2040), 0xfe)), ErrMalformed},
		"rsa n=0":           {rsaBlob([]byte{1, 0, 1}, nil), ErrKeyLength},
		"rsa negative":      {append(text(TypeRSA), 0, 0, 0, 1, 3, 0, 0, 0, 1, 0x80), ErrMalformed},
		"rsa padded":        {append(text(TypeRSA), 0, 0, 0, 2, 0, 3, 0, 0, 0, 1, 0x70), ErrMalformed},
		"sk short":          {text(TypeSKEd25519, strings.Repeat("x", 32)), ErrMalformed},
		"sk trailing":       {text(TypeSKEd25519, strings.Repeat("x", 32), "ssh:", ""), ErrMalformed},
		"sk ecdsa point":    {text(TypeSKECDSA, "nistp256", "\x04", "ssh:"), ErrMalformed},
	} {
		if key, err := ParsePublic(c.blob); !errors.Is(err, c.want) || key != nil {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestWipe(t *testing.T) {
	for name, goKey := range goKeys() {
		key, _, err := ParsePrivate(opensshFile(t, goKey, ""))
		if err != nil {
			t.Fatal(err)
		}
		key.Wipe()
		key.Wipe()
		if _, err := key.Sign(key.Algorithms()[0], nil); err == nil {
			t.Errorf("%s signs after Wipe", name)
		}
		if _, err := MarshalPrivate(key, ""); err == nil {
			t.Errorf("%s is written after Wipe", name)
		}
	}
}

func TestPrivateKeysDoNotPrint(t *testing.T) {
	for name, key := range privateKeys(t) {
		for _, format := range []string{"%v", "%+v", "%s", "%#v"} {
			if text := fmt.Sprintf(format, key); !strings.HasPrefix(text, "private key of "+name+" SHA256:") {
				t.Errorf("%s %s: %s", name, format, text)
			}
		}
	}
}

func FuzzParsePublic(f *testing.F) {
	for _, key := range goKeys() {
		f.Add(goSigner(f, key).PublicKey().Marshal())
	}
	for _, sk := range softKeys(f) {
		f.Add(sk.public.Blob())
	}
	dsa := wire.AppendText(nil, TypeDSA)
	for _, size := range []int{128, 20, 128, 128} { // p, q, g, y
		dsa = wire.AppendMpint(dsa, bytes.Repeat([]byte{0xc5}, size))
	}
	f.Add(dsa)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, blob []byte) {
		key, err := ParsePublic(blob)
		if err != nil {
			if key != nil {
				t.Fatal("key and error")
			}
			return
		}
		if !bytes.Equal(key.Blob(), blob) || TypeName(key.Type()) == "unknown" || key.Bits() < 256 {
			t.Fatalf("%s: %x", key.Type(), blob)
		}
		if key.Verify(key.Type(), nil, blob) == nil {
			t.Fatal("a key is its own signature")
		}
	})
}

func FuzzVerify(f *testing.F) {
	data := []byte("data")
	var keys []PublicKey
	for _, goKey := range goKeys() {
		signer := goSigner(f, goKey)
		key, err := ParsePublic(signer.PublicKey().Marshal())
		check(err)
		keys = append(keys, key)
		s, err := signer.Sign(rand.Reader, data)
		check(err)
		f.Add(len(keys)-1, ssh.Marshal(s), false)
	}
	for _, sk := range softKeys(f) {
		keys = append(keys, sk.public)
		f.Add(len(keys)-1, sk.sign(data, 5, 1), true)
	}
	f.Fuzz(func(t *testing.T, which int, signature []byte, web bool) {
		key := keys[uint(which)%uint(len(keys))]
		algorithm := key.Type()
		if web && algorithm == TypeSKECDSA {
			algorithm = AlgorithmWebAuthn
		}
		if key.Verify(algorithm, []byte("other data"), signature) == nil {
			t.Fatal("forged")
		}
	})
}
