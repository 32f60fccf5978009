package sftp

import (
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/log"
)

// Flags of OPEN (section 6.3 of the draft).
const (
	openRead     = 1 << 0
	openWrite    = 1 << 1
	openAppend   = 1 << 2
	openCreate   = 1 << 3
	openTruncate = 1 << 4
	openExclude  = 1 << 5
)

// defaultMode is the mode of a new file whose client names none, before the umask.
const defaultMode = 0o666

// openFlags turns OPEN's flags into open(2)'s.
func openFlags(portable uint32) int {
	flags := unix.O_RDONLY
	switch {
	case portable&openRead != 0 && portable&openWrite != 0:
		flags = unix.O_RDWR
	case portable&openWrite != 0:
		flags = unix.O_WRONLY
	}
	for _, f := range [...]struct {
		portable uint32
		flag     int
	}{
		{openAppend, unix.O_APPEND}, {openCreate, unix.O_CREAT}, {openTruncate, unix.O_TRUNC}, {openExclude, unix.O_EXCL},
	} {
		if portable&f.portable != 0 {
			flags |= f.flag
		}
	}
	return flags
}

// describeFlags is OPEN's flags for the log.
func describeFlags(portable uint32) string {
	out := ""
	for i, name := range [...]string{"READ", "WRITE", "APPEND", "CREATE", "TRUNCATE", "EXCL"} {
		if portable&(1<<i) != 0 {
			if out != "" {
				out += ","
			}
			out += name
		}
	}
	return out
}

func (s *server) open() {
	name, portable := s.name(), s.req.Uint32()
	a := s.attributes()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: open flags %d", s.id, portable)
	mode := uint32(defaultMode)
	if a.flags&attrMode != 0 {
		mode = a.mode
	}
	flags := openFlags(portable)
	if s.level >= log.Info {
		s.infof("open \"%s\" flags %s mode 0%o", name, describeFlags(portable), mode)
	}
	if s.options.ReadOnly && (flags&unix.O_ACCMODE != unix.O_RDONLY || flags&(unix.O_CREAT|unix.O_TRUNC) != 0) {
		s.verbosef("Refusing open request in read-only mode")
		s.status(statusPermissionDenied)
		return
	}
	fd, errno := s.openFile(s.path(name), flags, mode&modeBits)
	if errno != 0 {
		s.done(errno)
		return
	}
	s.answerHandle(handleFile, fd, name, flags&unix.O_APPEND != 0)
}

// openPlain is open(2). It never waits for the other end of a FIFO or for a
// terminal's line: a thread that waits there can be neither called back nor ended,
// and this process is shared. So O_NONBLOCK stays set: regular files take no notice
// of it, and data of the others cannot be read by offset anyway. Without O_NOCTTY a
// terminal could become that of this process; programs that it starts must not
// inherit the file.
func openPlain(path string, flags int, mode uint32) (int, unix.Errno) {
	flags |= unix.O_CLOEXEC | unix.O_NOCTTY
	fd := -1
	open := func(flags int) unix.Errno {
		return again(func() (err error) {
			fd, err = unix.Open(path, flags, mode)
			return err
		})
	}
	errno := open(flags | unix.O_NONBLOCK)
	if errno == unix.EWOULDBLOCK {
		// Somebody has a lease on it (fcntl(2)); the kernel bounds that wait. Only
		// regular files have leases.
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			errno = open(flags)
		}
	}
	return fd, errno
}

func (s *server) close() {
	i := s.handleNumber()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: close handle %d", s.id, uint32(i))
	if i == noHandle {
		s.done(unix.ENOENT) // and not FAILURE: sftp-server's answer
		return
	}
	s.logClose(&s.table[i], "")
	s.done(s.free(i))
}

func (s *server) readFile() {
	h, i := s.handle(handleFile)
	offset, n := s.req.Uint64(), s.req.Uint32()
	if s.bad() {
		return
	}
	if s.debugs(1) {
		s.debugf(1, "request %d: read \"%s\" (handle %d) off %d len %d", s.id, s.handleName(i), i, offset, n)
	}
	if h == nil {
		s.status(statusFailure)
		return
	}
	if n > maxTransfer {
		s.debugf(2, "read change len %d to %d", n, maxTransfer)
		n = maxTransfer
	}
	s.room(max(dataHeader+int(n), maxReply)) // no more is asked for until the reply is made
	start := len(s.out)
	got, errno := readAt(h.fd, s.out[start+dataHeader:start+dataHeader+int(n)], offset)
	switch {
	case errno != 0:
		s.errorf("process_read: read \"%.100s\": %s", h.name, reason(errno))
		s.done(errno)
		return
	case got == 0 && n > 0:
		s.status(statusEOF)
		return
	}
	s.begin(fxpData)
	s.out = binary.BigEndian.AppendUint32(s.out, uint32(got))
	s.out = s.out[:len(s.out)+got]
	h.read += uint64(got)
	if s.debugs(1) {
		s.debugf(1, "request %d: sent data len %d", s.id, got)
	}
	s.end()
}

// readAt is pread(2).
func readAt(fd int, p []byte, offset uint64) (int, unix.Errno) {
	if offset > math.MaxInt64 {
		return 0, unix.EINVAL
	}
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, err := unix.Pread(fd, p, int64(offset))
		if err == nil {
			return n, 0
		}
		if errno := failure(err); errno != unix.EINTR {
			return 0, errno
		}
	}
}
