package agent

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"nano_ssh_server/server/host/config"
)

// DefaultSocketPath is AgentSocketPath of an sshd without configuration.
const DefaultSocketPath = "user:.ssh/agent"

// tmpDir is where the socket goes if DefaultSocketPath cannot be used: a home that
// is missing, read-only or somebody else's too. The tests put another in its place.
var tmpDir = "/tmp"

const (
	// maxPath is the longest path of a socket, in bytes: sun_path without its final zero.
	maxPath = 107
	// maxTries bounds the random names that are tried. There are 62^10 of them: the
	// second try is a wonder, and the last a bug.
	maxTries = 100
	// nameLength is the length of the random part of a name, and of the host's hash.
	nameLength = 10

	alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// socket is a listening socket in a directory that only the user may enter.
type socket struct {
	listener *net.UnixListener
	path     string
	// dir is the directory if it was made for this socket alone, else "".
	dir string
}

// remove takes away what closing the listener, which removes the socket, leaves.
func (s *socket) remove() {
	if s.dir != "" {
		_ = os.Remove(s.dir)
	}
}

// openSocket makes the socket where the policy says.
//
// The directory has the mode 0700 before the socket is in it, so that the umask,
// which belongs to the whole process, need not change.
func openSocket(p *Policy) (*socket, error) {
	setting := p.SocketPath
	if setting == "" {
		setting = DefaultSocketPath
	}
	kind, path, err := expand(setting, p)
	if err != nil {
		return nil, err
	}
	if kind == "shared" {
		return openTemporary(path, p)
	}
	s, err := openUser(path, p)
	if err == nil || setting != DefaultSocketPath {
		return s, err // where an administrator wants it, or nowhere
	}
	p.Log.Debugf(1, "agent socket: %v, using %s", err, tmpDir)
	return openTemporary(tmpDir, p)
}

// expand splits AgentSocketPath and puts in the values of its tokens.
func expand(setting string, p *Policy) (kind, path string, err error) {
	kind, path, _ = strings.Cut(setting, ":")
	a := p.Account
	path, err = config.Expand(path, map[byte]string{'h': a.Home, 'u': a.Name, 'U': strconv.FormatUint(uint64(a.UID), 10)})
	switch {
	case err != nil:
		return "", "", fmt.Errorf("AgentSocketPath: %w", err)
	case path == "" || strings.IndexByte(path, 0) >= 0 || kind != "user" && kind != "shared",
		kind == "shared" && !filepath.IsAbs(path):
		return "", "", errors.New("AgentSocketPath: bad value")
	}
	return kind, path, nil
}

// openUser makes the socket in a directory of the user's own. What is missing of its
// path is made.
func openUser(path string, p *Policy) (*socket, error) {
	base := "/"
	if !filepath.IsAbs(path) {
		if base = p.Account.Home; !filepath.IsAbs(base) {
			return nil, fmt.Errorf("no home directory %q", base)
		}
	}
	dir, err := makePath(base, path, p)
	if err != nil {
		return nil, err
	}
	hash, err := hostHash()
	if err != nil {
		return nil, err
	}
	// The name is OpenSSH's: "ssh-agent -u" clears away those of a server that was
	// killed, if they bear the host's hash.
	return bind(func() string { return filepath.Join(dir, "s."+hash+".sshd."+randomName()) })
}

// makePath makes the directories of a path below base and checks them: nobody but
// the user and root may change any, and nobody but the user may enter the last.
func makePath(base, path string, p *Policy) (string, error) {
	if err := checkFolder(base, p.Account.UID); err != nil {
		return "", err
	}
	dir := filepath.Clean(base)
	parts := strings.Split(strings.Trim(filepath.Clean("/"+path), "/"), "/")
	for i, part := range parts {
		dir = filepath.Join(dir, part)
		err := os.Mkdir(dir, 0o700)
		switch {
		case err == nil:
			p.Log.Debugf(1, "created directory %s", dir)
		case !errors.Is(err, os.ErrExist):
			return "", err
		}
		if i == len(parts)-1 {
			err = checkPrivate(dir, p.Account.UID)
		} else {
			err = checkFolder(dir, p.Account.UID)
		}
		if err != nil {
			return "", err
		}
	}
	return dir, nil
}

// checkFolder sees to it that only root and the user can move what is in a
// directory; where others may write the sticky bit does.
func checkFolder(dir string, uid uint32) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner := st.Sys().(*syscall.Stat_t).Uid
	if !st.IsDir() || owner != 0 && owner != uid || st.Mode()&0o022 != 0 && st.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("bad ownership or modes for directory %s", dir)
	}
	return nil
}

// checkPrivate sees to it that a directory is the user's and nobody else's. A
// symbolic link is none.
func checkPrivate(dir string, uid uint32) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() || st.Sys().(*syscall.Stat_t).Uid != uid || st.Mode().Perm() != 0o700 {
		return fmt.Errorf("bad ownership or modes for directory %s", dir)
	}
	return nil
}

// openTemporary makes the socket in a new directory below parent, as mkdtemp(3)
// makes it.
func openTemporary(parent string, p *Policy) (*socket, error) {
	if err := checkFolder(parent, p.Account.UID); err != nil {
		return nil, err
	}
	for range maxTries {
		dir := filepath.Join(parent, "ssh-"+randomName())
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := bind(func() string { return filepath.Join(dir, "agent."+strconv.Itoa(os.Getpid())) })
		if err != nil {
			_ = os.Remove(dir)
			return nil, err
		}
		s.dir = dir
		return s, nil
	}
	return nil, errors.New("no free name for a directory in " + parent)
}

// bind makes a socket under the first name that is free.
func bind(name func() string) (*socket, error) {
	for range maxTries {
		path := name()
		if len(path) > maxPath {
			return nil, fmt.Errorf("path %q too long for Unix domain socket", path)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(path, 0o600); err != nil {
			l.Close()
			return nil, err
		}
		return &socket{listener: l, path: path}, nil
	}
	return nil, errors.New("no free name for a socket")
}

func randomName() string {
	b := make([]byte, nameLength)
	for i := range b {
		b[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(b)
}

// hostHash tells sockets of several hosts apart that share a home: nothing secret.
func hostHash() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	sum := sha512.Sum512([]byte(host))
	b := make([]byte, nameLength)
	for i := range b {
		b[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(b), nil
}
