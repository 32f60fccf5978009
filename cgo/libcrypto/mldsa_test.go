package libcrypto

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
)

// needMLDSA skips a test where the linked libcrypto is older than 3.5.
func needMLDSA(t testing.TB) {
	t.Helper()
	if !HaveMLDSA44() {
		t.Skip(VersionText() + " has no ML-DSA-44")
	}
}

type mldsaVector struct {
	ID            int
	Result        string // valid, invalid
	Comment       string
	Msg, Sig, Ctx hexBytes
}

type mldsaGroup struct {
	Seed, Key hexBytes
	Tests     []mldsaVector
}

func mldsaVectors(t *testing.T, name string) []mldsaGroup {
	t.Helper()
	f, err := os.Open("testdata/wycheproof_" + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Groups []mldsaGroup }
	if err := json.NewDecoder(z).Decode(&all); err != nil || len(all.Groups) == 0 {
		t.Fatal(err, len(all.Groups))
	}
	return all.Groups
}

func mldsaPrivate(t testing.TB, seed byte) *MLDSA44Key {
	t.Helper()
	k, err := NewMLDSA44Private(&[MLDSA44SeedSize]byte{seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Free)
	return k
}

// What the build says of itself and what the library can must agree: a pinned
// libcrypto without ML-DSA would take the algorithm away in silence.
func TestMLDSAAvailable(t *testing.T) {
	var major, minor int
	if _, err := fmt.Sscanf(VersionText(), "OpenSSL %d.%d.", &major, &minor); err != nil {
		t.Skip("not OpenSSL: " + VersionText())
	}
	if want := major > 3 || major == 3 && minor >= 5; HaveMLDSA44() != want {
		t.Errorf("%s: ML-DSA-44 %v, want %v", VersionText(), HaveMLDSA44(), want)
	}
}

func TestMLDSAMissing(t *testing.T) {
	if HaveMLDSA44() {
		t.Skip("the linked libcrypto has ML-DSA-44")
	}
	if k, err := NewMLDSA44Private(new([MLDSA44SeedSize]byte)); k != nil || err == nil {
		t.Error("a private key of a missing algorithm")
	}
	if k, err := NewMLDSA44Public(new([MLDSA44PublicSize]byte)); k != nil || err == nil {
		t.Error("a public key of a missing algorithm")
	}
}

func TestMLDSAWycheproofKeys(t *testing.T) {
	needMLDSA(t)
	expanded := 0
	for _, g := range mldsaVectors(t, "mldsa44_seed") {
		if len(g.Seed) != MLDSA44SeedSize {
			continue // this package's types leave no room for those
		}
		k, err := NewMLDSA44Private((*[MLDSA44SeedSize]byte)(g.Seed))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.Public()[:], g.Key) {
			t.Errorf("seed %x: another public key", g.Seed)
		}
		expanded++
		k.Free()
	}
	if expanded < 5 {
		t.Errorf("%d seeds", expanded)
	}
}

func TestMLDSAWycheproofVerify(t *testing.T) {
	needMLDSA(t)
	count := map[string]int{}
	for _, g := range mldsaVectors(t, "mldsa44_verify") {
		if len(g.Key) != MLDSA44PublicSize {
			continue
		}
		k, err := NewMLDSA44Public((*[MLDSA44PublicSize]byte)(g.Key))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range g.Tests {
			if got := k.Verify(v.Ctx, v.Msg, v.Sig); got != (v.Result == "valid") {
				t.Errorf("%d %s: %v", v.ID, v.Comment, got)
			}
			count[v.Result]++
		}
		k.Free()
	}
	if count["valid"] < 20 || count["invalid"] < 30 {
		t.Errorf("too few vectors: %v", count)
	}
}

func TestMLDSASign(t *testing.T) {
	needMLDSA(t)
	k, other := mldsaPrivate(t, 1), mldsaPrivate(t, 2)
	public, err := NewMLDSA44Public(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	defer public.Free()
	var last []byte
	for _, context := range [][]byte{nil, []byte("context"), make([]byte, maxContext)} {
		for _, message := range [][]byte{nil, []byte("message"), make([]byte, 100_000)} {
			sig, err := k.Sign(context, message)
			if err != nil || len(sig) != MLDSA44SignatureSize {
				t.Fatal(err, len(sig))
			}
			if !public.Verify(context, message, sig) || !k.Verify(context, message, sig) {
				t.Error("a good signature was refused")
			}
			if public.Verify(append(context[:len(context):len(context)], 1), message, sig) ||
				public.Verify(context, append(message[:len(message):len(message)], 0), sig) ||
				other.Verify(context, message, sig) || bytes.Equal(sig, last) {
				t.Error("a bad signature was taken")
			}
			last = sig
		}
	}
	again, err := k.Sign(nil, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if once, _ := k.Sign(nil, []byte("message")); bytes.Equal(once, again) {
		t.Error("signatures are not hedged")
	}
	for _, i := range []int{0, 31, 32, 1200, MLDSA44SignatureSize - 1} {
		again[i] ^= 1
		if public.Verify(nil, []byte("message"), again) {
			t.Errorf("byte %d does not count", i)
		}
		again[i] ^= 1
	}
}

func TestMLDSAMisuse(t *testing.T) {
	needMLDSA(t)
	k := mldsaPrivate(t, 3)
	public, err := NewMLDSA44Public(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	defer public.Free()
	sig, err := k.Sign(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	long := make([]byte, maxContext+1)
	if _, err := k.Sign(long, nil); err == nil || k.Verify(long, nil, sig) {
		t.Error("a context that no length byte can tell")
	}
	for _, n := range []int{0, 1, MLDSA44SignatureSize - 1} {
		if public.Verify(nil, nil, sig[:n]) {
			t.Errorf("a signature of %d bytes", n)
		}
	}
	if public.Verify(nil, nil, append(sig[:len(sig):len(sig)], 0)) {
		t.Error("a signature with something after it")
	}
	if _, err := public.Sign(nil, nil); err == nil || public.Private() || !k.Private() {
		t.Error("a public key signs")
	}
	k.Free()
	k.Free()
	if _, err := k.Sign(nil, nil); err == nil || k.Verify(nil, nil, sig) {
		t.Error("used after Free")
	}
}

// Keys may be used by many goroutines at once.
func TestMLDSAConcurrent(t *testing.T) {
	needMLDSA(t)
	k := mldsaPrivate(t, 4)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				sig, err := k.Sign([]byte{byte(i)}, []byte("message"))
				if err != nil || !k.Verify([]byte{byte(i)}, []byte("message"), sig) {
					t.Error("concurrent use", err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzMLDSAVerify(f *testing.F) {
	needMLDSA(f)
	k := mldsaPrivate(f, 5)
	sig, err := k.Sign(nil, []byte("message"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Public()[:], []byte(nil), []byte("message"), sig)
	f.Add(make([]byte, MLDSA44PublicSize), []byte("context"), []byte(nil), make([]byte, MLDSA44SignatureSize))
	f.Add(make([]byte, MLDSA44PublicSize), make([]byte, maxContext+1), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, public, context, message, sig []byte) {
		if len(public) != MLDSA44PublicSize {
			return
		}
		key, err := NewMLDSA44Public((*[MLDSA44PublicSize]byte)(public))
		if err != nil {
			t.Fatal(err)
		}
		defer key.Free()
		if key.Verify(context, message, sig) && len(sig) != MLDSA44SignatureSize {
			t.Error("a signature of another length")
		}
	})
}

func BenchmarkMLDSASign(b *testing.B) {
	needMLDSA(b)
	k := mldsaPrivate(b, 6)
	for b.Loop() {
		if _, err := k.Sign(nil, []byte("message")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMLDSAVerify(b *testing.B) {
	needMLDSA(b)
	k := mldsaPrivate(b, 7)
	sig, err := k.Sign(nil, []byte("message"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !k.Verify(nil, []byte("message"), sig) {
			b.Fatal("refused")
		}
	}
}
