package connection_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

type hostKey struct{ ssh.Signer }

func (s hostKey) PublicKey(string) []byte { return s.Signer.PublicKey().Marshal() }

func (s hostKey) Sign(_, hash []byte, _ string) ([]byte, error) {
	sig, err := s.Signer.Sign(rand.Reader, hash)
	if err != nil {
		return nil, err
	}
	return ssh.Marshal(sig), nil
}

// dialReal serves cfg over a real transport to x/crypto's client.
func dialReal(t *testing.T, cfg *connection.Config) *ssh.Client {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	tc := &transport.Config{
		Version: "SSH-2.0-test", KexAlgorithms: algo.DefaultKex, HostKeyAlgorithms: []string{"ssh-ed25519"},
		Ciphers: algo.DefaultCiphers, MACs: algo.DefaultMACs, Compression: []string{"none"},
		PubkeyAlgorithms: []string{"ssh-ed25519"}, RekeyBytes: 4 << 20,
		Signer: hostKey{s}, Random: func(b []byte) { _, _ = rand.Read(b) },
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ended := make(chan error, 1)
	go func() { ended <- serveOne(l, tc, cfg) }()
	client, err := ssh.Dial("tcp", l.Addr().String(), &ssh.ClientConfig{User: "user", HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		<-ended
	})
	return client
}

func serveOne(l net.Listener, tc *transport.Config, cfg *connection.Config) error {
	stream, err := l.Accept()
	if err != nil {
		return err
	}
	c := transport.New(stream, tc)
	defer c.Free()
	if err := c.Handshake(); err != nil {
		return err
	}
	for _, answer := range [][]byte{wire.AppendText([]byte{msg.ServiceAccept}, "ssh-userauth"), {msg.UserauthSuccess}} {
		if _, err := c.Receive(); err != nil {
			return err
		}
		if err := c.Send(answer); err != nil {
			return err
		}
	}
	if err := c.Begin(); err != nil {
		return err
	}
	return connection.New(c, cfg).Serve()
}
