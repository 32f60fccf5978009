package transport_test

import (
	"encoding/binary"
	"io"
	"testing"

	"nano_ssh_server/server/proto/cipher"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
)

var benchSets = [][2]string{
	{"chacha20-poly1305@openssh.com", ""}, {"aes128-gcm@openssh.com", ""}, {"aes256-gcm@openssh.com", ""},
	{"aes128-ctr", "hmac-sha2-256-etm@openssh.com"}, {"aes128-ctr", "umac-64-etm@openssh.com"}, {"aes128-ctr", "hmac-sha2-256"},
}

// zeroKeys is the state of an authenticated connection whose keys are all zero.
func zeroKeys(cipherName, mac string) *transport.State {
	key, iv, macKey := cipher.KeyLengths(cipherName, mac)
	d := transport.DirectionState{
		Cipher: cipherName, MAC: mac, Compression: "none",
		Key: make([]byte, key), IV: make([]byte, iv), MACKey: make([]byte, macKey),
	}
	return &transport.State{ServerVersion: "SSH-2.0-test", SessionID: []byte{1}, In: d, Out: transport.DirectionState{
		Cipher: cipherName, MAC: mac, Compression: "none",
		Key: make([]byte, key), IV: make([]byte, iv), MACKey: make([]byte, macKey),
	}}
}

// sender is a client that seals the same message again and again, as it is read.
type sender struct {
	c     cipher.Cipher
	seq   uint32
	plain []byte
	wire  []byte
	rest  []byte
}

func newSender(tb testing.TB, s *transport.State, payload int) *sender {
	c, err := cipher.New(cipher.Seal, s.In.Cipher, s.In.MAC, s.In.Key, s.In.IV, s.In.MACKey)
	if err != nil {
		tb.Fatal(err)
	}
	covered := 1 + payload
	if !c.LengthClear() {
		covered += 4
	}
	padding := c.BlockSize() - covered%c.BlockSize()
	if padding < 4 {
		padding += c.BlockSize()
	}
	plain := make([]byte, 5+payload+padding+c.TagSize())
	binary.BigEndian.PutUint32(plain, uint32(1+payload+padding))
	plain[4] = byte(padding)
	plain[5] = msg.GlobalRequest
	return &sender{c: c, plain: plain, wire: make([]byte, len(plain))}
}

func (s *sender) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		copy(s.wire, s.plain)
		if err := s.c.Seal(s.seq, s.wire); err != nil {
			return 0, err
		}
		s.seq++
		s.rest = s.wire
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *sender) Write(p []byte) (int, error) { return len(p), nil }
func (s *sender) Close() error                { return nil }

func imported(tb testing.TB, stream io.ReadWriteCloser, s *transport.State) *transport.Conn {
	c, err := transport.Import(stream, config(tb), s)
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Begin(); err != nil {
		tb.Fatal(err)
	}
	return c
}

func BenchmarkReceive(b *testing.B) {
	for _, set := range benchSets {
		b.Run(set[0]+"/"+set[1], func(b *testing.B) {
			s := zeroKeys(set[0], set[1])
			c := imported(b, newSender(b, zeroKeys(set[0], set[1]), 32<<10), s)
			defer c.Free()
			b.SetBytes(32 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Receive(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sendOne(c *transport.Conn, n int) error {
	p := transport.NewPacket(n)
	p.Payload()[0] = msg.ChannelData
	return c.SendPacket(p, transport.Bulk, false)
}

func BenchmarkSend(b *testing.B) {
	for _, set := range benchSets {
		b.Run(set[0]+"/"+set[1], func(b *testing.B) {
			c := imported(b, &script{}, zeroKeys(set[0], set[1]))
			defer c.Free()
			b.SetBytes(32 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if err := sendOne(c, 32<<10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestNoAllocationPerPacket: in steady state neither direction allocates.
func TestNoAllocationPerPacket(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's sync.Pool drops entries at random")
	}
	for _, set := range benchSets {
		s := zeroKeys(set[0], set[1])
		c := imported(t, newSender(t, zeroKeys(set[0], set[1]), 32<<10), s)
		for range 10 { // buffers grow to their size
			if _, err := c.Receive(); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(200, func() {
			if _, err := c.Receive(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations a packet received", set, n)
		}
		if n := testing.AllocsPerRun(200, func() {
			if err := sendOne(c, 32<<10); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations a packet sent", set, n)
		}
		c.Free()
	}
}
