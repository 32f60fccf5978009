package user

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A verifier whose host uses SHA-512 at a cost that a test can wait for.
func testVerifier(t testing.TB) (*Verifier, *Shadow) {
	d := testDatabase(t)
	a, err := d.Lookup("alice")
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.LookupShadow(a)
	if err != nil {
		t.Fatal(err)
	}
	return NewVerifier(d), s
}

func TestVerify(t *testing.T) {
	v, alice := testVerifier(t)
	ctx := context.Background()
	check := func(want bool, password string, c Check) {
		t.Helper()
		if got, err := v.Verify(ctx, []byte(password), c); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", password, got, err, want)
		}
	}
	check(true, "correct horse", Check{Shadow: alice})
	check(false, "correct horsE", Check{Shadow: alice})
	check(false, "", Check{Shadow: alice})
	check(false, "", Check{Shadow: alice, PermitEmpty: true})
	check(false, "correct horse", Check{})
	for _, field := range []Hash{"*", "!", "!!", "x", "*LK*", "!" + alice.Hash} {
		check(false, "correct horse", Check{Shadow: &Shadow{Hash: field}})
		check(false, "", Check{Shadow: &Shadow{Hash: field}, PermitEmpty: true})
		check(false, string(field), Check{Shadow: &Shadow{Hash: field}})
	}
	check(false, "", Check{Shadow: &Shadow{}})
	check(true, "", Check{Shadow: &Shadow{}, PermitEmpty: true})
	check(false, "x", Check{Shadow: &Shadow{}, PermitEmpty: true})
	// An empty password that was really set needs the permission as well.
	empty := &Shadow{Hash: Hash(vectors[slices.IndexFunc(vectors, func(v struct{ password, hash string }) bool {
		return v.password == "" && strings.HasPrefix(v.hash, "$1$")
	})].hash)}
	check(false, "", Check{Shadow: empty})
	check(true, "", Check{Shadow: empty, PermitEmpty: true})
}

// fastest is the shortest of several runs of each check, taken by turns: what the
// work itself takes, whatever else the machine does.
func fastest(t *testing.T, v *Verifier, password []byte, checks ...Check) []time.Duration {
	t.Helper()
	best := make([]time.Duration, len(checks))
	for run := range 20 {
		for i, c := range checks {
			start := time.Now()
			if ok, err := v.Verify(context.Background(), password, c); ok || err != nil {
				t.Fatal(ok, err)
			}
			if took := time.Since(start); run == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	return best
}

func TestThreat08EqualCost(t *testing.T) {
	v, alice := testVerifier(t)
	checks := []Check{
		{Shadow: alice},
		{}, // unknown
		{Shadow: &Shadow{Hash: "!" + alice.Hash}},
		{Shadow: &Shadow{Hash: "*"}},
		{Shadow: &Shadow{}},
		{Shadow: &Shadow{Hash: "$2b$31$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"}},
	}
	var took []time.Duration
	for range 5 { // a busy machine may need another try; a difference stays
		took = fastest(t, v, []byte("a wrong guess"), checks...)
		if slices.Max(took)*2 < slices.Min(took)*3 {
			return
		}
	}
	t.Errorf("a real account, unknown, locked, without password, empty, absurd cost: %v", took)
}

func TestThreat09LongPasswords(t *testing.T) {
	v, alice := testVerifier(t)
	normal := fastest(t, v, []byte("x"), Check{Shadow: alice})[0]
	huge := make([]byte, 1<<20)
	for _, password := range [][]byte{huge, huge[:MaxPassword+1]} {
		for i, took := range fastest(t, v, password, Check{Shadow: alice}, Check{}) {
			if took > normal/10 {
				t.Errorf("%d bytes took %v (%d), one byte %v", len(password), took, i, normal)
			}
		}
	}
	limit := strings.Repeat("x", MaxPassword)
	hash := string(computeSHA(sha512.New, "$6$saltsalt$", []byte(limit)))
	if ok, err := v.Verify(context.Background(), []byte(limit), Check{Shadow: &Shadow{Hash: Hash(hash)}}); !ok || err != nil {
		t.Errorf("%d bytes: %v %v", MaxPassword, ok, err)
	}
}

func TestVerifierBounds(t *testing.T) { synctest.Test(t, testVerifierBounds) }

func testVerifierBounds(t *testing.T) {
	v, alice := testVerifier(t)
	held := make(chan struct{})
	var running sync.WaitGroup
	for range cap(v.slots) {
		running.Add(1)
		go v.Do(context.Background(), func() { running.Done(); <-held })
	}
	running.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	results := make(chan error, maxWaiting)
	for range maxWaiting {
		waiting.Go(func() {
			_, err := v.Verify(ctx, []byte("x"), Check{Shadow: alice})
			results <- err
		})
	}
	synctest.Wait() // until all of them wait
	if n := v.waiting.Load(); n != maxWaiting {
		t.Fatalf("%d wait", n)
	}
	if _, err := v.Verify(context.Background(), []byte("x"), Check{}); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the queue: %v", err)
	}
	cancel()
	waiting.Wait()
	for range maxWaiting {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("in the queue: %v", err)
		}
	}
	close(held)
	if ok, err := v.Verify(context.Background(), []byte("correct horse"), Check{Shadow: alice}); !ok || err != nil {
		t.Errorf("afterwards: %v %v", ok, err)
	}
}

func TestOneTimePassword(t *testing.T) {
	seen := make(map[string]bool)
	for range 50 {
		p, err := NewOneTimePassword()
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(format, p); strings.Contains(text, "argon2") || !strings.Contains(strings.ToLower(text), "one") {
				t.Errorf("%s prints %s", format, text)
			}
		}
		shown := string(p.Reveal())
		if p.Reveal() != nil || p.secret != nil {
			t.Error("revealed twice")
		}
		plain := strings.ReplaceAll(shown, "-", "")
		if len(plain) != 20 || strings.Trim(plain, oneTimeAlphabet) != "" || len(shown) != 23 || seen[shown] {
			t.Errorf("%q", shown)
		}
		seen[shown] = true
		for _, typed := range []string{shown, plain, strings.ToUpper(shown), " " + strings.ReplaceAll(shown, "-", " ") + " "} {
			if !p.Verify([]byte(typed)) {
				t.Errorf("%q is refused as %q", shown, typed)
			}
		}
		changed := "a" + plain[1:]
		if plain[0] == 'a' {
			changed = "b" + plain[1:]
		}
		for _, typed := range []string{"", "-", changed, plain[1:], plain + "a", "[one-time password]", shown + strings.Repeat("-", MaxPassword)} {
			if p.Verify([]byte(typed)) {
				t.Errorf("%q is taken as %q", shown, typed)
			}
		}
	}
	if len(oneTimeAlphabet) != 32 {
		t.Error("the alphabet does not have 5 bits")
	}
}

func BenchmarkYescrypt(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		verifyHash(vectors[0].hash, []byte("x"))
	}
}

func BenchmarkSHA512(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		verifyHash(vectors[4].hash, []byte("x"))
	}
}
