package sntrup761

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
)

// A drbg is the generator of NIST's known answer tests: AES-256 in counter mode,
// with a new key after each request.
type drbg struct {
	block   cipher.Block
	counter [16]byte
}

func newDRBG(t *testing.T, seed []byte) *drbg {
	t.Helper()
	d := &drbg{}
	d.rekey(t, make([]byte, 32))
	d.update(t, seed)
	return d
}

func (d *drbg) rekey(t *testing.T, key []byte) {
	t.Helper()
	var err error
	if d.block, err = aes.NewCipher(key); err != nil {
		t.Fatal(err)
	}
}

// stream returns n bytes, rounded up to a block.
func (d *drbg) stream(n int) (b []byte) {
	for len(b) < n {
		for i := 15; i >= 0; i-- {
			if d.counter[i]++; d.counter[i] != 0 {
				break
			}
		}
		b = append(b, make([]byte, 16)...)
		d.block.Encrypt(b[len(b)-16:], d.counter[:])
	}
	return b
}

func (d *drbg) update(t *testing.T, data []byte) {
	next := d.stream(48)
	for i := range data {
		next[i] ^= data[i]
	}
	d.rekey(t, next[:32])
	copy(d.counter[:], next[32:])
}

func (d *drbg) read(t *testing.T, b []byte) {
	copy(b, d.stream(len(b)))
	d.update(t, nil)
}

// answers returns the answers to one seed as the submission's program prints them.
func answers(t *testing.T, count int, seed []byte) string {
	t.Helper()
	d := newDRBG(t, seed)
	random := func(b []byte) { d.read(t, b) }
	public, secretKey, err := GenerateKey(random)
	if err != nil {
		t.Fatal(err)
	}
	ciphertext, secret, err := Encapsulate(public, random)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Decapsulate(ciphertext, secretKey); err != nil || !bytes.Equal(again, secret) {
		t.Fatalf("decapsulated %x, want %x: %v", again, secret, err)
	}
	return fmt.Sprintf("count = %d\nseed = %X\npk = %X\nsk = %X\nct = %X\nss = %X\n",
		count, seed, public, secretKey, ciphertext, secret)
}

// TestKnownAnswers computes the 100 answers of the round 3 submission's program
// (the implementation of SUPERCOP 20210604, which asks for all the random numbers
// of a polynomial at once). There is no room for them here: their hashes are those
// that PQClean (META.yml, the first answer) and liboqs (kats.json, both) keep.
func TestKnownAnswers(t *testing.T) {
	entropy := make([]byte, 48)
	for i := range entropy {
		entropy[i] = byte(i)
	}
	seeds := newDRBG(t, entropy)
	all := sha256.New()
	for count := range 100 {
		if count > 0 && (testing.Short() || raceDetector) {
			return
		}
		seed := make([]byte, 48)
		seeds.read(t, seed)
		text := answers(t, count, seed)
		if count == 0 {
			compare(t, "the first answer", sha256.Sum256([]byte(text)), "afc42c3a5b10f4ef69654250097ebda9b9564570f4086744b24a6daf2bd1f89a")
		}
		if count > 0 {
			text = "\n" + text
		}
		all.Write([]byte(text))
	}
	compare(t, "all answers", [32]byte(all.Sum(nil)), "36e1e53d4e6e295e8fb804449958ad9a3719aa350e91933c65791b9117382d57")
}

func compare(t *testing.T, what string, got [32]byte, want string) {
	t.Helper()
	if got := hex.EncodeToString(got[:]); got != want {
		t.Errorf("hash of %s %s, want %s", what, got, want)
	}
}
