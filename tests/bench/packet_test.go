package bench

import (
	"encoding/binary"
	"fmt"
	"testing"

	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/cipher"
)

// sizes are those of payloads: a keystroke, a small answer, bulk.
var sizes = []int{16, 1 << 10, 32 << 10}

// suite is a cipher with a MAC if it needs one.
type suite struct{ cipher, mac string }

func (s suite) String() string {
	if s.mac == "" {
		return s.cipher
	}
	return s.cipher + "+" + s.mac
}

// usualMAC is the one that clients choose most of those that stand by themselves.
const usualMAC = "hmac-sha2-256-etm@openssh.com"

// suites are all ciphers, those that need one with the usual MAC, and one cipher
// with every MAC.
func suites() (all []suite) {
	for _, c := range algo.AllCiphers {
		if sizes, _ := algo.CipherInfo(c); sizes.AEAD {
			all = append(all, suite{c, ""})
			continue
		}
		all = append(all, suite{c, usualMAC})
	}
	for _, m := range algo.AllMACs {
		if m != usualMAC {
			all = append(all, suite{"aes128-ctr", m})
		}
	}
	return all
}

func (s suite) cipherFor(tb testing.TB, d cipher.Direction) cipher.Cipher {
	tb.Helper()
	key, iv, mac := cipher.KeyLengths(s.cipher, s.mac)
	// 3DES wants three different keys, so not all bytes are 0.
	bytes := make([]byte, key+iv+mac)
	for i := range bytes {
		bytes[i] = byte(7 * i)
	}
	c, err := cipher.New(d, s.cipher, s.mac, bytes[:key], bytes[key:key+iv], bytes[key+iv:])
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Free)
	return c
}

// layout returns a packet with a payload of that size, ready for Seal.
func layout(c cipher.Cipher, payload int) []byte {
	covered := 1 + payload
	if !c.LengthClear() {
		covered += 4
	}
	padding := c.BlockSize() - covered%c.BlockSize()
	if padding < 4 {
		padding += c.BlockSize()
	}
	packet := make([]byte, 5+payload+padding+c.TagSize())
	binary.BigEndian.PutUint32(packet, uint32(1+payload+padding))
	packet[4] = byte(padding)
	return packet
}

func eachPacket(b *testing.B, run func(b *testing.B, s suite, size int)) {
	for _, s := range suites() {
		for _, size := range sizes {
			if s.mac != "" && s.mac != usualMAC && size != sizes[len(sizes)-1] {
				continue // one figure a MAC will do
			}
			b.Run(fmt.Sprintf("%v/%d", s, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				run(b, s, size)
			})
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	eachPacket(b, func(b *testing.B, s suite, size int) {
		c := s.cipherFor(b, cipher.Seal)
		packet := layout(c, size)
		length := [4]byte(packet)
		for seq := uint32(0); b.Loop(); seq++ {
			copy(packet, length[:]) // some modes encrypt it
			if err := c.Seal(seq, packet); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens packets that are sealed outside of its time.
func BenchmarkOpen(b *testing.B) {
	eachPacket(b, func(b *testing.B, s suite, size int) {
		// Stopping the clock costs time by itself.
		batch := min(4096, (8<<20)/size)
		seal, open := s.cipherFor(b, cipher.Seal), s.cipherFor(b, cipher.Open)
		plain := layout(seal, size)
		packets := make([][]byte, batch)
		for i := range packets {
			packets[i] = make([]byte, len(plain))
		}
		b.ResetTimer()
		for i := range b.N {
			if i%batch == 0 {
				b.StopTimer()
				for j, p := range packets {
					copy(p, plain)
					if err := seal.Seal(uint32(i+j), p); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
			p := packets[i%batch]
			if _, err := open.Length(uint32(i), p[:open.FirstBytes()]); err != nil {
				b.Fatal(err)
			}
			if err := open.Open(uint32(i), p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
