package sodium

import (
	"bytes"
	"crypto/mlkem"
	"errors"
	"testing"
)

func TestMLKEMAgainstGo(t *testing.T) {
	for range 10 {
		var seed [MLKEM768SeedSize]byte
		var public [MLKEM768PublicSize]byte
		var ciphertext [MLKEM768CiphertextSize]byte
		var secret, again [MLKEM768SecretSize]byte
		Random(seed[:])
		if err := MLKEM768Keypair(&public, &seed); err != nil {
			t.Fatal(err)
		}
		key, err := mlkem.NewDecapsulationKey768(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(public[:], key.EncapsulationKey().Bytes()) {
			t.Fatal("encapsulation key")
		}
		if err := MLKEM768Encapsulate(&ciphertext, &secret, &public); err != nil {
			t.Fatal(err)
		}
		if want, err := key.Decapsulate(ciphertext[:]); err != nil || !bytes.Equal(want, secret[:]) {
			t.Fatal("Go decapsulates another secret", err)
		}
		want, text := key.EncapsulationKey().Encapsulate()
		if err := MLKEM768Decapsulate(&again, (*[MLKEM768CiphertextSize]byte)(text), &seed); err != nil || !bytes.Equal(want, again[:]) {
			t.Fatal("we decapsulate another secret", err)
		}
		ciphertext[0] ^= 1
		if err := MLKEM768Decapsulate(&again, &ciphertext, &seed); err != nil || again == secret {
			t.Fatal("tampered ciphertext", err)
		}
	}
}

func TestThreat12WycheproofMLKEM(t *testing.T) {
	n := 0
	for _, g := range wycheproof(t, "mlkem768") {
		for _, v := range g.Tests {
			var public [MLKEM768PublicSize]byte
			var secret [MLKEM768SecretSize]byte
			seed := (*[MLKEM768SeedSize]byte)(v.Seed)
			if err := MLKEM768Keypair(&public, seed); err != nil || !bytes.Equal(public[:], v.Ek) {
				t.Errorf("%d %s: encapsulation key, %v", v.ID, v.Comment, err)
			}
			err := MLKEM768Decapsulate(&secret, (*[MLKEM768CiphertextSize]byte)(v.C), seed)
			if err != nil || !bytes.Equal(secret[:], v.K) {
				t.Errorf("%d %s: secret, %v", v.ID, v.Comment, err)
			}
			n++
		}
	}
	if n < 20 {
		t.Errorf("%d vectors", n)
	}
}

// TestThreat12MLKEMModulus sets each of the 768 coefficients of a good key to
// the smallest and the largest value that is out of range.
func TestThreat12MLKEMModulus(t *testing.T) {
	var seed [MLKEM768SeedSize]byte
	var good [MLKEM768PublicSize]byte
	var ciphertext [MLKEM768CiphertextSize]byte
	var secret [MLKEM768SecretSize]byte
	if err := MLKEM768Keypair(&good, &seed); err != nil {
		t.Fatal(err)
	}
	set := func(i int, value uint16) *[MLKEM768PublicSize]byte {
		key := good
		b := key[i/2*3:]
		if i%2 == 0 {
			b[0], b[1] = byte(value), b[1]&0xf0|byte(value>>8)
		} else {
			b[1], b[2] = b[1]&0x0f|byte(value<<4), byte(value>>4)
		}
		return &key
	}
	for i := range 768 {
		for _, value := range []uint16{3329, 4095} {
			if err := MLKEM768Encapsulate(&ciphertext, &secret, set(i, value)); !errors.Is(err, ErrMLKEMKey) {
				t.Fatalf("coefficient %d = %d: %v", i, value, err)
			}
		}
		if i%64 == 0 {
			if err := MLKEM768Encapsulate(&ciphertext, &secret, set(i, 3328)); err != nil {
				t.Fatalf("coefficient %d = 3328: %v", i, err)
			}
		}
	}
	all := [MLKEM768PublicSize]byte(bytes.Repeat([]byte{0xff}, MLKEM768PublicSize))
	if err := MLKEM768Encapsulate(&ciphertext, &secret, &all); !errors.Is(err, ErrMLKEMKey) {
		t.Fatal(err)
	}
}

func FuzzMLKEM768Encapsulate(f *testing.F) {
	var seed [MLKEM768SeedSize]byte
	var public [MLKEM768PublicSize]byte
	MLKEM768Keypair(&public, &seed)
	f.Add(public[:])
	f.Add(make([]byte, MLKEM768PublicSize))
	f.Add(bytes.Repeat([]byte{0xff}, MLKEM768PublicSize))
	f.Fuzz(func(t *testing.T, key []byte) {
		if len(key) != MLKEM768PublicSize {
			return
		}
		var ciphertext [MLKEM768CiphertextSize]byte
		var secret [MLKEM768SecretSize]byte
		err := MLKEM768Encapsulate(&ciphertext, &secret, (*[MLKEM768PublicSize]byte)(key))
		if _, goErr := mlkem.NewEncapsulationKey768(key); (err == nil) != (goErr == nil) {
			t.Fatalf("%v, Go: %v", err, goErr)
		}
	})
}

func BenchmarkMLKEM768Encapsulate(b *testing.B) {
	var seed [MLKEM768SeedSize]byte
	var public [MLKEM768PublicSize]byte
	var ciphertext [MLKEM768CiphertextSize]byte
	var secret [MLKEM768SecretSize]byte
	MLKEM768Keypair(&public, &seed)
	b.ReportAllocs()
	for b.Loop() {
		if err := MLKEM768Encapsulate(&ciphertext, &secret, &public); err != nil {
			b.Fatal(err)
		}
	}
}
