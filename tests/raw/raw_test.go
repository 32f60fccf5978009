package raw_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/raw"
)

// peer serves one connection with x/crypto/ssh: an independent server to check
// this client against. exec answers with its own command and exits with 7.
func peer(t *testing.T, key any, accept ...ssh.PublicKey) string {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{
		MaxAuthTries: 6,
		PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != "right" {
				return nil, errors.New("wrong")
			}
			return nil, nil
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, k := range accept {
				if bytes.Equal(k.Marshal(), key.Marshal()) {
					return nil, nil
				}
			}
			return nil, errors.New("unknown key")
		},
	}
	config.RekeyThreshold = 1 << 30
	config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		conn, channels, requests, err := ssh.NewServerConn(c, config)
		if err != nil {
			return
		}
		defer conn.Close()
		go ssh.DiscardRequests(requests)
		for nc := range channels {
			ch, requests, err := nc.Accept()
			if err != nil {
				return
			}
			for r := range requests {
				if r.Type != "exec" {
					_ = r.Reply(false, nil)
					continue
				}
				_ = r.Reply(true, nil)
				_, _ = ch.Write(r.Payload[4:])
				_, _ = ch.Stderr().Write([]byte("err"))
				_ = ch.CloseWrite()
				_, _ = ch.SendRequest("exit-status", false, raw.Append(nil, 7))
				_ = ch.Close()
			}
		}
	}()
	return l.Addr().String()
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func dial(t *testing.T, addr string) *raw.Conn {
	t.Helper()
	c, err := raw.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func sshKey(t *testing.T, key ed25519.PrivateKey) ssh.PublicKey {
	t.Helper()
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// TestLogin runs every cipher, MAC and key exchange through a login, a rekeying
// and a command.
func TestLogin(t *testing.T) {
	for _, c := range [][3]string{
		{"curve25519-sha256", "chacha20-poly1305@openssh.com", ""},
		{"curve25519-sha256", "aes128-gcm@openssh.com", ""},
		{"ecdh-sha2-nistp256", "aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
		{"ecdh-sha2-nistp256", "aes128-ctr", "hmac-sha2-256"},
	} {
		for _, strict := range []bool{true, false} {
			t.Run(c[0]+" "+c[1]+" "+c[2], func(t *testing.T) {
				t.Parallel()
				key := newEd25519(t)
				conn := dial(t, peer(t, newEd25519(t), sshKey(t, key)))
				k := raw.DefaultKexInit()
				k.Kex = []string{c[0], raw.StrictMarker}
				if !strict {
					k.Kex = k.Kex[:1]
				}
				k = k.WithCipher(c[1], c[2])
				if err := conn.Login(k, "u", key); err != nil {
					t.Fatal(err)
				}
				if conn.Strict() != strict {
					t.Errorf("strict = %v", conn.Strict())
				}
				if err := conn.Exchange(k); err != nil {
					t.Fatalf("rekeying: %v", err)
				}
				r, err := conn.Run(3, "hello")
				if err != nil {
					t.Fatal(err)
				}
				if string(r.Stdout) != "hello" || string(r.Stderr) != "err" || r.Status != 7 || !r.HasStatus {
					t.Errorf("result %+v", r)
				}
			})
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	key := newEd25519(t)
	conn := dial(t, peer(t, newEd25519(t), sshKey(t, key)))
	if err := conn.Handshake(nil); err != nil {
		t.Fatal(err)
	}
	if err := conn.RequestService("ssh-userauth"); err != nil {
		t.Fatal(err)
	}
	check := func(what string, r *raw.AuthResult, err error, success, ok bool) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if r.Success != success || r.PKOK != ok {
			t.Errorf("%s: %+v", what, r)
		}
	}
	r, err := conn.AuthNone("u")
	check("none", r, err, false, false)
	if len(r.Methods) != 2 {
		t.Errorf("methods %v", r.Methods)
	}
	r, err = conn.AuthQuery("u", "ssh-ed25519", raw.Blob(key))
	check("query", r, err, false, true)
	r, err = conn.AuthPassword("u", "wrong")
	check("wrong password", r, err, false, false)
	r, err = conn.AuthPassword("u", "right")
	check("right password", r, err, true, false)
}

// TestWrongSession signs over another session identifier: this server ends the
// connection then.
func TestWrongSession(t *testing.T) {
	t.Parallel()
	key := newEd25519(t)
	conn := dial(t, peer(t, newEd25519(t), sshKey(t, key)))
	if err := conn.Handshake(nil); err != nil {
		t.Fatal(err)
	}
	if err := conn.RequestService("ssh-userauth"); err != nil {
		t.Fatal(err)
	}
	r, err := conn.AuthKey(raw.KeyLogin{User: "u", Key: key, SessionID: []byte("another")})
	if err == nil && r.Success {
		t.Error("a signature over another session was accepted")
	}
}

// TestHostKeys checks the verification of host signatures, also of wrong ones.
func TestHostKeys(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, peer(t, key))
	k := raw.DefaultKexInit()
	k.HostKey = []string{"rsa-sha2-256"}
	if err := conn.Handshake(k); err != nil {
		t.Fatal(err)
	}
	sig, err := raw.SignWith(key, "rsa-sha2-256", "rsa-sha2-256", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.VerifyHostKey("rsa-sha2-256", raw.Blob(key), []byte("one"), sig); err != nil {
		t.Error(err)
	}
	if raw.VerifyHostKey("rsa-sha2-256", raw.Blob(key), []byte("two"), sig) == nil {
		t.Error("a signature over other data verified")
	}
	if raw.VerifyHostKey("rsa-sha2-512", raw.Blob(key), []byte("one"), sig) == nil {
		t.Error("a signature under another name verified")
	}
}

// TestWrong sends packets that are wrong and sees the server end the connection.
func TestWrong(t *testing.T) {
	cases := map[string]func(c *raw.Conn) error{
		"mac": func(c *raw.Conn) error {
			c.Mangle = func(wire []byte) []byte { wire[len(wire)-1] ^= 1; return wire }
			return c.Send(raw.Msg(raw.Ignore, "x"))
		},
		"length":  func(c *raw.Conn) error { return c.SendFrame(raw.Frame{Length: raw.U32(0xfffffff0)}) },
		"padding": func(c *raw.Conn) error { return c.SendFrame(raw.Frame{Payload: []byte{2}, PadLen: raw.U8(255)}) },
		"silence": func(c *raw.Conn) error { return c.Net.(*net.TCPConn).CloseWrite() },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, peer(t, newEd25519(t)))
			if err := conn.Handshake(nil); err != nil {
				t.Fatal(err)
			}
			if err := spoil(conn); err != nil {
				t.Fatal(err)
			}
			if _, _, err := conn.ReadUntilEnd(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer b.Close()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	c := raw.New(a)
	defer c.Close()
	c.Timeout = 1
	if _, err := c.Read(); !raw.IsTimeout(err) || errors.Is(err, raw.ErrDisconnected) {
		t.Errorf("a silent peer: %v", err)
	}
}
