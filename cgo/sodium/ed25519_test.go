package sodium

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"
)

// TestEd25519Vector is RFC 8032 section 7.1, test 2.
func TestEd25519Vector(t *testing.T) {
	var public [32]byte
	var private, sig [64]byte
	seed := [32]byte(unhex(t, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
	Ed25519Keypair(&public, &private, &seed)
	if hex.EncodeToString(public[:]) != "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c" {
		t.Fatalf("public key %x", public)
	}
	Ed25519Sign(&sig, []byte{0x72}, &private)
	if hex.EncodeToString(sig[:]) != "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"+
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" {
		t.Fatalf("signature %x", sig)
	}
	if !Ed25519Verify(&public, []byte{0x72}, sig[:]) {
		t.Fatal("right signature refused")
	}
}

func TestEd25519AgainstGo(t *testing.T) {
	for n := range 100 {
		var public, seed [32]byte
		var private, sig [64]byte
		Random(seed[:])
		Ed25519Keypair(&public, &private, &seed)
		goPrivate := ed25519.NewKeyFromSeed(seed[:])
		if !bytes.Equal(private[:], goPrivate) {
			t.Fatal("private key")
		}
		message := make([]byte, n)
		Random(message)
		Ed25519Sign(&sig, message, &private)
		if !bytes.Equal(sig[:], ed25519.Sign(goPrivate, message)) {
			t.Fatal("signature")
		}
		if !Ed25519Verify(&public, message, sig[:]) {
			t.Fatal("right signature refused")
		}
		sig[n%64] ^= 1 << (n % 8)
		if Ed25519Verify(&public, message, sig[:]) {
			t.Fatal("wrong signature accepted")
		}
	}
}

func TestThreat12WycheproofEd25519(t *testing.T) {
	n := 0
	for _, g := range wycheproof(t, "ed25519") {
		for _, v := range g.Tests {
			n++
			if got := Ed25519Verify((*[32]byte)(g.Key), v.Msg, v.Sig); got != (v.Result == "valid") {
				t.Errorf("%d %s: %v, want %s", v.ID, v.Comment, got, v.Result)
			}
		}
	}
	if n != 151 {
		t.Errorf("%d vectors", n)
	}
}

func TestThreat12Ed25519(t *testing.T) {
	var public [32]byte
	for _, n := range []int{0, 1, 63, 65, 128} {
		if Ed25519Verify(&public, nil, make([]byte, n)) {
			t.Error("signature of", n, "bytes accepted")
		}
	}
	// Small order keys and R, S = 0: such a signature would fit any message.
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		key := [32]byte(unhex(t, text))
		if Ed25519Verify(&key, []byte("any"), append(key[:], make([]byte, 32)...)) {
			t.Error("small order accepted:", text)
		}
	}
}

func FuzzEd25519Verify(f *testing.F) {
	var public, seed [32]byte
	var private, sig [64]byte
	Ed25519Keypair(&public, &private, &seed)
	Ed25519Sign(&sig, []byte("m"), &private)
	f.Add(public[:], []byte("m"), sig[:])
	f.Add(make([]byte, 32), []byte(nil), make([]byte, 64))
	f.Add(bytes.Repeat([]byte{0xff}, 32), []byte("m"), []byte{})
	f.Fuzz(func(t *testing.T, key, message, sig []byte) {
		if len(key) != 32 {
			return
		}
		// libsodium is stricter than Go with keys of small order, never laxer.
		if Ed25519Verify((*[32]byte)(key), message, sig) && !ed25519.Verify(key, message, sig) {
			t.Fatal("Go refuses it")
		}
	})
}

func BenchmarkEd25519Sign(b *testing.B) {
	var public, seed [32]byte
	var private, sig [64]byte
	Ed25519Keypair(&public, &private, &seed)
	b.ReportAllocs()
	for b.Loop() {
		Ed25519Sign(&sig, seed[:], &private)
	}
}

func BenchmarkEd25519Verify(b *testing.B) {
	var public, seed [32]byte
	var private, sig [64]byte
	Ed25519Keypair(&public, &private, &seed)
	Ed25519Sign(&sig, seed[:], &private)
	b.ReportAllocs()
	for b.Loop() {
		if !Ed25519Verify(&public, seed[:], sig[:]) {
			b.Fatal("refused")
		}
	}
}
