package bench

import (
	"encoding/binary"
	"io"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

// memoryClient is a transport without encryption whose other end is the test: it
// hands over packets and drops those of the server, but for what it must know.
type memoryClient struct {
	in     chan []byte
	end    chan struct{}
	once   sync.Once
	ready  chan uint32 // the server's number of the channel, once it is open
	window atomic.Int64
	opened chan struct{} // something was added to a window that was empty

	reclaim func()
}

func newMemoryClient() *memoryClient {
	return &memoryClient{in: make(chan []byte), end: make(chan struct{}), ready: make(chan uint32, 1), opened: make(chan struct{}, 1)}
}

func (m *memoryClient) OnReclaim(f func()) { m.reclaim = f }

func (m *memoryClient) Receive() ([]byte, error) {
	m.reclaim()
	select {
	case p := <-m.in:
		return p, nil
	case <-m.end:
		return nil, io.EOF
	}
}

func (m *memoryClient) Send(p []byte) error {
	switch p[0] {
	case msg.ChannelOpenConfirmation: // recipient, sender, window, maximum packet
		m.window.Add(int64(binary.BigEndian.Uint32(p[9:])))
		m.ready <- binary.BigEndian.Uint32(p[5:])
	case msg.ChannelWindowAdjust:
		m.window.Add(int64(binary.BigEndian.Uint32(p[5:])))
		select {
		case m.opened <- struct{}{}:
		default:
		}
	}
	return nil
}

func (m *memoryClient) SendPacket(p *transport.Packet, _ transport.Class, _ bool) error {
	err := m.Send(p.Payload())
	p.Discard()
	return err
}

func (m *memoryClient) QueuePacket(p *transport.Packet, c transport.Class) error {
	return m.SendPacket(p, c, false)
}

func (m *memoryClient) Close() error {
	m.once.Do(func() { close(m.end) })
	return nil
}

// quiet is a service that has nothing to say.
type quiet struct{}

func (quiet) Request(*connection.Request) {}
func (quiet) Closed()                     {}

// openChannel returns both ends of an open channel whose window to the client is
// as large as can be.
func openChannel(tb testing.TB) (*memoryClient, *connection.Channel, uint32) {
	tb.Helper()
	m := newMemoryClient()
	accepted := make(chan *connection.Channel, 1)
	mux := connection.New(m, &connection.Config{Open: map[string]func(*connection.NewChannel){
		"session": func(n *connection.NewChannel) { accepted <- n.Accept(quiet{}) },
	}})
	served := make(chan struct{})
	go func() {
		_ = mux.Serve() // ends with the test, by m.end
		close(served)
	}()
	tb.Cleanup(func() {
		_ = m.Close()
		<-served
	})
	open := wire.AppendText([]byte{msg.ChannelOpen}, "session")
	for _, v := range []uint32{0, 1<<32 - 1, 32 << 10} { // number, window, maximum packet
		open = wire.AppendUint32(open, v)
	}
	m.in <- open
	return m, <-accepted, <-m.ready
}

// adjust gives the server's end of a channel more to send.
func (m *memoryClient) adjust(number, n uint32) {
	m.in <- wire.AppendUint32(wire.AppendUint32([]byte{msg.ChannelWindowAdjust}, number), n)
}

// refill is after how many bytes a benchmark adds to the window.
const refill = 1 << 30

func BenchmarkChannelWrite(b *testing.B) {
	for _, size := range sizes {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			m, c, number := openChannel(b)
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			written := 0
			for b.Loop() {
				if _, err := c.Write(data); err != nil {
					b.Fatal(err)
				}
				if written += size; written >= refill {
					m.adjust(number, uint32(written))
					written = 0
				}
			}
		})
	}
}

// upload sends data messages to a channel, as far as its window goes.
type upload struct {
	m      *memoryClient
	packet []byte
	size   int64
}

func newUpload(tb testing.TB, size int) *upload {
	m, c, number := openChannel(tb)
	read := make(chan struct{})
	go func() {
		_, _ = c.WriteTo(io.Discard)
		close(read)
	}()
	tb.Cleanup(func() {
		_ = m.Close()
		<-read
	})
	p := wire.AppendUint32([]byte{msg.ChannelData}, number)
	return &upload{m, wire.AppendString(p, make([]byte, size)), int64(size)}
}

func (u *upload) one() {
	for u.m.window.Load() < u.size {
		<-u.m.opened
	}
	u.m.window.Add(-u.size)
	u.m.in <- u.packet
}

func BenchmarkChannelRead(b *testing.B) {
	for _, size := range sizes {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			u := newUpload(b, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				u.one()
			}
		})
	}
}

// BenchmarkChannelOpen opens a channel and closes it from both sides.
func BenchmarkChannelOpen(b *testing.B) {
	m := newMemoryClient()
	mux := connection.New(m, &connection.Config{Open: map[string]func(*connection.NewChannel){
		"session": func(n *connection.NewChannel) { _ = n.Accept(quiet{}).Close() },
	}})
	served := make(chan struct{})
	go func() {
		_ = mux.Serve() // ends with the test, by m.end
		close(served)
	}()
	open := wire.AppendText([]byte{msg.ChannelOpen}, "session")
	open = wire.AppendUint32(wire.AppendUint32(wire.AppendUint32(open, 0), 1<<20), 32<<10)
	b.ReportAllocs()
	for b.Loop() {
		m.in <- open
		m.in <- wire.AppendUint32([]byte{msg.ChannelClose}, <-m.ready)
	}
	_ = m.Close()
	<-served
}

// TestChannelAllocations: data that is written takes no memory of its own. Data that
// waits for its reader takes a slice header or two beside the pooled memory that it
// waits in: far less than the data, which is what is held here.
func TestChannelAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector a sync.Pool forgets now and then")
	}
	const packets, size = 2000, 32 << 10
	_, c, _ := openChannel(t)
	data := make([]byte, size)
	if n := testing.AllocsPerRun(500, func() {
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet written", n)
	}
	u := newUpload(t, size)
	for range packets { // the pool grows to the size of a window
		u.one()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range packets {
		u.one()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / packets; n > size/8 {
		t.Errorf("%d bytes of memory a packet read", n)
	}
}
