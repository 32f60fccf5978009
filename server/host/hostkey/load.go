// Package hostkey loads the server's private keys, makes one at the first start,
// and answers for them all: which algorithms they offer, and signatures.
//
// The listener calls it, at start and at reload. Private keys never leave the
// process that loaded them, and no error or printed value holds any part of one.
package hostkey

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/sshkey"
)

// maxKeyFile is OpenSSH's bound (MAX_KEY_FILE_SIZE): an RSA key of 16 kbit is 13 KiB.
const maxKeyFile = 1 << 20

// NoHostKeys is the line with which sshd ends when no key could be loaded.
const NoHostKeys = "sshd: no hostkeys available -- exiting."

// A LoadError says why a key file was not used. Its lines are sshd's own.
type LoadError struct {
	Path string
	// Banner are the lines about loose permissions, to be logged before.
	Banner []string
	// Err is the reason in sshd's words ("bad permissions", "invalid format"), or
	// what the system said of a file that cannot be read.
	Err error
}

// Error is one line that says all.
func (e *LoadError) Error() string {
	return fmt.Sprintf("Unable to load host key %q: %v", e.Path, e.Err)
}

// Unwrap returns the reason.
func (e *LoadError) Unwrap() error { return e.Err }

// Lines are what sshd logs for the file, at level ERROR for a HostKey that the
// configuration names and DEBUG1 for a default one. For a file that cannot be read
// the reason is added, which sshd leaves out.
func (e *LoadError) Lines() []string {
	lines := append([]string(nil), e.Banner...)
	if e.Err == ErrLength {
		return append(lines, fmt.Sprintf("Host key %s: %v", e.Path, e.Err))
	}
	var system *fs.PathError
	if errors.As(e.Err, &system) {
		if errors.Is(e.Err, fs.ErrNotExist) {
			return append(lines, "Unable to load host key: "+e.Path)
		}
		return append(lines, fmt.Sprintf("Unable to load host key: %s: %v", e.Path, system.Err))
	}
	return append(lines, e.Error(), "Unable to load host key: "+e.Path)
}

// Reasons in the words of OpenSSH's ssherr.c.
var (
	ErrPermissions = errors.New("bad permissions")
	ErrFormat      = errors.New("invalid format")
	ErrPassphrase  = errors.New("incorrect passphrase supplied to decrypt private key")
	//lint:ignore ST1005 OpenSSH's capital
	ErrLength = errors.New("Invalid key length")
)

// Load reads a private key file of any format that sshkey knows. Symbolic links
// are followed. A file of our own that group or others may touch is refused, as
// is an encrypted key. Every error is a *LoadError.
func Load(path string) (sshkey.PrivateKey, error) {
	fail := func(err error) (sshkey.PrivateKey, error) {
		return nil, &LoadError{Path: path, Err: err}
	}
	// Not blocking: a fifo must not stop the start.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fail(&fs.PathError{Op: "fstat", Path: path, Err: err})
	}
	// As in sshd: a file of somebody else is that one's care.
	if mode := st.Mode & 0o777; st.Uid == uint32(os.Getuid()) && mode&0o077 != 0 {
		return nil, &LoadError{Path: path, Banner: tooOpen(path, mode), Err: ErrPermissions}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fail(ErrFormat)
	}
	return parse(path, f)
}

// tooOpen is OpenSSH's banner.
func tooOpen(path string, mode uint32) []string {
	const frame = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"
	return []string{
		frame,
		"@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @",
		frame,
		fmt.Sprintf("Permissions 0%3.3o for '%s' are too open.", mode, path),
		"It is required that your private key files are NOT accessible by others.",
		"This private key will be ignored.",
	}
}

// parse reads the text and wipes it.
func parse(path string, r io.Reader) (sshkey.PrivateKey, error) {
	text, err := readSecret(r)
	defer sodium.Memzero(text)
	if err != nil {
		return nil, &LoadError{Path: path, Err: err}
	}
	key, _, err := sshkey.ParsePrivate(text)
	switch {
	case errors.Is(err, sshkey.ErrEncrypted):
		return nil, &LoadError{Path: path, Err: ErrPassphrase}
	case err != nil:
		return nil, &LoadError{Path: path, Err: ErrFormat}
	}
	return key, nil
}

// readSecret reads all of r, leaving no copy of it behind.
func readSecret(r io.Reader) ([]byte, error) {
	buf := make([]byte, 16<<10)
	n := 0
	for {
		m, err := r.Read(buf[n:])
		n += m
		switch {
		case err == io.EOF:
			return buf[:n], nil
		case err != nil:
			return buf[:n], err
		case n == len(buf) && n >= maxKeyFile:
			return buf, ErrFormat
		case n == len(buf):
			larger := make([]byte, 2*n)
			copy(larger, buf)
			sodium.Memzero(buf)
			buf = larger
		}
	}
}

// Files is what the configuration says of host keys.
type Files struct {
	Keys         []string // HostKey
	Certificates []string // HostCertificate
	Agent        string   // HostKeyAgent; "": none
	Provider     string   // SecurityKeyProvider
	MinRSABits   int      // RequiredRSASize
}

// LoadAll loads the files of HostKey in their order, and the certificates. Errors do not
// stop it: the set holds what could be loaded, and may be empty (see NoHostKeys). RSA
// keys of fewer than MinRSABits are left out. notes are sshd's lines, at level ERROR,
// about certificates and public keys that do not fit, and an agent that is not there.
func LoadAll(f *Files) (set *Set, failed []*LoadError, notes []string) {
	set = &Set{}
	agent := f.Agent
	if agent != "" {
		if err := agentThere(agent); err != nil {
			notes = append(notes, fmt.Sprintf("Could not connect to agent %q: %v", agent, systemReason(err)))
			agent = ""
		}
	}
	for _, path := range f.Keys {
		if strings.EqualFold(path, "none") || path == "" {
			continue
		}
		key, err := Load(path)
		public := publicHalf(path)
		if err == nil && public != nil && !sshkey.Equal(public, key.Public()) {
			notes = append(notes, fmt.Sprintf("Public key for %s does not match private key", path))
		}
		if err != nil && agent != "" && public != nil {
			key, err = &agentKey{public, agent}, nil
		}
		if err == nil && key.Public().Type() == sshkey.TypeRSA && key.Public().Bits() < f.MinRSABits {
			key.Wipe()
			err = &LoadError{Path: path, Err: ErrLength}
		}
		var loadError *LoadError
		if errors.As(err, &loadError) {
			failed = append(failed, loadError)
			continue
		}
		prepare(key, f.Provider)
		set.Add(key)
	}
	for _, path := range f.Certificates {
		if strings.EqualFold(path, "none") || path == "" {
			continue
		}
		if note := set.loadCertificate(path); note != "" {
			notes = append(notes, note)
		}
	}
	return set, failed, notes
}

// publicHalf reads the file that ssh-keygen puts beside a private key, or a file that
// is such a one itself; nil if there is none.
func publicHalf(path string) sshkey.PublicKey {
	for _, name := range []string{path + ".pub", path} {
		text, err := readPublic(name)
		if err != nil {
			continue
		}
		if key, _, _, err := sshkey.ParseAuthorized(text); err == nil {
			return key
		}
	}
	return nil
}

// readPublic reads a file that holds no secret.
func readPublic(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, ErrFormat
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = ErrFormat
	}
	return text, err
}

// loadCertificate adds a certificate to its key. It returns what is wrong with it.
func (s *Set) loadCertificate(path string) (note string) {
	text, err := readPublic(path)
	if err != nil {
		return fmt.Sprintf("Could not load host certificate %q: %v", path, systemReason(err))
	}
	cert, _, err := sshkey.ParseAuthorizedCertificate(text)
	if err != nil {
		if _, _, _, plain := sshkey.ParseAuthorized(text); plain == nil {
			return "Certificate file is not a certificate: " + path
		}
		return fmt.Sprintf("Could not load host certificate %q: %v", path, ErrFormat)
	}
	if !s.addCertificate(cert) {
		return "No matching private key for certificate: " + path
	}
	return ""
}

// systemReason is what the system said, in strerror(3)'s words.
func systemReason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		if text := errno.Error(); text != "" {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return err.Error()
}
