package threats

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// dial logs in with x/crypto/ssh, whose client offers anything that it is given.
func dial(t *testing.T, s *harness.Server, signer ssh.Signer) bool {
	t.Helper()
	c, err := ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
		User: s.Account.Name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKeys[0].Public), Timeout: 20 * time.Second,
	})
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func publicFile(t *testing.T, name string, keys ...ssh.Signer) string {
	t.Helper()
	dir, err := os.MkdirTemp(harness.SharedDir(), "certs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, k := range keys {
		text = append(text, ssh.MarshalAuthorizedKey(k.PublicKey())...)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestThreat25 logs in with certificates that must not let in.
func TestThreat25(t *testing.T) {
	t.Parallel()
	key := harness.UserKey(t, "ed25519", "-certified").Signer()
	ca := harness.UserKey(t, "ed25519", "-authority").Signer()
	revoked := harness.UserKey(t, "ed25519", "-revoked").Signer()
	other := harness.UserKey(t, "ed25519", "-stranger").Signer()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 100\nTrustedUserCAKeys " + publicFile(t, "cas", ca, revoked) +
		"\nRevokedKeys " + publicFile(t, "revoked", revoked)})
	certify := func(by ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
		t.Helper()
		c := &ssh.Certificate{
			Key: key.PublicKey(), Serial: 1, CertType: ssh.UserCert, KeyId: "a\nid", ValidPrincipals: []string{s.Account.Name},
			ValidBefore: ssh.CertTimeInfinity,
		}
		change(c)
		if err := c.SignCert(rand.Reader, by); err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewCertSigner(c, key)
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	same := func(*ssh.Certificate) {}
	// The CA of a nested certificate is one that a trusted CA certified.
	middle := &ssh.Certificate{Key: other.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{s.Account.Name}, ValidBefore: ssh.CertTimeInfinity}
	if err := middle.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	if !dial(t, s, certify(ca, same)) {
		t.Error("a good certificate is refused")
	}
	for name, signer := range map[string]ssh.Signer{
		"unknown critical option": certify(ca, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"unknown": ""} }),
		"no principals":           certify(ca, func(c *ssh.Certificate) { c.ValidPrincipals = nil }),
		"an empty principal":      certify(ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{""} }),
		"another principal":       certify(ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"somebody"} }),
		"a host's":                certify(ca, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }),
		"of no kind":              certify(ca, func(c *ssh.Certificate) { c.CertType = 3 }),
		"expired":                 certify(ca, func(c *ssh.Certificate) { c.ValidBefore = 1000 }),
		"not yet valid":           certify(ca, func(c *ssh.Certificate) { c.ValidAfter = 1 << 40 }),
		"another CA":              certify(other, same),
		"a revoked CA":            certify(revoked, same),
		"a nested CA":             nest(t, key, middle, other),
	} {
		if dial(t, s, signer) {
			t.Errorf("%s: let in", name)
		}
	}
	mustBeWell(t, s)
}

// nest makes a certificate whose CA is a certificate, which x/crypto/ssh does not do.
func nest(t *testing.T, key ssh.Signer, ca *ssh.Certificate, by ssh.Signer) ssh.Signer {
	t.Helper()
	c := &ssh.Certificate{
		Nonce: make([]byte, 32), Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: "nested", ValidPrincipals: ca.ValidPrincipals,
		ValidBefore: ssh.CertTimeInfinity, SignatureKey: ca,
	}
	data := c.Marshal() // ends with the length of an empty signature
	signature, err := by.Sign(rand.Reader, data[:len(data)-4])
	if err != nil {
		t.Fatal(err)
	}
	c.Signature = signature
	signer, err := ssh.NewCertSigner(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// skSigner is a security key without a finger on it.
type skSigner struct {
	private     ed25519.PrivateKey
	application string
	flags       byte
}

const skType = "sk-ssh-ed25519@openssh.com"

func (k skSigner) PublicKey() ssh.PublicKey {
	public, err := ssh.ParsePublicKey(raw.Append(nil, skType, []byte(k.private.Public().(ed25519.PublicKey)), k.application))
	if err != nil {
		panic(err) // it was made here
	}
	return public
}

func (k skSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	application, sum := sha256.Sum256([]byte(k.application)), sha256.Sum256(data)
	rest := []byte{k.flags, 0, 0, 0, 9}
	signed := append(append(application[:], rest...), sum[:]...)
	return &ssh.Signature{Format: skType, Blob: ed25519.Sign(k.private, signed), Rest: rest}, nil
}

// TestThreat26 logs in with security keys that nobody touched, or that are another
// application's.
func TestThreat26(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const present, verified = 1, 4
	for _, c := range []struct {
		options, application string
		flags                byte
		want                 bool
	}{
		{"", "ssh:", present, true}, {"", "ssh:", 0, false}, {"", "ssh:", verified, false}, {"no-touch-required ", "ssh:", 0, true},
		{"verify-required ", "ssh:", present, false}, {"verify-required ", "ssh:", present | verified, true},
		{"", "example.com", present, false},
	} {
		k := skSigner{private, c.application, c.flags}
		line := c.options + string(ssh.MarshalAuthorizedKey(k.PublicKey()))
		s := harness.Start(t, harness.Options{Authorized: []string{line}})
		if got := dial(t, s, k); got != c.want {
			t.Errorf("%+v: let in %v", c, got)
		}
		s.Stop()
	}
}
