package libcrypto

import (
	"bytes"
	"fmt"
	mathrand "math/rand/v2"
	"testing"
)

func TestCTRMACAgainstParts(t *testing.T) {
	key, iv, macKey := random(16), random(16), random(32)
	for _, etm := range []bool{true, false} {
		for _, kind := range []string{"sha256", "sha512", "sha1-96", "umac-64", "umac-128"} {
			t.Run(fmt.Sprint(kind, " etm=", etm), func(t *testing.T) {
				seal, open := ctrMAC(t, key, iv, kind, macKey, etm), ctrMAC(t, key, iv, kind, macKey, etm)
				defer seal.Free()
				defer open.Free()
				reference := ctrMAC(t, key, iv, kind, macKey, etm)
				defer reference.Free()
				for seq := uint32(0); seq < 20; seq++ {
					body := 16 * (1 + mathrand.IntN(100))
					if !etm {
						body -= 4
					}
					plain := newPacket(body, seal.TagSize())
					packet := bytes.Clone(plain)
					if err := seal.Seal(seq, packet); err != nil {
						t.Fatal(err)
					}
					if want := sealByParts(t, reference, seq, plain); !bytes.Equal(packet, want) {
						t.Fatal("wrong packet")
					}
					already := 0
					if !etm && seq%2 == 0 {
						already = 16
						if err := open.OpenFirst(packet[:16]); err != nil {
							t.Fatal(err)
						}
						if !bytes.Equal(packet[:4], plain[:4]) {
							t.Fatal("wrong length")
						}
					}
					if err := open.Open(seq, packet, already); err != nil || !bytes.Equal(packet[:4+body], plain[:4+body]) {
						t.Fatal(err)
					}
				}
				if seal.State() != open.State() {
					t.Fatal("states differ")
				}
			})
		}
	}
}

func ctrMAC(t testing.TB, key, iv []byte, kind string, macKey []byte, etm bool) *CTRMAC {
	var mac *MAC
	var err error
	size := 0
	switch kind {
	case "umac-64", "umac-128":
		size = map[string]int{"umac-64": 8, "umac-128": 16}[kind]
		mac, err = NewUMAC(size, (*[16]byte)(macKey))
	case "sha1-96":
		size = 12
		mac, err = NewHMAC("sha1", macKey)
	default:
		mac, err = NewHMAC(kind, macKey)
	}
	if err != nil {
		t.Fatal(err)
	}
	if size == 0 {
		size = mac.Size()
	}
	c, err := NewCTRMACTruncated(key, iv, mac, size, etm)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sealByParts does what Seal does, in separate steps.
func sealByParts(t *testing.T, c *CTRMAC, seq uint32, plain []byte) []byte {
	out := bytes.Clone(plain)
	end := len(out) - c.TagSize()
	crypt, authenticated := out[4:end], out[:end]
	if c.etm == 0 {
		crypt, authenticated = out[:end], plain[:end]
	}
	if err := c.ctr.XOR(crypt); err != nil {
		t.Fatal(err)
	}
	if err := c.mac.Sum(seq, authenticated, out[end:]); err != nil {
		t.Fatal(err)
	}
	return out
}
