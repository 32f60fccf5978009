package monitor

import (
	"bytes"
	"testing"

	"nano_ssh_server/server/proto/sshkey"
)

// FuzzKeySigned asks with anything for a key: only the seed that is right in
// every byte of what is signed may log in.
func FuzzKeySigned(f *testing.F) {
	w := newWorld(f, "")
	ca := newKey(f)
	w.shared.File = w.parse("TrustedUserCAKeys " + w.write("cas", string(sshkey.MarshalAuthorized(ca.Public(), ""))))
	blob := w.alice.Public().Blob()
	data := toSign(testHash, "alice", service, "publickey", sshkey.TypeEd25519, blob, nil)
	bound := toSign(testHash, "alice", service, "publickey-hostbound-v00@openssh.com", sshkey.TypeEd25519, blob, w.host.Public().Blob())
	for _, d := range [][]byte{data, bound, data[:len(data)-1], nil} {
		signature, err := w.alice.Sign(sshkey.TypeEd25519, d)
		must(f, err)
		f.Add(sshkey.TypeEd25519, blob, d, signature)
		f.Add(sshkey.AlgorithmRSA256, blob, d, signature[:20])
		f.Add(sshkey.TypeEd25519, w.other.Public().Blob(), d, signature)
	}
	cert := certify(f, ca, w.other, certificate{})
	certData := toSign(testHash, "alice", service, "publickey", certAlgorithm, cert, nil)
	for _, blob := range [][]byte{cert, certify(f, w.other, w.other, certificate{}), certify(f, ca, w.other, certificate{host: true})} {
		signature, err := w.other.Sign(sshkey.TypeEd25519, certData)
		must(f, err)
		f.Add(certAlgorithm, blob, certData, signature)
	}
	f.Fuzz(func(t *testing.T, algorithm string, b, d, signature []byte) {
		w.t = t
		c := w.start("alice")
		c.KeyAcceptable(algorithm, b)
		ok, _ := c.KeySigned(algorithm, b, d, signature)
		right := algorithm == sshkey.TypeEd25519 && bytes.Equal(b, blob) && (bytes.Equal(d, data) || bytes.Equal(d, bound)) ||
			algorithm == certAlgorithm && bytes.Equal(b, cert) && bytes.Equal(d, certData)
		if ok && !right || ok != (c.Grant() != nil) {
			t.Fatalf("let in: %q %q %q", algorithm, b, d)
		}
		w.log.take()
	})
}

func FuzzModuliLine(f *testing.F) {
	f.Add([]byte("20230319072318 2 6 100 2047 2 " + hexModulus(256)))
	f.Add([]byte("# Time Type Tests Tries Size Generator Modulus"))
	f.Add([]byte("1 2 3 4 5 6 7"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if g, ok := parseModuli(line); ok && (g.bits != 8*len(g.p) || len(g.g) != 1 || g.p[0] == 0) {
			t.Fatalf("%+v", g)
		}
	})
}

// FuzzRevoked: whatever a file of RevokedKeys holds, it is refused, or says of each key
// the same every time; a text that names a key revokes it.
func FuzzRevoked(f *testing.F) {
	private, err := sshkey.GenerateEd25519()
	if err != nil {
		f.Fatal(err)
	}
	key := private.Public()
	line := string(sshkey.MarshalAuthorized(key, "gone"))
	for _, s := range []string{
		"", "# none\n", line, "KEY", "\n \t\r\nKEY\n", line[:40], "no-pty KEY", krlMagic, krlMagic + "\x00\x00\x00\x01", "ssh-dss AAAAB3NzaC1kc3M=\nKEY",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		file = bytes.ReplaceAll(file, []byte("KEY"), []byte(line)) // which the fuzzer does not guess
		list, err := readRevoked(bytes.NewReader(file))
		if err != nil {
			return
		}
		revoked := list.Revoked(key)
		if list.Revoked(key) != revoked {
			t.Fatal("two answers")
		}
		if !bytes.HasPrefix(file, []byte(krlMagic)) && bytes.HasPrefix(file, []byte(line)) && !revoked {
			t.Fatal("a listed key is not revoked")
		}
	})
}
