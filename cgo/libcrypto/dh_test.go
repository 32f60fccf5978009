package libcrypto

import (
	"bytes"
	"errors"
	"math/big"
	"testing"
)

// TestGroups checks the primes by their definition in RFC 2409 and RFC 3526:
// safe primes with 64 ones at both ends.
func TestGroups(t *testing.T) {
	for name, bits := range map[string]int{"group1": 1024, "group14": 2048, "group15": 3072,
		"group16": 4096, "group17": 6144, "group18": 8192} {
		p, g, err := Group(name)
		if err != nil || !bytes.Equal(g, []byte{2}) {
			t.Fatal(name, err)
		}
		n := new(big.Int).SetBytes(p)
		ones := bytes.Repeat([]byte{0xff}, 8)
		if n.BitLen() != bits || !bytes.HasPrefix(p, ones) || !bytes.HasSuffix(p, ones) {
			t.Fatal(name)
		}
		if bits <= 2048 || (!testing.Short() && bits <= 4096) {
			if half := new(big.Int).Rsh(n, 1); !n.ProbablyPrime(1) || !half.ProbablyPrime(1) {
				t.Fatal(name, "is not a safe prime")
			}
		}
	}
	if _, _, err := Group("group2"); err == nil {
		t.Fatal("unknown group")
	}
}

func TestDHAgainstBig(t *testing.T) {
	for _, name := range []string{"group1", "group14", "group16"} {
		p, g, _ := Group(name)
		prime := new(big.Int).SetBytes(p)
		ours, err := NewDH(p, g, 512)
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Free()
		x := new(big.Int).SetBytes(random(64))
		public := new(big.Int).Exp(big.NewInt(2), x, prime)
		want := new(big.Int).Exp(new(big.Int).SetBytes(ours.Public()), x, prime).Bytes()
		// With and without the zero byte of an mpint.
		for _, peer := range [][]byte{public.Bytes(), append([]byte{0}, public.Bytes()...)} {
			if secret, err := ours.Shared(peer); err != nil || !bytes.Equal(secret, want) {
				t.Fatalf("%s: %x, %v", name, secret, err)
			}
		}
	}
	a, _ := NewDH([]byte(nil), nil, 0)
	if a != nil {
		t.Fatal("empty group")
	}
}

func TestDHSecretBits(t *testing.T) {
	p, g, _ := Group("group14")
	seen := map[string]bool{}
	for range 4 {
		dh, err := NewDH(p, g, 1<<30) // more than the group has: cut
		if err != nil {
			t.Fatal(err)
		}
		seen[string(dh.Public())] = true
		dh.Free()
	}
	if len(seen) != 4 {
		t.Fatal("the same key twice")
	}
}

func TestThreat12DHValues(t *testing.T) {
	p, g, _ := Group("group14")
	prime := new(big.Int).SetBytes(p)
	dh, err := NewDH(p, g, 256)
	if err != nil {
		t.Fatal(err)
	}
	defer dh.Free()
	add := func(n int64) []byte { return new(big.Int).Add(prime, big.NewInt(n)).Bytes() }
	for what, peer := range map[string][]byte{
		"nil": nil, "empty": {}, "0": {0}, "1": {1}, "long 1": append(make([]byte, 300), 1),
		"p-1": add(-1), "p": p, "p+1": add(1), "2p": new(big.Int).Lsh(prime, 1).Bytes(),
		"2": {2}, "a power of two": {1, 0, 0, 0, 0}, "long": bytes.Repeat([]byte{0xff}, 4096),
	} {
		if _, err := dh.Shared(peer); !errors.Is(err, ErrPeerValue) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := dh.Shared(add(-2)); err != nil {
		t.Error("p-2 refused:", err)
	}
	even := bytes.Clone(p)
	even[len(even)-1] = 0xfe
	for what, group := range map[string][2][]byte{
		"nil": {nil, nil}, "zero": {{0}, {2}}, "small": {{23}, {5}}, "even": {even, g}, "g 0": {p, {0}}, "g 1": {p, {1}},
		"g p-1": {p, add(-1)}, "g p": {p, p}, "huge": {bytes.Repeat([]byte{0xff}, 2049), g}, "no g": {p, nil},
		"g longer": {p, append(make([]byte, 9), p...)},
	} {
		if _, err := NewDH(group[0], group[1], 256); err == nil {
			t.Errorf("group %s: accepted", what)
		}
	}
	for _, bits := range []int{0, -1, -1 << 40} {
		if _, err := NewDH(p, g, bits); err == nil {
			t.Error("secret of", bits, "bits")
		}
	}
	dh.Free()
	dh.Free()
	if _, err := dh.Shared(add(-2)); err == nil || dh.Public() != nil {
		t.Error("freed key works")
	}
}

func FuzzDHShared(f *testing.F) {
	p, g, _ := Group("group1")
	prime := new(big.Int).SetBytes(p)
	dh, err := NewDH(p, g, 256)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add(p)
	f.Add(dh.Public())
	f.Fuzz(func(t *testing.T, peer []byte) {
		_, err := dh.Shared(peer)
		n := new(big.Int).SetBytes(peer)
		if err == nil && (n.Cmp(big.NewInt(1)) <= 0 || n.Cmp(new(big.Int).Sub(prime, big.NewInt(1))) >= 0) {
			t.Fatalf("%x accepted", peer)
		}
	})
}
