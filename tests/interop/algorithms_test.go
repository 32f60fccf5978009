package interop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

// What the server can do; the configuration below offers all of it.
var (
	allCiphers = []string{"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
		"aes128-ctr", "aes192-ctr", "aes256-ctr"}
	allMACs = []string{"umac-64-etm@openssh.com", "umac-128-etm@openssh.com", "hmac-sha2-256-etm@openssh.com",
		"hmac-sha2-512-etm@openssh.com", "umac-64@openssh.com", "umac-128@openssh.com", "hmac-sha2-256",
		"hmac-sha2-512", "hmac-sha1"}
	allKex = []string{"sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com", "curve25519-sha256",
		"curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
		"diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512",
		"diffie-hellman-group-exchange-sha256"}
	allHostKeyAlgorithms = map[string]string{"ssh-ed25519": "ed25519", "ecdsa-sha2-nistp256": "ecdsa256",
		"ecdsa-sha2-nistp384": "ecdsa384", "ecdsa-sha2-nistp521": "ecdsa521",
		"rsa-sha2-256": "rsa", "rsa-sha2-512": "rsa"}
)

const mlkem = "mlkem768x25519-sha256"

func offerAll() string {
	kex := allKex
	if !harness.PeerIsSSHD() { // Debian 12's does not have it
		kex = append([]string{mlkem}, kex...)
	}
	return "Ciphers " + strings.Join(allCiphers, ",") + "\nMACs " + strings.Join(allMACs, ",") +
		"\nKexAlgorithms " + strings.Join(kex, ",") + "\nMaxStartups 200\nMaxSessions 200"
}

func allAuthorized(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, k := range harness.KeyTypes {
		lines = append(lines, harness.UserKey(t, k, "").Line)
	}
	return lines
}

// TestOpenSSHAlgorithms uses each cipher, MAC, key exchange, host key type and user key
// type once, with data both ways.
func TestOpenSSHAlgorithms(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: offerAll(), HostKeys: harness.KeyTypes, Authorized: allAuthorized(t)})
	data, err := io.ReadAll(stream(300_000))
	if err != nil {
		t.Fatal(err)
	}
	try := func(name, said string, options ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openssh(t, s, options...)
			r := finish(t, c.cmd([]string{"-v", "-o", "LogLevel=DEBUG1"}, "cat"), bytes.NewReader(data))
			if r.Code != 0 || r.Stdout != string(data) {
				t.Fatalf("exit %d, %d bytes came back of %d; stderr:\n%s", r.Code, len(r.Stdout), len(data), r.Stderr)
			}
			if !strings.Contains(r.Stderr, said) {
				t.Errorf("ssh -v does not say %q:\n%s", said, r.Stderr)
			}
		})
	}
	for _, cipher := range allCiphers {
		try("cipher "+cipher, "server->client cipher: "+cipher, "-c", cipher)
	}
	for _, mac := range allMACs {
		try("mac "+mac, "MAC: "+mac+" ", "-c", "aes128-ctr", "-m", mac)
	}
	for _, kex := range allKex {
		try("kex "+kex, "kex: algorithm: "+kex, "-o", "KexAlgorithms="+kex)
	}
	for algorithm := range allHostKeyAlgorithms {
		try("host key "+algorithm, "kex: host key algorithm: "+algorithm, "-o", "HostKeyAlgorithms="+algorithm)
	}
	for _, keyType := range harness.KeyTypes {
		key := harness.UserKey(t, keyType, "")
		try("user key "+keyType, "Server accepts key: "+key.Path, "-i", key.Path)
	}
	try("user key rsa-sha2-256", "Authenticated to", "-i", harness.UserKey(t, "rsa", "").Path,
		"-o", "PubkeyAcceptedAlgorithms=rsa-sha2-256")
	try("compression", "compression: zlib@openssh.com", "-C")
	try("compression and gcm", "compression: zlib@openssh.com", "-C", "-c", "aes256-gcm@openssh.com")
}

// TestDefaults uses what client and server agree on by themselves, in both modes.
func TestDefaults(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, HostKeys: harness.KeyTypes, Authorized: allAuthorized(t)})
		for _, keyType := range harness.KeyTypes {
			c := openssh(t, s, "-i", harness.UserKey(t, keyType, "").Path)
			c.expect("echo $((6*7))", "42", 0)
		}
		openssh(t, s, "-i", harness.UserKey(t, "ed25519", "-stranger").Path).refused()
	})
}

// TestGoAlgorithms does the same with x/crypto/ssh.
func TestGoAlgorithms(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: offerAll(), HostKeys: harness.KeyTypes, Authorized: allAuthorized(t)})
	data, err := io.ReadAll(stream(300_000))
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, change func(*ssh.ClientConfig)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := gossh(t, s)
			config.HostKeyCallback = anyHostKey(s)
			change(config)
			c := godial(t, s, config)
			session, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			session.Stdin = bytes.NewReader(data)
			out, err := session.Output("cat")
			if err != nil || !bytes.Equal(out, data) {
				t.Errorf("%v, %d bytes came back of %d", err, len(out), len(data))
			}
		})
	}
	supported := ssh.SupportedAlgorithms()
	for _, cipher := range supported.Ciphers {
		try("cipher "+cipher, func(c *ssh.ClientConfig) { c.Ciphers = []string{cipher} })
	}
	for _, mac := range supported.MACs {
		try("mac "+mac, func(c *ssh.ClientConfig) { c.Ciphers, c.MACs = []string{"aes256-ctr"}, []string{mac} })
	}
	for _, kex := range supported.KeyExchanges {
		if kex == mlkem && harness.PeerIsSSHD() {
			continue
		}
		try("kex "+kex, func(c *ssh.ClientConfig) { c.KeyExchanges = []string{kex} })
	}
	for algorithm := range allHostKeyAlgorithms {
		try("host key "+algorithm, func(c *ssh.ClientConfig) { c.HostKeyAlgorithms = []string{algorithm} })
	}
	for _, keyType := range harness.KeyTypes {
		signer := harness.UserKey(t, keyType, "").Signer()
		try("user key "+keyType, func(c *ssh.ClientConfig) { c.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)} })
	}
}

// anyHostKey accepts each of the server's host keys and no other.
func anyHostKey(s *harness.Server) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		for _, k := range s.HostKeys {
			if bytes.Equal(k.Public.Marshal(), key.Marshal()) {
				return nil
			}
		}
		return errors.New("not the server's host key")
	}
}
