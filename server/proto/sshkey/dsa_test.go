package sshkey

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// dsaFile is a key of the real ssh-keygen, in OpenSSH's format or as PEM.
func dsaFile(t *testing.T, form ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is missing")
	}
	path := filepath.Join(t.TempDir(), "key")
	out, err := exec.Command(program, append([]string{"-q", "-t", "dsa", "-N", "", "-f", path}, form...)...).CombinedOutput()
	if err != nil {
		t.Skipf("this ssh-keygen makes no DSA keys: %s", out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDSA(t *testing.T) {
	for _, form := range [][]string{nil, {"-m", "PEM"}} {
		key, _, err := ParsePrivate(dsaFile(t, form...))
		if err != nil {
			t.Fatal(form, err)
		}
		public, err := ParsePublic(key.Public().Blob())
		if err != nil || public.Bits() != 1024 || TypeName(public.Type()) != "DSA" {
			t.Fatal(err)
		}
		data := []byte("data")
		signature, err := key.Sign(TypeDSA, data)
		if err != nil || public.Verify(TypeDSA, data, signature) != nil {
			t.Fatal(err)
		}
		if err := public.Verify(TypeDSA, []byte("other"), signature); !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
		signature[len(signature)-1] ^= 1
		if err := public.Verify(TypeDSA, data, signature); !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
		if err := public.Verify(TypeRSA, data, signature); !errors.Is(err, ErrAlgorithm) {
			t.Error(err)
		}
		if err := public.Verify(TypeDSA, data, append(signature, 0)); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
		if _, err := key.Sign(AlgorithmRSA256, data); !errors.Is(err, ErrAlgorithm) {
			t.Error(err)
		}
		key.Wipe()
		key.Wipe()
		if _, err := key.Sign(TypeDSA, data); err == nil {
			t.Error("a wiped key signs")
		}
	}
}
