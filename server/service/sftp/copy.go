package sftp

import (
	"math"

	"golang.org/x/sys/unix"
)

const (
	// copyChunk is how much the kernel copies at once, in bytes: little enough that a
	// session that has ended stops soon.
	copyChunk = 8 << 20
	// copyBuffer is how much is read at once where the kernel does not copy itself.
	copyBuffer = 256 << 10
	// endTolerance is how many bytes may be missing at the end of a file from which
	// a length is copied: to sftp-server the end is success there.
	endTolerance = 64 << 10
)

// copying is one copy-data request (draft-ietf-secsh-filexfer-extensions-00 section
// 7, PROTOCOL section 4.10).
type copying struct {
	s                  *server
	from, to           *handle
	fromOffset, offset uint64
	left               uint64
	untilEnd           bool // left is not what the client asked for
	buffer             []byte
}

func (s *server) copyData() {
	from, fromNumber := s.handle(handleFile)
	fromOffset, length := s.req.Uint64(), s.req.Uint64()
	to, toNumber := s.handle(handleFile)
	offset := s.req.Uint64()
	if s.bad() {
		return
	}
	s.debugf(1, "request %d: copy-data from \"%s\" (handle %d) off %d len %d to \"%s\" (handle %d) off %d",
		s.id, s.handleName(fromNumber), fromNumber, fromOffset, length, s.handleName(toNumber), toNumber, offset)
	if from == nil || to == nil || from == to || from.name == to.name {
		s.status(statusFailure)
		return
	}
	if fromOffset > math.MaxInt64 || offset > math.MaxInt64 && !to.appends {
		s.done(unix.EINVAL)
		return
	}
	c := &copying{s: s, from: from, to: to, fromOffset: fromOffset, offset: offset, left: length, untilEnd: length == 0}
	if c.untilEnd {
		c.left = math.MaxInt64 - fromOffset
		if errno := c.bound(); errno != 0 {
			s.done(errno)
			return
		}
	}
	s.status(c.run())
}

// bound keeps a copy of a file onto its own end, under another name, from feeding
// on what it writes: it copies what the file has now.
func (c *copying) bound() unix.Errno {
	var from, to unix.Stat_t
	errno := again(func() error { return unix.Fstat(c.from.fd, &from) })
	if errno == 0 {
		errno = again(func() error { return unix.Fstat(c.to.fd, &to) })
	}
	if errno == 0 && from.Dev == to.Dev && from.Ino == to.Ino {
		c.left = uint64(max(from.Size, int64(c.fromOffset))) - c.fromOffset
	}
	return errno
}

// run copies all and returns the status. A failure is one in any case: sftp-server
// calls a short copy that it could not write a success.
func (c *copying) run() uint32 {
	step := c.byKernel
	for c.left > 0 {
		if c.s.ctx.Err() != nil {
			return statusFailure
		}
		n, errno := step(min(c.left, copyChunk))
		switch errno {
		case unix.EXDEV, unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP, unix.EBADF, unix.EPERM:
			// Not between these files, or not at all, or not where O_APPEND is set. A
			// reason of another kind comes back.
			if c.buffer == nil {
				c.buffer = make([]byte, copyBuffer)
				step = c.byHand
				continue
			}
		}
		if errno != 0 {
			c.s.errorf("copy-data \"%.100s\" to \"%.100s\": %s", c.from.name, c.to.name, reason(errno))
			return statusOf(errno)
		}
		if n == 0 {
			// Some file systems (proc) yield nothing to the kernel's copy.
			if c.buffer == nil {
				c.buffer = make([]byte, copyBuffer)
				step = c.byHand
				continue
			}
			if c.untilEnd || c.left <= endTolerance {
				return statusOK
			}
			return statusEOF
		}
		c.fromOffset += n
		c.left -= n
		c.from.read += n
	}
	return statusOK
}

// byKernel copies up to n bytes by copy_file_range(2); byHand reads and writes.
func (c *copying) byKernel(n uint64) (uint64, unix.Errno) {
	if c.to.appends {
		return 0, unix.EBADF
	}
	from, to := int64(c.fromOffset), int64(c.offset)
	got := 0
	errno := again(func() (err error) {
		got, err = unix.CopyFileRange(c.from.fd, &from, c.to.fd, &to, int(n), 0)
		return err
	})
	if errno != 0 || got <= 0 {
		return 0, errno
	}
	c.offset += uint64(got)
	c.to.written += uint64(got)
	return uint64(got), 0
}

func (c *copying) byHand(n uint64) (uint64, unix.Errno) {
	got, errno := readAt(c.from.fd, c.buffer[:min(n, copyBuffer)], c.fromOffset)
	if errno != 0 || got == 0 {
		return 0, errno
	}
	if errno := c.s.writeAt(c.to, c.buffer[:got], c.offset); errno != 0 {
		return 0, errno
	}
	c.offset += uint64(got)
	return uint64(got), 0
}
