package sshkey

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/wire"
)

var noon = time.Unix(1_700_000_000, 0)

// goCertificate has golang.org/x/crypto/ssh make a certificate, which edit may
// change before it is signed.
func goCertificate(t testing.TB, keyType, caType string, edit func(*ssh.Certificate)) []byte {
	t.Helper()
	cert := &ssh.Certificate{
		Key: goSigner(t, goKeys()[keyType]).PublicKey(), Serial: 7, CertType: ssh.UserCert, KeyId: "key id",
		ValidPrincipals: []string{"alice", "bob"},
		ValidAfter:      uint64(noon.Unix()) - 10, ValidBefore: uint64(noon.Unix()) + 10,
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{"force-command": "true", "source-address": "10.0.0.0/8"},
			Extensions:      map[string]string{"permit-pty": "", "permit-X11-forwarding": ""},
		},
	}
	if edit != nil {
		edit(cert)
	}
	if err := cert.SignCert(rand.Reader, goSigner(t, goKeys()[caType])); err != nil {
		t.Fatal(err)
	}
	return cert.Marshal()
}

func TestCertificates(t *testing.T) {
	data := []byte("data")
	for keyType, key := range privateKeys(t) {
		for caType := range goKeys() {
			blob := goCertificate(t, keyType, caType, nil)
			c, err := ParseCertificate(blob)
			if err != nil {
				t.Fatalf("%s by %s: %v", keyType, caType, err)
			}
			if c.Type() != CertificateType(keyType) || !bytes.Equal(c.Blob(), blob) || !Equal(c.Key, key.Public()) ||
				c.CA.Type() != caType || c.Serial != 7 || c.Kind != UserCertificate || c.KeyID != "key id" ||
				!reflect.DeepEqual(c.Principals, []string{"alice", "bob"}) || c.Bits() != key.Public().Bits() {
				t.Errorf("%s by %s: %+v", keyType, caType, c)
			}
			if command, err := c.Critical("force-command").Text(); err != nil || command != "true" {
				t.Errorf("force-command %q %v", command, err)
			}
			if c.Extension("permit-pty") == nil || c.Extension("permit-user-rc") != nil || c.Critical("permit-pty") != nil {
				t.Errorf("extensions %v", c.Extensions)
			}
			if _, unknown := c.UnknownCritical("force-command", "source-address"); unknown {
				t.Error("known option is unknown")
			}
			if name, unknown := c.UnknownCritical("force-command"); !unknown || name != "source-address" {
				t.Errorf("unknown option %q", name)
			}
			for _, algorithm := range key.Algorithms() {
				signature, err := key.Sign(algorithm, data)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Verify(CertificateType(algorithm), data, signature); err != nil {
					t.Errorf("%s: %v", algorithm, err)
				}
				if err := c.Verify(algorithm, data, signature); !errors.Is(err, ErrAlgorithm) {
					t.Errorf("%s without its suffix: %v", algorithm, err)
				}
			}
			if key, err := ParsePublic(blob); !errors.Is(err, ErrUnknownType) || key != nil {
				t.Errorf("a certificate passes as a key: %v", err)
			}
		}
	}
}

// THREATS row 25.
func TestThreat25Certificates(t *testing.T) {
	options := func(pairs ...string) (b []byte) {
		for _, s := range pairs {
			b = wire.AppendText(b, s)
		}
		return b
	}
	for what, c := range map[string]struct {
		edit      func(*ssh.Certificate)
		kind      CertificateKind
		principal string
		want      error
	}{
		"good":            {func(*ssh.Certificate) {}, UserCertificate, "bob", nil},
		"any principal":   {func(*ssh.Certificate) {}, UserCertificate, "", nil},
		"other principal": {func(*ssh.Certificate) {}, UserCertificate, "carol", ErrPrincipal},
		"pattern":         {func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*", "b?b"} }, UserCertificate, "bob", ErrPrincipal},
		"no principals":   {func(c *ssh.Certificate) { c.ValidPrincipals = nil }, UserCertificate, "bob", ErrNoPrincipals},
		"none, any":       {func(c *ssh.Certificate) { c.ValidPrincipals = nil }, UserCertificate, "", ErrNoPrincipals},
		"host":            {func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, UserCertificate, "bob", ErrNotUserCertificate},
		"user":            {func(*ssh.Certificate) {}, HostCertificate, "bob", ErrNotHostCertificate},
		"expired":         {func(c *ssh.Certificate) { c.ValidBefore = uint64(noon.Unix()) }, UserCertificate, "bob", ErrExpired},
		"not yet":         {func(c *ssh.Certificate) { c.ValidAfter = uint64(noon.Unix()) + 1 }, UserCertificate, "bob", ErrNotYetValid},
		"first second":    {func(c *ssh.Certificate) { c.ValidAfter = uint64(noon.Unix()) }, UserCertificate, "bob", nil},
		"for ever":        {func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }, UserCertificate, "bob", nil},
		"kind 0":          {func(c *ssh.Certificate) { c.CertType = 0 }, 0, "bob", ErrCertificateKind},
		"kind 3":          {func(c *ssh.Certificate) { c.CertType = 3 }, 3, "bob", ErrCertificateKind},
		"many principals": {func(c *ssh.Certificate) { c.ValidPrincipals = make([]string, 257) }, UserCertificate, "", ErrMalformed},
	} {
		cert, err := ParseCertificate(goCertificate(t, TypeEd25519, TypeECDSA256, c.edit))
		if err == nil {
			err = cert.Check(c.kind, c.principal, noon)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}

	// What golang.org/x/crypto/ssh would not write.
	key := privateKeys(t)[TypeEd25519]
	point := key.(*ed25519Private).public.point[:]
	build := func(name string, kind uint32, critical, extensions, ca []byte, signAs func([]byte) []byte) []byte {
		b := wire.AppendString(wire.AppendText(wire.AppendText(nil, name), "nonce"), point)
		b = wire.AppendText(wire.AppendUint32(wire.AppendUint64(b, 1), kind), "id")
		b = wire.AppendString(b, options("alice"))
		b = wire.AppendUint64(wire.AppendUint64(b, 0), 1<<63)
		b = wire.AppendText(wire.AppendString(wire.AppendString(b, critical), extensions), "")
		b = wire.AppendString(b, ca)
		return wire.AppendString(b, signAs(b))
	}
	good := func(b []byte) []byte {
		signature, err := key.Sign(TypeEd25519, b)
		check(err)
		return signature
	}
	const name = "ssh-ed25519-cert-v01@openssh.com"
	own := key.Public().Blob()
	whole := build(name, 1, nil, nil, own, good)
	if _, err := ParseCertificate(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if c, err := ParseCertificate(whole[:n]); err == nil || c != nil {
			t.Fatalf("the first %d bytes pass", n)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 1
		if c, err := ParseCertificate(changed); err == nil || c != nil {
			t.Fatalf("byte %d changed: passes", n)
		}
	}
	for what, c := range map[string]struct {
		blob []byte
		want error
	}{
		"trailing":         {append(bytes.Clone(whole), 0), ErrMalformed},
		"plain type":       {build(TypeEd25519, 1, nil, nil, own, good), ErrUnknownType},
		"other type":       {build("ssh-xmss-cert-v01@openssh.com", 1, nil, nil, own, good), ErrUnknownType},
		"nested CA":        {build(name, 1, nil, nil, whole, good), ErrNestedCA},
		"no CA":            {build(name, 1, nil, nil, nil, good), ErrMalformed},
		"no signature":     {build(name, 1, nil, nil, own, func([]byte) []byte { return nil }), ErrMalformed},
		"other signature":  {build(name, 1, nil, nil, own, func(b []byte) []byte { return good(b[1:]) }), ErrCASignature},
		"same option":      {build(name, 1, options("force-command", "", "force-command", ""), nil, own, good), ErrMalformed},
		"same extension":   {build(name, 1, nil, options("permit-pty", "", "permit-pty", ""), own, good), ErrMalformed},
		"half an option":   {build(name, 1, options("force-command"), nil, own, good), ErrMalformed},
		"half a length":    {build(name, 1, nil, []byte{0, 0}, own, good), ErrMalformed},
		"too many options": {build(name, 1, nil, manyOptions(300), own, good), ErrMalformed},
	} {
		if cert, err := ParseCertificate(c.blob); !errors.Is(err, c.want) || cert != nil {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	unordered, err := ParseCertificate(build(name, 1, options("x", "\x00\x00\x00\x02a", "b", ""), nil, own, good))
	if err != nil || len(unordered.CriticalOptions) != 2 {
		t.Fatalf("options out of order: %v", err)
	}
	if _, err := unordered.Critical("x").Text(); !errors.Is(err, ErrMalformed) {
		t.Errorf("text of a malformed option: %v", err)
	}
}

func manyOptions(n int) (b []byte) {
	for i := range n {
		b = wire.AppendText(wire.AppendText(b, fmt.Sprint("option", i)), "")
	}
	return b
}

func TestKeygenCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca")
	keygen(t, "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", ca)
	caText, err := os.ReadFile(ca + ".pub")
	check(err)
	caKey, _, _, err := ParseAuthorized(caText)
	check(err)
	for keyType, key := range privateKeys(t) {
		path := filepath.Join(dir, keyType)
		check(os.WriteFile(path+".pub", MarshalAuthorized(key.Public(), "comment"), 0o600))
		for _, host := range []bool{false, true} {
			arguments := []string{"-q", "-s", ca, "-t", "rsa-sha2-256", "-I", "an id", "-n", "alice,bob", "-z", "12345",
				"-V", "20230101000000Z:20330101000000Z"}
			if host {
				arguments = append(arguments, "-h")
			} else {
				arguments = append(arguments, "-O", "force-command=/bin/true x", "-O", "verify-required", "-O", "no-pty")
			}
			keygen(t, append(arguments, path+".pub")...)
			text, err := os.ReadFile(path + "-cert.pub")
			check(err)
			c, comment, err := ParseAuthorizedCertificate(text)
			if err != nil || comment != "comment" {
				t.Fatalf("%s: %q %v", keyType, comment, err)
			}
			kind := UserCertificate
			if host {
				kind = HostCertificate
			} else if command, err := c.Critical("force-command").Text(); err != nil || command != "/bin/true x" ||
				c.Critical("verify-required") == nil || c.Extension("permit-pty") != nil || c.Extension("permit-user-rc") == nil {
				t.Errorf("%s: options %v %v", keyType, c.CriticalOptions, c.Extensions)
			}
			if err := c.Check(kind, "alice", noon); err != nil {
				t.Errorf("%s: %v", keyType, err)
			}
			if c.Serial != 12345 || c.KeyID != "an id" || !Equal(c.CA, caKey) || c.SignatureAlgorithm != AlgorithmRSA256 ||
				c.ValidAfter != 1672531200 || c.ValidBefore != 1988150400 || !Equal(c.Key, key.Public()) {
				t.Errorf("%s: %+v", keyType, c)
			}
			if got := MarshalAuthorized(c, "comment"); !bytes.Equal(got, text) {
				t.Errorf("%s: %s", keyType, got)
			}
			if _, _, _, err := ParseAuthorized(text); !errors.Is(err, ErrUnknownType) {
				t.Errorf("%s: certificate as a key: %v", keyType, err)
			}
			if _, _, err := ParseAuthorizedCertificate(caText); !errors.Is(err, ErrUnknownType) {
				t.Errorf("%s: key as a certificate: %v", keyType, err)
			}
		}
	}
}

func TestSecurityKeyCertificates(t *testing.T) {
	for _, k := range softKeys(t) {
		b := wire.AppendText(wire.AppendText(nil, CertificateType(k.public.Type())), "nonce")
		_, fields, _ := bytes.Cut(k.public.Blob(), wire.AppendText(nil, k.public.Type()))
		b = append(b, fields...)
		b = wire.AppendText(wire.AppendUint32(wire.AppendUint64(b, 1), 1), "id")
		b = wire.AppendString(b, wire.AppendText(nil, "alice"))
		b = wire.AppendUint64(wire.AppendUint64(b, 0), 1<<63)
		b = wire.AppendText(wire.AppendText(wire.AppendText(b, ""), ""), "")
		b = wire.AppendString(b, k.public.Blob())
		for _, flags := range []byte{0, FlagUserPresent} {
			c, err := ParseCertificate(wire.AppendString(bytes.Clone(b), k.sign(b, flags, 1)))
			if (err == nil) != (flags == FlagUserPresent) {
				t.Fatalf("%s: %v", k.public.Type(), err)
			}
			if err != nil {
				continue
			}
			if !strings.HasSuffix(TypeName(c.Type()), "-SK-CERT") || !Equal(c.Key, k.public) {
				t.Errorf("%s", c.Type())
			}
			data := []byte("data")
			if err := c.Verify(c.Type(), data, k.sign(data, 1, 2)); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	for keyType := range goKeys() {
		f.Add(goCertificate(f, keyType, TypeEd25519, nil))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		c, err := ParseCertificate(blob)
		if err != nil {
			if c != nil {
				t.Fatal("certificate and error")
			}
			return
		}
		if !bytes.Equal(c.Blob(), blob) || c.CA == nil || c.Key == nil {
			t.Fatal("incomplete")
		}
		c.Check(UserCertificate, "alice", noon)
	})
}
