package connection_test

import (
	"testing"
	"testing/synctest"

	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// TestOpenAfterGlobalRequest: a channel waits for the requests that came before it,
// and only for those.
func TestOpenAfterGlobalRequest(t *testing.T) {
	var release chan struct{}
	listening := false
	cfg := &connection.Config{
		Global: map[string]func(*connection.GlobalRequest){"tcpip-forward": func(g *connection.GlobalRequest) {
			<-release
			listening = true
			g.Reply(true, nil)
		}},
		Open: map[string]func(*connection.NewChannel){"direct-tcpip": func(n *connection.NewChannel) {
			if !listening {
				n.Reject(msg.OpenConnectFailed, "nobody listens")
			}
			n.Accept(newHandler())
		}},
	}
	bubble(t, cfg, func(t *testing.T, c *fake, ended chan error) {
		release = make(chan struct{}) // in the bubble, so that synctest sees the wait
		c.client(append(wire.AppendText([]byte{msg.GlobalRequest}, "tcpip-forward"), 1))
		c.client(open("direct-tcpip", 1, 10, 300))
		synctest.Wait()
		if sent := c.take(); len(sent) != 0 {
			t.Errorf("%s before the request was answered", msg.Name(sent[0][0]))
		}
		close(release)
		synctest.Wait()
		c.client(open("direct-tcpip", 2, 10, 300))
		synctest.Wait()
		want := []byte{msg.RequestSuccess, msg.ChannelOpenConfirmation, msg.ChannelOpenConfirmation}
		sent := c.take()
		if len(sent) != len(want) {
			t.Fatalf("%d answers, want %d", len(sent), len(want))
		}
		for i, m := range sent {
			if m[0] != want[i] {
				t.Errorf("answer %d: %s", i, msg.Name(m[0]))
			}
		}
	})
}
