package forward

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/server/proto/connection"
)

var kinds = []string{"tcp", "unix"}

// each runs a test with a target of each kind.
func each(t *testing.T, f func(t *testing.T, r *rig, l net.Listener)) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, everything())
			f(t, r, target(t, kind))
		})
	}
}

// TestThreat33ClientEnds: the client says all it has and ends its direction; the
// answer comes whole, then the channel ends.
func TestThreat33ClientEnds(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		ch, w := r.dial(l.Addr())
		c := accept(t, l)
		write(t, ch, "question")
		_ = ch.CloseWrite()
		if got := text(t, c); got != "question" {
			t.Errorf("target got %q", got)
		}
		write(t, c, strings.Repeat("answer", 100_000))
		c.Close()
		if got := text(t, ch); got != strings.Repeat("answer", 100_000) {
			t.Errorf("client got %d bytes", len(got))
		}
		_ = ch.Close()
		w.wait(t)
	})
}

// TestThreat33TargetEnds: the same from the other side.
func TestThreat33TargetEnds(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		ch, w := r.dial(l.Addr())
		c := accept(t, l)
		write(t, c, "question")
		_ = c.CloseWrite()
		if got := text(t, ch); got != "question" {
			t.Errorf("client got %q", got)
		}
		write(t, ch, strings.Repeat("answer", 100_000))
		_ = ch.CloseWrite()
		if got := text(t, c); got != strings.Repeat("answer", 100_000) {
			t.Errorf("target got %d bytes", len(got))
		}
		w.wait(t)
	})
}

// TestThreat33ClientCloses: what the client sent before its CLOSE reaches a target
// that is slower than the client.
func TestThreat33ClientCloses(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		ch, w := r.dial(l.Addr())
		c := accept(t, l)
		const size = 2 << 20 // the whole window, and more than the socket holds
		write(t, ch, strings.Repeat("x", size))
		_ = ch.CloseWrite()
		_ = ch.Close()
		// A second channel proves that the CLOSE was read before the target reads.
		other, _ := r.dial(l.Addr())
		accept(t, l).Close()
		text(t, other)
		if got := text(t, c); len(got) != size {
			t.Errorf("target got %d bytes of %d", len(got), size)
		}
		w.wait(t)
		eventually(t, "the end of the connection", func() bool { return !r.serves(1) })
	})
}

// TestThreat33ClientClosesUnread: the same while the client's own window is used up.
func TestThreat33ClientClosesUnread(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		ch, w := r.dial(l.Addr())
		c := accept(t, l)
		sent := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(c, zeros{})
			sent <- n
		}()
		eventually(t, "a closed window", func() bool {
			r.out.mu.Lock()
			defer r.out.mu.Unlock()
			return r.out.total > 2<<20
		})
		write(t, ch, "the end")
		_ = ch.CloseWrite()
		_ = ch.Close()
		b := make([]byte, 7)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "the end" {
			t.Errorf("target got %q, %v", b, err)
		}
		w.wait(t)
		eventually(t, "the end of the connection", func() bool { return !r.serves(0) })
		<-sent
	})
}

// TestSource: what comes is what was written, however small the reader's buffer is.
func TestSource(t *testing.T) {
	l := target(t, "tcp")
	c := connect(t, "tcp", l.Addr().String())
	peer := accept(t, l)
	conn, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var s source
	s.init(conn)
	var sent, got strings.Builder
	for i := range 20_000 {
		sent.WriteByte(byte(i * i >> 3))
	}
	go func() {
		_, _ = io.WriteString(peer, sent.String())
		peer.Close()
	}()
	for size := 1; s.wait(); size = size%700 + 13 {
		for {
			b := make([]byte, size)
			n, err := s.Read(b)
			got.Write(b[:n])
			if err != nil {
				break
			}
		}
	}
	if got.String() != sent.String() || s.failure != nil {
		t.Errorf("%d bytes of %d, %v", got.Len(), sent.Len(), s.failure)
	}
}

// serves reports whether the server has more connections than n.
func (r *rig) serves(n int) bool {
	_, connections := r.server.Counts()
	return connections > n
}

// TestThreat33ConnectionEnds: what had come when the client went is still delivered.
func TestThreat33ConnectionEnds(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		ch, _ := r.dial(l.Addr())
		c := accept(t, l)
		r.server.grace = patience
		const size = 1 << 20
		write(t, ch, strings.Repeat("x", size))
		other, _ := r.dial(l.Addr()) // now the server has read it all
		accept(t, l)
		_ = other.CloseWrite()
		got := make(chan int)
		go func() {
			b, _ := io.ReadAll(c)
			got <- len(b)
		}()
		r.close()
		if n := <-got; n != size {
			t.Errorf("target got %d bytes of %d", n, size)
		}
	})
}

// TestReset: a target that resets its connection ends the channel at once, after what
// it had said.
func TestReset(t *testing.T) {
	r := newRig(t, everything())
	l := target(t, "tcp")
	ch, w := r.dial(l.Addr())
	c := accept(t, l)
	write(t, c, "last words")
	b := make([]byte, 10)
	if _, err := io.ReadFull(ch, b); err != nil || string(b) != "last words" {
		t.Errorf("%q, %v", b, err)
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
	w.wait(t)
}

// TestTargetReadsNoMore: a target that has closed its reading side still says what it
// has to say, and the client's data does not stop for that.
func TestTargetReadsNoMore(t *testing.T) {
	r := newRig(t, everything())
	l := target(t, "unix")
	ch, w := r.dial(l.Addr())
	c := accept(t, l)
	_ = c.CloseRead()
	write(t, ch, strings.Repeat("x", 8<<20)) // four windows
	_ = ch.CloseWrite()
	write(t, c, "still here")
	c.Close()
	if got := text(t, ch); got != "still here" {
		t.Errorf("client got %q", got)
	}
	w.wait(t)
}

// TestThreat17StuckTarget: a target that reads nothing holds up no other channel.
func TestThreat17StuckTarget(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		stuck, _ := r.dial(l.Addr())
		accept(t, l)
		write(t, stuck, strings.Repeat("x", 2<<20)) // all of its window
		ch, _ := r.dial(l.Addr())
		c := accept(t, l)
		write(t, ch, "hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// TestThreat32ConnectionEnds: with the connection go all sockets, those of targets
// that read nothing and of clients that opened no window as well.
func TestThreat32ConnectionEnds(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		idle, _ := r.dial(l.Addr())
		one := accept(t, l)
		stuck, _ := r.dial(l.Addr())
		two := accept(t, l)
		write(t, stuck, strings.Repeat("x", 2<<20))
		go func() { _, _ = io.Copy(two, zeros{}) }()
		eventually(t, "a full window", func() bool {
			b := make([]byte, 1)
			n, _ := stuck.Read(b)
			return n == 1
		})
		_ = idle
		r.close()
		if got := text(t, one); got != "" {
			t.Errorf("target got %q", got)
		}
		eventually(t, "the end of writing", func() bool {
			_, err := two.Write([]byte{0})
			return err != nil
		})
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestBulk moves much data both ways at once over several channels.
func TestBulk(t *testing.T) {
	each(t, func(t *testing.T, r *rig, l net.Listener) {
		var wg sync.WaitGroup
		for i := range 4 {
			ch, w := r.dial(l.Addr())
			c := accept(t, l)
			wg.Go(func() {
				exchange(t, byte(i), ch, c)
				w.wait(t)
			})
		}
		wg.Wait()
	})
}

// halves is an end of a connection whose directions end one by one.
type halves interface {
	io.ReadWriter
	CloseWrite() error
}

// exchange sends pseudorandom data both ways and checks what comes out.
func exchange(t *testing.T, seed byte, a, b halves) {
	const size = 8 << 20
	var wg sync.WaitGroup
	for i, d := range [][2]halves{{a, b}, {b, a}} {
		data := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{seed, byte(i)}), size) }
		wg.Go(func() {
			if _, err := io.Copy(struct{ io.Writer }{d[0]}, data()); err != nil {
				t.Error(err)
			}
			_ = d[0].CloseWrite()
		})
		wg.Go(func() {
			want, got := sha256.New(), sha256.New()
			_, _ = io.Copy(want, data())
			n, err := io.Copy(got, struct{ io.Reader }{d[1]})
			if err != nil || n != size || string(want.Sum(nil)) != string(got.Sum(nil)) {
				t.Errorf("direction %d: %d bytes, %v", i, n, err)
			}
		})
	}
	wg.Wait()
}

// TestThreat16ManyConnections: hundreds come and go and leave nothing; idle ones pin
// no buffers.
func TestThreat16ManyConnections(t *testing.T) {
	r := newRig(t, everything())
	l := target(t, "tcp")
	const many = 300
	var open []*connection.Channel
	var watchers []*watcher
	var sockets []net.Conn
	before, goroutines := heap(), runtime.NumGoroutine()
	for range many {
		ch, w := r.dial(l.Addr())
		c := accept(t, l)
		big := strings.Repeat("x", 100<<10)
		go func() {
			_, _ = io.WriteString(c, big)
			_, _ = io.WriteString(ch, big)
		}()
		if _, err := io.ReadFull(ch, make([]byte, len(big))); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(big))); err != nil {
			t.Fatal(err)
		}
		open, watchers, sockets = append(open, ch), append(watchers, w), append(sockets, c)
	}
	eventually(t, "two goroutines for each", func() bool { return runtime.NumGoroutine() <= goroutines+2*many })
	// Two channels, three sockets and four goroutines' worth of bookkeeping, and no
	// 32 KiB anywhere.
	if each := (heap() - before) / many; each > 8<<10 {
		t.Errorf("an idle connection pins %d bytes", each)
	}
	for i, c := range sockets {
		c.Close()
		text(t, open[i])
		_ = open[i].CloseWrite()
	}
	for _, w := range watchers {
		w.wait(t)
	}
	eventually(t, "the end of all", func() bool { return !r.serves(0) && r.mux.Counts() == 0 })
}

// heap returns the bytes in use, pools not counted.
func heap() int {
	runtime.GC()
	runtime.GC() // pools live through one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestBugEndsOneConnection: a panic of ours is told, and the other channels go on.
func TestBugEndsOneConnection(t *testing.T) {
	r := newRig(t, everything())
	l := target(t, "tcp")
	ch, w := r.dial(l.Addr())
	accept(t, l)
	r.server.mu.Lock()
	for x := range r.server.relays {
		r.server.running.Go(func() { r.server.guard(func() { panic("a bug") }, x.end) })
	}
	r.server.mu.Unlock()
	if got := text(t, ch); got != "" {
		t.Errorf("client got %q", got)
	}
	w.wait(t)
	r.log.expect(t, "error: internal error: a bug")
	ok, _ := r.dial(l.Addr())
	accept(t, l).Close()
	text(t, ok)
}

// TestCloseWhileDialling: a connection that is being made ends with the client.
func TestCloseWhileDialling(t *testing.T) {
	r := newRig(t, everything())
	started := make(chan struct{})
	r.server.resolver.Dial = nil
	dials := r.server.dials
	for range cap(dials) {
		dials <- struct{}{} // nobody's turn comes
	}
	failed := make(chan error, 1)
	go func() {
		close(started)
		_, err := r.client.OpenChannel("direct-tcpip", directTCP("127.0.0.1", 1), newWatcher())
		failed <- err
	}()
	<-started
	eventually(t, "the channel", func() bool { return r.mux.Counts() == 1 })
	r.close()
	select {
	case err := <-failed:
		if !errors.Is(err, connection.ErrEnded) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("not in time")
	}
	for range cap(dials) {
		<-dials
	}
}
