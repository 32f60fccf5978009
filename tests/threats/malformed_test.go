package threats

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// templates are correct messages by the phase in which they may come; the tests
// spoil them.
func templates(t testing.TB, s *harness.Server, phase string, c *raw.Conn) [][]byte {
	t.Helper()
	user := s.Account.Name
	key := harness.UserKey(t, "ed25519", "").Private
	switch phase {
	case "encrypted":
		return [][]byte{raw.Msg(raw.ServiceRequest, "ssh-userauth"), raw.Msg(raw.ExtInfo, 1, "a", "b"), raw.Msg(raw.Ping, "x")}
	case "authenticating":
		signed, err := raw.KeyLogin{User: user, Key: key}.Request(c)
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{signed, raw.PasswordRequest(user, "p"), raw.NoneRequest(user),
			raw.Msg(raw.UserauthRequest, user, "ssh-connection", "password", true, "old", "new"),
			raw.Msg(raw.UserauthRequest, user, "ssh-connection", "publickey", false, "ssh-ed25519", raw.Blob(key))}
	}
	ch := &raw.Channel{Remote: 0}
	return [][]byte{
		raw.OpenRequest("session", 7, 1<<20, 1<<15), ch.Data([]byte("data")), ch.Adjust(5), ch.EOF(),
		ch.Request("exec", true, "true"), ch.Request("shell", true),
		ch.Request("pty-req", true, "xterm", 80, 24, 0, 0, append([]byte{53, 0, 0, 0, 1, 129, 0, 0, 1, 0}, 0)),
		ch.Request("env", true, "A", "b"), ch.Request("signal", false, "TERM"), ch.Request("window-change", false, 1, 2, 3, 4),
		ch.Request("subsystem", true, "sftp"), ch.Request("x11-req", true, false, "MIT-MAGIC-COOKIE-1", "00", 0),
		raw.Msg(raw.GlobalRequest, "tcpip-forward", true, "127.0.0.1", 0),
		raw.OpenRequest("direct-tcpip", 8, 1000, 1000, "127.0.0.1", 1, "127.0.0.1", 2),
		raw.Msg(raw.ChannelExtended, 0, 1, "err"), ch.Close(),
	}
}

// TestThreat13 spoils messages in every phase: cut at each length, bytes added,
// bytes changed, lengths that lie. Only the connection that sends them may end.
func TestThreat13(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 200\nMaxAuthTries 50"})
	random := rand.New(rand.NewPCG(1, 2))
	for _, phase := range []string{"encrypted", "authenticating", "session"} {
		t.Run(phase, func(t *testing.T) {
			var c *raw.Conn
			defer func() {
				if c != nil {
					_ = c.Close()
				}
			}()
			fresh := func() {
				if c != nil {
					_ = c.Reset()
				}
				if phase == "session" {
					c, _ = session(t, s)
				} else {
					c = phases[phase](t, s)
				}
				c.Timeout = 5 * time.Second
			}
			fresh()
			try := func(payload []byte) {
				send(c, payload)
				// What the server says does not matter. A PING behind shows whether it lives.
				if !answersPing(c) {
					fresh()
				}
			}
			for i := range templates(t, s, phase, c) {
				get := func() []byte { return templates(t, s, phase, c)[i] }
				size := len(get())
				for n := 1; n < size; n += 1 + n/16 {
					try(get()[:n])
				}
				try(append(get(), 0))
				for range 12 {
					m := slices.Clone(get())
					m[1+random.IntN(len(m)-1)] = byte(random.Uint32())
					try(m)
				}
				for at := 1; at+4 <= size; at += 1 + at/8 { // a length of 4 GiB, and one beyond the end
					for _, lie := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0, 0, byte(size >> 8), byte(size)}} {
						m := slices.Clone(get())
						copy(m[at:], lie)
						try(m)
					}
				}
			}
			for n := range 256 { // every number, alone and with rubbish
				if n == raw.Disconnect {
					continue
				}
				try([]byte{byte(n)})
				try(append([]byte{byte(n)}, bytes.Repeat([]byte{0xa5}, 40)...))
			}
		})
	}
	mustBeWell(t, s)
}

// answersPing reports whether the connection still answers. Real sshd knows no
// PING, but says so.
func answersPing(c *raw.Conn) bool {
	if c.Send(raw.Msg(raw.Ping, "alive?")) != nil {
		return false
	}
	for {
		p, err := c.Read()
		if err != nil {
			return false
		}
		if p[0] == raw.Pong || p[0] == raw.Unimplemented {
			return true
		}
	}
}

// TestThreat13Keys sends user keys and signatures of wrong sizes.
func TestThreat13Keys(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 200\nMaxAuthTries 100"})
	user := s.Account.Name
	key := harness.UserKey(t, "ed25519", "").Private
	blobs := map[string][]byte{
		"empty": {}, "no type": raw.Append(nil, ""), "type only": raw.Append(nil, "ssh-ed25519"),
		"ed25519 short": raw.Append(nil, "ssh-ed25519", make([]byte, 31)), "ed25519 empty": raw.Append(nil, "ssh-ed25519", ""),
		"ed25519 long": raw.Append(nil, "ssh-ed25519", make([]byte, 33)),
		"rsa empty":    raw.Append(nil, "ssh-rsa", "", ""), "rsa small": raw.Append(nil, "ssh-rsa", []byte{3}, []byte{0x0f}),
		"rsa negative": raw.Append(nil, "ssh-rsa", []byte{0x80}, bytes.Repeat([]byte{0xff}, 256)),
		"rsa huge":     raw.Append(nil, "ssh-rsa", []byte{1, 0, 1}, bytes.Repeat([]byte{0x7f}, 20000)),
		"rsa huge e":   raw.Append(nil, "ssh-rsa", bytes.Repeat([]byte{0x7f}, 256), bytes.Repeat([]byte{0x7f}, 256)),
		"ecdsa":        raw.Append(nil, "ecdsa-sha2-nistp256", "nistp256", ""),
		"ecdsa point":  raw.Append(nil, "ecdsa-sha2-nistp256", "nistp256", append([]byte{4}, make([]byte, 64)...)),
		"ecdsa other":  raw.Append(nil, "ecdsa-sha2-nistp256", "nistp521", append([]byte{4}, make([]byte, 64)...)),
		"sk short":     raw.Append(nil, "sk-ssh-ed25519@openssh.com", make([]byte, 5), "ssh:"),
		"sk ecdsa":     raw.Append(nil, "sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", "", "ssh:"),
		"certificate":  raw.Append(nil, "ssh-ed25519-cert-v01@openssh.com", make([]byte, 32), make([]byte, 32)),
		"dss":          raw.Append(nil, "ssh-dss", "", "", "", ""),
	}
	signatures := [][]byte{{}, raw.Append(nil, ""), raw.Append(nil, "ssh-ed25519"), raw.Append(nil, "ssh-ed25519", ""),
		raw.Append(nil, "ssh-ed25519", make([]byte, 63)), raw.Append(nil, "ssh-ed25519", make([]byte, 65)),
		raw.Append(nil, "rsa-sha2-256", []byte{1}), raw.Append(nil, "ecdsa-sha2-nistp256", raw.Append(nil, "", "")),
		raw.Append(nil, "sk-ssh-ed25519@openssh.com", make([]byte, 64), raw.Raw{1})}
	blobs["good"] = raw.Blob(key)
	for name, blob := range blobs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			algorithms := []string{"ssh-ed25519", "rsa-sha2-256", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com",
				"sk-ecdsa-sha2-nistp256@openssh.com", "ssh-ed25519-cert-v01@openssh.com"}
			var c *raw.Conn
			for _, algorithm := range algorithms {
				for i := -1; i < len(signatures); i++ {
					if c == nil {
						c = authenticating(t, s)
					}
					request := raw.Msg(raw.UserauthRequest, user, "ssh-connection", "publickey", i >= 0, algorithm, blob)
					if i >= 0 {
						request = raw.Append(request, signatures[i])
					}
					send(c, request)
					r, err := c.AuthAnswer()
					switch {
					case err == nil && r.Success:
						t.Fatalf("%s, signature %d: let in", algorithm, i)
					case ended(err):
						c = nil
					case err != nil:
						t.Fatalf("%s, signature %d: %v", algorithm, i, err)
					}
				}
			}
		})
	}
	t.Cleanup(func() { mustBeWell(t, s) })
}

// TestThreat14 sends packet lengths and paddings that are not possible.
func TestThreat14(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 200\nCiphers chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes128-ctr\n" +
		"MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-256"})
	mustBeWell(t, s)
	ignore := raw.Msg(raw.Ignore, "some bytes of padding test")
	pad := func(n int) []byte { return make([]byte, n) }
	frames := map[string]raw.Frame{
		"length 0": {Payload: ignore, Length: raw.U32(0)}, "length 1": {Payload: ignore, Length: raw.U32(1)},
		"length 4": {Payload: ignore, Length: raw.U32(4)}, "length 256 KiB + 1": {Payload: ignore, Length: raw.U32(256<<10 + 1)},
		"length 1 GiB": {Payload: ignore, Length: raw.U32(1 << 30)}, "length 2^31": {Payload: ignore, Length: raw.U32(1 << 31)},
		"length 2^32-1": {Payload: ignore, Length: raw.U32(1<<32 - 1)}, "length 2^32-4": {Payload: ignore, Length: raw.U32(1<<32 - 4)},
		"no multiple of the block": {Payload: ignore, Padding: pad(7)},
		"padding beyond the end":   {Payload: []byte{raw.Ignore, 0, 0, 0, 0}, PadLen: raw.U8(255)},
		"padding is everything":    {Payload: pad(15)[:10], PadLen: raw.U8(31)},
		"padding 3":                {Payload: []byte{raw.Ignore, 0, 0, 0, 0}, PadLen: raw.U8(3)},
		"padding 0":                {Payload: []byte{raw.Ignore, 0, 0, 0, 0}, PadLen: raw.U8(0)},
		"empty payload":            {Payload: []byte{}},
	}
	kinds := map[string]func(t *testing.T) *raw.Conn{
		"plain": func(t *testing.T) *raw.Conn {
			c := connect(t, s)
			if err := c.Versions(); err != nil {
				t.Fatal(err)
			}
			return c
		},
	}
	for _, k := range [][2]string{{"chacha20-poly1305@openssh.com", ""}, {"aes128-gcm@openssh.com", ""},
		{"aes128-ctr", "hmac-sha2-256-etm@openssh.com"}, {"aes128-ctr", "hmac-sha2-256"}} {
		kinds[k[0]+" "+k[1]] = func(t *testing.T) *raw.Conn { return encrypted(t, s, raw.DefaultKexInit().WithCipher(k[0], k[1])) }
	}
	for kind, make := range kinds {
		for name, frame := range frames {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				c := make(t)
				if harness.PeerIsSSHD() {
					// It may read on for a while, so as not to tell where the packet was wrong.
					c.Timeout = time.Second
				}
				// The server decides by the packet itself: nothing follows.
				_ = c.SendFrame(frame)
				_, _, err := c.ReadUntilEnd()
				if err != nil && peerIsOurs() {
					t.Errorf("the connection does not end: %v", err)
				}
			})
		}
		// The largest packet that every server must take (RFC 4253 section 6.1), and more padding than needed.
		if kind == "plain" {
			continue // strict key exchange allows no IGNORE
		}
		t.Run(kind+" allowed", func(t *testing.T) {
			t.Parallel()
			c := make(t)
			if err := c.Send(raw.Msg(raw.Ignore, pad(32768-20))); err != nil {
				t.Fatal(err)
			}
			if err := c.SendFrame(raw.Frame{Payload: raw.Msg(raw.Ignore, pad(16+11+32-5-5-4))}); err != nil {
				t.Fatal(err)
			}
			if err := c.RequestService("ssh-userauth"); err != nil {
				t.Error(err)
			}
		})
	}
	before := s.RSS()
	t.Cleanup(func() {
		if grown := s.RSS() - before; grown > maxGrowth {
			t.Errorf("the server grew by %d kB", grown)
		}
		mustBeWell(t, s)
	})
}

// TestThreat15 overflows windows and names channels that are not there.
func TestThreat15(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 200"})
	start := func(t *testing.T, command string) (*raw.Conn, *raw.Channel) {
		c, ch := session(t, s)
		if err := c.Exec(ch, command); err != nil {
			t.Fatal(err)
		}
		return c, ch
	}
	ends := map[string]func(t *testing.T) *raw.Conn{
		"window beyond 2^32": func(t *testing.T) *raw.Conn {
			c, ch := start(t, "exec sleep 1000")
			send(c, ch.Adjust(1<<32-1), ch.Adjust(1<<32-1))
			return c
		},
		"data beyond the window": func(t *testing.T) *raw.Conn {
			harness.SkipPeer(t, "it allows a tenth more, and takes data that the command does not read")
			c, ch := start(t, "exec sleep 1000")
			piece := ch.Data(make([]byte, 32<<10))
			for range ch.Window/(32<<10)*2 + 64 {
				if c.Send(piece) != nil {
					break
				}
			}
			return c
		},
		"data after EOF": func(t *testing.T) *raw.Conn {
			harness.SkipPeer(t, "it drops such data")
			c, ch := start(t, "exec sleep 1000")
			send(c, ch.EOF(), ch.Data([]byte("more")))
			return c
		},
		"second CLOSE": func(t *testing.T) *raw.Conn {
			harness.SkipPeer(t, "it lets this pass while its own is on the way")
			c, ch := start(t, "exec true")
			send(c, ch.Close(), ch.Close(), ch.Data([]byte("x")))
			return c
		},
	}
	for _, number := range []uint32{1, 7, 1 << 31, 1<<32 - 1} {
		other := &raw.Channel{Remote: number}
		for name, payload := range map[string][]byte{
			"data": other.Data([]byte("x")), "adjust": other.Adjust(1), "EOF": other.EOF(), "CLOSE": other.Close(),
			"request": other.Request("exec", true, "x"), "extended": raw.Msg(raw.ChannelExtended, number, 1, "x"),
			"confirmation": raw.Msg(raw.ChannelConfirmation, number, 1, 1, 1), "failure": raw.Msg(raw.ChannelOpenFailure, number, 1, "", ""),
			"success": raw.Msg(raw.ChannelSuccess, number), "request failure": raw.Msg(raw.ChannelFailure, number),
		} {
			if harness.PeerIsSSHD() && (name == "adjust" || name == "success" || name == "request failure") {
				continue // it lets these pass
			}
			ends[fmt.Sprintf("%s for channel %d", name, number)] = func(t *testing.T) *raw.Conn {
				c, ch := session(t, s)
				if number == ch.Remote {
					t.Fatalf("the server uses number %d itself", number)
				}
				send(c, payload)
				return c
			}
		}
	}
	for name, run := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := run(t)
			mustEnd(t, c, name)
		})
	}
	t.Run("large window", func(t *testing.T) {
		t.Parallel()
		c := loggedIn(t, s)
		ch, err := c.OpenSession(1, 1<<32-1) // the largest there is
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Exec(ch, "echo fine"); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 5; {
			p, err := c.Expect(raw.ChannelData, raw.ChannelWindowAdjust, raw.ChannelRequest) // the status may come first
			if err != nil {
				t.Fatal(err)
			}
			if p[0] == raw.ChannelData {
				n += len(p) - 9
			}
		}
	})
	t.Run("small packets", func(t *testing.T) {
		t.Parallel()
		// A maximum packet of one byte is odd but possible; of none it must not spin.
		s := harness.Start(t, harness.Options{}) // of its own: its processor time counts
		for _, size := range []uint32{1, 0} {
			c := loggedIn(t, s)
			send(c, raw.OpenRequest("session", 3, 1000, size))
			ch, err := c.Opened()
			if err != nil {
				continue // refused: as well
			}
			if err := c.Exec(ch, "echo fine"); err != nil {
				t.Fatal(err)
			}
			if size == 0 {
				before := s.CPU()
				c.Timeout = time.Second
				_, _ = c.Collect(ch)
				if used := s.CPU() - before; used > 900*time.Millisecond {
					t.Errorf("a maximum packet of 0 costs %v in a second", used)
				}
				_ = c.Close()
				continue
			}
			if r, err := c.Collect(ch); err != nil || string(r.Stdout) != "fine\n" {
				t.Errorf("a maximum packet of 1: %v %+v", err, r)
			}
		}
	})
	t.Cleanup(func() { mustBeWell(t, s) })
}
