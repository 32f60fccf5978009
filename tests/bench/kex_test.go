package bench

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"strings"
	"testing"

	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/kex"
	"nano_ssh_server/server/proto/kex/sntrup761"
	"nano_ssh_server/server/proto/wire"
)

// point is a client's public value on a curve.
func point(tb testing.TB, curve ecdh.Curve) []byte {
	tb.Helper()
	key, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key.PublicKey().Bytes()
}

// clientMessages are what a client sends for a method.
func clientMessages(tb testing.TB, name string) [][]byte {
	tb.Helper()
	const kexInit, gexInit, gexRequest = 30, 32, 34
	one := func(public []byte) [][]byte { return [][]byte{wire.AppendString([]byte{kexInit}, public)} }
	// Below every group's prime, and neither 0 nor 1: good enough to compute with.
	number := make([]byte, 100)
	_, _ = rand.Read(number)
	number[0] = 0x55
	switch {
	case strings.HasPrefix(name, "mlkem768"):
		key, err := mlkem.GenerateKey768()
		if err != nil {
			tb.Fatal(err)
		}
		curve := ecdh.X25519()
		if strings.Contains(name, "nistp256") {
			curve = ecdh.P256()
		}
		return one(append(key.EncapsulationKey().Bytes(), point(tb, curve)...))
	case strings.HasPrefix(name, "sntrup761"):
		public, _, err := sntrup761.GenerateKey(func(b []byte) { _, _ = rand.Read(b) })
		if err != nil {
			tb.Fatal(err)
		}
		return one(append(public, point(tb, ecdh.X25519())...))
	case strings.Contains(name, "curve25519"):
		return one(point(tb, ecdh.X25519()))
	case strings.HasSuffix(name, "nistp256"):
		return one(point(tb, ecdh.P256()))
	case strings.HasSuffix(name, "nistp384"):
		return one(point(tb, ecdh.P384()))
	case strings.HasSuffix(name, "nistp521"):
		return one(point(tb, ecdh.P521()))
	case strings.Contains(name, "group-exchange"):
		request := []byte{gexRequest}
		for _, bits := range []uint32{2048, 3072, 3072} { // least, best, most
			request = wire.AppendUint32(request, bits)
		}
		return [][]byte{request, wire.AppendMpint([]byte{gexInit}, number)}
	}
	return [][]byte{wire.AppendMpint([]byte{kexInit}, number)}
}

// BenchmarkKex is the server's part of a key exchange: its own key, the shared
// secret, the exchange hash and an Ed25519 signature over it.
func BenchmarkKex(b *testing.B) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	blob := func(value []byte) []byte { return wire.AppendString(wire.AppendText(nil, "ssh-ed25519"), value) }
	params := &kex.Params{
		ClientVersion: "SSH-2.0-client", ServerVersion: "SSH-2.0-server",
		// As long as those of today's clients and ours.
		ClientKexInit: make([]byte, 1500), ServerKexInit: make([]byte, 1100),
		HostKeyAlgorithm: "ssh-ed25519", HostKey: blob(public),
		Sign: func(hash []byte) ([]byte, error) { return blob(ed25519.Sign(private, hash)), nil },
	}
	for _, name := range algo.AllKex {
		b.Run(name, func(b *testing.B) {
			messages := clientMessages(b, name)
			b.ReportAllocs()
			for b.Loop() {
				if err := exchange(name, params, messages); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func exchange(name string, params *kex.Params, messages [][]byte) error {
	e, err := kex.New(name, params)
	if err != nil {
		return err
	}
	defer e.Free()
	var result *kex.Result
	for _, m := range messages {
		if _, result, err = e.Step(m); err != nil {
			return err
		}
	}
	if result == nil {
		return kex.ErrPeer
	}
	clear(result.Secret)
	return nil
}

// BenchmarkDeriveKeys makes the six values of RFC 4253 section 7.2.
func BenchmarkDeriveKeys(b *testing.B) {
	secret, hash := wire.AppendString(nil, make([]byte, 32)), make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		for letter := byte('A'); letter <= 'F'; letter++ {
			if len(kex.DeriveKey(kex.HashName("curve25519-sha256"), secret, hash, letter, hash, 64)) != 64 {
				b.Fatal("no key")
			}
		}
	}
}
