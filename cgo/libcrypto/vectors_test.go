package libcrypto

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// hexBytes is a byte string that JSON holds in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type vector struct {
	ID      int
	Result  string // valid, invalid, acceptable
	Comment string

	Public, Private, Shared hexBytes // ECDH
	Msg, Sig                hexBytes // signatures
}

type vectorGroup struct {
	Key   hexBytes // ECDSA
	N, E  hexBytes // RSA
	Tests []vector
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
