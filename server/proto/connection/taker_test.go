package connection_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
)

// taker is a consumer that takes some of what it is offered, now and then.
type taker struct {
	mu     sync.Mutex
	got    []byte
	takes  int
	pieces int // most that came together
	some   func(n int) int
}

func (t *taker) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got = append(t.got, p...)
	return len(p), nil
}

func (t *taker) Take(pieces [][]byte) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := bytes.Join(pieces, nil)
	n := t.some(len(all))
	t.got = append(t.got, all[:n]...)
	t.takes++
	t.pieces = max(t.pieces, len(pieces))
	return n
}

// TestTaker: whatever a consumer takes at once, everything arrives, in order, and the
// window is opened by all of it; data is followed by its EOF.
func TestTaker(t *testing.T) {
	for name, some := range map[string]func(int) int{
		"everything": func(n int) int { return n },
		"nothing":    func(int) int { return 0 },
		"parts":      func(n int) int { return rand.IntN(n + 1) },
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan *connection.Channel, 1)
			bubble(t, accepting(got, newHandler()), func(t *testing.T, c *fake, _ chan error) {
				c.client(open("session", 0, 1000, 32768))
				ch := <-got
				w := &taker{some: some}
				done := make(chan error, 1)
				go func() {
					_, err := ch.WriteTo(w)
					done <- err
				}()
				synctest.Wait()
				var sent []byte
				for range 50 {
					var packets [][]byte
					for range 1 + rand.IntN(20) {
						b := make([]byte, rand.IntN(3000))
						for i := range b {
							b[i] = byte(rand.Uint32())
						}
						sent = append(sent, b...)
						packets = append(packets, data(0, b))
					}
					c.many <- packets
					if rand.IntN(2) == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				given := adjustments(c)[0]
				c.many <- [][]byte{data(0, []byte("end")), on(msg.ChannelEOF, 0)}
				if err := <-done; err != nil {
					t.Error(err)
				}
				if sent = append(sent, "end"...); !bytes.Equal(w.got, sent) {
					t.Errorf("%d bytes of %d, or others", len(w.got), len(sent))
				}
				if w.takes == 0 || w.pieces < 2 {
					t.Errorf("%d times, at most %d packets", w.takes, w.pieces)
				}
				if left := len(sent) - given; left < 0 || left >= 512<<10+3 {
					t.Errorf("%d bytes consumed, window opened by %d", len(sent), given)
				}
			})
		})
	}
}

// TestTakerEnds: a connection that ends with data in hand delivers it; a channel that is
// closed from our side drops it.
func TestTakerEnds(t *testing.T) {
	for _, closed := range []bool{false, true} {
		got := make(chan *connection.Channel, 1)
		bubble(t, accepting(got, newHandler()), func(t *testing.T, c *fake, ended chan error) {
			c.client(open("session", 0, 1000, 32768))
			ch := <-got
			w := &taker{some: func(n int) int { return n }}
			done := make(chan error, 1)
			go func() {
				_, err := ch.WriteTo(w)
				done <- err
			}()
			synctest.Wait()
			want := "last"
			if closed {
				_ = ch.Close()
				want = ""
			}
			c.many <- [][]byte{data(0, []byte("last")), {msg.UserauthSuccess}} // an offence
			<-ended
			if err := <-done; err != nil {
				t.Error(err)
			}
			if string(w.got) != want {
				t.Errorf("closed %v: %q", closed, w.got)
			}
		})
	}
}
