package account

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/ipc"
)

func TestTimeoutOf(t *testing.T) {
	list := []ipc.ChannelTimeout{{Type: "agent-*", Timeout: 1}, {Type: "direct-tcpip", Timeout: 0}, {Type: "*", Timeout: 3}, {Type: "global", Timeout: 4}}
	for kind, want := range map[string]time.Duration{
		"auth-agent@openssh.com": 1, "direct-tcpip": 0, "x11": 3, "tun@openssh.com": 3, "session": 3,
	} {
		if got := timeoutOf(list, kind, kind); got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	if got := timeoutOf(nil, "session", "session"); got != 0 {
		t.Errorf("without a list: %v", got)
	}
	uses := []ipc.ChannelTimeout{{Type: "session:command", Timeout: 1}, {Type: "session:subsystem:s*", Timeout: 2}, {Type: "session", Timeout: 3}}
	for use, want := range map[string]time.Duration{"session:command": 1, "session:subsystem:sftp": 2, "session:subsystem:x": 3, "session": 3} {
		if got := timeoutOf(uses, "session", use); got != want {
			t.Errorf("%s: %v, want %v", use, got, want)
		}
	}
	if got := globalTimeout(list); got != 4 {
		t.Errorf("global: %v", got)
	}
}

// TestChannelTimeout: an idle channel is closed, the connection goes on until it has
// had none for UnusedConnectionTimeout.
func TestChannelTimeout(t *testing.T) {
	for _, kind := range []string{"session", "global"} {
		c := serve(t, func(cfg *Config) {
			cfg.ChannelTimeouts = []ipc.ChannelTimeout{{Type: kind, Timeout: 50 * time.Millisecond}}
			cfg.UnusedTimeout = 100 * time.Millisecond
		})
		ch, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		for range requests { // until the server closes the channel
		}
		if _, err := ch.Read(make([]byte, 1)); err == nil {
			t.Error("data came from nowhere")
		}
		if err := <-c.ended; !errors.Is(err, ErrUnused) {
			t.Errorf("%s: %v", kind, err)
		}
		if lines := c.sink.take(); !slices.ContainsFunc(lines, func(s string) bool {
			return strings.HasPrefix(s, "VERBOSE terminating inactive connection user alice 192.0.2.7 port 1234")
		}) {
			t.Errorf("%s: %q", kind, lines)
		}
	}
}
