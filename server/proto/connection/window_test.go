package connection_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// uploader is a client that sends all that a channel's window allows, and learns of
// adjustments half a round trip after they were sent.
type uploader struct {
	c      *fake
	window int
}

func (u *uploader) fill(channel uint32) {
	for u.window > 0 {
		n := min(u.window, 32<<10)
		u.c.client(data(channel, make([]byte, n)))
		u.window -= n
	}
}

// adjustments adds up what the server gave each channel since the last call.
func adjustments(c *fake) map[uint32]int {
	given := map[uint32]int{}
	for _, m := range c.take() {
		if m[0] == msg.ChannelWindowAdjust {
			r := wire.NewReader(m[1:])
			id := r.Uint32()
			given[id] += int(r.Uint32())
		}
	}
	return given
}

// TestWindowGrows: a window grows where round trips are long, up to its bounds, each
// channel's and the connection's.
func TestWindowGrows(t *testing.T) {
	const initial, largest, all = 2 << 20, 16 << 20, 64 << 20
	for name, test := range map[string]struct {
		channels int
		delay    time.Duration
		read     bool
		want     int // of all windows
	}{
		"long path":                {1, 100 * time.Millisecond, true, largest},
		"many channels":            {8, 100 * time.Millisecond, true, 8*initial + all},
		"short path":               {1, 0, true, initial},
		"long path without reader": {1, 100 * time.Millisecond, false, initial},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan *connection.Channel, test.channels)
				c := newFake()
				m := connection.New(c, accepting(got, newHandler()))
				ended := make(chan error, 1)
				go func() { ended <- m.Serve() }()
				up := make([]uploader, test.channels)
				for i := range up {
					up[i] = uploader{c, initial}
					c.client(open("session", uint32(i), 1000, 32768))
					ch := <-got
					if test.read {
						go func() { _, _ = io.Copy(io.Discard, ch) }()
					}
				}
				sum := 0
				for range 8 {
					for i := range up {
						up[i].fill(uint32(i))
					}
					synctest.Wait()
					time.Sleep(test.delay)
					sum = 0
					for id, n := range adjustments(c) {
						up[id].window += n
					}
					for i := range up {
						sum += up[i].window
					}
				}
				if !test.read {
					sum += initial // it lies there unread
				}
				// What is short of a step waits for more.
				if most := test.want; sum > most || sum <= most-test.channels<<19 {
					t.Errorf("%d bytes, expected %d", sum, most)
				}
				c.Close()
				<-ended
			})
		})
	}
}
