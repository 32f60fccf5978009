package sftp

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

func (s *server) stat()  { s.statName("", 0) }
func (s *server) lstat() { s.statName("l", unix.AT_SYMLINK_NOFOLLOW) }

func (s *server) statName(which string, flags int) {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: %sstat", s.id, which)
	s.verbosef("%sstat name \"%s\"", which, name)
	var st unix.Stat_t
	if errno := statAt(unix.AT_FDCWD, s.path(name), &st, flags); errno != 0 {
		s.done(errno)
		return
	}
	s.answerStat(&st)
}

// statAt is fstatat(2).
func statAt(dir int, path string, st *unix.Stat_t, flags int) unix.Errno {
	return again(func() error { return unix.Fstatat(dir, path, st, flags) })
}

func (s *server) fstat() {
	h, i := s.handle(handleFile)
	if s.bad() {
		return
	}
	s.debugf(1, "request %d: fstat \"%s\" (handle %d)", s.id, s.handleName(i), uint32(i))
	if h == nil {
		s.status(statusFailure)
		return
	}
	var st unix.Stat_t
	if errno := again(func() error { return unix.Fstat(h.fd, &st) }); errno != 0 {
		s.done(errno)
		return
	}
	s.answerStat(&st)
}

// target is what SETSTAT and its kin change: the same four steps, on a path, on an
// open file, or on a link itself.
type target struct {
	truncate func(size int64) error
	chmod    func(mode uint32) error
	utimes   func(ts []unix.Timespec) error
	chown    func(uid, gid int) error
}

// change makes the changes in sftp-server's order, all of them whatever fails, and
// returns the last failure.
func (s *server) change(name string, a *attributes, t target) (last unix.Errno) {
	try := func(f func() error) {
		if errno := again(f); errno != 0 {
			last = errno
		}
	}
	if a.flags&attrSize != 0 {
		s.infof("set \"%s\" size %d", name, a.size)
		try(func() error {
			if a.size > math.MaxInt64 {
				return unix.EINVAL
			}
			return t.truncate(int64(a.size))
		})
	}
	if a.flags&attrMode != 0 {
		s.infof("set \"%s\" mode %04o", name, a.mode)
		try(func() error { return t.chmod(a.mode & modeBits) })
	}
	if a.flags&attrTimes != 0 {
		s.infof("set \"%s\" modtime %s", name, time.Unix(int64(a.mtime), 0).Format("20060102-15:04:05"))
		ts := a.times()
		try(func() error { return t.utimes(ts[:]) })
	}
	if a.flags&attrOwner != 0 {
		s.infof("set \"%s\" owner %d group %d", name, a.uid, a.gid)
		try(func() error { return t.chown(int(int32(a.uid)), int(int32(a.gid))) })
	}
	return last
}

func (s *server) setstat() {
	name := s.name()
	a := s.attributes()
	if s.bad() {
		return
	}
	s.debugf(1, "request %d: setstat name \"%s\"", s.id, name)
	path := s.path(name)
	s.done(s.change(name, &a, target{
		truncate: func(size int64) error { return unix.Truncate(path, size) },
		chmod:    func(mode uint32) error { return unix.Chmod(path, mode) },
		utimes:   func(ts []unix.Timespec) error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, 0) },
		chown:    func(uid, gid int) error { return unix.Fchownat(unix.AT_FDCWD, path, uid, gid, 0) },
	}))
}

func (s *server) fsetstat() {
	h, i := s.handle(handleFile)
	a := s.attributes()
	if s.bad() {
		return
	}
	s.debugf(1, "request %d: fsetstat handle %d", s.id, i)
	if h == nil {
		s.status(statusFailure)
		return
	}
	s.done(s.change(h.name, &a, target{
		truncate: func(size int64) error { return unix.Ftruncate(h.fd, size) },
		chmod:    func(mode uint32) error { return unix.Fchmod(h.fd, mode) },
		utimes:   func(ts []unix.Timespec) error { return futimens(h.fd, ts) },
		chown:    func(uid, gid int) error { return unix.Fchown(h.fd, uid, gid) },
	}))
}

// lsetstat is SETSTAT that does not follow a link (PROTOCOL section 4.7).
func (s *server) lsetstat() {
	name := s.name()
	a := s.attributes()
	if s.bad() {
		return
	}
	s.debugf(1, "request %d: lsetstat name \"%s\"", s.id, name)
	if a.flags&attrSize != 0 {
		s.status(statusBadMessage) // a link has no size to set
		return
	}
	const flags = unix.AT_SYMLINK_NOFOLLOW
	path := s.path(name)
	s.done(s.change(name, &a, target{
		chmod:  func(mode uint32) error { return lchmod(path, mode) },
		utimes: func(ts []unix.Timespec) error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, flags) },
		chown:  func(uid, gid int) error { return unix.Fchownat(unix.AT_FDCWD, path, uid, gid, flags) },
	}))
}

// lchmod changes a mode unless the path is a link: links have none. Kernels before
// 6.6 cannot say so themselves.
func lchmod(path string, mode uint32) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	return unix.Chmod(path, mode)
}
