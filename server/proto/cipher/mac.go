package cipher

import (
	"fmt"
	"strings"

	"nano_ssh_server/cgo/libcrypto"
)

var hmacDigests = map[string]string{
	"hmac-sha1":     "sha1",
	"hmac-sha1-96":  "sha1",
	"hmac-sha2-256": "sha256",
	"hmac-sha2-512": "sha512",
	"hmac-md5":      "md5",
	"hmac-md5-96":   "md5",
}

var umacTags = map[string]int{"umac-64": 8, "umac-128": 16} // bytes

// newMAC makes the MAC of one of algo.AllMACs. Its tags may have to be cut to
// the size that algo gives.
func newMAC(name string, key []byte) (*libcrypto.MAC, error) {
	base, _, _ := strings.Cut(name, "@")
	base = strings.TrimSuffix(base, "-etm")
	if tag, ok := umacTags[base]; ok {
		if len(key) != 16 {
			return nil, errLengths
		}
		return libcrypto.NewUMAC(tag, (*[16]byte)(key))
	}
	digest, ok := hmacDigests[base]
	if !ok {
		return nil, fmt.Errorf("%w %q", errUnknown, name)
	}
	if len(key) != libcrypto.DigestSize(digest) {
		return nil, errLengths
	}
	return libcrypto.NewHMAC(digest, key)
}
