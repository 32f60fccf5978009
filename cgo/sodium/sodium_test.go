package sodium

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// hexBytes is a byte string that JSON holds in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type vectorGroup struct {
	Key   hexBytes // Ed25519
	Tests []struct {
		ID      int
		Result  string // valid, invalid, acceptable
		Comment string

		Public, Private, Shared hexBytes // X25519
		Msg, Sig                hexBytes // Ed25519
		Seed, Ek, C, K          hexBytes // ML-KEM
	}
}

// wycheproof reads testdata/wycheproof_NAME.json.gz; testdata/README.md says
// where the files come from.
func wycheproof(t *testing.T, name string) []vectorGroup {
	t.Helper()
	f, err := os.Open("testdata/wycheproof_" + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Groups []vectorGroup }
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all.Groups
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBasics(t *testing.T) {
	Random(nil)
	Memzero(nil)
	a, b := make([]byte, 64), make([]byte, 64)
	Random(a)
	Random(b)
	if Equal(a, b) || !Equal(a, bytes.Clone(a)) || Equal(a, a[:63]) || !Equal(nil, []byte{}) || Equal(nil, a) {
		t.Fatal("Equal")
	}
	Memzero(a)
	if !Equal(a, make([]byte, 64)) {
		t.Fatal("Memzero")
	}
	if !strings.HasPrefix(VersionText(), "1.") {
		t.Fatal(VersionText())
	}
	t.Log("libsodium", VersionText(), "ML-KEM:", MLKEMLibrary)
}

func TestAllocations(t *testing.T) {
	var scalar, public, shared [32]byte
	var sig [64]byte
	Random(scalar[:])
	message := make([]byte, 100)
	allocs := testing.AllocsPerRun(50, func() {
		X25519Base(&public, &scalar)
		X25519(&shared, &scalar, &public)
		Ed25519Verify(&public, message, sig[:])
		Random(message)
		Memzero(message)
		Equal(message, message)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
