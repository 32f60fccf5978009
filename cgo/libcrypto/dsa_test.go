package libcrypto

import (
	"crypto/dsa" //lint:ignore SA1019 the independent side of ssh-dss
	"crypto/rand"
	"crypto/sha1"
	"math/big"
	"testing"
)

func TestDSAAgainstGo(t *testing.T) {
	var private dsa.PrivateKey
	if err := dsa.GenerateParameters(&private.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&private, rand.Reader); err != nil {
		t.Fatal(err)
	}
	p, q, g := private.P.Bytes(), private.Q.Bytes(), private.G.Bytes()
	k, err := NewDSA(p, q, g, private.Y.Bytes(), private.X.Bytes())
	if err != nil {
		t.Skip("libcrypto without DSA:", err)
	}
	defer k.Free()
	public, err := NewDSA(p, q, g, private.Y.Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer public.Free()
	message := []byte("exchange hash")
	digest := sha1.Sum(message)
	sig, err := k.Sign(message)
	if err != nil || len(sig) != 40 {
		t.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(sig[:20]), new(big.Int).SetBytes(sig[20:])
	if !dsa.Verify(&private.PublicKey, digest[:], r, s) || !public.Verify(message, sig) {
		t.Fatal("our signature is refused")
	}
	r, s, err = dsa.Sign(rand.Reader, &private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	goSig := append(r.FillBytes(make([]byte, 20)), s.FillBytes(make([]byte, 20))...)
	if !public.Verify(message, goSig) {
		t.Fatal("Go's signature refused")
	}
	for _, wrong := range [][]byte{nil, goSig[:39], make([]byte, 40), append(goSig, 0)} {
		if public.Verify(message, wrong) {
			t.Fatalf("%x accepted", wrong)
		}
	}
	if public.Verify(message[1:], goSig) {
		t.Fatal("signature of another message accepted")
	}
	if _, err := public.Sign(message); err == nil {
		t.Fatal("signed with a public key")
	}
}

func TestThreat12DSAKeys(t *testing.T) {
	odd := make([]byte, 128)
	odd[0], odd[127] = 0x80, 1
	q := make([]byte, 20)
	q[0], q[19] = 0x80, 1
	for _, n := range [][5][]byte{{}, {{0}, {0}, {0}, {0}, {0}}, {odd, odd, odd, odd, nil}, {odd, q[:19], q, q, nil},
		{odd, q, append(odd, 1), q, nil}, {odd, q, q, append(odd, 1), nil}} {
		if _, err := NewDSA(n[0], n[1], n[2], n[3], n[4]); err == nil {
			t.Errorf("accepted %x", n)
		}
	}
	// No group at all, but the right sizes: nothing verifies.
	for _, number := range [][]byte{nil, {0}, {1}, {2}, odd} {
		k, err := NewDSA(odd, q, number, number, nil)
		if err != nil {
			continue
		}
		sig := make([]byte, 40)
		sig[19], sig[39] = 1, 1
		k.Verify(nil, sig) // anything but a crash: whoever chose the key knows its signatures
		k.Free()
	}
}
