package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"
)

var cryptoHashes = map[string]crypto.Hash{"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha512": crypto.SHA512}

// goKey returns k for Go's crypto/rsa.
func goKey(t *testing.T, k *RSAKey) *rsa.PrivateKey {
	t.Helper()
	d, iqmp, p, q, err := k.Secrets()
	if err != nil {
		t.Fatal(err)
	}
	if len(iqmp) == 0 {
		t.Fatal("no coefficient")
	}
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).SetBytes(k.N()), E: int(new(big.Int).SetBytes(k.E()).Int64())},
		D:         new(big.Int).SetBytes(d),
		Primes:    []*big.Int{new(big.Int).SetBytes(p), new(big.Int).SetBytes(q)},
	}
	private.Precompute()
	if err := private.Validate(); err != nil {
		t.Fatal(err)
	}
	return private
}

func TestRSAAgainstGo(t *testing.T) {
	k, err := GenerateRSA(2048)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Free()
	if k.Bits() != 2048 || !k.Private() {
		t.Fatal(k.Bits())
	}
	private := goKey(t, k)
	public, err := NewRSAPublic(append([]byte{0, 0}, k.N()...), k.E())
	if err != nil {
		t.Fatal(err)
	}
	defer public.Free()
	if public.Bits() != 2048 || !bytes.Equal(public.N(), k.N()) || public.Private() {
		t.Fatal("public key differs")
	}
	d, iqmp, p, q, _ := k.Secrets()
	again, err := NewRSAPrivate(k.N(), k.E(), d, p, q, iqmp)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Free()
	message := []byte("exchange hash")
	for digest, ch := range cryptoHashes {
		h := ch.New()
		h.Write(message)
		want, err := rsa.SignPKCS1v15(nil, private, ch, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []*RSAKey{k, again} {
			if sig, err := key.Sign(digest, message); err != nil || !bytes.Equal(sig, want) {
				t.Fatalf("%s: %x, %v", digest, sig, err)
			}
		}
		if !public.Verify(digest, message, want) {
			t.Fatalf("%s: right signature refused", digest)
		}
		for other := range cryptoHashes {
			if other != digest && public.Verify(other, message, want) {
				t.Fatalf("%s accepted as %s", digest, other)
			}
		}
		want[20] ^= 1
		if public.Verify(digest, message, want) {
			t.Fatal("wrong signature accepted")
		}
	}
	if _, err := public.Sign("sha256", message); err == nil {
		t.Fatal("signed with a public key")
	}
	if _, err := k.Sign("sha1024", message); err == nil {
		t.Fatal("unknown digest accepted")
	}
	other, err := GenerateRSA(1024)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Free()
	_, _, op, _, _ := other.Secrets()
	if _, err := NewRSAPrivate(k.N(), k.E(), d, op, q, iqmp); err == nil {
		t.Fatal("factors of another key accepted")
	}
}

// TestRSAShortSignature wants signatures without their leading zeros to verify:
// some clients send them as numbers.
func TestRSAShortSignature(t *testing.T) {
	k, err := GenerateRSA(1024)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Free()
	for i := 0; ; i++ {
		message := []byte{byte(i), byte(i >> 8)}
		sig, err := k.Sign("sha256", message)
		if err != nil {
			t.Fatal(err)
		}
		if sig[0] != 0 || sig[1] == 0 {
			continue
		}
		if !k.Verify("sha256", message, sig) || !k.Verify("sha256", message, sig[1:]) {
			t.Fatal("short signature refused")
		}
		if k.Verify("sha256", message, append([]byte{0}, sig...)) || k.Verify("sha256", message, sig[2:]) {
			t.Fatal("signature of a wrong length accepted")
		}
		return
	}
}

func TestThreat12WycheproofRSA(t *testing.T) {
	for _, file := range []string{"rsa_2048_sha256", "rsa_3072_sha512", "rsa_4096_sha512"} {
		digest := file[strings.LastIndexByte(file, '_')+1:]
		valid, invalid := 0, 0
		for _, g := range wycheproof(t, file) {
			k, err := NewRSAPublic(g.N, g.E)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Tests {
				got := k.Verify(digest, v.Msg, v.Sig)
				want := v.Result == "valid"
				// A signature without its leading zeros is fine with SSH.
				if len(v.Sig) < len(k.N()) && got && v.Result != "valid" {
					padded := append(make([]byte, len(k.N())-len(v.Sig)), v.Sig...)
					want = k.Verify(digest, v.Msg, padded)
				}
				if v.Result != "acceptable" && got != want {
					t.Errorf("%s %d %s: %v, want %s", file, v.ID, v.Comment, got, v.Result)
				}
				if got {
					valid++
				} else {
					invalid++
				}
			}
			k.Free()
		}
		if valid < 5 || invalid < 40 {
			t.Errorf("%s: %d valid and %d invalid vectors", file, valid, invalid)
		}
	}
}

func TestThreat12RSAKeys(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n := k.N.Bytes()
	even := bytes.Clone(n)
	even[len(even)-1] &^= 1
	for what, numbers := range map[string][2][]byte{
		"nil": {nil, nil}, "zero": {{0}, {0}}, "no exponent": {n, nil}, "exponent one": {n, {1}},
		"exponent even": {n, {1, 0, 0}}, "exponent zero": {n, make([]byte, 9)}, "modulus even": {even, {1, 0, 1}},
		"modulus short": {n[:100], {1, 0, 1}}, "modulus one": {{1}, {1, 0, 1}},
		"modulus huge": {bytes.Repeat([]byte{0xff}, 2049), {1, 0, 1}}, "exponent huge": {n, n},
		"exponent of 72 bits": {n, bytes.Repeat([]byte{0xff}, 9)},
	} {
		if _, err := NewRSAPublic(numbers[0], numbers[1]); err == nil {
			t.Errorf("%s: accepted", what)
		}
		if _, err := NewRSAPrivate(numbers[0], numbers[1], nil, nil, nil, nil); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	p, q := k.Primes[0].Bytes(), k.Primes[1].Bytes()
	for what, d := range map[string][5][]byte{
		"nothing":   {nil, nil, nil, nil},
		"one times": {k.D.Bytes(), {1}, n, {1}},
		"zero":      {{0}, {0}, {0}, {0}},
		"huge":      {bytes.Repeat([]byte{0xff}, 5000), p, q, {1}},
		"huge p":    {k.D.Bytes(), bytes.Repeat([]byte{0xff}, 5000), q, {1}},
	} {
		if _, err := NewRSAPrivate(n, []byte{1, 0, 1}, d[0], d[1], d[2], d[3]); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	// Composite moduli can be loaded (nobody can tell), but verify nothing.
	odd, err := NewRSAPublic(bytes.Repeat([]byte{0xff}, 256), []byte{3})
	if err != nil {
		t.Fatal(err)
	}
	defer odd.Free()
	for _, sig := range [][]byte{nil, {0}, {1}, n, bytes.Repeat([]byte{0xff}, 256), make([]byte, 300)} {
		if odd.Verify("sha256", nil, sig) {
			t.Errorf("signature %x accepted", sig)
		}
	}
	odd.Free()
	if odd.Verify("sha256", nil, n) {
		t.Error("freed key works")
	}
}

func FuzzRSAVerify(f *testing.F) {
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.N.Bytes(), []byte{1, 0, 1}, []byte("sig"))
	f.Add([]byte{0}, []byte{0}, []byte{0})
	f.Fuzz(func(t *testing.T, n, e, sig []byte) {
		k, err := NewRSAPublic(n, e)
		if err != nil {
			return
		}
		defer k.Free()
		if len(k.N()) > 512 {
			return // right, but slow
		}
		k.Verify("sha256", nil, sig)
	})
}
