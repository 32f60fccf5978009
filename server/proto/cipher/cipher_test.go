package cipher

import (
	"bytes"
	"crypto/aes"
	gocipher "crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20"
	//lint:ignore SA1019 an independent Poly1305 is what this test wants
	"golang.org/x/crypto/poly1305"

	"nano_ssh_server/server/proto/algo"
)

// suite is one combination of cipher and MAC; mac is empty for an AEAD.
type suite struct{ cipher, mac string }

func suites() (all []suite) {
	for _, c := range algo.AllCiphers {
		if sizes, _ := algo.CipherInfo(c); sizes.AEAD {
			all = append(all, suite{c, ""})
			continue
		}
		for _, m := range algo.AllMACs {
			all = append(all, suite{c, m})
		}
	}
	return all
}

func (s suite) String() string { return s.cipher + "/" + s.mac }

type keys struct{ key, iv, mac []byte }

func testRandom(seed uint64) *rand.ChaCha8 {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	return rand.NewChaCha8(b)
}

func (s suite) keys(seed uint64) keys {
	key, iv, mac := KeyLengths(s.cipher, s.mac)
	k := keys{make([]byte, key), make([]byte, iv), make([]byte, mac)}
	r := testRandom(seed)
	r.Read(k.key)
	r.Read(k.iv)
	r.Read(k.mac)
	return k
}

func (s suite) pair(t testing.TB, k keys) (seal, open Cipher) {
	t.Helper()
	seal, err := New(Seal, s.cipher, s.mac, k.key, k.iv, k.mac)
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	open, err = New(Open, s.cipher, s.mac, k.key, k.iv, k.mac)
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	t.Cleanup(func() { seal.Free(); open.Free(); open.Free() })
	return seal, open
}

// layout returns a packet of about size bytes of body, ready for Seal.
func layout(c Cipher, size int, r *rand.ChaCha8) []byte {
	covered := size
	if !c.LengthClear() {
		covered += 4
	}
	if over := covered % c.BlockSize(); over != 0 {
		size += c.BlockSize() - over
	}
	packet := make([]byte, 4+size+c.TagSize())
	r.Read(packet[4 : 4+size])
	binary.BigEndian.PutUint32(packet, uint32(size))
	return packet
}

// receive does what the transport does with a whole packet at hand.
func receive(c Cipher, seq uint32, packet []byte) error {
	length, err := c.Length(seq, packet[:c.FirstBytes()])
	if err != nil {
		return err
	}
	if int(length) != len(packet)-4-c.TagSize() {
		return fmt.Errorf("length %d of a packet of %d bytes", length, len(packet))
	}
	return c.Open(seq, packet)
}

func TestRoundTrip(t *testing.T) {
	for i, s := range suites() {
		seal, open := s.pair(t, s.keys(uint64(i)))
		r := testRandom(99)
		seq := uint32(0xfffffff8) // wraps around on the way
		for _, size := range []int{5, 12, 16, 28, 300, 1021, 32 << 10, 35000, 9, 8, 16} {
			packet := layout(seal, size, r)
			want := bytes.Clone(packet)
			if err := seal.Seal(seq, packet); err != nil {
				t.Fatalf("%v: %v", s, err)
			}
			body := want[4 : len(want)-seal.TagSize()]
			if bytes.Contains(packet, body[:5]) {
				t.Fatalf("%v: body is clear", s)
			}
			if err := receive(open, seq, packet); err != nil {
				t.Fatalf("%v, %d: %v", s, size, err)
			}
			if !bytes.Equal(packet[4:4+len(body)], body) {
				t.Fatalf("%v: wrong body", s)
			}
			if !bytes.Equal(seal.IV(), open.IV()) || len(seal.IV()) != len(s.keys(0).iv) {
				t.Fatalf("%v: IV %x, %x", s, seal.IV(), open.IV())
			}
			seq++
		}
	}
}

// A cipher made with the exported IV goes on where the first one stopped.
func TestExportedIV(t *testing.T) {
	for i, s := range suites() {
		k := s.keys(uint64(i))
		seal, open := s.pair(t, k)
		r := testRandom(7)
		for seq := range uint32(6) {
			packet := layout(seal, 40, r)
			want := bytes.Clone(packet)
			if err := seal.Seal(seq, packet); err != nil {
				t.Fatal(err)
			}
			if err := receive(open, seq, packet); err != nil {
				t.Fatalf("%v, packet %d: %v", s, seq, err)
			}
			end := len(want) - seal.TagSize()
			if !bytes.Equal(packet[4:end], want[4:end]) {
				t.Fatalf("%v: wrong body", s)
			}
			k.iv = seal.IV()
			seal, open = s.pair(t, k)
		}
	}
}

func TestTampering(t *testing.T) {
	for i, s := range suites() {
		k := s.keys(uint64(i))
		seal, _ := s.pair(t, k)
		sealed := layout(seal, 60, testRandom(3))
		if err := seal.Seal(5, sealed); err != nil {
			t.Fatal(err)
		}
		for at := range sealed {
			_, open := s.pair(t, k)
			packet := bytes.Clone(sealed)
			packet[at] ^= 1 << (at % 8)
			if _, err := open.Length(5, packet[:open.FirstBytes()]); err != nil {
				t.Fatalf("%v: %v", s, err)
			}
			if err := open.Open(5, packet); !errors.Is(err, ErrMAC) {
				t.Fatalf("%v: byte %d changed: %v", s, at, err)
			}
		}
		_, open := s.pair(t, k)
		packet := bytes.Clone(sealed)
		open.Length(6, packet[:open.FirstBytes()])
		// GCM's nonce is not the sequence number (RFC 5647 section 7.1).
		if err := open.Open(6, packet); !errors.Is(err, ErrMAC) != strings.Contains(s.cipher, "gcm") {
			t.Errorf("%v: wrong sequence number: %v", s, err)
		}
	}
}

// THREATS row 13: bytes of any number never panic.
func TestShortPackets(t *testing.T) {
	for i, s := range append(suites(), suite{}) {
		var seal, open Cipher = Plain(), Plain()
		if s.cipher != "" {
			seal, open = s.pair(t, s.keys(uint64(i)))
		}
		for n := range 120 {
			b := make([]byte, n)
			if n >= 4 && s.cipher == "" {
				continue
			}
			open.Open(1, b)
			seal.Seal(1, b)
			if _, err := open.Length(1, b[:min(n, open.FirstBytes())]); err == nil && n < open.FirstBytes() {
				t.Fatalf("%v: length of %d bytes", s, n)
			}
			if err := open.Open(1, make([]byte, n)); err == nil {
				t.Fatalf("%v: opened %d zero bytes", s, n)
			}
		}
		seal.Free()
		open.Free()
		if s.cipher != "" {
			if seal.Seal(1, make([]byte, 4+32+seal.TagSize())) == nil || open.Open(1, make([]byte, 4+32+open.TagSize())) == nil {
				t.Errorf("%v: works after Free", s)
			}
		}
	}
}

func TestNewErrors(t *testing.T) {
	for i, s := range suites() {
		k := s.keys(uint64(i))
		for _, bad := range []keys{
			{k.key[1:], k.iv, k.mac}, {append(k.key, 1), k.iv, k.mac},
			{k.key, append(k.iv, 1), k.mac}, {nil, k.iv, k.mac},
		} {
			if _, err := New(Open, s.cipher, s.mac, bad.key, bad.iv, bad.mac); err == nil {
				t.Errorf("%v: accepts keys of %d, %d bytes", s, len(bad.key), len(bad.iv))
			}
		}
		if s.mac == "" {
			continue
		}
		for _, mac := range [][]byte{nil, k.mac[1:], append(k.mac, 1)} {
			if _, err := New(Open, s.cipher, s.mac, k.key, k.iv, mac); err == nil {
				t.Errorf("%v: accepts a MAC key of %d bytes", s, len(mac))
			}
		}
		if _, err := New(Open, s.cipher, "none", k.key, k.iv, nil); err == nil {
			t.Errorf("%v without MAC", s.cipher)
		}
	}
	if _, err := New(Open, "none", "hmac-sha2-256", nil, nil, make([]byte, 32)); err == nil {
		t.Error("cipher none")
	}
	if key, iv, mac := KeyLengths("none", "hmac-sha2-256"); key != 0 || iv != 0 || mac != 0 {
		t.Error("lengths of an unknown cipher")
	}
	if _, _, mac := KeyLengths("aes128-gcm@openssh.com", "hmac-sha2-256"); mac != 0 {
		t.Error("GCM with a MAC key")
	}
}

// reference seals with Go's own implementations, from the RFCs; nil if it has
// no such MAC (UMAC).
func (s suite) reference(t *testing.T, k keys, seq uint32, packet []byte) []byte {
	switch {
	case strings.HasPrefix(s.cipher, "chacha20"):
		return referenceChaChaPoly(t, k.key, seq, packet[:len(packet)-16])
	case strings.Contains(s.cipher, "gcm"):
		block, _ := aes.NewCipher(k.key)
		aead, _ := gocipher.NewGCM(block)
		return aead.Seal(bytes.Clone(packet[:4]), k.iv, packet[4:len(packet)-16], packet[:4])
	}
	name, _, _ := strings.Cut(s.mac, "@")
	name, etm := strings.CutSuffix(name, "-etm")
	name, short := strings.CutSuffix(name, "-96")
	newHash := map[string]func() hash.Hash{
		"hmac-sha1": sha1.New, "hmac-sha2-256": sha256.New, "hmac-sha2-512": sha512.New, "hmac-md5": md5.New,
	}[name]
	if newHash == nil {
		return nil
	}
	sizes, _ := algo.MACInfo(s.mac)
	plain := bytes.Clone(packet[:len(packet)-sizes.TagLen])
	tag := func() []byte {
		h := hmac.New(newHash, k.mac)
		binary.Write(h, binary.BigEndian, seq)
		h.Write(plain)
		if short {
			return h.Sum(nil)[:12]
		}
		return h.Sum(nil)
	}
	crypt := func(b []byte) {
		block, _ := aes.NewCipher(k.key)
		if s.cipher == "3des-cbc" {
			block, _ = des.NewTripleDESCipher(k.key)
		}
		if strings.HasSuffix(s.cipher, "-ctr") {
			gocipher.NewCTR(block, k.iv).XORKeyStream(b, b)
		} else {
			gocipher.NewCBCEncrypter(block, k.iv).CryptBlocks(b, b)
		}
	}
	if etm {
		crypt(plain[4:])
		return append(plain, tag()...)
	}
	sum := tag()
	crypt(plain)
	return append(plain, sum...)
}

func referenceChaChaPoly(t *testing.T, key []byte, seq uint32, plain []byte) []byte {
	var nonce [12]byte
	binary.BigEndian.PutUint32(nonce[8:], seq)
	stream := func(key []byte) *chacha20.Cipher {
		c, err := chacha20.NewUnauthenticatedCipher(key, nonce[:])
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	out := bytes.Clone(plain)
	stream(key[32:]).XORKeyStream(out[:4], out[:4])
	body := stream(key[:32])
	var polyKey [32]byte
	body.XORKeyStream(polyKey[:], polyKey[:])
	body.SetCounter(1)
	body.XORKeyStream(out[4:], out[4:])
	var tag [16]byte
	poly1305.Sum(&tag, out, &polyKey)
	return append(out, tag[:]...)
}

func TestAgainstGo(t *testing.T) {
	checked := 0
	for i, s := range suites() {
		k := s.keys(uint64(i))
		for _, size := range []int{12, 100, 5000} {
			seal, open := s.pair(t, k)
			packet := layout(seal, size, testRandom(uint64(size)))
			want := s.reference(t, k, 77, packet)
			if want == nil {
				continue
			}
			checked++
			if err := seal.Seal(77, packet); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(packet, want) {
				t.Fatalf("%v, %d bytes: differs from Go's", s, size)
			}
			if err := receive(open, 77, want); err != nil {
				t.Fatalf("%v: %v", s, err)
			}
		}
	}
	if checked != 3*(3+7*12) {
		t.Errorf("%d packets compared", checked)
	}
}

func TestNoAllocations(t *testing.T) {
	for i, s := range suites() {
		seal, open := s.pair(t, s.keys(uint64(i)))
		packet := layout(seal, 1000, testRandom(1))
		seq := uint32(0)
		if n := testing.AllocsPerRun(20, func() {
			binary.BigEndian.PutUint32(packet, uint32(len(packet)-4-seal.TagSize()))
			if seal.Seal(seq, packet) != nil || receive(open, seq, packet) != nil {
				t.Fatalf("%v: packet %d", s, seq)
			}
			seq++
		}); n != 0 {
			t.Errorf("%v: %v allocations a packet", s, n)
		}
	}
}

func FuzzOpen(f *testing.F) {
	all := suites()
	for i := range all {
		f.Add(i, make([]byte, 64))
		f.Add(i, []byte{0, 0, 0, 12, 4})
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		s := all[uint(which)%uint(len(all))]
		_, open := s.pair(t, s.keys(1))
		n := min(len(data), open.FirstBytes())
		length, err := open.Length(0, data[:n])
		if (err == nil) != (n == open.FirstBytes()) {
			t.Fatalf("%v: length %d of %d bytes, %v", s, length, n, err)
		}
		if open.Open(0, data) == nil {
			t.Fatalf("%v: opened", s)
		}
	})
}

func BenchmarkPacket(b *testing.B) {
	for _, s := range []suite{
		{"chacha20-poly1305@openssh.com", ""}, {"aes128-gcm@openssh.com", ""},
		{"aes128-ctr", "hmac-sha2-256-etm@openssh.com"}, {"aes128-ctr", "umac-64-etm@openssh.com"}, {"aes128-cbc", "hmac-sha1"},
	} {
		for _, size := range []int{64, 32 << 10} {
			b.Run(fmt.Sprintf("%v/%d", s, size), func(b *testing.B) {
				seal, _ := s.pair(b, s.keys(1))
				packet := layout(seal, size, testRandom(1))
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := seal.Seal(uint32(i), packet); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
