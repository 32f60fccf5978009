package login

import (
	"errors"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockWait bounds the wait for a file's lock. Whoever writes a record holds it
	// for microseconds; but everybody who may read utmp and wtmp may hold a read
	// lock on them for ever, and must not hold up the logins of others by it.
	lockWait = 250 * time.Millisecond
	// lockPause and lockPauseMax are the times between two tries: there is no call
	// that waits for a lock and gives up.
	lockPause    = time.Millisecond
	lockPauseMax = 16 * time.Millisecond

	// utmpRows bounds what is read of utmp: far more than a machine has terminals.
	utmpRows = 1 << 15
	// utmpChunk is how many rows one read takes: most machines' whole file.
	utmpChunk = 32
)

var (
	// ErrPermission means that others than root could read failed logins.
	//lint:ignore ST1005 it is sshd's line
	ErrPermission = errors.New("Excess permission or bad ownership on file") // sshd's line
	// ErrNotPlain means that a path is not of a plain file.
	ErrNotPlain = errors.New("not a regular file")
	// ErrLocked means that another process has kept a file locked for too long.
	ErrLocked = errors.New("locked by another process")
	// ErrTooLarge means that utmp has more rows than any machine has lines.
	ErrTooLarge = errors.New("file too large")
	// ErrUID means that a uid is that of nobody (-1), who has no place in lastlog.
	ErrUID = errors.New("invalid uid")
)

func fault(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// retry repeats a call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// openPlain opens a plain file and returns its state. fd is -1, without an error, if
// there is none. os.File is not used: each open of it would try to poll the file.
func openPlain(path string, flags int) (fd int, st unix.Stat_t, err error) {
	if path == "" {
		return -1, st, nil
	}
	err = retry(func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		return err
	})
	if err == unix.ENOENT {
		return -1, st, nil
	}
	if err != nil {
		return -1, st, fault("open", path, err)
	}
	if err = unix.Fstat(fd, &st); err != nil {
		err = fault("stat", path, err)
	} else if st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = fault("open", path, ErrNotPlain)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// tryLock takes a lock of a whole file, until it is closed. It is one of the open
// file, which keeps out glibc's locks of other processes, and is not lost when this
// process closes the same file elsewhere; kernels without it (and some sandboxes)
// have the other kind.
func tryLock(fd int, kind int16) error {
	lock := unix.Flock_t{Type: kind}
	err := retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lock) })
	if err == unix.EINVAL {
		err = retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lock) })
	}
	return err
}

// lock waits for a write lock until a time at most.
func lock(fd int, until time.Time) error {
	for pause := lockPause; ; pause = min(2*pause, lockPauseMax) {
		err := tryLock(fd, unix.F_WRLCK)
		if err != unix.EAGAIN && err != unix.EACCES {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			return ErrLocked
		}
		time.Sleep(min(pause, left))
	}
}

// private checks that only root, and no program, has business with btmp.
func (r *Recorder) private(path string, st *unix.Stat_t) error {
	if st.Mode&(unix.S_IXGRP|unix.S_IRWXO) != 0 || st.Uid != r.owner {
		return &permissionError{path}
	}
	return nil
}

// permissionError is ErrPermission in sshd's words.
type permissionError struct{ path string }

func (e *permissionError) Error() string { return ErrPermission.Error() + " " + e.path }
func (e *permissionError) Unwrap() error { return ErrPermission }

// append writes a row to the end of a file. Without the lock it does so all the same:
// one write at the end is whole beside others of its kind, and a user who holds a lock
// must not be able to keep logins out of the books.
func (r *Recorder) append(mu *sync.Mutex, path string, row []byte, check func(string, *unix.Stat_t) error) error {
	until := time.Now().Add(r.lockWait) // from here: those who wait for mu wait no longer either
	mu.Lock()
	defer mu.Unlock()
	fd, st, err := openPlain(path, unix.O_WRONLY|unix.O_APPEND)
	if fd < 0 {
		return err
	}
	defer unix.Close(fd)
	if check != nil {
		if err := check(path, &st); err != nil {
			return err
		}
	}
	locked := lock(fd, until) == nil
	if size := int64(len(row)); locked && st.Size%size != 0 {
		// Half a row, of a full disk: all that follow would be unreadable.
		if err := unix.Fstat(fd, &st); err == nil && st.Size%size != 0 {
			_ = unix.Ftruncate(fd, st.Size-st.Size%size)
		}
	}
	var n int
	err = retry(func() (err error) { n, err = unix.Write(fd, row); return err })
	if err == nil && n < len(row) {
		err = unix.ENOSPC
		takeBack(fd, int64(n))
	}
	if err != nil {
		return fault("write", path, err)
	}
	return nil
}

// takeBack removes the part of a row that was written last, unless somebody has
// written behind it since.
func takeBack(fd int, n int64) {
	var st unix.Stat_t
	end, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err == nil && unix.Fstat(fd, &st) == nil && st.Size == end && n > 0 {
		_ = unix.Ftruncate(fd, end-n)
	}
}

// putUtmp puts a row in the place of the one that it follows, as pututline does, or
// at the end. The end of a session of which nothing is known is left out.
func (r *Recorder) putUtmp(row []byte) error {
	until := time.Now().Add(r.lockWait)
	r.utmp.Lock()
	defer r.utmp.Unlock()
	fd, _, err := openPlain(r.Utmp, unix.O_RDWR)
	if fd < 0 {
		return err
	}
	defer unix.Close(fd)
	if err := lock(fd, until); err != nil {
		// A reader's lock cannot be waited for: anybody may hold one. A lock
		// beside it keeps the writers out, which is what matters.
		if err != ErrLocked || tryLock(fd, unix.F_RDLCK) != nil {
			return fault("lock", r.Utmp, err)
		}
	}
	at, old, err := findRow(fd, row)
	if err != nil {
		return fault("read", r.Utmp, err)
	}
	if rowType(row) == deadProcess && (old == nil || taken(old, row)) {
		return nil
	}
	var n int // at is on the border of a row, and half a row at the end is written over
	err = retry(func() (err error) { n, err = unix.Pwrite(fd, row, at); return err })
	if err == nil && n < len(row) {
		err = unix.ENOSPC
	}
	if err != nil {
		if old == nil {
			_ = unix.Ftruncate(fd, at)
		}
		return fault("write", r.Utmp, err)
	}
	return nil
}

// findRow returns where a row belongs in utmp and what is there now; nil if nothing is.
func findRow(fd int, row []byte) (at int64, old []byte, err error) {
	size := len(row)
	chunk := make([]byte, utmpChunk*size)
	for at < int64(utmpRows*size) {
		var n int
		err := retry(func() (err error) { n, err = unix.Pread(fd, chunk, at); return err })
		if err != nil {
			return 0, nil, err
		}
		rows := chunk[:n-n%size]
		for ; len(rows) > 0; rows, at = rows[size:], at+int64(size) {
			if same(rows[:size], row) {
				return at, rows[:size], nil
			}
		}
		if n < len(chunk) {
			return at, nil, nil
		}
	}
	return 0, nil, ErrTooLarge
}

// taken reports whether a line has gone to another session that lives, so that the
// end of the one before it must not be written there: a terminal's number is free
// again as soon as the terminal is closed.
func taken(old, row []byte) bool {
	pid := rowPID(old)
	if rowType(old) != userProcess || pid == rowPID(row) || pid <= 0 {
		return false
	}
	err := unix.Kill(pid, 0)
	return err == nil || err == unix.EPERM
}
