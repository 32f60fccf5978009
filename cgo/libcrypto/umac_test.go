package libcrypto

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	mathrand "math/rand/v2"
	"strings"
	"testing"
)

// TestUMACVectors is the table of RFC 4418's appendix: key "abcdefghijklmnop",
// nonce "bcdefghi". UMAC-96 is the first 12 bytes of UMAC-128.
func TestUMACVectors(t *testing.T) {
	key := [16]byte([]byte("abcdefghijklmnop"))
	nonce := binary.BigEndian.Uint64([]byte("bcdefghi"))
	m64, err := NewUMAC(8, &key)
	if err != nil {
		t.Fatal(err)
	}
	defer m64.Free()
	m128, err := NewUMAC(16, &key)
	if err != nil {
		t.Fatal(err)
	}
	defer m128.Free()
	for _, v := range []struct {
		text   string
		repeat int
		tag64  string
		tag96  string
	}{
		{"", 0, "6e155fad26900be1", "32fedb100c79ad58f07ff764"},
		{"a", 3, "44b5cb542f220104", "185e4fe905cba7bd85e4c2dc"},
		{"a", 1 << 10, "26bf2f5d60118bd9", "7a54abe04af82d60fb298c3c"},
		{"a", 1 << 15, "27f8ef643b0d118d", "7b136bd911e4b734286ef2be"},
		{"a", 1 << 20, "a4477e87e9f55853", "f8acfa3ac31cfeea047f7b11"},
		{"abc", 1, "d4d7b9f6bd4fbfcf", "883c3d4b97a61976ffcf2323"},
		{"abc", 500, "d4cf26ddefd5c01a", "8824a260c53c66a36c9260a6"},
	} {
		data := []byte(strings.Repeat(v.text, v.repeat))
		tag := make([]byte, 8)
		if err := m64.sum(nonce, data, tag); err != nil || hex.EncodeToString(tag) != v.tag64 {
			t.Errorf("UMAC-64 of %d %q: %x, want %s (%v)", v.repeat, v.text, tag, v.tag64, err)
		}
		tag = make([]byte, 16)
		if err := m128.sum(nonce, data, tag); err != nil || hex.EncodeToString(tag[:12]) != v.tag96 {
			t.Errorf("UMAC-96 of %d %q: %x, want %s (%v)", v.repeat, v.text, tag, v.tag96, err)
		}
	}
	if m64.Sum(0, make([]byte, 1<<24+1), make([]byte, 8)) == nil {
		t.Error("message that needs the 128 bit polynomial accepted")
	}
}

// referenceUMAC is RFC 4418 word for word over math/big, for messages up to 16
// MiB: slow, and written apart from umac.c.
type referenceUMAC struct {
	key   [16]byte
	bytes int
}

func (u referenceUMAC) kdf(index byte, n int) []byte {
	b, _ := aes.NewCipher(u.key[:])
	var out []byte
	for i := uint64(1); len(out) < n; i++ {
		in := make([]byte, 16)
		in[7] = index
		binary.BigEndian.PutUint64(in[8:], i)
		b.Encrypt(in, in)
		out = append(out, in...)
	}
	return out[:n]
}

func (u referenceUMAC) pad(nonce uint64) []byte {
	index := 0
	if u.bytes == 8 {
		index = int(nonce % 2)
		nonce ^= uint64(index)
	}
	in := make([]byte, 16)
	binary.BigEndian.PutUint64(in, nonce)
	b, _ := aes.NewCipher(u.kdf(0, 16))
	b.Encrypt(in, in)
	return in[index*u.bytes%16:][:u.bytes]
}

func (u referenceUMAC) nh(key, data []byte) uint64 {
	bits := uint64(len(data)) * 8
	for len(data)%32 != 0 || len(data) == 0 {
		data = append(data, 0)
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }
	k := func(i int) uint32 { return binary.BigEndian.Uint32(key[4*i:]) }
	var y uint64
	for i := 0; i < len(data)/4; i += 8 {
		for j := i; j < i+4; j++ {
			y += uint64(word(j)+k(j)) * uint64(word(j+4)+k(j+4))
		}
	}
	return y + bits
}

func (u referenceUMAC) poly(key uint64, words []uint64) *big.Int {
	offset := big.NewInt(59)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 64), offset)
	marker := new(big.Int).Sub(p, big.NewInt(1))
	k := new(big.Int).SetUint64(key & 0x01ffffff01ffffff)
	y := big.NewInt(1)
	step := func(m *big.Int) {
		y.Mul(y, k)
		y.Add(y, m)
		y.Mod(y, p)
	}
	for _, w := range words {
		m := new(big.Int).SetUint64(w)
		if w >= 0xffffffff00000000 {
			step(marker)
			m.Sub(m, offset)
		}
		step(m)
	}
	return y
}

func (u referenceUMAC) sum(nonce uint64, data []byte) []byte {
	streams := u.bytes / 4
	l1, l2 := u.kdf(1, 1024+(streams-1)*16), u.kdf(2, streams*24)
	l3, mask := u.kdf(3, streams*64), u.kdf(4, streams*4)
	p36 := big.NewInt(1<<36 - 5)
	var out []byte
	for s := range streams {
		var words []uint64
		for rest := data; len(rest) > 0 || words == nil; {
			n := min(len(rest), 1024)
			words = append(words, u.nh(l1[16*s:], bytes.Clone(rest[:n])))
			rest = rest[n:]
		}
		b := make([]byte, 16)
		if len(words) == 1 {
			binary.BigEndian.PutUint64(b[8:], words[0])
		} else {
			u.poly(binary.BigEndian.Uint64(l2[24*s:]), words).FillBytes(b)
		}
		y := new(big.Int)
		for i := range 8 {
			k := new(big.Int).SetUint64(binary.BigEndian.Uint64(l3[64*s+8*i:]))
			m := big.NewInt(int64(binary.BigEndian.Uint16(b[2*i:])))
			y.Add(y, m.Mul(m, k.Mod(k, p36)))
		}
		y.Mod(y, p36)
		out = binary.BigEndian.AppendUint32(out, uint32(y.Uint64())^binary.BigEndian.Uint32(mask[4*s:]))
	}
	for i, p := range u.pad(nonce) {
		out[i] ^= p
	}
	return out
}

func TestUMACAgainstReference(t *testing.T) {
	for _, size := range []int{8, 16} {
		reference := referenceUMAC{key: [16]byte(random(16)), bytes: size}
		m, err := NewUMAC(size, &reference.key)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		lengths := []int{0, 1, 4, 16, 31, 32, 33, 64, 1023, 1024, 1025, 1056, 2047, 2048, 2049, 35000}
		for range 100 {
			lengths = append(lengths, mathrand.IntN(5000))
		}
		for i, n := range lengths {
			data := random(n)
			if i%3 == 0 { // large words reach the carries
				data = bytes.Repeat([]byte{0xff}, n)
			}
			nonce := mathrand.Uint32()
			tag := make([]byte, size)
			if err := m.Sum(nonce, data, tag); err != nil {
				t.Fatal(err)
			}
			if want := reference.sum(uint64(nonce), data); !bytes.Equal(tag, want) {
				t.Fatalf("UMAC-%d of %d bytes: %x, want %x", size*8, n, tag, want)
			}
			if m.Verify(nonce, data, tag) != nil || m.Verify(nonce^1, data, tag) == nil {
				t.Fatal("Verify")
			}
		}
	}
}
