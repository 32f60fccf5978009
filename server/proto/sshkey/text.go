package sshkey

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"

	"nano_ssh_server/cgo/libcrypto"
)

// certSuffix ends the names of certificate types.
const certSuffix = "-cert-v01@openssh.com"

// PlainType returns the type of the key in a certificate of the given type, and
// whether it is one: "ssh-rsa" for "ssh-rsa-cert-v01@openssh.com", also for
// signature algorithms.
func PlainType(name string) (string, bool) {
	plain, ok := strings.CutSuffix(name, certSuffix)
	if strings.Contains(plain, "@") {
		return name, false // the type of a key, or none at all
	}
	if ok && (strings.HasPrefix(plain, "sk-") || plain+"@openssh.com" == TypeMLDSA44Ed25519) {
		plain += "@openssh.com"
	}
	return plain, ok
}

// TypeName returns the name that OpenSSH's log lines have for a key type or
// signature algorithm: "ED25519", "RSA-CERT". Unknown types are "unknown".
func TypeName(keyType string) string {
	plain, cert := PlainType(keyType)
	switch plain {
	case AlgorithmRSA256, AlgorithmRSA512:
		plain = TypeRSA
	case AlgorithmWebAuthn:
		plain = TypeSKECDSA
	}
	t, ok := keyTypes[plain]
	switch {
	case !ok:
		return "unknown"
	case cert:
		return t.name + "-CERT"
	}
	return t.name
}

// FingerprintSHA256 is Fingerprint with the hash that everybody shows.
func FingerprintSHA256(blob []byte) string { return Fingerprint("SHA256", blob) }

// Fingerprint returns the hash of a public key blob under a name of FingerprintHash
// (MD5, SHA1, SHA256, SHA384, SHA512), and that name before it: in base64 without
// padding, MD5's as pairs of hexadecimal digits. Other names are SHA256. For a certificate, take
// the blob of its key, as OpenSSH does.
func Fingerprint(hash string, blob []byte) string {
	if hash == "MD5" {
		return FingerprintMD5(blob)
	}
	sum, err := libcrypto.Digest(strings.ToLower(hash), nil, blob)
	if err != nil {
		return FingerprintSHA256(blob)
	}
	return hash + ":" + base64.RawStdEncoding.EncodeToString(sum)
}

// FingerprintMD5 returns "MD5:" and the hash of a public key blob as pairs of
// hexadecimal digits.
func FingerprintMD5(blob []byte) string {
	sum, _ := libcrypto.Digest("md5", nil, blob)
	text := "MD5"
	for _, b := range sum {
		text += ":" + hex.EncodeToString([]byte{b})
	}
	return text
}

// ParseAuthorized reads the first key of a text with one key a line: type,
// base64, comment. It passes over empty lines and lines that begin with "#". It
// knows no options: whoever reads authorized_keys takes them from the front
// first. rest is what follows the line. Without a key the error wraps ErrMalformed,
// and rest is empty if no line held anything. Certificates are ErrUnknownType.
func ParseAuthorized(text []byte) (key PublicKey, comment string, rest []byte, err error) {
	line, rest := nextLine(text)
	name, blob, comment, err := splitLine(line)
	if err == nil {
		key, err = ParsePublic(blob)
	}
	if err == nil && key.Type() != name {
		err = badFormat("key of type %s under the name %.64q", key.Type(), name)
	}
	if err != nil {
		return nil, "", rest, err
	}
	return key, comment, rest, nil
}

// ParseAuthorizedCertificate is ParseAuthorized for a certificate, as ssh-keygen -s
// writes it into a file.
func ParseAuthorizedCertificate(text []byte) (cert *Certificate, comment string, err error) {
	line, _ := nextLine(text)
	name, blob, comment, err := splitLine(line)
	if err == nil {
		cert, err = ParseCertificate(blob)
	}
	if err == nil && cert.Type() != name {
		err = badFormat("certificate of type %s under the name %.64q", cert.Type(), name)
	}
	if err != nil {
		return nil, "", err
	}
	return cert, comment, nil
}

// nextLine returns the first line that holds something, without blanks around it.
func nextLine(text []byte) (line, rest []byte) {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if line = bytes.Trim(line, " \t\r"); len(line) > 0 && line[0] != '#' {
			return line, rest
		}
		text = rest
	}
	return nil, nil
}

func splitLine(line []byte) (name string, blob []byte, comment string, err error) {
	cut := func(b []byte) (field, rest []byte) {
		if i := bytes.IndexAny(b, " \t"); i >= 0 {
			return b[:i], bytes.TrimLeft(b[i:], " \t")
		}
		return b, nil
	}
	if len(line) == 0 {
		return "", nil, "", badFormat("no key")
	}
	field, line := cut(line)
	encoded, text := cut(line)
	if TypeName(string(field)) == "unknown" {
		return "", nil, "", fmt.Errorf("%w %.64q", ErrUnknownType, field)
	}
	blob = make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Strict().Decode(blob, encoded)
	if err != nil {
		return "", nil, "", malformed(err)
	}
	return string(field), blob[:n], string(text), nil
}

// MarshalAuthorized returns a key as a line of text with a line feed. A line feed
// in the comment becomes a blank.
func MarshalAuthorized(key PublicKey, comment string) []byte {
	line := key.Type() + " " + base64.StdEncoding.EncodeToString(key.Blob())
	if comment = strings.Map(oneLine, comment); comment != "" {
		line += " " + comment
	}
	return []byte(line + "\n")
}

func oneLine(r rune) rune {
	if r == '\n' || r == '\r' {
		return ' '
	}
	return r
}

// hidden is how a private key prints.
func hidden(public PublicKey) string {
	return "private key of " + public.Type() + " " + FingerprintSHA256(public.Blob())
}

// bitLen returns the number of bits of a big-endian number.
func bitLen(n []byte) int {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) == 0 {
		return 0
	}
	return 8*len(n) - bits.LeadingZeros8(n[0])
}
