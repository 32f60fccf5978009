package transport_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

// signer is a host key of Go's own implementation, independent of proto/sshkey.
type signer struct{ ssh.Signer }

func newSigner(t testing.TB) signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer{s}
}

func (s signer) PublicKey(string) []byte { return s.Signer.PublicKey().Marshal() }

func (s signer) Sign(_, hash []byte, _ string) ([]byte, error) {
	sig, err := s.Signer.Sign(rand.Reader, hash)
	if err != nil {
		return nil, err
	}
	return ssh.Marshal(sig), nil
}

func config(t testing.TB) *transport.Config {
	return &transport.Config{
		Version:       "SSH-2.0-test",
		KexAlgorithms: algo.DefaultKex, HostKeyAlgorithms: []string{"ssh-ed25519"},
		Ciphers: algo.DefaultCiphers, MACs: algo.DefaultMACs,
		Compression: []string{"none", "zlib@openssh.com"}, PubkeyAlgorithms: []string{"ssh-ed25519"},
		Signer: newSigner(t), Random: func(b []byte) { _, _ = rand.Read(b) },
	}
}

// loopback returns both ends of a TCP connection: net.Pipe has no buffer and
// would deadlock two sides that write first.
func loopback(t testing.TB) (server, client net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

// authenticate lets anybody in.
func authenticate(c *transport.Conn) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	p, err := c.Receive()
	if err != nil {
		return err
	}
	if p[0] != msg.ServiceRequest {
		return fmt.Errorf("got %s", msg.Name(p[0]))
	}
	if err := c.Send(wire.AppendText([]byte{msg.ServiceAccept}, "ssh-userauth")); err != nil {
		return err
	}
	if p, err = c.Receive(); err != nil {
		return err
	}
	if p[0] != msg.UserauthRequest {
		return fmt.Errorf("got %s", msg.Name(p[0]))
	}
	return c.Send([]byte{msg.UserauthSuccess})
}

// echoGlobal answers each global request with its payload, until the end.
func echoGlobal(c *transport.Conn) error {
	for {
		p, err := c.Receive()
		if err != nil {
			return err
		}
		if p[0] != msg.GlobalRequest {
			continue
		}
		r := wire.NewReader(p[1:])
		r.Text()
		if r.Bool() {
			if err := c.Send(append([]byte{msg.RequestSuccess}, r.Rest()...)); err != nil {
				return err
			}
		}
	}
}

func clientConfig(kex, ciphers, macs []string) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User: "user", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Config: ssh.Config{KeyExchanges: kex, Ciphers: ciphers, MACs: macs},
	}
}

// run serves one connection by serve and returns x/crypto's client of it.
func run(t testing.TB, cfg *transport.Config, cc *ssh.ClientConfig, serve func(*transport.Conn) error) (ssh.Conn, chan error) {
	server, client := loopback(t)
	ended := make(chan error, 1)
	go func() {
		c := transport.New(server, cfg)
		err := authenticate(c)
		if err == nil {
			err = serve(c)
		}
		c.Free()
		ended <- err
	}()
	conn, chans, reqs, err := ssh.NewClientConn(client, "test", cc)
	if err != nil {
		client.Close()
		t.Fatalf("client: %v; server: %v", err, <-ended)
	}
	go ssh.DiscardRequests(reqs)
	go func() {
		for range chans {
		}
	}()
	return conn, ended
}

// TestEachAlgorithm runs every kex, cipher and MAC that x/crypto has too, with
// requests of all sizes around the block sizes and rekeying after each 64 KiB.
func TestEachAlgorithm(t *testing.T) {
	type set struct{ kex, cipher, mac string }
	sets := []set{}
	for _, k := range algo.AllKex {
		if strings.Contains(k, "group-exchange") || strings.Contains(k, "sntrup") || strings.Contains(k, "mlkem768nistp256") || strings.Contains(k, "group18") {
			continue // not in x/crypto's client, or needs moduli
		}
		sets = append(sets, set{k, "aes128-ctr", "hmac-sha2-256"})
	}
	for _, c := range []string{"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"} {
		sets = append(sets, set{"curve25519-sha256", c, "hmac-sha2-512"})
	}
	for _, m := range []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1"} {
		sets = append(sets, set{"curve25519-sha256", "aes256-ctr", m})
	}
	for _, s := range sets {
		t.Run(s.kex+"/"+s.cipher+"/"+s.mac, func(t *testing.T) {
			cfg := config(t)
			cfg.KexAlgorithms, cfg.Ciphers, cfg.MACs = []string{s.kex}, []string{s.cipher}, []string{s.mac}
			cfg.RekeyBytes = 64 << 10
			conn, ended := run(t, cfg, clientConfig([]string{s.kex}, []string{s.cipher}, []string{s.mac}), echoGlobal)
			for n := range 200 {
				exchangeGlobal(t, conn, bytes.Repeat([]byte{byte(n)}, n))
			}
			for range 20 {
				exchangeGlobal(t, conn, make([]byte, 30000))
			}
			conn.Close()
			if err := <-ended; err != nil && !gone(err) {
				t.Error(err)
			}
		})
	}
}

// gone reports an end that is the client's closing.
func gone(err error) bool {
	var d *transport.DisconnectError
	return errors.Is(err, io.EOF) || errors.As(err, &d) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "broken pipe")
}

func exchangeGlobal(t testing.TB, conn ssh.Conn, payload []byte) {
	t.Helper()
	ok, got, err := conn.SendRequest("echo@test", true, payload)
	if err != nil || !ok || !bytes.Equal(got, payload) {
		t.Fatalf("echo of %d bytes: %v, %d bytes, %v", len(payload), ok, len(got), err)
	}
}

// TestRekeyUnderTraffic rekeys from the server at any moment while both sides send.
func TestRekeyUnderTraffic(t *testing.T) {
	cfg := config(t)
	var server *transport.Conn
	ready := make(chan struct{})
	conn, ended := run(t, cfg, clientConfig(nil, nil, nil), func(c *transport.Conn) error {
		server = c
		close(ready)
		return echoGlobal(c)
	})
	<-ready
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 100 {
				exchangeGlobal(t, conn, bytes.Repeat([]byte{byte(n)}, 10*n))
			}
		})
	}
	for range 50 {
		if err := server.Rekey(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	conn.Close()
	if err := <-ended; !gone(err) {
		t.Error(err)
	}
}

// TestRekeyByTime: an idle connection rekeys by the clock.
func TestRekeyByTime(t *testing.T) {
	cfg := config(t)
	cfg.RekeyInterval = 10 * time.Millisecond
	rekeyed := make(chan struct{}, 100)
	cfg.Debug = func(format string, args ...any) {
		if strings.HasPrefix(format, "kex: algorithm") {
			select {
			case rekeyed <- struct{}{}:
			default:
			}
		}
	}
	conn, _ := run(t, cfg, clientConfig(nil, nil, nil), func(c *transport.Conn) error {
		if err := c.Begin(); err != nil {
			return err
		}
		return echoGlobal(c)
	})
	for range 4 { // the first exchange and three more
		<-rekeyed
	}
	exchangeGlobal(t, conn, []byte("still alive"))
	conn.Close()
}

// TestThreat28Packets: a key of either direction is replaced before its packets are
// numbered twice, whatever RekeyLimit says.
func TestThreat28Packets(t *testing.T) {
	for name, age := range map[string][2]uint64{
		"received": {transport.MaxKeyPackets - 8, 0}, "sent": {0, transport.MaxKeyPackets - 8},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.RekeyBytes = 1 << 60
			var exchanges atomic.Int32
			cfg.Debug = func(format string, args ...any) {
				if strings.HasPrefix(format, "kex: algorithm") {
					exchanges.Add(1)
				}
			}
			conn, _ := run(t, cfg, clientConfig(nil, nil, nil), func(c *transport.Conn) error {
				if err := c.Begin(); err != nil {
					return err
				}
				transport.AgeKeys(c, age[0], age[1])
				return echoGlobal(c)
			})
			for range 4 {
				exchangeGlobal(t, conn, []byte("before"))
			}
			if n := exchanges.Load(); n != 1 {
				t.Errorf("%d exchanges while the keys are good", n)
			}
			for range 100 {
				exchangeGlobal(t, conn, []byte("after"))
			}
			if n := exchanges.Load(); n != 2 { // the new keys are young again
				t.Errorf("%d exchanges after the last packet", n)
			}
			conn.Close()
		})
	}
	if transport.MaxKeyPackets > 1<<31 {
		t.Error("sequence numbers come again after 2^32 packets")
	}
}

// TestExportImport hands the connection over after each login, for every kind of
// cipher, then rekeys it in its new place.
func TestExportImport(t *testing.T) {
	for _, s := range [][2]string{
		{"chacha20-poly1305@openssh.com", "hmac-sha2-256"}, {"aes128-gcm@openssh.com", "hmac-sha2-256"},
		{"aes256-ctr", "hmac-sha2-256"}, {"aes128-ctr", "hmac-sha2-512-etm@openssh.com"},
	} {
		t.Run(s[0]+"/"+s[1], func(t *testing.T) {
			cfg := config(t)
			cfg.Ciphers, cfg.MACs = s[:1], s[1:]
			server, client := loopback(t)
			ended := make(chan error, 1)
			go func() {
				ended <- func() error {
					c := transport.New(server, cfg)
					if err := authenticate(c); err != nil {
						return err
					}
					state, err := c.Export()
					if err != nil {
						return err
					}
					raw := state.Marshal(nil)
					state.Wipe()
					if state, err = transport.UnmarshalState(raw); err != nil {
						return err
					}
					next, err := transport.Import(server, cfg, state)
					if err != nil {
						return err
					}
					if err := next.Begin(); err != nil {
						return err
					}
					if err := next.Rekey(); err != nil {
						return err
					}
					defer next.Free()
					return echoGlobal(next)
				}()
			}()
			conn, chans, reqs, err := ssh.NewClientConn(client, "test", clientConfig(nil, nil, nil))
			if err != nil {
				client.Close()
				t.Fatal(err, <-ended)
			}
			go ssh.DiscardRequests(reqs)
			go func() {
				for range chans {
				}
			}()
			for n := range 50 {
				exchangeGlobal(t, conn, make([]byte, 100*n))
			}
			conn.Close()
			if err := <-ended; !gone(err) {
				t.Error(err)
			}
		})
	}
}

// TestNoCommonAlgorithm names the kind that had no match, and the offer.
func TestNoCommonAlgorithm(t *testing.T) {
	cfg := config(t)
	cfg.Ciphers = []string{"aes256-ctr"}
	server, client := loopback(t)
	ended := make(chan error, 1)
	go func() { ended <- transport.New(server, cfg).Handshake() }()
	_, _, _, err := ssh.NewClientConn(client, "test", clientConfig(nil, []string{"aes128-ctr"}, nil))
	if err == nil {
		t.Fatal("the client was content")
	}
	client.Close()
	var n *transport.NegotiationError
	if err := <-ended; !errors.As(err, &n) || n.What != "cipher" || n.Offer != "aes128-ctr" {
		t.Errorf("server: %v", err)
	}
}

// TestVersionLine: what is no identification is answered in clear text.
func TestVersionLine(t *testing.T) {
	for _, c := range []struct{ send, answer string }{
		{"GET / HTTP/1.0\r\n", "Invalid SSH identification string.\r\n"},
		{"SSH-1.5-old\n", "Protocol major versions differ.\r\n"},
		{"SSH-2-foo\r\n", "Invalid SSH identification string.\r\n"},
		{"SSH-3.0-foo\r\n", "Protocol major versions differ.\r\n"},
		{"SSH-2.0-\r\n", "Invalid SSH identification string.\r\n"},
		{"SSH-2.0-a\x00b\r\n", "Invalid SSH identification string.\r\n"},
		{strings.Repeat("x", 300), "Invalid SSH identification string.\r\n"},
	} {
		server, client := loopback(t)
		ended := make(chan error, 1)
		go func() {
			c := transport.New(server, config(t))
			ended <- c.Handshake()
		}()
		if _, err := io.WriteString(client, c.send); err != nil {
			t.Fatal(err)
		}
		var v *transport.VersionError
		if err := <-ended; !errors.As(err, &v) {
			t.Errorf("%q: %v", c.send, err)
		}
		client.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(client)
		if want := "SSH-2.0-test\r\n" + c.answer; string(got) != want {
			// A reset may eat the answer when unread input was left; the length case does that.
			if len(c.send) < 255 {
				t.Errorf("%q answered %q, want %q", c.send, got, want)
			}
		}
	}
}

// TestThreat14PacketLengths sends length fields at and beyond every bound.
func TestThreat14PacketLengths(t *testing.T) {
	for _, length := range []uint32{0, 1, 4, 5, 11, 13, 256<<10 + 4, 1 << 31, 1<<32 - 1} {
		server, client := loopback(t)
		ended := make(chan error, 1)
		go func() { ended <- transport.New(server, config(t)).Handshake() }()
		b := wire.AppendUint32([]byte("SSH-2.0-raw\r\n"), length)
		if _, err := client.Write(append(b, make([]byte, 64)...)); err != nil {
			t.Fatal(err)
		}
		var p *transport.PeerError
		if err := <-ended; !errors.As(err, &p) {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

// FuzzClearPackets feeds arbitrary bytes to a server before encryption: it must
// end with an error, not a panic, and never wait for more than it was sent.
func FuzzClearPackets(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x02\x00\x00\x00\x00AAAAAAAAAA"))
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x15AAAAAAAAAA"))
	f.Add([]byte("SSH-1.99-x\n\x00\x00\x00\x0c\x04\x14AAAAAAAAAAAAAAAAAAAAAA"))
	cfg := config(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := transport.New(&script{Reader: bytes.NewReader(data)}, cfg)
		if err := c.Handshake(); err == nil {
			t.Fatal("handshake of rubbish succeeded")
		}
		c.Free()
	})
}

// script is a stream that reads from a fixed text and swallows what is written.
type script struct{ io.Reader }

func (*script) Write(p []byte) (int, error) { return len(p), nil }
func (*script) Close() error                { return nil }

func FuzzState(f *testing.F) {
	s := &transport.State{ClientVersion: "SSH-2.0-x", ServerVersion: "SSH-2.0-test", SessionID: []byte{1}, Unread: []byte{2}}
	s.In = transport.DirectionState{Cipher: "aes128-ctr", MAC: "hmac-sha2-256", Compression: "none", Key: make([]byte, 16), IV: make([]byte, 16), MACKey: make([]byte, 32)}
	s.Out = s.In
	f.Add(s.Marshal(nil))
	cfg := config(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := transport.UnmarshalState(data)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Marshal(nil), data) && !bytes.Contains(data, []byte{2}) {
			t.Logf("not canonical: %x", data) // a boolean other than 0 and 1
		}
		if c, err := transport.Import(&script{Reader: bytes.NewReader(nil)}, cfg, s); err == nil {
			c.Free()
		}
	})
}
