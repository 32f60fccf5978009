package account

import (
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/connection"
)

// timeoutNames are ChannelTimeout's names of channel types that have another on the wire.
var timeoutNames = map[string]string{
	"auth-agent@openssh.com": "agent-connection",
	"x11":                    "x11-connection",
	"tun@openssh.com":        "tun-connection",
}

// timeoutOf is how long a channel may be idle; 0: for ever. The first entry counts that
// matches its type or its use ("session:command").
func timeoutOf(list []ipc.ChannelTimeout, kind, use string) time.Duration {
	if name, ok := timeoutNames[kind]; ok {
		kind = name
	}
	for _, t := range list {
		if config.MatchPattern(kind, t.Type) || config.MatchPattern(use, t.Type) {
			return t.Timeout
		}
	}
	return 0
}

const (
	// A timeout is noticed within a tenth of it, between these bounds: seldom enough
	// to cost nothing.
	shortestCheck = 20 * time.Millisecond
	longestCheck  = time.Second
)

// watchUse closes channels that nobody uses (ChannelTimeout) and ends the connection
// when it has had none for long (UnusedConnectionTimeout). It returns a function
// that ends the watch.
func (c *served) watchUse(cfg *Config) (stop func()) {
	interval := cfg.UnusedTimeout
	for _, t := range cfg.ChannelTimeouts {
		if t.Timeout > 0 && (interval == 0 || t.Timeout < interval) {
			interval = t.Timeout
		}
	}
	if interval == 0 {
		return func() {}
	}
	done := make(chan struct{})
	go c.guard(cfg.Log, func() {
		ticker := time.NewTicker(min(max(interval/10, shortestCheck), longestCheck))
		defer ticker.Stop()
		w := &useWatch{cfg: cfg, used: time.Now(), channels: map[*connection.Channel]use{}}
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				if w.check(c, now) {
					return
				}
			}
		}
	})
	return func() { close(done) }
}

// use is what was last seen of a channel.
type use struct {
	moved uint64
	at    time.Time
}

// useWatch is the state of one connection's watch.
type useWatch struct {
	cfg      *Config
	channels map[*connection.Channel]use
	used     time.Time // when the connection last had a channel
	any      time.Time // when any channel last moved, for the type "global"
}

// check closes what is idle, and reports whether the connection was ended.
func (w *useWatch) check(c *served, now time.Time) bool {
	seen := make(map[*connection.Channel]use)
	channels := c.mux.Channels()
	for _, ch := range channels {
		u, known := w.channels[ch]
		if moved := ch.Moved(); !known || moved != u.moved {
			u = use{moved, now}
			w.any = now
		}
		seen[ch] = u
		if t := timeoutOf(w.cfg.ChannelTimeouts, ch.Type(), ch.Use()); t > 0 && now.Sub(u.at) >= t {
			w.close(ch)
		}
	}
	if t := globalTimeout(w.cfg.ChannelTimeouts); t > 0 && len(channels) > 0 && now.Sub(w.any) >= t {
		for _, ch := range channels {
			w.close(ch)
		}
	}
	w.channels = seen
	if len(channels) > 0 {
		w.used = now
	}
	if t := w.cfg.UnusedTimeout; t > 0 && now.Sub(w.used) >= t {
		w.cfg.Log.Verbose("terminating inactive connection %s", w.cfg.Peer)
		c.unused.Store(true)
		c.mux.Close()
		return true
	}
	return false
}

// globalTimeout is that of the type "global": all channels together are idle.
func globalTimeout(list []ipc.ChannelTimeout) time.Duration {
	for _, t := range list {
		if t.Type == "global" {
			return t.Timeout
		}
	}
	return 0
}

func (w *useWatch) close(ch *connection.Channel) {
	w.cfg.Log.Info("channel %d: closing after inactivity: %s", ch.ID(), ch.Type())
	_ = ch.Close()
}
