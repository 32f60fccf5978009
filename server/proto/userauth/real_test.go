package userauth_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/userauth"
)

func newKey(t *testing.T) ssh.Signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostKey signs with Go's own implementation.
type hostKey struct{ ssh.Signer }

func (s hostKey) PublicKey(string) []byte { return s.Signer.PublicKey().Marshal() }

func (s hostKey) Sign(_, hash []byte, _ string) ([]byte, error) {
	sig, err := s.Signer.Sign(rand.Reader, hash)
	if err != nil {
		return nil, err
	}
	return ssh.Marshal(sig), nil
}

// checker knows one key and one password, and wants both if both is set.
type checker struct {
	key      ssh.PublicKey
	password string
	both     bool
	keyDone  bool
}

func (*checker) Start(user, style, service string) string { return "welcome\n" }

func (c *checker) Methods() []string {
	switch {
	case c.both && !c.keyDone:
		return []string{"publickey"}
	case c.both:
		return []string{"password"}
	}
	return []string{"publickey", "password"}
}

func (*checker) None() userauth.Verdict { return userauth.Verdict{} }
func (*checker) Failed(string)          {}

func (*checker) Hostbased(*userauth.HostbasedRequest) userauth.Verdict { return userauth.Verdict{} }

func (c *checker) Password(p []byte) userauth.Verdict {
	return userauth.Verdict{OK: c.password != "" && string(p) == c.password}
}

func (c *checker) Interactive(p []byte) userauth.Verdict { return c.Password(p) }

func (c *checker) KeyAcceptable(_ string, blob []byte) bool {
	return c.key != nil && bytes.Equal(blob, c.key.Marshal())
}

func (c *checker) KeySigned(algorithm string, blob, data, signature []byte) userauth.Verdict {
	var sig ssh.Signature
	if !c.KeyAcceptable(algorithm, blob) || ssh.Unmarshal(signature, &sig) != nil || c.key.Verify(data, &sig) != nil {
		return userauth.Verdict{}
	}
	c.keyDone = true
	return userauth.Verdict{OK: !c.both, Partial: c.both}
}

// login runs x/crypto's client against Serve over a real transport.
func login(t *testing.T, d userauth.Decider, auth ...ssh.AuthMethod) (userauth.Result, error, error) {
	tc := &transport.Config{
		Version: "SSH-2.0-test", KexAlgorithms: algo.DefaultKex, HostKeyAlgorithms: []string{"ssh-ed25519"},
		Ciphers: algo.DefaultCiphers, MACs: algo.DefaultMACs, Compression: []string{"none"},
		PubkeyAlgorithms: []string{"ssh-ed25519"},
		Signer:           hostKey{newKey(t)}, Random: func(b []byte) { _, _ = rand.Read(b) },
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type end struct {
		result userauth.Result
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		stream, err := l.Accept()
		if err != nil {
			ended <- end{err: err}
			return
		}
		c := transport.New(stream, tc)
		defer c.Free()
		if err := c.Handshake(); err != nil {
			ended <- end{err: err}
			return
		}
		r, err := userauth.Serve(c, d, &userauth.Config{MaxAuthTries: func() int { return 3 }})
		ended <- end{r, err}
		var offence *transport.PeerError
		if errors.As(err, &offence) {
			c.Disconnect(offence.Reason, offence.Text)
			return
		}
		_, _ = c.Receive() // until the client goes
	}()
	client, dialErr := ssh.Dial("tcp", l.Addr().String(), &ssh.ClientConfig{
		User: "alice", Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		BannerCallback: func(text string) error {
			if text != "welcome\n" {
				t.Errorf("banner %q", text)
			}
			return nil
		},
	})
	if client != nil {
		client.Close()
	}
	e := <-ended
	return e.result, e.err, dialErr
}

func TestRealClient(t *testing.T) {
	key, stranger := newKey(t), newKey(t)
	wrong := ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) { return "wrong", nil }), 5)
	cases := []struct {
		name   string
		d      *checker
		auth   []ssh.AuthMethod
		method string // "": refused
	}{
		{"key", &checker{key: key.PublicKey()}, []ssh.AuthMethod{ssh.PublicKeys(stranger, key)}, "publickey"},
		{"password", &checker{password: "right"}, []ssh.AuthMethod{ssh.Password("right")}, "password"},
		{"both", &checker{key: key.PublicKey(), password: "right", both: true}, []ssh.AuthMethod{ssh.PublicKeys(key), ssh.Password("right")}, "password"},
		{"stranger", &checker{key: key.PublicKey()}, []ssh.AuthMethod{ssh.PublicKeys(stranger)}, ""},
		{"wrong password", &checker{password: "right"}, []ssh.AuthMethod{wrong}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err, dialErr := login(t, c.d, c.auth...)
			if (err == nil) != (c.method != "") || (dialErr == nil) != (c.method != "") || err == nil && (r.Method != c.method || r.User != "alice") {
				t.Errorf("%+v, server %v, client %v", r, err, dialErr)
			}
		})
	}
}
