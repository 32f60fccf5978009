package connection_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// packets is the handler of a channel that carries packets.
type packets struct {
	*handler
	got [][]byte
}

func (p *packets) Datagram(data []byte) { p.got = append(p.got, bytes.Clone(data)) }

// TestDatagrams: each message's data arrives as it was sent, and gives its window back.
func TestDatagrams(t *testing.T) {
	h := &packets{handler: newHandler()}
	var arrived []string
	var ch *connection.Channel
	cfg := &connection.Config{
		Arriving: func(kind string) { arrived = append(arrived, kind) },
		Open:     map[string]func(*connection.NewChannel){"session": func(n *connection.NewChannel) { ch = n.Accept(h) }},
	}
	bubble(t, cfg, func(t *testing.T, c *fake, ended chan error) {
		c.client(open("session", 7, 10, 8))
		c.client(open("unknown", 8, 10, 8))
		synctest.Wait()
		if len(arrived) != 1 || arrived[0] != "session" {
			t.Errorf("arrived: %q", arrived)
		}
		for _, s := range []string{"a", "bc", "", "def"} {
			c.client(data(0, []byte(s)))
		}
		for range 200 { // more than the window in all
			c.client(data(0, make([]byte, 32<<10)))
		}
		synctest.Wait()
		if len(h.got) != 204 || !bytes.Equal(bytes.Join(h.got[:4], []byte{'|'}), []byte("a|bc||def")) {
			t.Errorf("%d packets, first %q", len(h.got), h.got[:4])
		}
		adjusted := uint32(0)
		for _, b := range c.take() {
			if b[0] == msg.ChannelWindowAdjust {
				adjusted += wire.NewReader(b[5:]).Uint32()
			}
		}
		if adjusted < 200*(32<<10)-2<<20 {
			t.Errorf("the window was opened by %d", adjusted)
		}
		// More than the window can hold: OpenSSH's tunnels count more than they get.
		for range 3 {
			c.client(on(msg.ChannelWindowAdjust, 0, 0xff, 0xff, 0xff, 0xff))
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("ended: %v", err)
		default:
		}
	})
	if sent, err := ch.WriteDatagram([]byte("x")); sent || err != connection.ErrEnded {
		t.Errorf("after the end: %v, %v", sent, err)
	}
}

// TestWriteDatagram: whole or not at all.
func TestWriteDatagram(t *testing.T) {
	h := &packets{handler: newHandler()}
	got := make(chan *connection.Channel, 1)
	cfg := &connection.Config{Open: map[string]func(*connection.NewChannel){
		"session": func(n *connection.NewChannel) { got <- n.Accept(h) },
	}}
	bubble(t, cfg, func(t *testing.T, c *fake, _ chan error) {
		c.client(open("session", 7, 10, 8))
		ch := <-got
		synctest.Wait()
		c.take()
		sent := make(chan bool, 10)
		go func() {
			for _, s := range []string{"123456", "too long for them", "78901", "2"} {
				ok, err := ch.WriteDatagram([]byte(s))
				if err != nil {
					t.Error(err)
				}
				sent <- ok
			}
		}()
		synctest.Wait()
		if len(sent) != 2 || !<-sent || <-sent {
			t.Errorf("before the window opens: %d more", len(sent))
		}
		c.client(on(msg.ChannelWindowAdjust, 0, 0, 0, 0, 2))
		synctest.Wait()
		if len(sent) != 2 && len(sent) != 1 {
			t.Errorf("%d were sent", len(sent))
		}
		c.client(on(msg.ChannelWindowAdjust, 0, 0, 0, 0, 2))
		synctest.Wait()
		var all [][]byte
		for _, b := range c.take() {
			all = append(all, b[9:])
		}
		if want := "123456|78901|2"; string(bytes.Join(all, []byte{'|'})) != want {
			t.Errorf("sent %q", all)
		}
	})
}
