package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/sshkey"
)

// maxKnownHosts is the largest known_hosts in bytes: 40,000 hosts. Each hashed name
// costs a microsecond. What stands behind the limit may revoke a key, so that a
// larger file lets nobody in.
const maxKnownHosts = 4 << 20

// A Marker is the word before the hosts of a line.
type Marker int

// The markers.
const (
	NoMarker Marker = iota
	CertAuthority
	Revoked
)

// A KnownHost is one line of known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
type KnownHost struct {
	Marker Marker
	Hosts  string // patterns, or one hashed name
	Type   string // of the key, as the line has it
	Key    string // base64
}

// ErrNoHost means that a line names no host with a key.
var ErrNoHost = errors.New("auth: line without a host key")

var errFileSize = errors.New("file too large")

// ParseKnownHost reads one line. Empty lines, comments and what is no line of
// known_hosts are ErrNoHost. The key is not looked at.
func ParseKnownHost(line []byte) (*KnownHost, error) {
	text := strings.Trim(string(line), " \t\r\n")
	if text == "" || text[0] == '#' {
		return nil, ErrNoHost
	}
	k := &KnownHost{}
	if text[0] == '@' {
		var marker string
		marker, text = cutBlank(text)
		switch marker {
		case "@cert-authority":
			k.Marker = CertAuthority
		case "@revoked":
			k.Marker = Revoked
		default:
			return nil, ErrNoHost
		}
		if strings.HasPrefix(text, "@") { // one marker is all there may be
			return nil, ErrNoHost
		}
	}
	k.Hosts, text = cutBlank(text)
	k.Type, text = cutBlank(text)
	k.Key, _ = cutBlank(text)
	if k.Key == "" {
		return nil, ErrNoHost
	}
	return k, nil
}

// cutBlank takes the first word of a text.
func cutBlank(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}

// Matches reports whether the line is about a host, whose name is in lower case. A
// line for another port, "[host]:port", is about a server and matches no client.
func (k *KnownHost) Matches(host string) bool {
	if strings.HasPrefix(k.Hosts, "|") {
		return matchHashed(host, k.Hosts)
	}
	return algo.MatchPatternList(host, strings.ToLower(k.Hosts)) == 1
}

// matchHashed compares with |1|salt|hash: HMAC-SHA1 of the name under the salt.
func matchHashed(host, hashed string) bool {
	const size = 20
	rest, ok := strings.CutPrefix(hashed, "|1|")
	saltText, sumText, both := strings.Cut(rest, "|")
	if !ok || !both || len(rest) > 64 {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(saltText)
	if err != nil || len(salt) != size {
		return false
	}
	want, err := base64.StdEncoding.DecodeString(sumText)
	if err != nil || len(want) != size {
		return false
	}
	sum, err := hmacSHA1(salt, []byte(host))
	return err == nil && bytes.Equal(sum, want)
}

// hmacSHA1 is RFC 2104 for keys of up to a block.
func hmacSHA1(key, data []byte) ([]byte, error) {
	const block = 64
	var inner, outer [block]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range block {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	sum, err := libcrypto.Digest("sha1", nil, inner[:], data)
	if err != nil {
		return nil, err
	}
	return libcrypto.Digest("sha1", nil, outer[:], sum)
}

// A HostStatus is what known_hosts files say of a key and a host together.
type HostStatus int

// The answers. A later one outweighs an earlier one.
const (
	HostNew     HostStatus = iota // nothing is known of the host
	HostChanged                   // other keys are, this one is not
	HostFound
	HostRevoked
)

// FindHost looks a host's key, or certificate, up in a known_hosts file. Lines that
// are not understood are passed over. The error is r's own, or that the file is
// too large to be trusted.
func FindHost(r io.Reader, file, host string, key sshkey.PublicKey, log Log) (HostStatus, error) {
	status, number := HostNew, 0
	limited := &io.LimitedReader{R: r, N: maxKnownHosts + 1}
	host = strings.ToLower(host)
	cut := false
	err := eachLine(limited, func(line []byte, tooLong bool) bool {
		number++
		if cut = tooLong; cut { // it may have revoked
			log.printf(Debug, "%s: line %d exceeds size limit", file, number)
			return false
		}
		k, err := ParseKnownHost(line)
		if err != nil || !k.Matches(host) {
			return true
		}
		if s := k.status(key); s > status {
			if status = s; s == HostFound {
				log.printf(Debug, "key for %s found at %s:%d", host, file, number)
			}
		}
		return true
	})
	if err == nil && (cut || limited.N <= 0) {
		err = errFileSize
	}
	return status, err
}

// status is what a line that is about the host says of a key.
func (k *KnownHost) status(key sshkey.PublicKey) HostStatus {
	blob, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil {
		return HostNew
	}
	cert, isCert := key.(*sshkey.Certificate)
	switch k.Marker {
	case Revoked:
		if bytes.Equal(blob, key.Blob()) || isCert && (bytes.Equal(blob, cert.CA.Blob()) || bytes.Equal(blob, cert.Key.Blob())) {
			return HostRevoked
		}
	case CertAuthority:
		if isCert && k.Type == cert.CA.Type() && bytes.Equal(blob, cert.CA.Blob()) {
			return HostFound
		}
	case NoMarker:
		if isCert {
			return HostNew
		}
		if k.Type == key.Type() && bytes.Equal(blob, key.Blob()) {
			return HostFound
		}
		return HostChanged
	}
	return HostNew
}
