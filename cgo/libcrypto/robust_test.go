package libcrypto

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// sealer is one packet cipher as the tests and benchmarks below see it.
type sealer struct {
	name       string
	tag        int
	head       int // clear bytes of the length that the padding leaves out: 4 or 0
	seal, open func(seq uint32, packet []byte) error
	free       func()
}

// sealers makes a pair of contexts for every packet cipher.
func sealers(t testing.TB) []sealer {
	t.Helper()
	var all []sealer
	key := [64]byte(random(64))
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}

	chacha, err := NewChaCha20Poly1305(&key)
	must(err)
	all = append(all, sealer{"chacha20-poly1305", 16, 4, chacha.Seal, chacha.Open, chacha.Free})
	for _, size := range []int{16, 32} {
		seal, err := NewGCM(key[:size], key[:12], true)
		must(err)
		open, err := NewGCM(key[:size], key[:12], false)
		must(err)
		all = append(all, sealer{"aes" + []string{"128", "256"}[size/32] + "-gcm", 16, 4,
			func(_ uint32, p []byte) error { return seal.Seal(p) },
			func(_ uint32, p []byte) error { return open.Open(p) },
			func() { seal.Free(); open.Free() }})
	}
	for _, kind := range []string{"sha256", "sha512", "sha1-96", "umac-64", "umac-128"} {
		for _, etm := range []bool{true, false} {
			seal := ctrMAC(t, key[:16], key[:16], kind, key[:32], etm)
			open := ctrMAC(t, key[:16], key[:16], kind, key[:32], etm)
			s := sealer{"aes128-ctr+" + kind, seal.TagSize(), 0, seal.Seal,
				func(seq uint32, p []byte) error { return open.Open(seq, p, 0) },
				func() { seal.Free(); open.Free() }}
			if etm {
				s.name, s.head = s.name+"-etm", 4
			}
			all = append(all, s)
		}
	}
	return all
}

// packet returns a packet whose encrypted part is n bytes.
func (s *sealer) packet(n int) []byte { return newPacket(n+s.head-4, s.tag) }

func TestPacketsAllocateNothing(t *testing.T) {
	for _, s := range sealers(t) {
		packet := s.packet(1024)
		seq := uint32(0)
		allocs := testing.AllocsPerRun(100, func() {
			if err := s.seal(seq, packet); err != nil {
				t.Fatal(s.name, err)
			}
			if err := s.open(seq, packet); err != nil {
				t.Fatal(s.name, err)
			}
			seq++
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations a packet", s.name, allocs)
		}
		s.free()
	}
	key := [64]byte(random(64))
	c, _ := NewChaCha20Poly1305(&key)
	defer c.Free()
	m, _ := NewHMAC("sha1", key[:20])
	defer m.Free()
	cbc, _ := NewCBC("aes128-cbc", key[:16], key[:16], true)
	defer cbc.Free()
	packet, tag, bad := make([]byte, 64), make([]byte, 20), make([]byte, 64)
	allocs := testing.AllocsPerRun(100, func() {
		c.Length(1, packet)
		cbc.Crypt(packet)
		m.Sum(1, packet, tag)
		m.Verify(1, packet, tag)
		c.Open(3, bad) // ErrAuth costs nothing either
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestThreat12Packets flips every bit of a short packet, cuts and extends it:
// ErrAuth each time, and a packet with a wrong tag never leaves its plaintext.
func TestThreat12Packets(t *testing.T) {
	for i := range sealers(t) {
		sealed := sealers(t)[i].packet(32)
		plain := bytes.Clone(sealed)
		seal := sealers(t)[i]
		key := sealPair(t, i)
		if err := key.seal(7, sealed); err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(sealed) {
			wrong := bytes.Clone(sealed)
			wrong[bit/8] ^= 1 << (bit % 8)
			fresh := key.again(t)
			if err := fresh.open(7, wrong); !errors.Is(err, ErrAuth) {
				t.Fatalf("%s, bit %d: %v", seal.name, bit, err)
			}
			if bytes.Contains(wrong, plain[8:32]) {
				t.Fatalf("%s, bit %d: plaintext left behind", seal.name, bit)
			}
			fresh.free()
		}
		for n := range len(sealed) + 20 {
			wrong := make([]byte, n)
			copy(wrong, sealed)
			if n == len(sealed) {
				continue
			}
			fresh := key.again(t)
			if err := fresh.open(7, wrong); !errors.Is(err, ErrAuth) {
				t.Fatalf("%s, %d bytes: %v", seal.name, n, err)
			}
			fresh.free()
		}
		fresh := key.again(t)
		if err := fresh.open(7, nil); !errors.Is(err, ErrAuth) {
			t.Fatalf("%s, nil: %v", seal.name, err)
		}
		if fresh.seal(7, nil) == nil || fresh.seal(7, make([]byte, 7)) == nil {
			t.Fatalf("%s: sealed a packet without room", seal.name)
		}
		fresh.free()
		if err := fresh.open(7, sealed); !errors.Is(err, errFreed) {
			t.Fatalf("%s: freed cipher: %v", seal.name, err)
		}
		if err := fresh.seal(7, sealed); !errors.Is(err, errFreed) {
			t.Fatalf("%s: freed cipher: %v", seal.name, err)
		}
		fresh.free()
	}
}

// pair makes contexts of one cipher with the same key again and again.
type pair struct {
	sealer
	index int
	key   [64]byte
}

func sealPair(t testing.TB, index int) pair {
	p := pair{index: index, key: [64]byte(random(64))}
	p.sealer = p.again(t)
	return p
}

func (p *pair) again(t testing.TB) sealer {
	t.Helper()
	key := p.key
	switch {
	case p.index == 0:
		c, _ := NewChaCha20Poly1305(&key)
		return sealer{"", 16, 4, c.Seal, c.Open, c.Free}
	case p.index <= 2:
		size := 16 * p.index
		seal, _ := NewGCM(key[:size], key[:12], true)
		open, _ := NewGCM(key[:size], key[:12], false)
		return sealer{"", 16, 4, func(_ uint32, b []byte) error { return seal.Seal(b) },
			func(_ uint32, b []byte) error { return open.Open(b) }, func() { seal.Free(); open.Free() }}
	}
	kind := []string{"sha256", "sha512", "sha1-96", "umac-64", "umac-128"}[(p.index-3)/2]
	etm := (p.index-3)%2 == 0
	seal := ctrMAC(t, key[:16], key[:16], kind, key[:32], etm)
	open := ctrMAC(t, key[:16], key[:16], kind, key[:32], etm)
	return sealer{"", seal.TagSize(), 0, seal.Seal, func(seq uint32, b []byte) error { return open.Open(seq, b, 0) },
		func() { seal.Free(); open.Free() }}
}

func TestThreat12Constructors(t *testing.T) {
	mac, _ := NewHMAC("sha256", nil)
	defer mac.Free()
	for _, n := range []int{0, 1, 15, 17, 31, 33, 64} {
		key := make([]byte, n)
		if _, err := NewGCM(key, make([]byte, 12), true); err == nil {
			t.Error("GCM key of", n)
		}
		if _, err := NewCTR(key, make([]byte, 16)); err == nil {
			t.Error("CTR key of", n)
		}
		if _, err := NewCTRMAC(key, make([]byte, 16), mac, true); err == nil {
			t.Error("CTR key of", n)
		}
		if _, err := NewCBC("aes256-cbc", key, make([]byte, 16), true); err == nil {
			t.Error("CBC key of", n)
		}
	}
	key := make([]byte, 16)
	for _, n := range []int{0, 8, 11, 13, 15, 17} {
		if _, err := NewGCM(key, make([]byte, n), true); err == nil {
			t.Error("GCM IV of", n)
		}
		if _, err := NewCTR(key, make([]byte, n)); err == nil {
			t.Error("CTR IV of", n)
		}
		if _, err := NewCBC("aes128-cbc", key, make([]byte, n), true); err == nil {
			t.Error("CBC IV of", n)
		}
		if _, err := NewUMAC(n, (*[16]byte)(key)); err == nil && n != 8 {
			t.Error("UMAC tag of", n)
		}
	}
	if _, err := NewCTRMAC(key, key, nil, true); err == nil {
		t.Error("no MAC")
	}
	if _, err := NewCTRMACTruncated(key, key, mac, 0, true); err == nil {
		t.Error("empty tag")
	}
	if _, err := NewCTRMACTruncated(key, key, mac, 33, true); err == nil {
		t.Error("long tag")
	}
	if _, err := NewHMAC("crc32", key); err == nil {
		t.Error("unknown MAC")
	}
	if _, err := NewCBC("rot13", key, key, true); err == nil {
		t.Error("unknown cipher")
	}
	if !errors.Is(mac.Verify(0, nil, nil), ErrAuth) || !errors.Is(mac.Verify(0, nil, make([]byte, 33)), ErrAuth) {
		t.Error("empty or long tag accepted")
	}
	if mac.Sum(0, nil, make([]byte, 33)) == nil {
		t.Error("tag longer than the MAC")
	}
	seal, _ := NewGCM(key, key[:12], true)
	defer seal.Free()
	open, _ := NewGCM(key, key[:12], false)
	defer open.Free()
	if seal.Open(make([]byte, 40)) == nil || open.Seal(make([]byte, 40)) == nil {
		t.Error("used in the wrong direction")
	}
	c, _ := NewCTRMAC(key, key, mac, true)
	defer c.Free()
	if c.OpenFirst(make([]byte, 16)) == nil || c.Open(0, make([]byte, 52), 16) == nil || c.Open(0, make([]byte, 52), 1) == nil {
		t.Error("first block with encrypt-then-MAC")
	}
}

// TestErrorText wants the library's reason, from the call that failed.
func TestErrorText(t *testing.T) {
	p256, _ := GenerateECDSA("nistp256")
	defer p256.Free()
	other, _ := GenerateECDSA("nistp256")
	defer other.Free()
	_, err := NewECDSAPrivate("nistp256", other.Point(), p256.Scalar())
	var e *Error
	if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "libcrypto: EC: ") {
		t.Errorf("%v", err)
	}
	if v := VersionText(); !strings.HasPrefix(v, "OpenSSL 3.") && !strings.HasPrefix(v, "OpenSSL 4.") {
		t.Error(v)
	}
}

// TestCleanup lets the collector take contexts that nobody freed.
func TestCleanup(t *testing.T) {
	key := [64]byte(random(64))
	for range 200 {
		NewChaCha20Poly1305(&key)
		NewGCM(key[:16], key[:12], true)
		NewCTR(key[:16], key[:16])
		NewUMAC(8, (*[16]byte)(key[:16]))
		NewHMAC("sha256", key[:])
	}
	GenerateECDH("nistp256")
	runtime.GC()
	runtime.GC()
}

func FuzzOpen(f *testing.F) {
	all := make([]pair, len(sealers(f)))
	for i := range all {
		all[i] = sealPair(f, i)
	}
	f.Add(uint8(0), uint32(0), []byte{})
	f.Add(uint8(1), uint32(1), make([]byte, 20))
	f.Add(uint8(3), uint32(0xffffffff), make([]byte, 52))
	f.Add(uint8(9), uint32(2), make([]byte, 4+32+8))
	f.Fuzz(func(t *testing.T, which uint8, seq uint32, packet []byte) {
		p := &all[int(which)%len(all)]
		s := p.again(t)
		defer s.free()
		if err := s.open(seq, packet); !errors.Is(err, ErrAuth) {
			t.Fatalf("cipher %d: %v", p.index, err)
		}
		key := p.key
		if c, err := NewChaCha20Poly1305(&key); err == nil {
			c.Length(seq, packet)
			c.Free()
		}
	})
}
