package sshkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/wire"
)

func opensshFile(t testing.TB, key any, comment string) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// goFiles returns a Go key in each format that fits.
func goFiles(t testing.TB, key any) map[string][]byte {
	files := map[string][]byte{"OPENSSH PRIVATE KEY": opensshFile(t, key, "")}
	add := func(label string, der []byte, err error) {
		check(err)
		files[label] = pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	add("PRIVATE KEY", der, err)
	switch k := key.(type) {
	case *rsa.PrivateKey:
		add("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k), nil)
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		add("EC PRIVATE KEY", der, err)
	}
	return files
}

func TestParsePrivateFormats(t *testing.T) {
	for name, goKey := range goKeys() {
		want := goSigner(t, goKey).PublicKey().Marshal()
		for label, text := range goFiles(t, goKey) {
			for what, text := range map[string][]byte{
				"plain":    text,
				"CRLF":     bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
				"text":     append([]byte("Bag Attributes\n    key: x\n"), text...),
				"no end":   bytes.TrimSuffix(text, []byte("\n")),
				"params":   append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), text...),
				"not PEM":  append([]byte("-----BEGIN\n-----BEGIN X\n-----BEGIN Y----- z\n"), text...),
				"followed": append(bytes.Clone(text), text...),
			} {
				key, _, err := ParsePrivate(text)
				if err != nil {
					t.Fatalf("%s, %s, %s: %v", name, label, what, err)
				}
				if !bytes.Equal(key.Public().Blob(), want) {
					t.Fatalf("%s, %s, %s: another key", name, label, what)
				}
				key.Wipe()
			}
		}
	}
}

func TestMarshalPrivate(t *testing.T) {
	generated, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	keys := privateKeys(t)
	keys["generated"] = generated
	for name, key := range keys {
		for _, comment := range []string{"", "x", "host key of a machine", strings.Repeat("long ", 50)} {
			text, err := MarshalPrivate(key, comment)
			if err != nil {
				t.Fatal(err)
			}
			again, got, err := ParsePrivate(text)
			if err != nil || got != comment || !Equal(again.Public(), key.Public()) {
				t.Fatalf("%s: %q %v", name, got, err)
			}
			goKey, err := ssh.ParseRawPrivateKey(text)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if ed, ok := goKey.(interface{ Public() any }); ok {
				goKey = ed
			}
			signer, err := ssh.NewSignerFromKey(goKey)
			if err != nil || !bytes.Equal(signer.PublicKey().Marshal(), key.Public().Blob()) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// keygen runs ssh-keygen, which not every machine has.
func keygen(t *testing.T, arguments ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("no ssh-keygen")
	}
	out, err := exec.Command(path, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %v: %v\n%s", arguments, err, out)
	}
	return out
}

func TestKeygenFiles(t *testing.T) {
	for _, kind := range [][]string{
		{"ed25519"}, {"ecdsa", "256"}, {"ecdsa", "384"}, {"ecdsa", "521"}, {"rsa", "1024"}, {"rsa", "2047"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		arguments := []string{"-q", "-N", "", "-C", "some comment", "-f", path, "-t", kind[0]}
		if len(kind) > 1 {
			arguments = append(arguments, "-b", kind[1])
		}
		keygen(t, arguments...)
		// The test leaves the key in our own format, and ssh-keygen converts that.
		for _, format := range []string{"RFC4716", "PEM", "PKCS8"} {
			keygen(t, "-q", "-p", "-N", "", "-m", format, "-f", path)
			testKeygenFile(t, path)
		}
	}
}

func testKeygenFile(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := ParsePrivate(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	line, comment, rest, err := ParseAuthorized(public)
	if err != nil || comment != "some comment" || len(rest) != 0 || !Equal(line, key.Public()) {
		t.Fatalf("%s: %v %q %q", public, err, comment, rest)
	}
	if got := MarshalAuthorized(key.Public(), comment); !bytes.Equal(got, public) {
		t.Errorf("%s in place of %s", got, public)
	}
	listed := string(keygen(t, "-l", "-f", path+".pub"))
	fields := strings.Fields(listed)
	if fields[0] != big.NewInt(int64(key.Public().Bits())).String() || fields[1] != FingerprintSHA256(key.Public().Blob()) ||
		fields[len(fields)-1] != "("+TypeName(key.Public().Type())+")" {
		t.Errorf("%s: %d %s %s", listed, key.Public().Bits(), FingerprintSHA256(key.Public().Blob()), TypeName(key.Public().Type()))
	}
	for _, hash := range []string{"MD5", "SHA1", "SHA256", "SHA384", "SHA512"} {
		listed := string(keygen(t, "-l", "-E", strings.ToLower(hash), "-f", path+".pub"))
		if got := Fingerprint(hash, key.Public().Blob()); strings.Fields(listed)[1] != got {
			t.Errorf("%s: %s", listed, got)
		}
	}
	ours, err := MarshalPrivate(key, "ours")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, ours, 0o600); err != nil {
		t.Fatal(err)
	}
	printed := keygen(t, "-y", "-f", path)
	if again, comment, _, err := ParseAuthorized(printed); err != nil || !Equal(again, key.Public()) || comment != "ours" {
		t.Errorf("ssh-keygen reads our file as %s", printed)
	}
}

func TestEncrypted(t *testing.T) {
	for _, kind := range []string{"ed25519", "ecdsa"} {
		for _, format := range []string{"RFC4716", "PEM", "PKCS8"} {
			path := filepath.Join(t.TempDir(), "key")
			keygen(t, "-q", "-N", "passphrase", "-a", "1", "-m", format, "-f", path, "-t", kind)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if key, _, err := ParsePrivate(text); !errors.Is(err, ErrEncrypted) || key != nil {
				t.Errorf("%s %s: %v", kind, format, err)
			}
		}
	}
}

func TestParsePrivateErrors(t *testing.T) {
	for name, goKey := range goKeys() {
		for label, text := range goFiles(t, goKey) {
			block, _ := pem.Decode(text)
			for n := range block.Bytes {
				if n > 200 && n%37 != 0 {
					continue
				}
				cut := pem.EncodeToMemory(&pem.Block{Type: label, Bytes: block.Bytes[:n]})
				if key, _, err := ParsePrivate(cut); err == nil || key != nil {
					t.Fatalf("%s, %s: %d bytes are a key", name, label, n)
				}
			}
			longer := pem.EncodeToMemory(&pem.Block{Type: label, Bytes: append(block.Bytes, 0)})
			if _, _, err := ParsePrivate(longer); err == nil {
				t.Errorf("%s, %s: a byte more", name, label)
			}
		}
	}
	for what, text := range map[string]string{
		"empty": "", "public": "ssh-ed25519 AAAA", "open": "-----BEGIN PRIVATE KEY-----\nAAAA\n",
		"base64":  "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n",
		"nothing": "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n",
		"other":   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		if key, _, err := ParsePrivate([]byte(text)); !errors.Is(err, ErrMalformed) || key != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	dsa := "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n"
	if _, _, err := ParsePrivate([]byte(dsa)); !errors.Is(err, ErrMalformed) {
		t.Errorf("DSA: %v", err)
	}
}

// Files whose halves do not belong together.
func TestMixedHalves(t *testing.T) {
	file := func(public []byte, section []byte) []byte {
		data := append([]byte(opensshMagic), wire.AppendText(wire.AppendText(wire.AppendText(nil, "none"), "none"), "")...)
		data = wire.AppendString(wire.AppendString(wire.AppendUint32(data, 1), public), section)
		return encodePEM("OPENSSH PRIVATE KEY", data)
	}
	section := func(key PrivateKey, edit func([]byte) []byte) []byte {
		b := wire.AppendText([]byte{1, 2, 3, 4, 1, 2, 3, 4}, key.Public().Type())
		b, err := key.(interface {
			appendFields([]byte) ([]byte, error)
		}).appendFields(b)
		check(err)
		b = wire.AppendText(edit(b), "comment")
		for i := byte(1); len(b)%8 != 0; i++ {
			b = append(b, i)
		}
		return b
	}
	same := func(b []byte) []byte { return b }
	keys := privateKeys(t)
	other, err := GenerateEd25519()
	check(err)
	ed := keys[TypeEd25519]
	for name, key := range keys {
		if _, _, err := ParsePrivate(file(key.Public().Blob(), section(key, same))); err != nil {
			t.Fatalf("%s: the test's own file: %v", name, err)
		}
	}
	bad := map[string][]byte{
		"outer public key": file(other.Public().Blob(), section(ed, same)),
		"check numbers": file(ed.Public().Blob(), func() []byte {
			b := section(ed, same)
			b[0] ^= 1
			return b
		}()),
		"padding": file(ed.Public().Blob(), func() []byte {
			b := section(ed, func(b []byte) []byte { return b })
			b[len(b)-1] ^= 1
			return b
		}()),
		"Ed25519 halves": file(other.Public().Blob(), section(ed, func(b []byte) []byte {
			point := other.(*ed25519Private).public.point
			copy(b[len(b)-32:], point[:])
			copy(b[len(b)-64-4-32:], point[:])
			return b
		})),
		"ECDSA scalar": file(keys[TypeECDSA256].Public().Blob(), section(keys[TypeECDSA256], func(b []byte) []byte {
			b[len(b)-1] ^= 1
			return b
		})),
		"RSA q": file(keys[TypeRSA].Public().Blob(), section(keys[TypeRSA], func(b []byte) []byte {
			b[len(b)-1] ^= 2
			return b
		})),
		"RSA d": file(keys[TypeRSA].Public().Blob(), section(keys[TypeRSA], func(b []byte) []byte {
			d := goKeys()[TypeRSA].(*rsa.PrivateKey).D.Bytes()
			i := bytes.Index(b, d)
			b[i+len(d)-1] ^= 2
			return b
		})),
		"two blocks of padding": file(ed.Public().Blob(), append(section(ed, same), 1, 2, 3, 4, 5, 6, 7, 8)),
	}
	for what, text := range bad {
		if key, _, err := ParsePrivate(text); !errors.Is(err, ErrMalformed) || key != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzParsePrivate(f *testing.F) {
	for _, key := range goKeys() {
		for label, text := range goFiles(f, key) {
			block, _ := pem.Decode(text)
			f.Add(label, block.Bytes)
			f.Add(string(text), []byte{})
		}
	}
	f.Fuzz(func(t *testing.T, label string, data []byte) {
		for _, text := range [][]byte{[]byte(label), encodePEM(label, data)} {
			key, _, err := ParsePrivate(text)
			if err != nil {
				if key != nil {
					t.Fatal("key and error")
				}
				continue
			}
			text, err := MarshalPrivate(key, "again")
			if err != nil {
				t.Fatal(err)
			}
			again, comment, err := ParsePrivate(text)
			if err != nil || comment != "again" || !Equal(key.Public(), again.Public()) {
				t.Fatalf("%v", err)
			}
			key.Wipe()
			again.Wipe()
		}
	})
}
