package sftp

import (
	"golang.org/x/sys/unix"
)

func (s *server) remove() {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: remove", s.id)
	s.infof("remove name \"%s\"", name)
	path := s.path(name)
	s.done(again(func() error { return unix.Unlink(path) }))
}

func (s *server) mkdir() {
	name := s.name()
	a := s.attributes()
	if s.bad() {
		return
	}
	mode := uint32(0o777)
	if a.flags&attrMode != 0 {
		mode = a.mode & modeBits
	}
	s.debugf(3, "request %d: mkdir", s.id)
	s.infof("mkdir name \"%s\" mode 0%o", name, mode)
	s.done(s.makeDir(s.path(name), mode))
}

func (s *server) rmdir() {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: rmdir", s.id)
	s.infof("rmdir name \"%s\"", name)
	path := s.path(name)
	s.done(again(func() error { return unix.Rmdir(path) }))
}

// twoNames takes two names and logs what is done with them.
func (s *server) twoNames(what string) (from, to string, ok bool) {
	from, to = s.name(), s.name()
	if s.bad() {
		return "", "", false
	}
	s.debugf(3, "request %d: %s", s.id, what)
	s.infof("%s old \"%s\" new \"%s\"", what, from, to)
	return from, to, true
}

// rename is RENAME, which refuses a new name that exists (section 6.5 of the draft).
func (s *server) rename() {
	from, to, ok := s.twoNames("rename")
	if !ok {
		return
	}
	from, to = s.path(from), s.path(to)
	errno := again(func() error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	})
	switch errno {
	case unix.EINVAL, unix.ENOSYS, unix.EPERM:
		// Kernels, file systems and seccomp filters without that call say so by these,
		// which have other reasons, too: those come back.
		errno = renameByLink(from, to)
	}
	s.done(errno)
}

// renameByLink renames where no call does it unless the new name exists: a file by
// a second link, which is as safe; the rest, and files where there are no links, by a
// look beforehand, which is not, but all there is.
func renameByLink(from, to string) unix.Errno {
	var st unix.Stat_t
	if errno := statAt(unix.AT_FDCWD, from, &st, unix.AT_SYMLINK_NOFOLLOW); errno != 0 {
		return errno
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		errno := again(func() error { return unix.Link(from, to) })
		switch errno {
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EXDEV, unix.EPERM:
		case 0:
			if errno = again(func() error { return unix.Unlink(from) }); errno != 0 {
				_ = unix.Unlink(to)
			}
			return errno
		default:
			return errno
		}
	}
	if errno := statAt(unix.AT_FDCWD, to, &st, unix.AT_SYMLINK_NOFOLLOW); errno != unix.ENOENT {
		return max(errno, unix.EEXIST)
	}
	return again(func() error { return unix.Rename(from, to) })
}

// posixRename replaces what has the new name (PROTOCOL section 4.3).
func (s *server) posixRename() {
	from, to, ok := s.twoNames("posix-rename")
	if !ok {
		return
	}
	from, to = s.path(from), s.path(to)
	s.done(again(func() error { return unix.Rename(from, to) }))
}

// hardlink makes a second name for a file (PROTOCOL section 4.5).
func (s *server) hardlink() {
	from, to, ok := s.twoNames("hardlink")
	if !ok {
		return
	}
	from, to = s.path(from), s.path(to)
	s.done(again(func() error { return unix.Link(from, to) }))
}

// symlink takes the target first and the new name second, the other way round than
// the draft says: OpenSSH's order, which clients know (PROTOCOL section 4.1).
func (s *server) symlink() {
	target, name, ok := s.twoNames("symlink")
	if !ok {
		return
	}
	path := s.path(name)
	s.done(again(func() error { return unix.Symlink(target, path) }))
}

func (s *server) readlink() {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: readlink", s.id)
	s.verbosef("readlink \"%s\"", name)
	target, errno := linkTarget(s.path(name))
	if errno != 0 {
		s.done(errno)
		return
	}
	s.answerName(target)
}

// linkTarget is readlink(2). What is longer than a path can be is cut, as there.
func linkTarget(path string) (string, unix.Errno) {
	var b [unix.PathMax]byte
	n := 0
	errno := again(func() (err error) {
		n, err = unix.Readlink(path, b[:])
		return err
	})
	if errno != 0 {
		return "", errno
	}
	return string(b[:n]), 0
}
