package hostkey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// FileName is the name of the key that LoadOrCreate makes, as ssh-keygen -A would
// call it.
const FileName = "ssh_host_ed25519_key"

// SystemDirectory holds the key of a server that root starts without any
// configuration.
const SystemDirectory = "/etc/nano_ssh_server"

// Directory is where the key of a server without configuration lives:
// SystemDirectory for root, else $XDG_STATE_HOME/nano_ssh_server or
// ~/.local/state/nano_ssh_server.
func Directory(a *user.Account) (string, error) {
	if os.Geteuid() == 0 {
		return SystemDirectory, nil
	}
	// The XDG specification has relative paths ignored.
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "nano_ssh_server"), nil
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		home = a.Home
	}
	if !filepath.IsAbs(home) {
		return "", errors.New("no home directory to keep the host key in; set XDG_STATE_HOME or name a HostKey")
	}
	return filepath.Join(home, ".local", "state", "nano_ssh_server"), nil
}

// LoadOrCreate loads the Ed25519 key of a directory, or makes it first. It returns
// the path, and whether the key is new. The directory is made with mode 0700 if it
// is missing; one that others may write to, or that is not ours, is refused, since
// they could exchange the key.
//
// The file appears whole or not at all, whatever happens: it is written under
// another name, flushed to the disk, and then given its own name in one step that
// fails if the name is taken. So of two servers that start at once both end with
// the same key.
func LoadOrCreate(dir string) (key sshkey.PrivateKey, path string, created bool, err error) {
	path = filepath.Join(dir, FileName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, path, false, fmt.Errorf("cannot make the directory for the host key: %w", err)
	}
	if err := checkDirectory(dir); err != nil {
		return nil, path, false, err
	}
	key, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, path, false, err
	}
	err = create(dir, path)
	created = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, path, false, fmt.Errorf("cannot make the host key %s: %w", path, err)
	}
	// Ours, or that of whoever was faster; or an error, if a link that leads nowhere
	// has the name.
	key, err = Load(path)
	return key, path, created && err == nil, err
}

// checkDirectory refuses a directory in which others could replace the key.
func checkDirectory(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if st.Uid != 0 && st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0 {
		return fmt.Errorf("bad ownership or modes for directory %s: others could replace the host key", dir)
	}
	return nil
}

// create makes a new key file. fs.ErrExist means that another process did so first.
func create(dir, path string) error {
	key, err := sshkey.GenerateEd25519()
	if err != nil {
		return err
	}
	defer key.Wipe()
	text, err := sshkey.MarshalPrivate(key, "")
	if err != nil {
		return err
	}
	defer sodium.Memzero(text)
	temporary, err := writeTemporary(dir, text)
	if err != nil {
		return err
	}
	if err := rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return syncDirectory(dir)
}

// writeTemporary writes a file of mode 0600 whatever the umask, and flushes it. A
// failure (a full disk) leaves nothing behind.
func writeTemporary(dir string, text []byte) (name string, err error) {
	f, err := os.CreateTemp(dir, "."+FileName+".*") // O_EXCL, mode 0600 at most
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o600); err != nil {
		return "", err
	}
	if _, err := f.Write(text); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// rename gives the file its final name unless that is taken (fs.ErrExist).
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.EPERM:
		// An old kernel, a file system that cannot, or a sandbox that does not know
		// the call.
		return renameByLink(from, to)
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}

// renameByLink is rename where the one system call is missing: a second link to
// the file fails in the same way if the name is taken.
func renameByLink(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// syncDirectory makes the new name survive a crash.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some network file systems have no such call; the name is there all the same.
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}
