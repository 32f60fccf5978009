package monitor

import (
	"errors"
	"io"
	"os"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/proto/sshkey"
)

// krlMagic begins a key revocation list in OpenSSH's binary form.
const krlMagic = "SSHKRL\n\x00"

// revoked applies RevokedKeys to a key. A file that cannot be read, or is not
// understood, revokes every key.
func (c *Connection) revoked(key sshkey.PublicKey) bool {
	path := c.cfg.RevokedKeys
	if !set(path) {
		return false
	}
	found, err := findRevoked(path, key)
	switch {
	case err != nil:
		c.log.Error("Error checking authentication key %s in revoked keys file %s: %v", c.describe(key), path, err)
		return true
	case found:
		c.log.Error("Authentication key %s revoked by file %s", c.describe(key), path)
	}
	return found
}

var errBinaryList = errors.New("binary revocation lists are not supported")

// findRevoked looks for a key in a text with one public key a line (ssh-keygen(1),
// KEY REVOCATION LISTS).
func findRevoked(path string, key sshkey.PublicKey) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(krlMagic))
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return false, err
	}
	if string(head[:n]) == krlMagic {
		return false, errBinaryList
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	entry, err := auth.Find(f, path, &auth.Query{Blob: key.Blob()})
	return entry != nil, err
}
