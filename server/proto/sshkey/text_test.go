package sshkey

import (
	"errors"
	"strings"
	"testing"
)

func TestTypeName(t *testing.T) {
	for name, want := range map[string]string{
		TypeEd25519: "ED25519", TypeECDSA521: "ECDSA", TypeRSA: "RSA", AlgorithmRSA512: "RSA",
		TypeSKEd25519: "ED25519-SK", TypeSKECDSA: "ECDSA-SK", AlgorithmWebAuthn: "ECDSA-SK",
		"ssh-ed25519-cert-v01@openssh.com":            "ED25519-CERT",
		"rsa-sha2-256-cert-v01@openssh.com":           "RSA-CERT",
		"sk-ssh-ed25519-cert-v01@openssh.com":         "ED25519-SK-CERT",
		"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com": "ECDSA-SK-CERT",
		"ecdsa-sha2-nistp384-cert-v01@openssh.com":    "ECDSA-CERT",
		"":                      "unknown",
		"ssh-foo\n":             "unknown",
		"-cert-v01@openssh.com": "unknown",
		"ssh-rsa-cert-v01@openssh.com-cert-v01@openssh.com": "unknown",
	} {
		if got := TypeName(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// knownLine is a key whose fingerprints ssh-keygen gave.
const knownLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

func TestFingerprints(t *testing.T) {
	key, _, _, err := ParseAuthorized([]byte(knownLine))
	if err != nil {
		t.Fatal(err)
	}
	if got := FingerprintSHA256(key.Blob()); got != "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA" {
		t.Error(got)
	}
	if got := FingerprintMD5(key.Blob()); got != "MD5:0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba" {
		t.Error(got)
	}
}

func TestParseAuthorized(t *testing.T) {
	text := "# a comment\n\n  \t\r\n" + knownLine + " user@host and more \r\n\tssh-rsa AAAA\n" + knownLine
	key, comment, rest, err := ParseAuthorized([]byte(text))
	if err != nil || comment != "user@host and more" || key.Type() != TypeEd25519 {
		t.Fatalf("%v %q", err, comment)
	}
	if _, _, rest, err = ParseAuthorized(rest); !errors.Is(err, ErrMalformed) {
		t.Fatalf("%v", err)
	}
	again, comment, rest, err := ParseAuthorized(rest)
	if err != nil || comment != "" || len(rest) != 0 || !Equal(key, again) {
		t.Fatalf("%v %q %q", err, comment, rest)
	}
	if string(MarshalAuthorized(key, "a\nb\r")) != knownLine+" a b \n" {
		t.Errorf("%q", MarshalAuthorized(key, "a\nb\r"))
	}
	for bad, want := range map[string]error{
		"":                             ErrMalformed,
		"\n\n#\n":                      ErrMalformed,
		"ssh-ed25519":                  ErrMalformed,
		"ssh-ed25519 !":                ErrMalformed,
		knownLine[:40]:                 ErrMalformed,
		"ssh-foo AAAA":                 ErrUnknownType,
		"restrict " + knownLine:        ErrUnknownType,
		"ssh-rsa" + knownLine[11:]:     ErrMalformed,
		strings.Repeat("x", 1<<16):     ErrUnknownType,
		"ssh-ed25519 AAAAB3NzaC1yc2E=": ErrMalformed,
	} {
		if key, _, _, err := ParseAuthorized([]byte(bad)); !errors.Is(err, want) || key != nil {
			t.Errorf("%.60q: %v, want %v", bad, err, want)
		}
	}
}

func FuzzParseAuthorized(f *testing.F) {
	f.Add([]byte(knownLine + " comment\n"))
	f.Add([]byte("# x\n\n" + knownLine + "\nssh-rsa AAAA"))
	f.Add([]byte("command=\"x\" ssh-ed25519 AAAA"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for len(text) > 0 {
			key, comment, rest, err := ParseAuthorized(text)
			if len(rest) >= len(text) {
				t.Fatal("no progress")
			}
			if err == nil {
				again, _, _, err := ParseAuthorized(MarshalAuthorized(key, comment))
				if err != nil || !Equal(key, again) {
					t.Fatalf("%v", err)
				}
			}
			text = rest
		}
	})
}
