package auth

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
)

// Refused says why a file is not trusted, in the words that sshd puts after
// "Authentication refused: ".
type Refused struct {
	Reason    string
	Irregular bool // a directory, device, fifo or socket: refused in any mode
}

// Error is the reason.
func (r *Refused) Error() string { return r.Reason }

const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// OpenTrusted opens a file that decides who gets in as the account: authorized_keys
// and its kin. As root it is opened with the account's own rights. It must be a
// regular file; a fifo or device is refused without waiting for it. With strict
// (StrictModes) the file and every directory on its real path, up to the home or
// the root, must belong to the account or root and be writable by nobody else.
//
// What is checked is what is read: the path is resolved first and then walked
// without following links, each directory examined through the descriptor that
// leads on, the file through the descriptor that is returned. A link that is put
// in place meanwhile makes the walk fail.
//
// Errors are *Refused, or what the system said.
func OpenTrusted(path string, a *user.Account, strict bool) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, &Refused{Reason: path + " is not an absolute path"}
	}
	var f *os.File
	err := asAccount(a, func() (err error) {
		if strict {
			f, err = openStrict(path, a)
		} else {
			f, err = openRegular(unix.AT_FDCWD, path, path, 0)
		}
		return err
	})
	return f, err
}

// OpenList opens a file of the administrator's that decides who gets in, or is shown
// to whoever does: RevokedKeys and its kin. A fifo, which would wait for somebody to
// write, is refused; a device may stand for an empty file. Errors are as OpenTrusted's.
func OpenList(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeNamedPipe != 0 {
		f.Close()
		return nil, &Refused{Reason: "not a regular file", Irregular: true}
	}
	return f, nil
}

// openRegular opens a regular file below a directory.
func openRegular(dir int, name, path string, flags int) (*os.File, error) {
	var st unix.Stat_t
	follow := 0
	if flags&unix.O_NOFOLLOW != 0 {
		follow = unix.AT_SYMLINK_NOFOLLOW
	}
	// Before the open: that of a device can have effects.
	err := retry(func() error { return unix.Fstatat(dir, name, &st, follow) })
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = unix.ELOOP
	}
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	irregular := &Refused{Reason: path + " is not a regular file", Irregular: true}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, irregular
	}
	fd := -1
	err = retry(func() (err error) {
		fd, err = unix.Openat(dir, name, openFlags|flags, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, irregular
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "fstat", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openStrict resolves the path, walks it and examines every step.
func openStrict(path string, a *user.Account) (*os.File, error) {
	dir, real, bad, err := walk(path, a.Home, a.UID)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	f, err := openRegular(dir, filepath.Base(real), real, unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || !trusted(&st, a.UID) {
		bad = "file " + real
	}
	if bad != "" {
		f.Close()
		return nil, &Refused{Reason: "bad ownership or modes for " + bad}
	}
	return f, nil
}

// walk resolves a path and goes down to its folder without following links. It
// returns a descriptor of the folder, to be closed by the caller, the real path,
// and what is wrong with the folders, "" for nothing: the deepest bad one is what
// sshd names, and those above the home do not count for what is inside of it.
func walk(path, home string, uid uint32) (dir int, real, bad string, err error) {
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return -1, "", "", err
	}
	if home, err = filepath.EvalSymlinks(home); err != nil {
		home = "/" // as sshd: the walk then ends at the root
	}
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	parts := strings.Split(strings.TrimPrefix(real, "/"), "/")
	at := "/"
	if dir, err = unix.Open("/", flags, 0); err != nil {
		return -1, "", "", &os.PathError{Op: "open", Path: "/", Err: err}
	}
	for i := 0; ; i++ {
		var st unix.Stat_t
		if at == home {
			bad = ""
		}
		if err := unix.Fstat(dir, &st); err != nil || !trusted(&st, uid) {
			bad = "directory " + at
		}
		if i == len(parts)-1 {
			return dir, real, bad, nil
		}
		at = filepath.Join(at, parts[i])
		next, err := unix.Openat(dir, parts[i], flags, 0)
		unix.Close(dir)
		if err != nil {
			return -1, "", "", &os.PathError{Op: "open", Path: at, Err: err}
		}
		dir = next
	}
}

// trusted reports whether only root and the user can change a file.
func trusted(st *unix.Stat_t, uid uint32) bool {
	return (st.Uid == 0 || st.Uid == uid) && st.Mode&0o022 == 0
}

// retry repeats a call that a signal interrupted; network file systems do that.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
