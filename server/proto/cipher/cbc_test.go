package cipher

import (
	"errors"
	"strings"
	"testing"
)

// Every wrong packet of encrypt-and-MAC in CBC asks for the same number of bytes
// and gives the same error, whatever its length bytes decrypt to.
func TestCBCLengthOracle(t *testing.T) {
	for i, s := range suites() {
		if !strings.HasSuffix(s.cipher, "-cbc") || strings.Contains(s.mac, "etm") {
			continue
		}
		k := s.keys(uint64(i))
		for _, length := range [][4]byte{
			{0, 0, 0, 0}, {0, 0, 0, 4}, {0, 0, 0, 29}, {0, 0, 0, 28}, {0, 0, 0x10, 0x0c}, {0, 3, 0xff, 0xfc},
			{0, 4, 0, 0}, {0, 4, 0, 0x0c}, {0x7f, 0xff, 0xff, 0xfc}, {0xff, 0xff, 0xff, 0xfc}, {0xff, 0xff, 0xff, 0xff},
		} {
			_, open := s.pair(t, k)
			first, err := New(Seal, s.cipher, s.mac, k.key, k.iv, k.mac)
			if err != nil {
				t.Fatal(err)
			}
			packet := make([]byte, cbcMaxPacket+open.TagSize())
			copy(packet, length[:])
			if err := first.Seal(0, packet[:16+first.TagSize()]); err != nil {
				t.Fatal(err)
			}
			clear(packet[16:])
			first.Free()

			n, err := open.Length(0, packet[:open.FirstBytes()])
			if err != nil || n < 5 || n > cbcMaxPacket-4 || int(n+4)%open.BlockSize() != 0 {
				t.Fatalf("%v, %x: length %d, %v", s, length, n, err)
			}
			end := 4 + int(n) + open.TagSize()
			err = open.Open(0, packet[:end])
			var discard *DiscardError
			if !errors.Is(err, ErrMAC) || !errors.As(err, &discard) {
				t.Fatalf("%v, %x: %v", s, length, err)
			}
			if end+discard.N != cbcMaxPacket+open.TagSize() {
				t.Errorf("%v, %x: %d bytes taken", s, length, end+discard.N)
			}
		}
	}
}
