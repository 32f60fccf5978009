package kex

import (
	"bytes"
	goecdh "crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"math/big"
	"strings"
	"testing"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/kex/sntrup761"
	"nano_ssh_server/server/proto/wire"
)

// client is the other side of an exchange, from Go's own packages and the RFCs
// alone: it shares no code with the server's side apart from the primes and
// sntrup761, which has its own check against published answers.
type client struct {
	public []byte                     // content of the string of INIT
	secret func(server []byte) []byte // K with its length, from the content of REPLY's string
	hash   func() hash.Hash
}

func field(content []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), content...)
}

// number returns the content of n's mpint.
func number(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) > 0 && b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return b
}

func ecClient(t testing.TB, curve goecdh.Curve) (public []byte, secret func([]byte) []byte) {
	key, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.PublicKey().Bytes(), func(server []byte) []byte {
		point, err := curve.NewPublicKey(server)
		if err != nil {
			t.Fatal(err)
		}
		shared, err := key.ECDH(point)
		if err != nil {
			t.Fatal(err)
		}
		return shared
	}
}

func dhClient(t testing.TB, p, g *big.Int) (public []byte, secret func([]byte) []byte) {
	x, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 300))
	if err != nil {
		t.Fatal(err)
	}
	return number(new(big.Int).Exp(g, x, p)), func(server []byte) []byte {
		f := new(big.Int).SetBytes(server)
		if !bytes.Equal(number(f), server) || f.Cmp(big.NewInt(1)) <= 0 || f.Cmp(p) >= 0 {
			t.Fatal("server's value is no mpint in range")
		}
		return new(big.Int).Exp(f, x, p).Bytes()
	}
}

func newClient(t testing.TB, name string) *client {
	t.Helper()
	asMpint := func(secret func([]byte) []byte) func([]byte) []byte {
		return func(server []byte) []byte { return field(number(new(big.Int).SetBytes(secret(server)))) }
	}
	curves := map[string]goecdh.Curve{
		"curve25519-sha256": goecdh.X25519(), "curve25519-sha256@libssh.org": goecdh.X25519(),
		"ecdh-sha2-nistp256": goecdh.P256(), "ecdh-sha2-nistp384": goecdh.P384(), "ecdh-sha2-nistp521": goecdh.P521(),
		"sntrup761x25519-sha512": goecdh.X25519(), "sntrup761x25519-sha512@openssh.com": goecdh.X25519(),
		"mlkem768x25519-sha256": goecdh.X25519(), "mlkem768nistp256-sha256": goecdh.P256(),
	}
	hashes := map[string]func() hash.Hash{
		"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
		"nistp384": sha512.New384, "nistp521": sha512.New, "nistp256": sha256.New, "@libssh.org": sha256.New,
		"@openssh.com": sha512.New,
	}
	c := &client{}
	for suffix, h := range hashes {
		if strings.HasSuffix(name, suffix) {
			c.hash = h
		}
	}
	switch {
	case strings.HasPrefix(name, "mlkem768"):
		decapsulation, err := mlkem.GenerateKey768()
		if err != nil {
			t.Fatal(err)
		}
		point, secret := ecClient(t, curves[name])
		c.public = append(decapsulation.EncapsulationKey().Bytes(), point...)
		c.secret = func(server []byte) []byte {
			pq, err := decapsulation.Decapsulate(server[:mlkem.CiphertextSize768])
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(append(pq, secret(server[mlkem.CiphertextSize768:])...))
			return field(sum[:])
		}
	case strings.HasPrefix(name, "sntrup761"):
		public, private, err := sntrup761.GenerateKey(func(b []byte) { _, _ = rand.Read(b) })
		if err != nil {
			t.Fatal(err)
		}
		point, secret := ecClient(t, curves[name])
		c.public = append(public, point...)
		c.secret = func(server []byte) []byte {
			pq, err := sntrup761.Decapsulate(server[:sntrup761.CiphertextSize], private)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha512.Sum512(append(pq, secret(server[sntrup761.CiphertextSize:])...))
			return field(sum[:])
		}
	case curves[name] != nil:
		public, secret := ecClient(t, curves[name])
		c.public, c.secret = public, asMpint(secret)
	case strings.HasPrefix(name, "diffie-hellman-group-exchange"):
		// The group comes first.
	default:
		group := strings.TrimPrefix(name[:strings.LastIndex(name, "-")], "diffie-hellman-")
		p, g, err := libcrypto.Group(group)
		if err != nil {
			t.Fatal(err)
		}
		public, secret := dhClient(t, new(big.Int).SetBytes(p), new(big.Int).SetBytes(g))
		c.public, c.secret = public, asMpint(secret)
	}
	return c
}

var hostKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func testParams() *Params {
	blob := wire.AppendString(wire.AppendText(nil, "ssh-ed25519"), hostKey.Public().(ed25519.PublicKey))
	return &Params{
		ClientVersion: "SSH-2.0-client", ServerVersion: "SSH-2.0-server",
		ClientKexInit: append([]byte{20}, bytes.Repeat([]byte("c"), 900)...), ServerKexInit: []byte("\x14server"),
		HostKeyAlgorithm: "ssh-ed25519", HostKey: blob,
		Sign: func(hash []byte) ([]byte, error) {
			return wire.AppendString(wire.AppendText(nil, "ssh-ed25519"), ed25519.Sign(hostKey, hash)), nil
		},
	}
}

// check recomputes the exchange hash and compares reply and result with it.
func (c *client) check(t *testing.T, name string, p *Params, number byte, extra, reply []byte, result *Result) {
	t.Helper()
	r := wire.NewReader(reply)
	if n := r.Byte(); n != number {
		t.Fatalf("%s: message %d", name, n)
	}
	blob, server, signature := r.String(), r.String(), r.String()
	if err := r.End(); err != nil || !bytes.Equal(blob, p.HostKey) {
		t.Fatalf("%s: reply %x, %v", name, reply, err)
	}
	k := c.secret(server)
	h := c.hash()
	for _, s := range [][]byte{[]byte(p.ClientVersion), []byte(p.ServerVersion), p.ClientKexInit, p.ServerKexInit, p.HostKey} {
		h.Write(field(s))
	}
	h.Write(extra)
	h.Write(field(c.public))
	h.Write(field(server))
	h.Write(k)
	want := h.Sum(nil)
	if result == nil || !bytes.Equal(result.Hash, want) || !bytes.Equal(result.Secret, k) || !bytes.Equal(result.HostKeyBlob, p.HostKey) {
		t.Fatalf("%s: result %v, want %x", name, result, want)
	}
	sig := wire.NewReader(signature)
	if sig.Text() != "ssh-ed25519" || !ed25519.Verify(hostKey.Public().(ed25519.PublicKey), want, sig.String()) || sig.End() != nil {
		t.Fatalf("%s: signature", name)
	}
	if HashName(name) != result.HashName {
		t.Errorf("%s: hash %s", name, result.HashName)
	}
	// Keys: RFC 4253 section 7.2, spelled out.
	session := []byte("session identifier")
	for _, n := range []int{1, 12, 16, 20, 32, 64, 65, 200} {
		var key []byte
		for len(key) < n {
			h := c.hash()
			h.Write(k)
			h.Write(want)
			if key == nil {
				h.Write([]byte("C"))
				h.Write(session)
			} else {
				h.Write(key)
			}
			key = h.Sum(key)
		}
		if got := DeriveKey(result.HashName, result.Secret, result.Hash, 'C', session, n); !bytes.Equal(got, key[:n]) {
			t.Fatalf("%s: key of %d bytes", name, n)
		}
	}
}
