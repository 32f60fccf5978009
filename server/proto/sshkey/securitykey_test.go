package sshkey

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/server/proto/wire"
)

// softKey is an authenticator in software, after PROTOCOL.u2f.
type softKey struct {
	public      *SecurityKey
	application string
	ed25519     ed25519.PrivateKey
	ecdsa       *ecdsa.PrivateKey
}

func softKeys(t testing.TB) []*softKey {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	point, err := ec.PublicKey.Bytes()
	check(err)
	blobs := [][]byte{
		wire.AppendText(wire.AppendString(wire.AppendText(nil, TypeSKEd25519), ed.Public().(ed25519.PublicKey)), "ssh:"),
		wire.AppendText(wire.AppendString(wire.AppendText(wire.AppendText(nil, TypeSKECDSA), "nistp256"), point), "ssh:user"),
	}
	keys := []*softKey{{application: "ssh:", ed25519: ed}, {application: "ssh:user", ecdsa: ec}}
	for i, blob := range blobs {
		key, err := ParsePublic(blob)
		if err != nil {
			t.Fatal(err)
		}
		keys[i].public = key.(*SecurityKey)
	}
	return keys
}

func (k *softKey) raw(message []byte) []byte {
	if k.ed25519 != nil {
		return ed25519.Sign(k.ed25519, message)
	}
	sum := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, k.ecdsa, sum[:])
	check(err)
	return wire.AppendMpint(wire.AppendMpint(nil, r.Bytes()), s.Bytes())
}

func (k *softKey) authenticatorData(flags byte, counter uint32) []byte {
	application := sha256.Sum256([]byte(k.application))
	return wire.AppendUint32(append(application[:], flags), counter)
}

func (k *softKey) sign(data []byte, flags byte, counter uint32) []byte {
	sum := sha256.Sum256(data)
	value := k.raw(append(k.authenticatorData(flags, counter), sum[:]...))
	return wire.AppendUint32(append(signatureBlob(k.public.Type(), value), flags), counter)
}

func (k *softKey) signWeb(flags byte, origin, clientData, extensions string) []byte {
	sum := sha256.Sum256([]byte(clientData))
	value := k.raw(append(append(k.authenticatorData(flags, 9), extensions...), sum[:]...))
	b := wire.AppendUint32(append(signatureBlob(AlgorithmWebAuthn, value), flags), 9)
	return wire.AppendText(wire.AppendText(wire.AppendText(b, origin), clientData), extensions)
}

// THREATS row 26: the flags are what the authenticator signed, and without a
// touch Verify refuses.
func TestThreat26SecurityKeys(t *testing.T) {
	data := []byte("data")
	for _, k := range softKeys(t) {
		name := k.public.Type()
		if k.public.Application() != k.application || k.public.Bits() != 256 {
			t.Errorf("%s: application %q", name, k.public.Application())
		}
		goKey, err := ssh.ParsePublicKey(k.public.Blob())
		if err != nil {
			t.Fatal(err)
		}
		for _, flags := range []byte{0, FlagUserPresent, FlagUserVerified, FlagUserPresent | FlagUserVerified} {
			signature := k.sign(data, flags, 77)
			s, err := k.public.VerifySecurityKey(name, data, signature)
			if err != nil || s.Flags != flags || s.Counter != 77 {
				t.Errorf("%s, flags %d: %v %v", name, flags, s, err)
			}
			if err := k.public.Verify(name, data, signature); (err == nil) != (flags&FlagUserPresent != 0) {
				t.Errorf("%s, flags %d: %v", name, flags, err)
			}
			if flags&FlagUserPresent != 0 {
				var theirs ssh.Signature
				if err := ssh.Unmarshal(signature, &theirs); err != nil || goKey.Verify(data, &theirs) != nil {
					t.Errorf("%s: golang.org/x/crypto/ssh refuses the test's signature", name)
				}
			}
			for at := range signature {
				changed := append([]byte(nil), signature...)
				changed[at] ^= 1
				if s, err := k.public.VerifySecurityKey(name, data, changed); err == nil || s != (SecurityKeySignature{}) {
					t.Errorf("%s: byte %d changed", name, at)
				}
			}
			if err := k.public.Verify(name, []byte("other"), signature); !errors.Is(err, ErrSignature) {
				t.Errorf("%s, other data: %v", name, err)
			}
			for n := range signature {
				if k.public.Verify(name, data, signature[:n]) == nil {
					t.Errorf("%s: %d bytes", name, n)
				}
			}
		}
	}
}

func TestWebAuthn(t *testing.T) {
	data := []byte("data to sign\xff\xfe")
	keys := softKeys(t)
	k := keys[1]
	challenge := base64.RawURLEncoding.EncodeToString(data)
	good := `{"type":"webauthn.get","challenge":"` + challenge + `","origin":"https://example.org"`
	for what, c := range map[string]struct {
		flags                          byte
		origin, clientData, extensions string
		want                           error
	}{
		"plain":           {1, "https://example.org", good + "}", "", nil},
		"more fields":     {5, "https://example.org", good + `,"crossOrigin":false}`, "", nil},
		"extensions":      {0x81, "https://example.org", good + "}", "\xa0", nil},
		"no touch":        {4, "https://example.org", good + "}", "", ErrSignature},
		"extension flag":  {0x81, "https://example.org", good + "}", "", ErrMalformed},
		"extension bytes": {1, "https://example.org", good + "}", "\xa0", ErrMalformed},
		"attested":        {0x41, "https://example.org", good + "}", "", ErrMalformed},
		"origin":          {1, "https://example.com", good + "}", "", ErrSignature},
		"quote":           {1, `https://example.org","x":"`, good + `","x":""}`, "", ErrMalformed},
		"create":          {1, "https://example.org", strings.Replace(good, ".get", ".create", 1), "", ErrSignature},
		"challenge":       {1, "https://example.org", strings.Replace(good, challenge, "AAAA", 1), "", ErrSignature},
		"empty":           {1, "", "", "", ErrSignature},
	} {
		signature := k.signWeb(c.flags, c.origin, c.clientData, c.extensions)
		if err := k.public.Verify(AlgorithmWebAuthn, data, signature); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if err := keys[0].public.Verify(AlgorithmWebAuthn, data, signature); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s, Ed25519: %v", what, err)
		}
		if err := k.public.Verify(TypeSKECDSA, data, signature); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s, other algorithm: %v", what, err)
		}
	}
}
