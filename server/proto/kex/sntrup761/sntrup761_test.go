package sntrup761

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"nano_ssh_server/cgo/sodium"
)

func keys(t testing.TB) (public, secretKey []byte) {
	t.Helper()
	public, secretKey, err := GenerateKey(sodium.Random)
	if err != nil {
		t.Fatal(err)
	}
	return public, secretKey
}

func TestSizes(t *testing.T) {
	public, secretKey := keys(t)
	ciphertext, secret, err := Encapsulate(public, sodium.Random)
	if err != nil {
		t.Fatal(err)
	}
	if len(public) != 1158 || len(secretKey) != 1763 || len(ciphertext) != 1039 || len(secret) != 32 {
		t.Errorf("%d %d %d %d bytes", len(public), len(secretKey), len(ciphertext), len(secret))
	}
	for _, bad := range [][]byte{nil, public[1:], append(bytes.Clone(public), 0)} {
		if c, s, err := Encapsulate(bad, sodium.Random); !errors.Is(err, ErrPublicKey) || c != nil || s != nil {
			t.Errorf("public key of %d bytes: %v", len(bad), err)
		}
	}
	if s, err := Decapsulate(ciphertext[1:], secretKey); !errors.Is(err, ErrCiphertext) || s != nil {
		t.Errorf("short ciphertext: %v", err)
	}
	if s, err := Decapsulate(ciphertext, secretKey[1:]); !errors.Is(err, ErrSecretKey) || s != nil {
		t.Errorf("short secret key: %v", err)
	}
}

// A ciphertext that was changed gives a secret that depends on all of it and on
// the secret key, and never the right one.
func TestImplicitRejection(t *testing.T) {
	public, secretKey := keys(t)
	ciphertext, secret, err := Encapsulate(public, sodium.Random)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{string(secret): true}
	for _, i := range []int{0, 1, 500, roundedSize - 1, roundedSize, CiphertextSize - 1} {
		changed := bytes.Clone(ciphertext)
		changed[i] ^= 1
		got, err := Decapsulate(changed, secretKey)
		if err != nil || len(got) != SharedSecretSize || seen[string(got)] {
			t.Fatalf("byte %d: %x %v", i, got, err)
		}
		seen[string(got)] = true
		again, err := Decapsulate(changed, secretKey)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("byte %d: another secret the second time", i)
		}
	}
	_, otherKey := keys(t)
	if got, err := Decapsulate(ciphertext, otherKey); err != nil || seen[string(got)] {
		t.Errorf("another's key: %x %v", got, err)
	}
}

// A ciphertext of a polynomial that is not of weight w is not genuine, though it
// decrypts to that polynomial and confirms it.
func TestWrongWeight(t *testing.T) {
	public, secretKey := keys(t)
	publicHash, err := prefixHash(hashPublic, public)
	if err != nil {
		t.Fatal(err)
	}
	for _, weight := range []int{0, 1, w - 1, w, w + 1} {
		s := new(scratch)
		for i := range weight {
			s.r[p-1-i] = int8(i%2*2 - 1)
		}
		ciphertext := make([]byte, CiphertextSize)
		if err := s.hide(ciphertext, public, publicHash); err != nil {
			t.Fatal(err)
		}
		secret, err := sessionKey(hashSessionGood, s.encoded[:], ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decapsulate(ciphertext, secretKey)
		if err != nil || bytes.Equal(got, secret) != (weight == w) {
			t.Errorf("weight %d: right secret %v, %v", weight, bytes.Equal(got, secret), err)
		}
	}
}

// Encapsulate works for any key, and as many bytes of randomness as a polynomial
// takes are all that it asks for.
func TestEncapsulateAnyKey(t *testing.T) {
	for _, b := range []byte{0, 0xff, 0x5a} {
		asked := 0
		zero := func(random []byte) { asked += len(random); clear(random) }
		key := bytes.Repeat([]byte{b}, PublicKeySize)
		ciphertext, secret, err := Encapsulate(key, zero)
		if err != nil || asked != 4*p {
			t.Fatalf("%x: %v, %d random bytes", b, err, asked)
		}
		again, same, err := Encapsulate(key, zero)
		if err != nil || !bytes.Equal(ciphertext, again) || !bytes.Equal(secret, same) {
			t.Errorf("%x: the same randomness gives another result", b)
		}
		other, different, err := Encapsulate(key, sodium.Random)
		if err != nil || bytes.Equal(ciphertext, other) || bytes.Equal(secret, different) {
			t.Errorf("%x: other randomness gives the same result", b)
		}
	}
}

func TestReduce(t *testing.T) {
	check := func(n int32) {
		for _, m := range []int32{q, 3} {
			r := int32(field{m, (1<<reduceShift + int64(m)/2) / int64(m)}.reduce(n))
			if (n-r)%m != 0 || r > m/2 || r < -(m/2) {
				t.Fatalf("%d modulo %d: %d", n, m, r)
			}
		}
		if reduceQ(n) != fieldQ.reduce(n) || reduce3(n) != field3.reduce(n) {
			t.Fatalf("%d: two ways, two results", n)
		}
	}
	for n := int32(-50_000); n <= 50_000; n++ {
		check(n)
	}
	for k := -1<<24/q - 1; k <= 1<<24/q; k++ { // where the nearest multiple changes
		for d := range int32(4) {
			check(int32(k)*q + q/2 - 1 + d)
		}
	}
	check(1 << 24)
	check(-1 << 24)
}

func TestDivide(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for m := uint32(1); m < limit; m++ {
		b := newBound(m)
		for _, n := range []uint32{0, 1, m - 1, m, m + 1, 2*m - 1, 1<<32 - 1, (1<<32-1)/m*m - 1, (1<<32 - 1) / m * m, random.Uint32()} {
			if quotient, rest := b.divide(n); quotient != n/m || rest != n%m {
				t.Fatalf("%d/%d: %d %d", n, m, quotient, rest)
			}
		}
	}
}

func TestSortNetwork(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		sortAndCompare(t, random, n)
	}
	for range 20 {
		sortAndCompare(t, random, p)
	}
	// A network that sorts all zeros and ones sorts everything (Knuth's 0-1 principle).
	for n := range 14 {
		for pattern := range 1 << n {
			x := make([]uint32, n)
			for i := range x {
				x[i] = uint32(pattern >> i & 1)
			}
			if sortNetwork(x); !slices.IsSorted(x) {
				t.Fatalf("%d of %d: %v", pattern, n, x)
			}
		}
	}
}

func sortAndCompare(t *testing.T, random *rand.Rand, n int) {
	t.Helper()
	x := make([]uint32, n)
	for i := range x {
		x[i] = random.Uint32() >> (random.Uint32() % 32)
	}
	if n > 2 {
		x[0], x[1] = 1<<32-1, 0
	}
	want := slices.Clone(x)
	slices.Sort(want)
	if sortNetwork(x); !slices.Equal(x, want) {
		t.Fatalf("%d numbers: %v", n, x)
	}
}

func TestPolynomials(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var s scratch
	for round := range 10 {
		var a, product, back ring
		var b, inverse small
		for i := range a {
			a[i], b[i] = int16(random.IntN(q)-halfQ), int8(random.IntN(3)-1)
			if round == 0 { // the largest sums
				a[i], b[i] = halfQ, 1
			} else if round == 1 {
				a[i], b[i] = -halfQ, 1
			}
		}
		s.product.multiply(&product, &a, &b)
		if want := slowProduct(&a, &b); product != want {
			t.Fatal("wrong product")
		}
		if round < 2 {
			continue
		}
		// (a b) / 3b * 3 = a
		var factor ring
		invertThrice(&factor, &b)
		if back = slowRing(&product, &factor); scaled(&back, 3) != a {
			t.Fatal("wrong inverse modulo q")
		}
		if invertSmall(&inverse, &b) {
			s.product.multiplySmall(&inverse, &inverse, &b)
			if inverse != (small{1}) {
				t.Fatal("wrong inverse modulo 3")
			}
		}
	}
	if invertSmall(new(small), new(small)) || fieldQ.invertPoly(new([p]int16), new([p]int16), 1) {
		t.Error("zero has an inverse")
	}
}

// slowProduct multiplies by the definition.
func slowProduct(a *ring, b *small) ring {
	var wide ring
	for i := range b {
		wide[i] = int16(b[i])
	}
	return slowRing(a, &wide)
}

func slowRing(a, b *ring) (out ring) {
	var sums [2*p - 1]int64
	for i := range a {
		for j := range b {
			sums[i+j] += int64(a[i]) * int64(b[j])
		}
	}
	for i := 2*p - 2; i >= p; i-- {
		sums[i-p] += sums[i]
		sums[i-p+1] += sums[i]
	}
	for i := range out {
		r := (sums[i]%q + q) % q
		if r > halfQ {
			r -= q
		}
		out[i] = int16(r)
	}
	return out
}

func scaled(a *ring, n int32) (out ring) {
	for i := range a {
		out[i] = reduceQ(n * int32(a[i]))
	}
	return out
}

func TestEncodings(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
	for range 50 {
		var a, gotA ring
		var b, gotB small
		for i := range a {
			a[i], b[i] = int16(random.IntN(q)-halfQ), int8(random.IntN(3)-1)
		}
		text := make([]byte, PublicKeySize)
		encodeRing(text, &a)
		decodeRing(&gotA, text)
		if gotA != a {
			t.Fatal("a polynomial does not survive")
		}
		roundToThree(&a)
		rounded := make([]byte, roundedSize)
		encodeRounded(rounded, &a)
		decodeRounded(&gotA, rounded)
		if gotA != a {
			t.Fatal("a rounded polynomial does not survive")
		}
		packed := make([]byte, smallSize)
		encodeSmall(packed, &b)
		decodeSmall(&gotB, packed)
		if gotB != b {
			t.Fatal("a small polynomial does not survive")
		}
		// Bytes that no polynomial has.
		fill(text)
		fill(rounded)
		decodeRing(&gotA, text)
		decodeRounded(&a, rounded)
		for i := range a {
			if gotA[i] < -halfQ || gotA[i] > halfQ || a[i] < -halfQ || a[i] > halfQ {
				t.Fatalf("coefficients %d, %d", gotA[i], a[i])
			}
		}
	}
}

func TestRandomShort(t *testing.T) {
	var s scratch
	var r small
	places := [p]int{}
	for range 200 {
		s.randomShort(&r, sodium.Random)
		weight := 0
		for i, c := range r {
			if c != 0 {
				weight++
				places[i]++
			}
		}
		if weight != w {
			t.Fatalf("weight %d", weight)
		}
	}
	for i, n := range places { // 75 expected, deviation 7
		if n < 20 || n > 150 {
			t.Errorf("place %d: %d times of 200", i, n)
		}
	}
}

func TestWipe(t *testing.T) {
	s := new(scratch)
	s.randomShort(&s.r, sodium.Random)
	s.product.multiplySmall(&s.e, &s.r, &s.r)
	if s.wipe(); *s != (scratch{}) {
		t.Error("secrets are left")
	}
}

func FuzzEncapsulate(f *testing.F) {
	public, _ := keys(f)
	f.Add(public)
	f.Add(make([]byte, PublicKeySize))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, key []byte) {
		ciphertext, secret, err := Encapsulate(key, sodium.Random)
		if (err == nil) != (len(key) == PublicKeySize) || err == nil && (len(ciphertext) != CiphertextSize || len(secret) != SharedSecretSize) {
			t.Fatalf("%d %d %v", len(ciphertext), len(secret), err)
		}
	})
}

func BenchmarkEncapsulate(b *testing.B) {
	public, _ := keys(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Encapsulate(public, sodium.Random); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecapsulate(b *testing.B) {
	public, secretKey := keys(b)
	ciphertext, _, err := Encapsulate(public, sodium.Random)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decapsulate(ciphertext, secretKey); err != nil {
			b.Fatal(err)
		}
	}
}
