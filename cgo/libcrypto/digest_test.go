package libcrypto

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestDigestVectors(t *testing.T) {
	// "abc": RFC 1321 section A.5, FIPS 180-4 examples.
	for name, want := range map[string]string{
		"md5":    "900150983cd24fb0d6963f7d28e17f72",
		"sha1":   "a9993e364706816aba3e25717850c26c9cd0d89d",
		"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha384": "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		"sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	} {
		got, err := Digest(name, nil, []byte("abc"))
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v", name, got, err)
		}
		if DigestSize(name) != len(got) {
			t.Errorf("%s: size", name)
		}
	}
	if _, err := Digest("sha3", nil); err == nil {
		t.Error("unknown digest accepted")
	}
	if _, err := NewHash(""); err == nil {
		t.Error("unknown digest accepted")
	}
}

func TestHashAgainstGo(t *testing.T) {
	for name, newHash := range goHashes {
		reference := newHash()
		h, err := NewHash(name)
		if err != nil {
			t.Fatal(err)
		}
		var parts [][]byte
		for _, n := range []int{0, 1, 63, 64, 65, 127, 128, 1000, 70000} {
			part := random(n)
			parts = append(parts, part)
			h.Write(part)
			reference.Write(part)
			want := reference.Sum([]byte("prefix"))
			if got := h.Sum([]byte("prefix")); !bytes.Equal(got, want) {
				t.Fatalf("%s after %d: %x", name, n, got)
			}
			if got, err := Digest(name, []byte("prefix"), parts...); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s in parts: %x", name, got)
			}
		}
		h.Reset()
		if got := h.Sum(nil); !bytes.Equal(got, newHash().Sum(nil)) {
			t.Fatal("Reset")
		}
		h.Write(parts[3])
		h.Free()
		if got := h.Sum(nil); !bytes.Equal(got, newHash().Sum(nil)) {
			t.Fatal("Free")
		}
	}
}
