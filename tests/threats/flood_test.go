package threats

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// maxGrowth is what a server may grow by under a flood, in kB: its bounded queues,
// and what the garbage collector has not looked at yet.
const maxGrowth = 48 << 10

// flood sends packets without reading a single answer, until the server ends the
// connection or stops reading, or the amount is reached.
func flood(c *raw.Conn, amount int, payload []byte) (sent int, err error) {
	c.Timeout = time.Second
	batch := make([][]byte, max(1, 64<<10/(len(payload)+40)))
	for i := range batch {
		batch[i] = payload
	}
	for sent < amount {
		if err := c.SendAll(batch...); err != nil {
			return sent, err
		}
		sent += len(batch) * len(payload)
	}
	return sent, nil
}

// TestThreat05 floods the server with messages that want an answer, or that are
// thrown away, without reading.
func TestThreat05(t *testing.T) {
	kexInit := raw.DefaultKexInit().Marshal()
	ch := &raw.Channel{}
	floods := []struct {
		name, phase string
		payload     []byte
	}{
		{"KEXINIT", "encrypted", kexInit},
		{"KEXINIT", "logged in", kexInit},
		{"PING", "encrypted", raw.Msg(raw.Ping, bytes.Repeat([]byte("p"), 1000))},
		{"PING", "authenticating", raw.Msg(raw.Ping, bytes.Repeat([]byte("p"), 1000))},
		{"PING", "logged in", raw.Msg(raw.Ping, bytes.Repeat([]byte("p"), 30_000))},
		{"IGNORE", "encrypted", raw.Msg(raw.Ignore, bytes.Repeat([]byte("i"), 30_000))},
		{"IGNORE", "logged in", raw.Msg(raw.Ignore, bytes.Repeat([]byte("i"), 30_000))},
		{"unknown message", "logged in", []byte{199}},
		{"SERVICE_REQUEST", "encrypted", raw.Msg(raw.ServiceRequest, "ssh-userauth")},
		{"userauth", "authenticating", raw.NoneRequest("nosuchuser")},
		{"global request", "logged in", raw.Msg(raw.GlobalRequest, "x@example.com", true)},
		{"channel open", "logged in", raw.OpenRequest("x@example.com", 1, 1, 1)},
		{"session open", "logged in", raw.OpenRequest("session", 1, 1, 1)},
		{"channel request", "session", ch.Request("x@example.com", true)},
		{"window-change", "session", ch.Request("window-change", true, 80, 24, 0, 0)},
	}
	s := harness.Start(t, harness.Options{Config: "MaxStartups 100"})
	mustBeWell(t, s)
	for _, f := range floods {
		t.Run(f.name+" "+f.phase, func(t *testing.T) {
			if f.name == "PING" {
				harness.SkipPeer(t, "Debian 12's does not know it")
			}
			var c *raw.Conn
			payload := f.payload
			if f.phase == "session" {
				var ch *raw.Channel
				c, ch = session(t, s)
				payload = raw.Append(payload[:1:1], ch.Remote, raw.Raw(payload[5:]))
			} else {
				c = phases[f.phase](t, s)
			}
			before := s.RSS()
			sent, err := flood(c, 32<<20, payload)
			grown := s.RSS() - before
			t.Logf("%d KiB sent (%v), the server grew by %d kB", sent>>10, err, grown)
			if grown > maxGrowth {
				t.Errorf("the server grew by %d kB", grown)
			}
			mustBeWell(t, s) // while the flood is still there
			_ = c.Reset()
		})
	}
	mustBeWell(t, s)
}

// TestThreat05Plain floods before there are keys.
func TestThreat05Plain(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	mustBeWell(t, s)
	kexInit := raw.DefaultKexInit()
	for range 500 { // a large one: 10 lists of 3 kB
		kexInit.Language[0] = append(kexInit.Language[0], "xx-yyy")
	}
	for name, payload := range map[string][]byte{
		"KEXINIT": kexInit.Marshal(), "IGNORE": raw.Msg(raw.Ignore, bytes.Repeat([]byte("i"), 30_000)),
		"DEBUG": raw.Msg(raw.Debug, true, "x", ""), "unknown": {211},
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, s)
			if err := c.Versions(); err != nil {
				t.Fatal(err)
			}
			before := s.RSS()
			sent, err := flood(c, 16<<20, payload)
			t.Logf("%d KiB sent (%v), the server grew by %d kB", sent>>10, err, s.RSS()-before)
			if grown := s.RSS() - before; grown > maxGrowth {
				t.Errorf("the server grew by %d kB", grown)
			}
			mustBeWell(t, s)
		})
	}
	t.Run("version", func(t *testing.T) {
		for what, bytes := range map[string][]byte{
			"a line without an end": bytes.Repeat([]byte("A"), 1<<20),
			"lines without an end":  bytes.Repeat([]byte("line\r\n"), 1<<18),
			"zeros":                 make([]byte, 1<<20),
			"a long version":        append([]byte("SSH-2.0-"), bytes.Repeat([]byte("v"), 1<<20)...),
			"another protocol":      []byte("GET / HTTP/1.0\r\n\r\n"),
			"version 1":             []byte("SSH-1.5-old\r\n"),
			"control characters":    []byte("SSH-2.0-a\x1b[2Jb\x00c\r\n"),
		} {
			c := connect(t, s)
			_ = c.WriteBytes(bytes)
			if what == "control characters" { // this one may go on, but its bytes do not reach the log
				_ = c.Net.Close()
				continue
			}
			c.Timeout = 10 * time.Second
			if _, err := c.Drain(); err != nil && raw.IsTimeout(err) {
				t.Errorf("%s: the connection does not end", what)
			}
		}
		mustBeWell(t, s)
		for _, line := range s.Log.Lines(0) {
			for _, r := range line {
				if r < ' ' && r != '\t' {
					t.Fatalf("a control character in the log: %q", line)
				}
			}
		}
	})
}

// TestThreat17 has consumers that do not consume: others on the same connection
// and other connections go on.
func TestThreat17(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxSessions 20"})
	c := loggedIn(t, s)
	open := func(local, window uint32, command string) *raw.Channel {
		t.Helper()
		ch, err := c.OpenSession(local, window)
		if err == nil {
			err = c.Exec(ch, command)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	// A command that never reads its input, filled up to the window ...
	deaf := open(0, 1<<20, "exec sleep 1000")
	for left := deaf.Window; left > 0; {
		n := min(left, deaf.MaxPacket, 32000)
		if err := c.Send(deaf.Data(make([]byte, n))); err != nil {
			t.Fatal(err)
		}
		left -= n
	}
	// ... and one whose output the client gives no room for ...
	open(1, 0, "exec cat /dev/zero")
	before := s.RSS()
	// ... do not keep a third from working.
	for i := range uint32(10) {
		ch := open(10+i, 1<<20, "cat; exit 4")
		send(c, ch.Data([]byte("through")), ch.EOF())
		r, err := collectOnly(c, ch)
		if err != nil || string(r.Stdout) != "through" || r.Status != 4 {
			t.Fatalf("session %d beside blocked ones: %v %+v", i, err, r)
		}
	}
	if grown := s.RSS() - before; grown > maxGrowth {
		t.Errorf("the server grew by %d kB", grown)
	}
	mustBeWell(t, s)
}

// collectOnly collects one channel and passes over messages of others.
func collectOnly(c *raw.Conn, ch *raw.Channel) (*raw.Result, error) {
	for {
		p, err := c.Read()
		if err != nil {
			return nil, err
		}
		if p[0] >= raw.ChannelWindowAdjust && p[0] <= raw.ChannelFailure &&
			raw.NewFields(p[1:]).Uint32() != ch.Local {
			continue
		}
		c.Unread(p)
		r, err := c.Collect(ch)
		if err != nil && r != nil && r.HasStatus {
			return r, nil
		}
		return r, err
	}
}

// TestThreat28 counts how much goes over one set of keys.
func TestThreat28(t *testing.T) {
	t.Parallel()
	// slack is what may be on its way when the server notices: the window, a batch of
	// output, and headers.
	const limit, total, window, slack = 1 << 20, 12 << 20, 128 << 10, 384 << 10
	for _, cipher := range [][2]string{{"chacha20-poly1305@openssh.com", ""}, {"aes128-gcm@openssh.com", ""}, {"aes128-ctr", "hmac-sha2-256"}} {
		t.Run(cipher[0], func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Config: fmt.Sprintf("RekeyLimit %d\nMACs +hmac-sha2-256", limit)})
			c := connect(t, s)
			k := raw.DefaultKexInit().WithCipher(cipher[0], cipher[1])
			if err := c.Login(k, s.Account.Name, harness.UserKey(t, "ed25519", "").Private); err != nil {
				t.Fatal(err)
			}
			// The server may go on sending between its NEWKEYS and the client's. The small
			// window keeps that short: its next piece comes behind the client's NEWKEYS.
			ch, err := c.OpenSession(0, window)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Exec(ch, fmt.Sprintf("head -c %d /dev/zero", total)); err != nil {
				t.Fatal(err)
			}
			got, since, rekeyed := 0, 0, 0
			for got < total {
				p, err := c.Read()
				if err != nil {
					t.Fatalf("after %d bytes and %d key exchanges: %v", got, rekeyed, err)
				}
				switch p[0] {
				case raw.ChannelData:
					got += len(p) - 9
					since += len(p)
					if since > limit+slack {
						t.Fatalf("%d bytes with one set of keys", since)
					}
					send(c, ch.Adjust(uint32(len(p)-9)))
				case raw.KexInitMsg:
					if err := answerKex(c, k, p); err != nil {
						t.Fatal(err)
					}
					since, rekeyed = 0, rekeyed+1
				}
			}
			if rekeyed < total/limit-2 {
				t.Errorf("%d key exchanges for %d MiB", rekeyed, total>>20)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		// A client that does not answer the server's KEXINIT gets nothing more.
		s := harness.Start(t, harness.Options{Config: fmt.Sprintf("RekeyLimit %d\nMACs +hmac-sha2-256", limit)})
		c := loggedIn(t, s)
		ch, err := c.OpenSession(0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Exec(ch, "cat /dev/zero"); err != nil {
			t.Fatal(err)
		}
		got, asked := 0, false
		c.Timeout = 2 * time.Second
		for {
			p, err := c.Read()
			if err != nil {
				if !raw.IsTimeout(err) && !ended(err) {
					t.Error(err)
				}
				break
			}
			switch p[0] {
			case raw.KexInitMsg:
				asked = true
			case raw.ChannelData:
				if got += len(p); asked || got > limit+slack {
					t.Fatalf("%d bytes of data, rekeying asked for: %v", got, asked)
				}
			}
		}
		if !asked {
			t.Error("the server did not ask for a rekeying")
		}
	})
}

// answerKex runs a rekeying that the server has begun with the message theirs.
func answerKex(c *raw.Conn, k *raw.KexInit, theirs []byte) error {
	for _, step := range []func() error{
		func() error { return c.SendKexInit(k) },
		func() error { return c.UseKexInit(theirs) },
		c.SendKexECDHInit, c.ReadKexReply, c.SendNewKeys, c.ReadNewKeys,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
