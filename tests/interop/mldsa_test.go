package interop

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// No client on the machines that run these tests speaks OpenSSH 10.5's composite
// of ML-DSA-44 and Ed25519, so this is one: its halves are libcrypto's and Go's,
// the rest of it is written here.
const (
	mldsaName  = "ssh-mldsa44-ed25519@openssh.com"
	mldsaCert  = "ssh-mldsa44-ed25519-cert-v01@openssh.com"
	mldsaLabel = "COMPSIG-MLDSA44-Ed25519-SHA512"
)

// needMLDSA skips a test where this program's libcrypto, or the server's, is
// older than 3.5.
func needMLDSA(t *testing.T) {
	t.Helper()
	if harness.PeerIsSSHD() {
		t.Skip("the sshd of this machine has no ML-DSA")
	}
	if !libcrypto.HaveMLDSA44() {
		t.Skip(libcrypto.VersionText() + " has no ML-DSA-44")
	}
	out, err := exec.Command(harness.Binary(t, ""), "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	version := regexp.MustCompile(`OpenSSL (\d+)\.(\d+)`).FindSubmatch(out)
	if version == nil {
		t.Fatalf("no libcrypto in %q", out)
	}
	major, _ := strconv.Atoi(string(version[1]))
	minor, _ := strconv.Atoi(string(version[2]))
	if major < 3 || major == 3 && minor < 5 {
		t.Skipf("the server has no ML-DSA-44: %s", out)
	}
}

// composite is a key pair.
type composite struct {
	seeds [64]byte
	mldsa *libcrypto.MLDSA44Key
	ed    ed25519.PrivateKey
	both  []byte // the public keys
	blob  []byte
}

func newComposite(t *testing.T) *composite {
	t.Helper()
	k := new(composite)
	_, _ = rand.Read(k.seeds[:])
	var err error
	if k.mldsa, err = libcrypto.NewMLDSA44Private((*[32]byte)(k.seeds[:])); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.mldsa.Free)
	k.ed = ed25519.NewKeyFromSeed(k.seeds[32:])
	k.both = append(bytes.Clone(k.mldsa.Public()[:]), k.ed.Public().(ed25519.PublicKey)...)
	k.blob = raw.Append(nil, mldsaName, k.both)
	return k
}

// compositeMessage is what both halves sign.
func compositeMessage(data []byte) []byte {
	sum := sha512.Sum512(data)
	return append([]byte("CompositeAlgorithmSignatures2025"+mldsaLabel+"\x00"), sum[:]...)
}

func (k *composite) sign(t *testing.T, data []byte) []byte {
	t.Helper()
	message := compositeMessage(data)
	sig, err := k.mldsa.Sign([]byte(mldsaLabel), message)
	if err != nil {
		t.Fatal(err)
	}
	return raw.Append(nil, mldsaName, append(sig, ed25519.Sign(k.ed, message)...))
}

// verify is a raw.Conn's VerifyHost for a host that must have this key.
func (k *composite) verify(algorithm string, blob, hash, signature []byte) error {
	f := raw.NewFields(signature)
	name, value := f.Text(), f.Bytes()
	switch {
	case algorithm != mldsaName || name != mldsaName || !bytes.Equal(blob, k.blob):
		return fmt.Errorf("another host key or algorithm: %s %s", algorithm, name)
	case f.Failed() || len(f.Rest()) != 0 || len(value) != libcrypto.MLDSA44SignatureSize+ed25519.SignatureSize:
		return errors.New("malformed signature")
	}
	message := compositeMessage(hash)
	half := libcrypto.MLDSA44SignatureSize
	if !k.mldsa.Verify([]byte(mldsaLabel), message, value[:half]) {
		return errors.New("the ML-DSA half does not verify")
	}
	if !ed25519.Verify(k.both[libcrypto.MLDSA44PublicSize:], message, value[half:]) {
		return errors.New("the Ed25519 half does not verify")
	}
	return nil
}

func (k *composite) line() string { return mldsaName + " " + base64.StdEncoding.EncodeToString(k.blob) }

// file writes the private key for a server of the mode and returns its path.
func (k *composite) file(t *testing.T, m harness.Mode) string {
	t.Helper()
	dir, err := os.MkdirTemp(harness.SharedDir(), "mldsa")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	section := raw.Append(nil, uint32(5), uint32(5), raw.Raw(k.blob), k.seeds[:], "comment")
	for i := byte(1); len(section)%8 != 0; i++ {
		section = append(section, i)
	}
	data := raw.Append([]byte("openssh-key-v1\x00"), "none", "none", "", uint32(1), k.blob, section)
	path := filepath.Join(dir, "host_mldsa44_ed25519")
	text := pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: data})
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	if m == harness.AsUser && harness.HasRoot() {
		a := harness.Lookup(t, "nanotest")
		if err := os.Chown(path, a.UID, a.GID); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// certify makes a user certificate for subject, a public key without its type.
func (k *composite) certify(t *testing.T, subject []byte, principal string) []byte {
	t.Helper()
	b := raw.Append(nil, mldsaCert, "a nonce", subject, uint32(0), uint32(7), uint32(1), "an id",
		raw.Append(nil, principal), uint32(0), uint32(0), ^uint32(0), ^uint32(0), "", "", "", k.blob)
	return raw.Append(b, k.sign(t, b))
}

// connect runs the key exchange with a host that has the key, and asks for the
// service of user authentication.
func connectComposite(t *testing.T, s *harness.Server, host *composite) *raw.Conn {
	t.Helper()
	c, err := raw.Dial(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	init := raw.DefaultKexInit()
	if host != nil {
		init.HostKey = []string{mldsaName}
		c.VerifyHost = host.verify
	}
	if err := c.Handshake(init); err != nil {
		t.Fatal(err)
	}
	if err := c.RequestService("ssh-userauth"); err != nil {
		t.Fatal(err)
	}
	return c
}

// login sends a signed request; edit may change the signature's two halves.
func (k *composite) login(t *testing.T, c *raw.Conn, user, algorithm string, blob []byte, edit func(value []byte)) bool {
	t.Helper()
	body := raw.Msg(raw.UserauthRequest, user, "ssh-connection", "publickey", true, algorithm, blob)
	signature := k.sign(t, raw.Append(nil, c.SessionID, raw.Raw(body)))
	if edit != nil {
		edit(signature[len(signature)-libcrypto.MLDSA44SignatureSize-ed25519.SignatureSize:])
	}
	if err := c.Send(raw.Append(body, signature)); err != nil {
		t.Fatal(err)
	}
	answer, err := c.AuthAnswer()
	if err != nil {
		t.Fatal(err)
	}
	return answer.Success
}

// TestMLDSA exchanges keys with a host that has a composite key, more than once,
// and logs in with another one; neither half of a signature may be forged.
func TestMLDSA(t *testing.T) {
	needMLDSA(t)
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		host, user := newComposite(t), newComposite(t)
		s := harness.Start(t, harness.Options{
			Mode: m, Authorized: []string{user.line() + " a comment"},
			Config: "HostKey " + host.file(t, m) + "\nHostKeyAlgorithms ^" + mldsaName +
				"\nPubkeyAcceptedAlgorithms " + mldsaName + "\nMaxAuthTries 20",
		})
		c := connectComposite(t, s, host)
		if want := []string{mldsaName, "ssh-ed25519"}; !slices.Equal(c.Server.HostKey, want) {
			t.Errorf("the server offers %v, want %v", c.Server.HostKey, want)
		}
		if answer, err := c.AuthQuery(s.Account.Name, mldsaName, user.blob); err != nil || !answer.PKOK {
			t.Fatalf("the key is not accepted: %v\n%s", err, s.Log)
		}
		for _, i := range []int{0, 2419, 2420, 2483} {
			if user.login(t, c, s.Account.Name, mldsaName, user.blob, func(value []byte) { value[i] ^= 1 }) {
				t.Fatalf("byte %d of a signature does not count", i)
			}
		}
		if host.login(t, c, s.Account.Name, mldsaName, user.blob, nil) || host.login(t, c, s.Account.Name, mldsaName, host.blob, nil) {
			t.Fatal("logged in with another key")
		}
		if !user.login(t, c, s.Account.Name, mldsaName, user.blob, nil) {
			t.Fatalf("the login failed\n%s", s.Log)
		}
		s.Log.Wait(t, 0, `Accepted publickey for .* ssh2: MLDSA44-ED25519 SHA256:`)
		again := raw.DefaultKexInit()
		again.HostKey = []string{mldsaName}
		if err := c.Exchange(again); err != nil {
			t.Errorf("a second key exchange: %v\n%s", err, s.Log)
		}
	})
}

// TestMLDSACertificate logs in with a certificate for a composite key by another.
func TestMLDSACertificate(t *testing.T) {
	needMLDSA(t)
	t.Parallel()
	ca, user := newComposite(t), newComposite(t)
	start := func(config string) *harness.Server {
		return harness.Start(t, harness.Options{Config: config, Authorized: []string{"cert-authority " + ca.line()}})
	}
	const accept = "PubkeyAcceptedAlgorithms +" + mldsaCert
	s := start(accept + "\nCASignatureAlgorithms +" + mldsaName)
	blob := ca.certify(t, user.both, s.Account.Name)
	c := connectComposite(t, s, nil)
	if !user.login(t, c, s.Account.Name, mldsaCert, blob, nil) {
		t.Fatalf("the login failed\n%s", s.Log)
	}
	s.Log.Wait(t, 0, `Accepted publickey for .* ssh2: MLDSA44-ED25519-CERT SHA256:.* ID an id \(serial 7\) CA MLDSA44-ED25519 SHA256:`)
	s = start(accept)
	if user.login(t, connectComposite(t, s, nil), s.Account.Name, mldsaCert, blob, nil) {
		t.Error("the authority's algorithm is accepted by default")
	}
}

// TestMLDSADefault: as in OpenSSH 10.5, nothing of it is on by default.
func TestMLDSADefault(t *testing.T) {
	needMLDSA(t)
	t.Parallel()
	host, user := newComposite(t), newComposite(t)
	s := harness.Start(t, harness.Options{Config: "HostKey " + host.file(t, harness.AsUser), Authorized: []string{user.line()}})
	c := connectComposite(t, s, nil)
	if slices.Contains(c.Server.HostKey, mldsaName) {
		t.Errorf("the server offers %v", c.Server.HostKey)
	}
	if user.login(t, c, s.Account.Name, mldsaName, user.blob, nil) {
		t.Error("the key is accepted")
	}
	s.Log.Wait(t, 0, `signature algorithm `+regexp.QuoteMeta(mldsaName)+` not in PubkeyAcceptedAlgorithms`)
}
