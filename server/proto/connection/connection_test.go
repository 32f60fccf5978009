package connection_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

// fake is a transport that the test plays the client of: packets go in by
// client, what the server sends comes out of sent, in order.
type fake struct {
	in   chan []byte
	many chan [][]byte // packets that are there at once
	rest [][]byte      // of those
	mu   sync.Mutex
	sent [][]byte
	once sync.Once
	end  chan struct{}

	reclaim func()
}

func newFake() *fake {
	return &fake{in: make(chan []byte), many: make(chan [][]byte), end: make(chan struct{})}
}

func (f *fake) OnReclaim(r func()) { f.reclaim = r }

func (f *fake) Receive() ([]byte, error) {
	if len(f.rest) == 0 {
		f.reclaim()
		select {
		case b := <-f.in:
			f.rest = append(f.rest, b)
		case f.rest = <-f.many:
		case <-f.end:
			return nil, io.EOF
		}
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b, nil
}

func (f *fake) Send(b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, bytes.Clone(b))
	return nil
}

func (f *fake) SendPacket(p *transport.Packet, _ transport.Class, _ bool) error {
	if p.Cancel != nil && p.Cancel.Load() {
		return transport.ErrCancelled
	}
	return f.Send(p.Payload())
}

func (f *fake) QueuePacket(p *transport.Packet, c transport.Class) error {
	return f.SendPacket(p, c, false)
}

func (f *fake) Close() error { f.once.Do(func() { close(f.end) }); return nil }

// take returns what was sent since the last call.
func (f *fake) take() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sent
	f.sent = nil
	return s
}

func (f *fake) client(b []byte) {
	select {
	case f.in <- b:
	case <-f.end:
	}
}

// Messages of a client.
func open(kind string, id, window, packet uint32) []byte {
	b := wire.AppendUint32(wire.AppendText([]byte{msg.ChannelOpen}, kind), id)
	return wire.AppendUint32(wire.AppendUint32(b, window), packet)
}

func on(number byte, channel uint32, rest ...byte) []byte {
	return append(wire.AppendUint32([]byte{number}, channel), rest...)
}

func data(channel uint32, b []byte) []byte {
	return wire.AppendString(on(msg.ChannelData, channel), b)
}

type handler struct {
	request func(*connection.Request)
	once    sync.Once // one handler may serve several channels
	closed  chan struct{}
}

func newHandler() *handler { return &handler{closed: make(chan struct{})} }

func (h *handler) Request(r *connection.Request) {
	if h.request != nil {
		h.request(r)
	}
}
func (h *handler) Closed() { h.once.Do(func() { close(h.closed) }) }

// bubble runs a test with a fake client in a synctest bubble: synctest.Wait
// means that all goroutines are done with what was sent.
func bubble(t *testing.T, cfg *connection.Config, f func(t *testing.T, c *fake, ended chan error)) {
	synctest.Test(t, func(t *testing.T) {
		c := newFake()
		m := connection.New(c, cfg)
		ended := make(chan error, 1)
		go func() { ended <- m.Serve() }()
		f(t, c, ended)
		c.Close()
		synctest.Wait()
	})
}

func accepting(got chan *connection.Channel, h *handler) *connection.Config {
	return &connection.Config{Open: map[string]func(*connection.NewChannel){
		"session": func(n *connection.NewChannel) { got <- n.Accept(h) },
	}}
}

// TestThreat15Violations: whatever breaks the rules of channels ends the connection.
func TestThreat15Violations(t *testing.T) {
	big := make([]byte, 32<<10)
	over := make([][]byte, 0, 65)
	for range 64 {
		over = append(over, data(0, big))
	}
	over = append(over, data(0, []byte{1}))
	for name, messages := range map[string][][]byte{
		"unknown channel":         {data(7, []byte("x"))},
		"channel 2^32-1":          {data(1<<32-1, []byte("x"))},
		"beyond the window":       over,
		"length beyond packet":    {on(msg.ChannelData, 0, 0, 0, 1, 0, 'x')},
		"length 2^32-1":           {on(msg.ChannelData, 0, 255, 255, 255, 255)},
		"trailing bytes":          {append(data(0, []byte("x")), 0)},
		"window overflow":         {on(msg.ChannelWindowAdjust, 0, 255, 255, 255, 255)},
		"data after EOF":          {on(msg.ChannelEOF, 0), data(0, []byte("x"))},
		"data after CLOSE":        {on(msg.ChannelClose, 0), data(0, []byte("x"))},
		"second CLOSE":            {on(msg.ChannelClose, 0), on(msg.ChannelClose, 0)},
		"reply without request":   {on(msg.ChannelSuccess, 0)},
		"confirmation unasked":    {on(msg.ChannelOpenConfirmation, 0, make([]byte, 12)...)},
		"open failure unasked":    {on(msg.ChannelOpenFailure, 0, make([]byte, 12)...)},
		"global reply unasked":    {{msg.RequestSuccess}},
		"short message":           {{msg.ChannelData, 0, 0}},
		"short open":              {{msg.ChannelOpen, 0, 0}},
		"request without name":    {on(msg.ChannelRequest, 0)},
		"server's message number": {{msg.UserauthSuccess}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			got := make(chan *connection.Channel, 1)
			bubble(t, accepting(got, newHandler()), func(t *testing.T, c *fake, ended chan error) {
				c.client(open("session", 3, 1000, 32768))
				<-got
				for _, m := range messages {
					c.client(m)
					synctest.Wait()
				}
				var p *transport.PeerError
				select {
				case err := <-ended:
					if !errors.As(err, &p) {
						t.Errorf("ended with %v", err)
					}
				default:
					t.Error("still served")
				}
			})
		})
	}
}

// TestThreat17SlowConsumer: a service that reads nothing holds up nobody else.
func TestThreat17SlowConsumer(t *testing.T) {
	got := make(chan *connection.Channel, 2)
	bubble(t, accepting(got, newHandler()), func(t *testing.T, c *fake, ended chan error) {
		c.client(open("session", 0, 1000, 32768))
		<-got
		for range 64 {
			c.client(data(0, make([]byte, 32<<10))) // the whole window, never read
		}
		c.client(open("session", 1, 1000, 32768))
		second := <-got
		c.client(data(1, []byte("hello")))
		b := make([]byte, 10)
		if n, err := second.Read(b); err != nil || string(b[:n]) != "hello" {
			t.Errorf("%q, %v", b[:n], err)
		}
	})
}

// TestWindowFollowsConsumer: the window is opened by what the service took, and only by that.
func TestWindowFollowsConsumer(t *testing.T) {
	got := make(chan *connection.Channel, 1)
	bubble(t, accepting(got, newHandler()), func(t *testing.T, c *fake, ended chan error) {
		c.client(open("session", 9, 1000, 32768))
		ch := <-got
		for range 64 {
			c.client(data(0, make([]byte, 32<<10)))
		}
		synctest.Wait()
		c.take()
		n, _ := io.ReadFull(ch, make([]byte, 1<<20))
		var granted uint64
		for _, m := range c.take() {
			if m[0] == msg.ChannelWindowAdjust {
				r := wire.NewReader(m[1:])
				if id := r.Uint32(); id != 9 {
					t.Errorf("adjusted channel %d", id)
				}
				granted += uint64(r.Uint32())
			}
		}
		if granted != uint64(n) {
			t.Errorf("consumed %d, granted %d", n, granted)
		}
	})
}

// TestSendWindow: no byte beyond the client's window, no packet beyond its maximum.
func TestSendWindow(t *testing.T) {
	got := make(chan *connection.Channel, 1)
	bubble(t, accepting(got, newHandler()), func(t *testing.T, c *fake, ended chan error) {
		c.client(open("session", 9, 1000, 300))
		ch := <-got
		synctest.Wait()
		c.take()
		done := make(chan error, 1)
		go func() {
			_, err := ch.Write(make([]byte, 2500))
			done <- err
		}()
		count := func() (total int) {
			synctest.Wait()
			for _, m := range c.take() {
				r := wire.NewReader(m[1:])
				r.Uint32()
				n := len(r.String())
				if m[0] != msg.ChannelData || r.End() != nil || n > 300 {
					t.Errorf("sent %x", m[:9])
				}
				total += n
			}
			return total
		}
		if n := count(); n != 1000 {
			t.Errorf("%d bytes into a window of 1000", n)
		}
		c.client(on(msg.ChannelWindowAdjust, 0, 0, 0, 8, 0))
		if n := count(); n != 1500 {
			t.Errorf("%d bytes after the window opened", n)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestNothingAfterClose: data that waits for window when CLOSE comes is dropped.
func TestNothingAfterClose(t *testing.T) {
	got := make(chan *connection.Channel, 1)
	h := newHandler()
	bubble(t, accepting(got, h), func(t *testing.T, c *fake, ended chan error) {
		c.client(open("session", 9, 10, 300))
		ch := <-got
		done := make(chan error, 1)
		go func() {
			_, err := ch.Write(make([]byte, 100))
			done <- err
		}()
		synctest.Wait()
		c.client(on(msg.ChannelClose, 0))
		if err := <-done; !errors.Is(err, connection.ErrEnded) {
			t.Errorf("Write: %v", err)
		}
		<-h.closed
		if _, err := ch.SendRequest("x", false, nil); !errors.Is(err, connection.ErrEnded) {
			t.Errorf("SendRequest: %v", err)
		}
		synctest.Wait()
		sent := c.take()
		if last := sent[len(sent)-1]; last[0] != msg.ChannelClose {
			t.Errorf("last message %s", msg.Name(last[0]))
		}
	})
}

// TestThreat16RefusedChannelsLeaveNothing: neither refused nor half-open
// channels pile up.
func TestThreat16RefusedChannelsLeaveNothing(t *testing.T) {
	hold := make(chan struct{})
	cfg := &connection.Config{MaxChannels: 10, Open: map[string]func(*connection.NewChannel){
		"no":   func(n *connection.NewChannel) { n.Reject(msg.OpenAdministrativelyProhibited, "no") },
		"slow": func(n *connection.NewChannel) { <-hold },
	}}
	synctest.Test(t, func(t *testing.T) {
		hold = make(chan struct{})
		c := newFake()
		m := connection.New(c, cfg)
		go func() { _ = m.Serve() }()
		for i := range 1000 {
			c.client(open([]string{"no", "unknown"}[i%2], uint32(i), 0, 32768))
			synctest.Wait()
		}
		if n := m.Counts(); n != 0 || len(c.take()) != 1000 {
			t.Errorf("%d channels left", n)
		}
		for i := range 20 {
			c.client(open("slow", uint32(i), 0, 32768))
		}
		synctest.Wait()
		if n := m.Counts(); n != 10 || len(c.take()) != 10 {
			t.Errorf("%d half-open channels", n)
		}
		close(hold) // services that answer nothing refuse
		synctest.Wait()
		if n := m.Counts(); n != 0 || len(c.take()) != 10 {
			t.Errorf("%d channels left", n)
		}
		c.Close()
	})
}

// TestRequestsInOrder: one at a time, in order, answered even if the service forgets.
func TestRequestsInOrder(t *testing.T) {
	got := make(chan *connection.Channel, 1)
	h := newHandler()
	var order []byte
	h.request = func(r *connection.Request) {
		order = append(order, r.Payload[0])
		if r.Payload[0]%2 == 0 {
			r.Reply(true)
			r.Reply(false) // only the first counts
		}
	}
	bubble(t, accepting(got, h), func(t *testing.T, c *fake, ended chan error) {
		c.client(open("session", 9, 10, 300))
		<-got
		synctest.Wait()
		c.take()
		for i := range byte(100) {
			c.client(append(wire.AppendText(on(msg.ChannelRequest, 0), "x"), 1, i))
		}
		synctest.Wait()
		sent := c.take()
		if len(sent) != 100 {
			t.Fatalf("%d answers", len(sent))
		}
		for i, m := range sent {
			want := byte(msg.ChannelFailure)
			if i%2 == 0 {
				want = msg.ChannelSuccess
			}
			if m[0] != want || order[i] != byte(i) {
				t.Errorf("answer %d: %s, order %d", i, msg.Name(m[0]), order[i])
			}
		}
	})
}

// TestThreat34PanicEndsOneConnection: a service's panic is told and ends this connection.
func TestThreat34PanicEndsOneConnection(t *testing.T) {
	told := make(chan any, 1)
	cfg := &connection.Config{
		Open:      map[string]func(*connection.NewChannel){"session": func(*connection.NewChannel) { panic("bug") }},
		Recovered: func(v any) { told <- v },
	}
	bubble(t, cfg, func(t *testing.T, c *fake, ended chan error) {
		c.client(open("session", 0, 0, 32768))
		if v := <-told; v != "bug" {
			t.Errorf("told %v", v)
		}
		if err := <-ended; err == nil {
			t.Error("no error")
		}
	})
}

// FuzzDispatch sends arbitrary messages of the connection protocol.
func FuzzDispatch(f *testing.F) {
	f.Add(open("session", 0, 1, 1), data(0, []byte("x")), on(msg.ChannelClose, 0))
	f.Add(open("session", 0, 1<<32-1, 1<<32-1), on(msg.ChannelWindowAdjust, 0, 255, 255, 255, 255), on(msg.ChannelEOF, 0))
	f.Add(append([]byte{msg.GlobalRequest}, 0, 0, 0, 1, 'x', 1), []byte{msg.RequestSuccess}, on(msg.ChannelRequest, 0, 0, 0, 0, 1, 'x', 1))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		synctest.Test(t, func(t *testing.T) {
			got := make(chan *connection.Channel, 3)
			client := newFake()
			m := connection.New(client, &connection.Config{Open: map[string]func(*connection.NewChannel){
				"session": func(n *connection.NewChannel) { got <- n.Accept(newHandler()) },
			}})
			go func() { _ = m.Serve() }()
			for _, p := range [][]byte{a, b, c} {
				if len(p) > 0 && p[0] >= msg.GlobalRequest && p[0] <= msg.ChannelFailure {
					client.client(p)
					synctest.Wait()
				}
			}
			client.Close()
		})
	})
}

// echo is a session service: it sends back what it gets, and stderr says "err".
func echo(n *connection.NewChannel) {
	h := newHandler()
	start := make(chan struct{})
	h.request = func(r *connection.Request) { r.Reply(r.Name == "shell"); close(start) }
	ch := n.Accept(h)
	<-start
	_, _ = ch.WriteExtended([]byte("err"))
	pr, pw := io.Pipe()
	go func() {
		_, err := ch.WriteTo(pw)
		pw.CloseWithError(err)
	}()
	_, _ = ch.ReadFrom(pr)
	_ = ch.CloseWrite()
	_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 42})
	_ = ch.Close()
	<-h.closed
}

// TestEchoThroughRealClient sends 64 MiB through x/crypto's client and back,
// over several channels at once, with a rekeying each 4 MiB, plain and compressed.
func TestEchoThroughRealClient(t *testing.T) {
	client := dialReal(t, &connection.Config{Open: map[string]func(*connection.NewChannel){"session": echo}})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, err := client.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			const size = 16 << 20
			sent, received := sha256.New(), sha256.New()
			var stderr bytes.Buffer
			s.Stdin = io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{byte(i)}), size), sent)
			s.Stdout, s.Stderr = received, &stderr
			if err := s.Shell(); err != nil {
				t.Error(err)
				return
			}
			var exit *ssh.ExitError
			if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 42 {
				t.Errorf("exit: %v", err)
			}
			if !bytes.Equal(sent.Sum(nil), received.Sum(nil)) || stderr.String() != "err" {
				t.Errorf("channel %d came back otherwise", i)
			}
		})
	}
	wg.Wait()
}
