package sftp

import (
	"math"

	"golang.org/x/sys/unix"
)

// writeData is a WRITE whose data is coming.
type writeData struct {
	active bool
	id     uint32
	number int // of the handle
	offset uint64
	left   int // bytes of data
	extra  int // bytes of the request behind its data, which mean nothing
	errno  unix.Errno
}

// beginWrite looks at the first writeHeader bytes of an incomplete request of length
// n. If that is a WRITE whose data can go to a file as it comes, or will be refused,
// it takes the bytes and returns true. Else the request must be put together first:
// so must one that appends, since others may append to the same file, and what one
// request brings must stay together.
func (s *server) beginWrite(p []byte, n int) bool {
	if p[lengthSize] != fxpWrite || lengthSize+n < writeHeader {
		return false
	}
	kind, ok := s.header(p[lengthSize:])
	left := lengthSize + n - writeHeader
	if !ok {
		s.skip = left
		return true
	}
	if !s.permitted(byType[kind]) {
		s.status(statusPermissionDenied)
		s.skip = left
		return true
	}
	h, i := s.handle(handleFile)
	offset, size := s.req.Uint64(), s.req.Uint32()
	if h == nil || h.appends || s.req.Err() != nil || uint64(size) > uint64(left) {
		return false
	}
	s.logWrite(i, offset, int(size))
	s.partial = writeData{active: true, id: s.id, number: i, offset: offset, left: int(size), extra: left - int(size)}
	return true
}

// continueWrite writes what p has of the data, and answers when that was all. It
// returns what follows.
func (s *server) continueWrite(p []byte) []byte {
	w := &s.partial
	n := min(w.left, len(p))
	if w.errno == 0 {
		w.errno = s.writeAt(&s.table[w.number], p[:n], w.offset)
	}
	w.offset += uint64(n)
	w.left -= n
	if w.left == 0 {
		w.active = false
		s.id, s.skip = w.id, w.extra
		s.done(w.errno)
	}
	return p[n:]
}

func (s *server) writeFile() {
	h, i := s.handle(handleFile)
	offset, data := s.req.Uint64(), s.req.String()
	if s.bad() {
		return
	}
	s.logWrite(i, offset, len(data))
	if h == nil {
		s.status(statusFailure)
		return
	}
	s.done(s.writeAt(h, data, offset))
}

func (s *server) logWrite(i int, offset uint64, n int) {
	if s.debugs(1) {
		s.debugf(1, "request %d: write \"%s\" (handle %d) off %d len %d", s.id, s.handleName(i), i, offset, n)
	}
}

// writeAt writes all of p, or says why not. What appends ignores the offset.
func (s *server) writeAt(h *handle, p []byte, offset uint64) unix.Errno {
	if offset > math.MaxInt64 && !h.appends {
		return unix.EINVAL
	}
	for first := true; first || len(p) > 0; first = false { // no data is written, too: the file may not be open for that
		var n int
		var err error
		if h.appends {
			n, err = unix.Write(h.fd, p)
		} else {
			n, err = unix.Pwrite(h.fd, p, int64(offset))
		}
		if n > 0 {
			h.written += uint64(n)
			offset += uint64(n)
			p = p[n:]
		}
		if err == nil && n == 0 && len(p) > 0 {
			return unix.EIO // nothing written, and no reason
		}
		if errno := failure(err); errno != 0 && errno != unix.EINTR {
			s.errorf("process_write: write \"%.100s\": %s", h.name, reason(errno))
			return errno
		}
	}
	return 0
}
