package sodium

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"testing"
)

// TestX25519Vector is RFC 7748 section 5.2, the first vector, and the first
// step of the iterated test there.
func TestX25519Vector(t *testing.T) {
	var shared [32]byte
	scalar := [32]byte(unhex(t, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"))
	point := [32]byte(unhex(t, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))
	if err := X25519(&shared, &scalar, &point); err != nil ||
		hex.EncodeToString(shared[:]) != "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" {
		t.Fatalf("%x, %v", shared, err)
	}
	nine := [32]byte{9}
	if err := X25519(&shared, &nine, &nine); err != nil ||
		hex.EncodeToString(shared[:]) != "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079" {
		t.Fatalf("%x, %v", shared, err)
	}
}

func TestX25519AgainstGo(t *testing.T) {
	for range 20 {
		var scalar, public, shared [32]byte
		Random(scalar[:])
		X25519Base(&public, &scalar)
		private, err := ecdh.X25519().NewPrivateKey(scalar[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(public[:], private.PublicKey().Bytes()) {
			t.Fatal("public value")
		}
		peer, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := X25519(&shared, &scalar, (*[32]byte)(peer.PublicKey().Bytes())); err != nil {
			t.Fatal(err)
		}
		if want, err := private.ECDH(peer.PublicKey()); err != nil || !bytes.Equal(shared[:], want) {
			t.Fatal("shared secret")
		}
	}
}

func TestThreat12WycheproofX25519(t *testing.T) {
	low := 0
	for _, g := range wycheproof(t, "x25519") {
		for _, v := range g.Tests {
			var shared [32]byte
			err := X25519(&shared, (*[32]byte)(v.Private), (*[32]byte)(v.Public))
			if bytes.Equal(v.Shared, make([]byte, 32)) {
				low++
				if !errors.Is(err, ErrLowOrder) || !bytes.Equal(shared[:], v.Shared) {
					t.Errorf("%d %s: low order accepted", v.ID, v.Comment)
				}
				continue
			}
			if err != nil || !bytes.Equal(shared[:], v.Shared) {
				t.Errorf("%d %s: %x, %v", v.ID, v.Comment, shared, err)
			}
		}
	}
	if low < 7 {
		t.Errorf("%d vectors of low order", low)
	}
}

// TestThreat12LowOrder is the list of https://cr.yp.to/ecdh.html: every point
// of low order and its forms that are not reduced.
func TestThreat12LowOrder(t *testing.T) {
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		var scalar, shared [32]byte
		Random(scalar[:])
		Random(shared[:])
		if err := X25519(&shared, &scalar, (*[32]byte)(unhex(t, text))); !errors.Is(err, ErrLowOrder) {
			t.Errorf("%s: %v", text, err)
		}
		if shared != [32]byte{} {
			t.Errorf("%s: secret left behind", text)
		}
	}
}

func FuzzX25519(f *testing.F) {
	f.Add(make([]byte, 32), make([]byte, 32))
	f.Add(bytes.Repeat([]byte{0xff}, 32), bytes.Repeat([]byte{1}, 32))
	f.Fuzz(func(t *testing.T, scalar, point []byte) {
		if len(scalar) != 32 || len(point) != 32 {
			return
		}
		var shared [32]byte
		err := X25519(&shared, (*[32]byte)(scalar), (*[32]byte)(point))
		private, _ := ecdh.X25519().NewPrivateKey(scalar)
		peer, _ := ecdh.X25519().NewPublicKey(point)
		want, goErr := private.ECDH(peer)
		if (err == nil) != (goErr == nil) || err == nil && !bytes.Equal(shared[:], want) {
			t.Fatalf("%x, %v; Go: %x, %v", shared, err, want, goErr)
		}
	})
}

func BenchmarkX25519(b *testing.B) {
	var scalar, public, shared [32]byte
	Random(scalar[:])
	X25519Base(&public, &scalar)
	b.ReportAllocs()
	for b.Loop() {
		X25519(&shared, &scalar, &public)
	}
}
