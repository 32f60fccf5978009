package transport_test

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
)

// faulty is a stream whose Write panics, as a bug below the packets would.
type faulty struct {
	closed chan struct{}
	ended  atomic.Bool
}

func (f *faulty) Read([]byte) (int, error)  { <-f.closed; return 0, io.EOF }
func (f *faulty) Write([]byte) (int, error) { panic("bug in a write") }
func (f *faulty) Close() error {
	if !f.ended.Swap(true) {
		close(f.closed)
	}
	return nil
}

// within fails if f does not return soon: whoever waits for a writer that is gone
// would keep the connection's memory for ever.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// TestThreat34Writer has the writer panic, in a goroutine of the transport's own
// and in a producer's: the connection ends, and nobody waits for it.
func TestThreat34Writer(t *testing.T) {
	imported := func(told chan any) (*transport.Conn, *faulty) {
		cfg := config(t)
		cfg.Recovered = func(v any) { told <- v }
		stream := &faulty{closed: make(chan struct{})}
		c, err := transport.Import(stream, cfg, zeroKeys("aes128-gcm@openssh.com", ""))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Begin(); err != nil {
			t.Fatal(err)
		}
		return c, stream
	}
	check := func(c *transport.Conn, stream *faulty) {
		t.Helper()
		within(t, "reading", func() { _, _ = c.Receive() })
		if !stream.ended.Load() {
			t.Error("the stream is open")
		}
		within(t, "a message", func() {
			if c.Send([]byte{msg.Ignore}) == nil {
				t.Error("a message was taken after the end")
			}
		})
		within(t, "the rest", func() { c.Disconnect(msg.ReasonByApplication, ""); c.Free() })
	}

	told := make(chan any, 1)
	c, stream := imported(told)
	if err := c.Send([]byte{msg.Ignore}); err != nil {
		t.Fatal(err)
	}
	within(t, "the panic", func() {
		if v := <-told; v != "bug in a write" {
			t.Errorf("told %v", v)
		}
	})
	check(c, stream)

	c, stream = imported(told)
	func() {
		defer func() {
			if v := recover(); v != "bug in a write" { // the producer's own to recover
				t.Errorf("recovered %v", v)
			}
		}()
		_ = c.SendPacket(transport.NewPacket(100), transport.Bulk, false)
	}()
	check(c, stream)
}
