package sftp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const (
	// handleSize is the length of a handle, in bytes: a number in network order.
	handleSize = 4
	// maxHandles bounds what a session has open at once. sftp-server takes what
	// RLIMIT_NOFILE leaves; here the sessions of a user share that limit. Clients
	// have a handful open, sshfs one for each file that is.
	maxHandles = 4096
	// noHandle is no number of a handle.
	noHandle = -1
)

// handleKind is what a handle is open for.
type handleKind uint8

const (
	handleUnused handleKind = iota
	handleFile
	handleDir
)

// handle is an open file or directory.
type handle struct {
	kind          handleKind
	appends       bool
	fd            int
	name          string // the client's
	read, written uint64 // bytes
	dir           *listing
	next          int // while unused: the next unused one, or noHandle
}

// handles are those of a session. The number that was freed last is given out first,
// as in sftp-server.
type handles struct {
	table  []handle
	unused int
}

// newHandle returns the number of a handle, or noHandle when there are too many.
func (h *handles) newHandle(kind handleKind, fd int, name string) int {
	i := h.unused
	switch {
	case i != noHandle:
		h.unused = h.table[i].next
	case len(h.table) >= maxHandles:
		return noHandle
	default:
		i = len(h.table)
		h.table = append(h.table, handle{})
	}
	h.table[i] = handle{kind: kind, fd: fd, name: name, next: noHandle}
	return i
}

// free closes a handle.
func (h *handles) free(i int) unix.Errno {
	errno := failure(unix.Close(h.table[i].fd))
	if errno == unix.EINTR {
		errno = 0 // it is closed all the same (close(2))
	}
	h.table[i] = handle{next: h.unused}
	h.unused = i
	return errno
}

// handle takes a handle of a kind; nil and its number, or noHandle, if it is none.
func (s *server) handle(kind handleKind) (*handle, int) {
	i := s.handleNumber()
	if i == noHandle || s.table[i].kind != kind {
		return nil, i
	}
	return &s.table[i], i
}

// handleNumber takes a handle that is open, or returns noHandle.
func (s *server) handleNumber() int {
	b := s.req.String()
	if len(b) != handleSize {
		return noHandle
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) >= uint64(len(s.table)) || s.table[n].kind == handleUnused {
		return noHandle
	}
	return int(n)
}

// handleName is what the log calls a handle.
func (s *server) handleName(i int) string {
	if i == noHandle {
		return ""
	}
	return s.table[i].name
}

// answerHandle answers with a new handle for fd, or closes it if there are too many.
func (s *server) answerHandle(kind handleKind, fd int, name string, appends bool) {
	i := s.newHandle(kind, fd, name)
	if i == noHandle {
		_ = unix.Close(fd)
		s.status(statusFailure)
		return
	}
	s.table[i].appends = appends
	s.debugf(1, "request %d: sent handle handle %d", s.id, i)
	s.begin(fxpHandle)
	s.out = binary.BigEndian.AppendUint32(s.out, handleSize)
	s.out = binary.BigEndian.AppendUint32(s.out, uint32(i))
	s.end()
}

// logClose notes the end of a handle; how is "" or why it ends.
func (s *server) logClose(h *handle, how string) {
	if how != "" {
		how += " "
	}
	if h.kind == handleFile {
		s.infof("%sclose \"%s\" bytes read %d written %d", how, h.name, h.read, h.written)
	} else {
		s.infof("%sclosedir \"%s\"", how, h.name)
	}
}

// closeHandles closes what the client left open.
func (s *server) closeHandles() {
	for i := range s.table {
		if s.table[i].kind != handleUnused {
			s.logClose(&s.table[i], "forced")
			s.free(i)
		}
	}
}
