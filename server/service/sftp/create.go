package sftp

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// umask is -u in a process whose own umask must stay: other sessions make files at
// the same time. The kernel takes the bits of the process's umask away in any case.
// Where -u leaves some of them, as -u 002 does where the process has 022, they are
// given back to what was made, and only to that: a file that was there before keeps
// its mode.
//
// What a directory's default ACL (acl(5)) decides, no umask counts for: a mode that
// is not what the process's umask made of it is left alone.
type umask struct {
	wanted int // -1: the process's is all
	read   bool
	known  bool
	own    uint32 // the process's, if known
}

// unmasked is what -u leaves of a mode.
func (u *umask) unmasked(mode uint32) uint32 {
	if u.wanted < 0 {
		return mode
	}
	return mode &^ uint32(u.wanted)
}

// gives reports whether a new file of that mode must get bits back.
func (u *umask) gives(mode uint32) bool {
	if u.wanted < 0 {
		return false
	}
	if !u.read {
		u.read = true
		u.own, u.known = processUmask()
	}
	return !u.known || u.unmasked(mode)&u.own != 0
}

// restored is the mode that a new file should have, made with mode and found with
// found; false if it has it.
func (u *umask) restored(mode, found uint32) (uint32, bool) {
	const permissions = 0o777
	want := u.unmasked(mode) & permissions
	have := found & permissions
	if have == want || u.known && have != want&^u.own {
		return 0, false
	}
	return found&modeBits&^permissions | want, true
}

// processUmask reads the umask of this process, which no system call tells without
// changing it. Without /proc it stays unknown.
func processUmask() (uint32, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("Umask:")); ok {
			mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 32)
			return uint32(mask), err == nil
		}
	}
	return 0, false
}

// openFile is open(2) with -u.
func (s *server) openFile(path string, flags int, mode uint32) (int, unix.Errno) {
	mode = s.umask.unmasked(mode)
	if flags&unix.O_CREAT == 0 || !s.umask.gives(mode) {
		return openPlain(path, flags, mode)
	}
	fd, errno := openPlain(path, flags|unix.O_EXCL, mode)
	if errno == unix.EEXIST && flags&unix.O_EXCL == 0 {
		fd, errno = openPlain(path, flags&^unix.O_CREAT, 0)
		if errno != unix.ENOENT {
			return fd, errno
		}
		// A link to nowhere, or somebody has just removed it: the process's umask has
		// to do.
		return openPlain(path, flags, mode)
	}
	if errno != 0 {
		return fd, errno
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		if want, ok := s.umask.restored(mode, uint32(st.Mode)); ok {
			_ = unix.Fchmod(fd, want)
		}
	}
	return fd, 0
}

// makeDir is mkdir(2) with -u.
func (s *server) makeDir(path string, mode uint32) unix.Errno {
	mode = s.umask.unmasked(mode)
	errno := again(func() error { return unix.Mkdir(path, mode) })
	if errno != 0 || !s.umask.gives(mode) {
		return errno
	}
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if want, ok := s.umask.restored(mode, uint32(st.Mode)); ok {
			_ = unix.Chmod(path, want)
		}
	}
	return 0
}
