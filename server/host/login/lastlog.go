package login

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// lastEntry is one struct lastlog.
type lastEntry struct {
	Time time.Time // to the second; the zero time for a user who has never come
	Line string
	Host string
}

// putLast writes an entry into the first l.lastSize bytes of b.
func (l *layout) putLast(b []byte, e *lastEntry) {
	b = b[:l.lastSize]
	clear(b)
	text := b[4:]
	if l.wide {
		binary.NativeEndian.PutUint64(b, uint64(e.Time.Unix()))
		text = b[8:]
	} else {
		binary.NativeEndian.PutUint32(b, uint32(e.Time.Unix()))
	}
	copy(text[:lineSize], e.Line)
	copy(text[lineSize:lineSize+hostSize-1], e.Host) // with a NUL: lastlog(8) expects it
}

// parseLast reads an entry from the beginning of b.
func (l *layout) parseLast(b []byte) (e lastEntry, err error) {
	if len(b) < l.lastSize {
		return e, ErrRecord
	}
	b = b[:l.lastSize]
	text, seconds := b[4:], int64(0)
	if l.wide {
		seconds, text = int64(binary.NativeEndian.Uint64(b)), b[8:]
	} else {
		seconds = int64(binary.NativeEndian.Uint32(b))
	}
	if seconds != 0 {
		e.Time = time.Unix(seconds, 0)
	}
	e.Line, e.Host = field(text[:lineSize]), field(text[lineSize:])
	return e, nil
}

// place is where a user's entry is. The file has holes for the users that never
// came: 4 GiB of uids are 1.2 TiB of length that take up no room.
func (l *layout) place(uid uint32) int64 { return int64(uid) * int64(l.lastSize) }

// writeLastlog writes a user's entry. One write of a row needs no lock: sshd and
// login(1) take none either.
func (r *Recorder) writeLastlog(uid uint32, e lastEntry) error {
	if uid == math.MaxUint32 {
		return fault("write", r.Lastlog, ErrUID)
	}
	fd, _, err := openPlain(r.Lastlog, unix.O_WRONLY)
	if fd < 0 {
		return err
	}
	defer unix.Close(fd)
	var row [maxRecord]byte
	native.putLast(row[:], &e)
	var n int
	err = retry(func() (err error) {
		n, err = unix.Pwrite(fd, row[:native.lastSize], native.place(uid))
		return err
	})
	if err == nil && n < native.lastSize {
		err = unix.ENOSPC
	}
	if err != nil {
		return fault("write", r.Lastlog, err)
	}
	return nil
}

// LastLogin returns when a user came last and from where; the zero time if that
// is not known. Both are for the function LastLogin. The host is printable: its name
// was given by whoever owns the peer's address.
func (r *Recorder) LastLogin(uid uint32) (at time.Time, host string, err error) {
	if r == nil || uid == math.MaxUint32 {
		return time.Time{}, "", nil
	}
	fd, _, err := openPlain(r.Lastlog, unix.O_RDONLY)
	if fd < 0 {
		return time.Time{}, "", err
	}
	defer unix.Close(fd)
	var row [maxRecord]byte
	var n int
	err = retry(func() (err error) {
		n, err = unix.Pread(fd, row[:native.lastSize], native.place(uid))
		return err
	})
	if err != nil {
		return time.Time{}, "", fault("read", r.Lastlog, err)
	}
	e, err := native.parseLast(row[:n])
	if err != nil { // behind the end: has never come
		return time.Time{}, "", nil
	}
	return e.Time, printable(e.Host), nil
}

// printable replaces what is no printable ASCII.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
