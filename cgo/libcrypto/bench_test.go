package libcrypto

import (
	"fmt"
	"testing"
)

// BenchmarkPackets seals, and seals and opens, packets of 64 bytes and 32 KiB
// with every cipher. Opening alone would need a new packet each time.
func BenchmarkPackets(b *testing.B) {
	for i := range sealers(b) {
		name := sealers(b)[i].name
		for _, size := range []int{64, 32 << 10} {
			b.Run(fmt.Sprintf("Seal/%s/%d", name, size), func(b *testing.B) {
				s := sealers(b)[i]
				packet := s.packet(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				seq := uint32(0)
				for b.Loop() {
					if err := s.seal(seq, packet); err != nil {
						b.Fatal(err)
					}
					seq++
				}
			})
			b.Run(fmt.Sprintf("SealOpen/%s/%d", name, size), func(b *testing.B) {
				s := sealers(b)[i]
				packet := s.packet(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				seq := uint32(0)
				for b.Loop() {
					if err := s.seal(seq, packet); err != nil {
						b.Fatal(err)
					}
					if err := s.open(seq, packet); err != nil {
						b.Fatal(err)
					}
					seq++
				}
			})
		}
	}
}

func BenchmarkChaChaLength(b *testing.B) {
	key := [64]byte(random(64))
	c, err := NewChaCha20Poly1305(&key)
	if err != nil {
		b.Fatal(err)
	}
	head := make([]byte, 4)
	b.ReportAllocs()
	for b.Loop() {
		c.Length(1, head)
	}
}

func BenchmarkMAC(b *testing.B) {
	key := random(16)
	umac64, _ := NewUMAC(8, (*[16]byte)(key))
	umac128, _ := NewUMAC(16, (*[16]byte)(key))
	sha256, _ := NewHMAC("sha256", key)
	sha512, _ := NewHMAC("sha512", key)
	for _, m := range []struct {
		name string
		mac  *MAC
	}{{"umac-64", umac64}, {"umac-128", umac128}, {"hmac-sha256", sha256}, {"hmac-sha512", sha512}} {
		for _, size := range []int{64, 32 << 10} {
			b.Run(fmt.Sprintf("%s/%d", m.name, size), func(b *testing.B) {
				data, tag := make([]byte, size), make([]byte, m.mac.Size())
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					m.mac.Sum(1, data, tag)
				}
			})
		}
	}
}

func BenchmarkKeyExchange(b *testing.B) {
	for _, name := range []string{"nistp256", "nistp384", "nistp521"} {
		b.Run("ecdh/"+name, func(b *testing.B) {
			peer, err := GenerateECDH(name)
			if err != nil {
				b.Fatal(err)
			}
			defer peer.Free()
			for b.Loop() {
				k, _ := GenerateECDH(name)
				if _, err := k.Shared(peer.Public()); err != nil {
					b.Fatal(err)
				}
				k.Free()
			}
		})
	}
	for _, name := range []string{"group14", "group16", "group18"} {
		b.Run("dh/"+name, func(b *testing.B) {
			p, g, _ := Group(name)
			peer, _ := NewDH(p, g, 512)
			defer peer.Free()
			for b.Loop() {
				k, err := NewDH(p, g, 512)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := k.Shared(peer.Public()); err != nil {
					b.Fatal(err)
				}
				k.Free()
			}
		})
	}
}
