package sftp

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/proto/wire"
)

const (
	// maxNames is how many names one reply to READDIR has, as in sftp-server.
	maxNames = 100
	// listingSize is how much of a directory is read at once, in bytes: what two
	// replies need. It is kept for each directory that is being read.
	listingSize = 8 << 10
)

// Where the fields of struct linux_dirent64 are (getdents(2)), in bytes.
const (
	direntLength = 16
	direntName   = 19
)

// listing is a directory that is being read.
type listing struct {
	rest []byte // entries read and not told yet
	buf  [listingSize]byte
}

// next returns the name of the next entry, nil at the end. It is valid until the
// next call.
func (l *listing) next(fd int) ([]byte, unix.Errno) {
	if len(l.rest) == 0 {
		n := 0
		errno := again(func() (err error) {
			n, err = unix.Getdents(fd, l.buf[:])
			return err
		})
		if errno == unix.ENOENT || errno == 0 && n == 0 {
			return nil, 0 // ENOENT: the directory was removed
		}
		if errno != 0 {
			return nil, errno
		}
		l.rest = l.buf[:n]
	}
	if len(l.rest) < direntName {
		return nil, unix.EIO
	}
	size := int(binary.NativeEndian.Uint16(l.rest[direntLength:]))
	if size < direntName || size > len(l.rest) {
		return nil, unix.EIO
	}
	name := l.rest[direntName:size]
	l.rest = l.rest[size:]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	return name, 0
}

func (s *server) opendir() {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: opendir", s.id)
	s.infof("opendir \"%s\"", name)
	fd, errno := openPlain(s.path(name), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errno != 0 {
		s.done(errno)
		return
	}
	s.answerHandle(handleDir, fd, name, false)
}

// readdir answers with up to maxNames entries, each with its attributes and a line
// as `ls -l` has it. One that cannot be looked at is left out.
func (s *server) readdir() {
	h, i := s.handle(handleDir)
	if s.bad() {
		return
	}
	s.debugf(1, "request %d: readdir \"%s\" (handle %d)", s.id, s.handleName(i), i)
	if h == nil {
		s.status(statusFailure)
		return
	}
	if h.dir == nil {
		h.dir = new(listing)
	}
	s.begin(fxpName)
	counter := len(s.out)
	s.out = wire.AppendUint32(s.out, 0)
	now := time.Now()
	count := uint32(0)
	var name []byte
	var errno unix.Errno
	for count < maxNames {
		if name, errno = h.dir.next(h.fd); name == nil {
			break
		}
		var st unix.Stat_t
		if statAt(h.fd, string(name), &st, unix.AT_SYMLINK_NOFOLLOW) != 0 {
			continue
		}
		s.appendEntry(name, &st, now)
		count++
	}
	switch {
	case count > 0:
		binary.BigEndian.PutUint32(s.out[counter:], count)
		s.debugf(1, "request %d: sent names count %d", s.id, count)
		s.end()
	case errno != 0:
		s.cancel()
		s.done(errno)
	default:
		h.dir = nil
		s.cancel()
		s.status(statusEOF)
	}
}

// appendEntry appends name, line and attributes of a directory's entry.
func (s *server) appendEntry(name []byte, st *unix.Stat_t, now time.Time) {
	s.out = wire.AppendString(s.out, name)
	at := len(s.out)
	s.out = wire.AppendUint32(s.out, 0)
	s.out = s.appendLine(s.out, name, st, now)
	binary.BigEndian.PutUint32(s.out[at:], uint32(len(s.out)-at-4))
	s.out = appendStat(s.out, st)
}
