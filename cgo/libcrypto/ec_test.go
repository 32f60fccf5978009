package libcrypto

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var goCurves = map[string]struct {
	ecdh  ecdh.Curve
	ecdsa elliptic.Curve
	hash  string
}{
	"nistp256": {ecdh.P256(), elliptic.P256(), "sha256"},
	"nistp384": {ecdh.P384(), elliptic.P384(), "sha384"},
	"nistp521": {ecdh.P521(), elliptic.P521(), "sha512"},
}

func TestECDHAgainstGo(t *testing.T) {
	for name, c := range goCurves {
		own, err := GenerateECDH(name)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Free()
		peer, err := c.ecdh.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := own.Shared(peer.PublicKey().Bytes())
		if err != nil {
			t.Fatal(name, err)
		}
		point, err := c.ecdh.NewPublicKey(own.Public())
		if err != nil {
			t.Fatal(name, err)
		}
		if want, err := peer.ECDH(point); err != nil || !bytes.Equal(secret, want) {
			t.Fatalf("%s: %x, want %x (%v)", name, secret, want, err)
		}
	}
	if _, err := GenerateECDH("nistp224"); err == nil {
		t.Fatal("unknown curve accepted")
	}
}

// TestThreat12WycheproofECDH runs every vector with the private key given, and
// takes only uncompressed points that lie on the curve.
func TestThreat12WycheproofECDH(t *testing.T) {
	for name, c := range goCurves {
		valid, invalid := 0, 0
		for _, g := range wycheproof(t, "ecdh_"+name) {
			for _, v := range g.Tests {
				own := ecdhFromScalar(t, name, v.Private)
				secret, err := own.Shared(v.Public)
				// "acceptable" are compressed points, which SSH need not take.
				if v.Result == "valid" {
					valid++
					if err != nil || !bytes.Equal(secret, v.Shared) {
						t.Errorf("%s %d %s: %x, %v", name, v.ID, v.Comment, secret, err)
					}
				} else {
					invalid++
					if !errors.Is(err, ErrPeerValue) {
						t.Errorf("%s %d %s: accepted (%v)", name, v.ID, v.Comment, err)
					}
				}
				own.Free()
			}
		}
		if valid < 50 || invalid < 15 {
			t.Errorf("%s: %d valid and %d invalid vectors", name, valid, invalid)
		}
		_ = c
	}
}

// ecdhFromScalar makes a key pair with a given private key.
func ecdhFromScalar(t *testing.T, name string, scalar []byte) *ECDHKey {
	t.Helper()
	size := curves[name].size
	scalar = trim(scalar)
	padded := append(make([]byte, size-len(scalar)), scalar...)
	private, err := goCurves[name].ecdh.NewPrivateKey(padded)
	if err != nil {
		t.Fatal(err)
	}
	k := new(ECDHKey)
	if err := k.load(name, private.PublicKey().Bytes(), padded); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestECDSAAgainstGo(t *testing.T) {
	message := []byte("exchange hash")
	for name, c := range goCurves {
		k, err := GenerateECDSA(name)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Free()
		if k.Bits() != c.ecdsa.Params().BitSize || !k.Private() {
			t.Errorf("%s: %d bits", name, k.Bits())
		}
		r, s, err := k.Sign(c.hash, message)
		if err != nil {
			t.Fatal(err)
		}
		h := goHashes[c.hash]()
		h.Write(message)
		public, err := ecdsa.ParseUncompressedPublicKey(c.ecdsa, k.Point())
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.Verify(public, h.Sum(nil), new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)) {
			t.Errorf("%s: Go refuses our signature", name)
		}
		// Go signs with the same key, and we verify.
		private, err := ecdsa.ParseRawPrivateKey(c.ecdsa, k.Scalar())
		if err != nil {
			t.Fatal(err)
		}
		gr, gs, err := ecdsa.Sign(rand.Reader, private, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		verify, err := NewECDSAPublic(name, k.Point())
		if err != nil {
			t.Fatal(err)
		}
		defer verify.Free()
		if verify.Private() || verify.Scalar() != nil {
			t.Error("public key has a scalar")
		}
		if !verify.Verify(c.hash, message, gr.Bytes(), gs.Bytes()) {
			t.Errorf("%s: Go's signature refused", name)
		}
		if verify.Verify(c.hash, message, gs.Bytes(), gr.Bytes()) || verify.Verify("sha1", message, gr.Bytes(), gs.Bytes()) ||
			verify.Verify(c.hash, message[1:], gr.Bytes(), gs.Bytes()) || verify.Verify("none", message, gr.Bytes(), gs.Bytes()) {
			t.Errorf("%s: wrong signature accepted", name)
		}
		if _, _, err := verify.Sign(c.hash, message); err == nil {
			t.Error("signed with a public key")
		}
		// Out of the file and in again.
		again, err := NewECDSAPrivate(name, k.Point(), k.Scalar())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Free()
		r, s, err = again.Sign(c.hash, message)
		if err != nil || !verify.Verify(c.hash, message, r, s) {
			t.Errorf("%s: reloaded key: %v", name, err)
		}
		other, _ := GenerateECDSA(name)
		defer other.Free()
		if _, err := NewECDSAPrivate(name, other.Point(), k.Scalar()); err == nil {
			t.Errorf("%s: halves of two keys accepted", name)
		}
	}
}

// TestThreat12WycheproofECDSA compares the vectors whose DER is strict: DER is
// not ours, SSH carries the two numbers.
func TestThreat12WycheproofECDSA(t *testing.T) {
	for name, c := range goCurves {
		valid, invalid := 0, 0
		for _, g := range wycheproof(t, "ecdsa_"+name) {
			k, err := NewECDSAPublic(name, g.Key)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Tests {
				r, s, ok := strictPair(v.Sig)
				if !ok {
					continue
				}
				got := k.Verify(c.hash, v.Msg, r, s)
				if got != (v.Result == "valid") {
					t.Errorf("%s %d %s: %v, want %s", name, v.ID, v.Comment, got, v.Result)
				}
				if got {
					valid++
				} else {
					invalid++
				}
			}
			k.Free()
		}
		if valid < 50 || invalid < 20 {
			t.Errorf("%s: %d valid and %d invalid vectors", name, valid, invalid)
		}
	}
}

// strictPair reads the DER of two numbers that are not negative: SSH's mpint
// reader has refused others before they come here.
func strictPair(der []byte) (r, s []byte, ok bool) {
	in := cryptobyte.String(der)
	var inner cryptobyte.String
	rn, sn := new(big.Int), new(big.Int)
	ok = in.ReadASN1(&inner, asn1.SEQUENCE) && in.Empty() && inner.ReadASN1Integer(rn) &&
		inner.ReadASN1Integer(sn) && inner.Empty() && rn.Sign() >= 0 && sn.Sign() >= 0
	return rn.Bytes(), sn.Bytes(), ok
}

func TestThreat12ECPoints(t *testing.T) {
	for name, c := range goCurves {
		own, err := GenerateECDH(name)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Free()
		size := curves[name].size
		good := own.Public()
		off := bytes.Clone(good)
		off[len(off)-1] ^= 1
		p := c.ecdsa.Params().P.FillBytes(make([]byte, size))
		outside := append([]byte{4}, append(bytes.Clone(p), p...)...) // coordinates equal to p
		hybrid := bytes.Clone(good)
		hybrid[0] = 6 | good[len(good)-1]&1
		compressed := append([]byte{2 | good[len(good)-1]&1}, good[1:1+size]...)
		for what, point := range map[string][]byte{
			"nil": nil, "empty": {}, "infinity": {0}, "long infinity": make([]byte, len(good)),
			"zeros": append([]byte{4}, make([]byte, 2*size)...), "short": good[:len(good)-1],
			"long": append(bytes.Clone(good), 0), "off the curve": off, "outside the field": outside,
			"hybrid": hybrid, "compressed": compressed, "only a form byte": {4},
		} {
			if _, err := own.Shared(point); !errors.Is(err, ErrPeerValue) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if _, err := NewECDSAPublic(name, point); !errors.Is(err, ErrPeerValue) {
				t.Errorf("%s, %s as a key: %v", name, what, err)
			}
		}
		k, err := NewECDSAPublic(name, good)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Free()
		n := c.ecdsa.Params().N.Bytes()
		for _, pair := range [][2][]byte{{nil, nil}, {{}, {}}, {{0}, {0}}, {{1}, nil}, {n, n}, {{1}, n},
			{make([]byte, 500), {1}}, {bytes.Repeat([]byte{0xff}, 67), bytes.Repeat([]byte{0xff}, 67)},
			{bytes.Repeat([]byte{0xff}, 68), {1}}} {
			if k.Verify(c.hash, []byte("m"), pair[0], pair[1]) {
				t.Errorf("%s: signature %x accepted", name, pair)
			}
		}
		for _, scalar := range [][]byte{nil, {0}, n, bytes.Repeat([]byte{0xff}, size), make([]byte, 200)} {
			if _, err := NewECDSAPrivate(name, good, scalar); err == nil {
				t.Errorf("%s: scalar %x accepted", name, scalar)
			}
		}
		own.Free()
		own.Free()
		if _, err := own.Shared(good); err == nil {
			t.Error("freed key works")
		}
	}
}

func FuzzECPoint(f *testing.F) {
	own, err := GenerateECDH("nistp256")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own.Public(), []byte{1}, []byte{1})
	f.Add([]byte{4}, []byte(nil), []byte(nil))
	f.Add([]byte{0}, []byte{0}, []byte{0})
	f.Fuzz(func(t *testing.T, point, r, s []byte) {
		secret, err := own.Shared(point)
		_, goErr := ecdh.P256().NewPublicKey(point)
		if (err == nil) != (goErr == nil) || (err == nil) != (len(secret) == 32) {
			t.Fatalf("point %x: %v, Go: %v", point, err, goErr)
		}
		k, err := NewECDSAPublic("nistp256", point)
		if (err == nil) != (goErr == nil) {
			t.Fatalf("key %x: %v, Go: %v", point, err, goErr)
		}
		if err != nil {
			return
		}
		defer k.Free()
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(nil)
		want := ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
		if got := k.Verify("sha256", nil, r, s); got != want && len(r) <= 67 && len(s) <= 67 {
			t.Fatalf("%v, Go: %v", got, want)
		}
	})
}
