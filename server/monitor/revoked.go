package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/proto/sshkey"
)

// krlMagic begins a key revocation list in OpenSSH's binary form.
const krlMagic = sshkey.KRLMagic

// Limits of lists. A list of the first size takes a few times as much memory.
const (
	maxRevokedFile  = 128 << 20 // bytes; OpenSSH's SSHBUF_SIZE_MAX
	maxRevokedFiles = 16        // kept in memory; Match blocks may name several
)

var errRevokedSize = errors.New("file too large")

// revoked applies RevokedKeys to a key, or to a certificate with its key and its
// CA. A file that cannot be read, or is not understood, revokes every key.
func (c *Connection) revoked(key sshkey.PublicKey) bool {
	path := c.cfg.RevokedKeys
	if !set(path) {
		return false
	}
	found, err := findRevoked(path, key, time.Now())
	switch {
	case errors.Is(err, sshkey.ErrMalformed) || errors.Is(err, sshkey.ErrUnknownType):
		c.log.Debug("%s: %v", path, err)
		err = errors.New("invalid format") // sshd's word for all of it
	case errors.Is(err, fs.ErrNotExist):
		//lint:ignore ST1005 strerror's
		err = errors.New("No such file or directory")
	}
	switch {
	case err != nil:
		c.log.Error("Error checking authentication key %s in revoked keys file %s: %v", c.nameKey(key), path, err)
		return true
	case found:
		c.log.Error("Authentication key %s revoked by file %s", c.nameKey(key), path)
	}
	return found
}

// A revocationList is what a file of RevokedKeys says.
type revocationList interface {
	Revoked(key sshkey.PublicKey) bool
}

// revokedFiles keeps lists that were read, as a peer can have them asked for each
// key that it offers. It is one for the process: its connections share the files.
var revokedFiles = struct {
	sync.Mutex
	lists map[string]revokedFile
}{lists: map[string]revokedFile{}}

type revokedFile struct {
	id   fileID
	list revocationList
}

// fileID changes whenever a file does.
type fileID struct {
	device, inode    uint64
	size             int64
	modified, status int64 // nanoseconds since 1970
}

// settled is the age from which a change would show in a file's times: theirs is
// the clock tick or, on some file systems, two seconds.
const settled = 3 * time.Second

// identify returns what tells a file's content from another, and whether that can
// be relied upon: not for devices, nor just after a change.
func identify(st os.FileInfo, now time.Time) (id fileID, ok bool) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.Mode().IsRegular() {
		return fileID{}, false
	}
	status := time.Unix(sys.Ctim.Unix())
	id = fileID{uint64(sys.Dev), sys.Ino, st.Size(), st.ModTime().UnixNano(), status.UnixNano()}
	return id, now.Sub(st.ModTime()) > settled && now.Sub(status) > settled
}

// findRevoked looks for a key in a key revocation list, or in a text with one
// public key a line (ssh-keygen(1), KEY REVOCATION LISTS).
func findRevoked(path string, key sshkey.PublicKey, now time.Time) (bool, error) {
	f, err := auth.OpenList(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	id, keep := identify(st, now)
	revokedFiles.Lock()
	kept, ok := revokedFiles.lists[path]
	revokedFiles.Unlock()
	if ok && keep && kept.id == id {
		return kept.list.Revoked(key), nil
	}
	list, err := readRevoked(f)
	if err != nil {
		return false, err
	}
	if keep {
		revokedFiles.Lock()
		if len(revokedFiles.lists) >= maxRevokedFiles {
			clear(revokedFiles.lists)
		}
		revokedFiles.lists[path] = revokedFile{id, list}
		revokedFiles.Unlock()
	}
	return list.Revoked(key), nil
}

func readRevoked(r io.Reader) (revocationList, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRevokedFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRevokedFile {
		return nil, errRevokedSize
	}
	if bytes.HasPrefix(data, []byte(krlMagic)) {
		return sshkey.ParseKRL(data)
	}
	return parseRevokedKeys(data)
}

// revokedKeys are the blobs of a text list, sorted.
type revokedKeys [][]byte

// parseRevokedKeys reads a text with one key a line. As for sshd, a certificate
// stands for its key, a key that is too short to be accepted does no harm, and
// anything else that is no key makes the list useless.
func parseRevokedKeys(text []byte) (revokedKeys, error) {
	var keys revokedKeys
	for number := 1; len(text) > 0; number++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		if line = bytes.Trim(line, " \t\r"); len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, _, err := sshkey.ParseAuthorized(line)
		if errors.Is(err, sshkey.ErrUnknownType) {
			if cert, _, certErr := sshkey.ParseAuthorizedCertificate(line); certErr == nil {
				key, err = cert.Key, nil
			}
		}
		switch {
		case err == nil:
			keys = append(keys, key.Blob())
		case !errors.Is(err, sshkey.ErrKeyLength):
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys, nil
}

// Revoked implements revocationList.
func (keys revokedKeys) Revoked(key sshkey.PublicKey) bool {
	contains := func(key sshkey.PublicKey) bool {
		_, found := slices.BinarySearchFunc(keys, key.Blob(), bytes.Compare)
		return found
	}
	if cert, ok := key.(*sshkey.Certificate); ok {
		return contains(cert.Key) || contains(cert.CA)
	}
	return contains(key)
}
