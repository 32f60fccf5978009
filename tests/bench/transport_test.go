package bench

import (
	"fmt"
	"testing"

	"nano_ssh_server/server/proto/cipher"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
)

// transportSuites are what today's clients agree on with us.
var transportSuites = []suite{
	{"chacha20-poly1305@openssh.com", ""}, {"aes128-gcm@openssh.com", ""},
	{"aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
}

// wireClient is the stream of a connection: it seals the same message again and
// again, as fast as it is read, and takes what is written.
type wireClient struct {
	c           cipher.Cipher
	seq         uint32
	plain, wire []byte
	rest        []byte
	sent        int
}

func (w *wireClient) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		copy(w.wire, w.plain)
		if err := w.c.Seal(w.seq, w.wire); err != nil {
			return 0, err
		}
		w.seq++
		w.rest = w.wire
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *wireClient) Write(p []byte) (int, error) {
	w.sent += len(p)
	return len(p), nil
}

func (w *wireClient) Close() error { return nil }

// established is an authenticated connection and its client, which sends messages
// of that size.
func established(tb testing.TB, s suite, size int) (*transport.Conn, *wireClient) {
	tb.Helper()
	c := s.cipherFor(tb, cipher.Seal)
	w := &wireClient{c: c, plain: layout(c, size)}
	w.plain[5] = msg.GlobalRequest
	w.wire = make([]byte, len(w.plain))
	direction := func() transport.DirectionState {
		key, iv, mac := cipher.KeyLengths(s.cipher, s.mac)
		d := transport.DirectionState{Cipher: s.cipher, MAC: s.mac, Compression: "none"}
		bytes := make([]byte, key+iv+mac)
		for i := range bytes {
			bytes[i] = byte(7 * i)
		}
		d.Key, d.IV, d.MACKey = bytes[:key:key], bytes[key:key+iv:key+iv], bytes[key+iv:]
		return d
	}
	config := &transport.Config{
		Version:    "SSH-2.0-bench",
		RekeyBytes: 1 << 62, // there is no client that would answer
		Random:     func(b []byte) { clear(b) },
	}
	conn, err := transport.Import(w, config, &transport.State{
		ServerVersion: config.Version, SessionID: []byte{1}, In: direction(), Out: direction(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := conn.Begin(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Free)
	return conn, w
}

func eachTransport(b *testing.B, run func(b *testing.B, c *transport.Conn, w *wireClient, size int)) {
	for _, s := range transportSuites {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("%v/%d", s, size), func(b *testing.B) {
				c, w := established(b, s, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				run(b, c, w, size)
			})
		}
	}
}

// BenchmarkReceive contains the client's sealing.
func BenchmarkReceive(b *testing.B) {
	eachTransport(b, func(b *testing.B, c *transport.Conn, _ *wireClient, _ int) {
		for b.Loop() {
			if _, err := c.Receive(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSend(b *testing.B) {
	eachTransport(b, func(b *testing.B, c *transport.Conn, w *wireClient, size int) {
		for b.Loop() {
			if err := sendOne(c, size, transport.Bulk); err != nil {
				b.Fatal(err)
			}
		}
		if w.sent == 0 {
			b.Fatal("nothing was written")
		}
	})
}

// BenchmarkSendInteractive is what a keystroke's echo costs here.
func BenchmarkSendInteractive(b *testing.B) {
	c, _ := established(b, transportSuites[0], 16)
	b.ReportAllocs()
	for b.Loop() {
		if err := sendOne(c, 16, transport.Interactive); err != nil {
			b.Fatal(err)
		}
	}
}

func sendOne(c *transport.Conn, size int, class transport.Class) error {
	p := transport.NewPacket(size)
	p.Payload()[0] = msg.ChannelData
	return c.SendPacket(p, class, false)
}
