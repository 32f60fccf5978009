package sftp

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"nano_ssh_server/server/proto/wire"
)

const (
	lengthSize = 4 // of a request's length field, in bytes
	// writeHeader is what stands before the data of a WRITE whose handle is one of
	// ours, from the length field on, in bytes: length, type, id, handle, offset,
	// and the length of the data.
	writeHeader = lengthSize + 1 + 4 + 4 + handleSize + 8 + 4
)

// errEnd ends the session: exit says how.
var errEnd = errors.New("sftp: session ends")

// input cuts what the client sends into requests.
//
// A request that is whole in one piece of the channel is served where it lies. The
// data of a WRITE that is not is written piece by piece as it comes: it is most of
// what an upload is, and 255 KiB of it reach us in eight packets. Any other request
// that is cut in two is put together in pending, which grows by what has come, never
// by what a length says.
type input struct {
	pending []byte
	skip    int       // bytes of a refused WRITE that are still to come
	partial writeData // a WRITE whose data is still coming
	exit    int       // not exitOK: the session ends
}

// pump serves what rw yields until its end or the session's.
func (s *server) pump(rw io.ReadWriter) error {
	var err error
	_, file := rw.(*os.File) // whose WriteTo would only add a buffer
	if w, ok := rw.(io.WriterTo); ok && !file {
		_, err = w.WriteTo(feeder{s})
	} else {
		err = s.read(rw)
	}
	if s.exit != exitOK {
		return nil
	}
	return err
}

func (s *server) read(r io.Reader) error {
	buf := make([]byte, readSize)
	for {
		n, err := r.Read(buf)
		if ferr := s.feed(buf[:n]); ferr != nil {
			return ferr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// feeder is the server for a channel's WriteTo.
type feeder struct{ s *server }

func (f feeder) Write(p []byte) (int, error) {
	if err := f.s.feed(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// feed serves all that is complete with p, and sends the replies.
func (s *server) feed(p []byte) error {
	for len(p) > 0 && s.exit == exitOK {
		switch {
		case s.skip > 0:
			n := min(s.skip, len(p))
			s.skip -= n
			p = p[n:]
		case s.partial.active:
			p = s.continueWrite(p)
		case len(s.pending) > 0:
			p = s.complete(p)
		default:
			p = s.direct(p)
		}
	}
	s.flush()
	s.giveBack()
	if s.exit != exitOK {
		return errEnd
	}
	return nil
}

// fits checks a request's length. One that is too long ends the session.
func (s *server) fits(n uint32) bool {
	if n <= maxMessage {
		return true
	}
	s.errorf("bad message from %s local user %s", s.client(), s.account.Name)
	s.exit = exitFrame
	return false
}

// direct serves the request that p begins with, and returns what follows it.
func (s *server) direct(p []byte) []byte {
	if len(p) >= lengthSize {
		n := binary.BigEndian.Uint32(p)
		if !s.fits(n) {
			return nil
		}
		end := lengthSize + int(n)
		if len(p) >= end {
			s.dispatch(p[lengthSize:end])
			return p[end:]
		}
		if len(p) >= writeHeader && s.beginWrite(p[:writeHeader], int(n)) {
			return p[writeHeader:]
		}
	}
	s.pending = append(s.pending, p...)
	return nil
}

// complete adds to the incomplete request what p has of it, and serves it when it
// is whole. It returns what p has beyond it.
func (s *server) complete(p []byte) []byte {
	if p = s.take(p, lengthSize-len(s.pending)); len(s.pending) < lengthSize {
		return p
	}
	n := binary.BigEndian.Uint32(s.pending)
	if !s.fits(n) {
		return nil
	}
	end := lengthSize + int(n)
	if len(s.pending) < writeHeader && end > writeHeader {
		p = s.take(p, writeHeader-len(s.pending))
		if len(s.pending) == writeHeader && s.beginWrite(s.pending, int(n)) {
			s.drop()
		}
		return p
	}
	p = s.take(p, end-len(s.pending))
	if len(s.pending) == end {
		s.dispatch(s.pending[lengthSize:])
		s.drop()
	}
	return p
}

// take moves up to n bytes of p to pending, none if n is negative.
func (s *server) take(p []byte, n int) []byte {
	n = max(min(n, len(p)), 0)
	s.pending = append(s.pending, p[:n]...)
	return p[n:]
}

// drop empties pending.
func (s *server) drop() {
	s.pending = s.pending[:0]
	if cap(s.pending) > keepPending {
		s.pending = nil
	}
}

// malformed answers a request whose fields cannot be read. sftp-server would end;
// where the next request starts is known, so the session goes on.
func (s *server) malformed() {
	s.errorf("malformed request %u: %v", s.id, s.req.Err())
	s.status(statusBadMessage)
}

// bad answers a request whose fields could not all be read, and reports whether it did.
func (s *server) bad() bool {
	if s.req.Err() == nil {
		return false
	}
	s.malformed()
	return true
}

// errNUL is a name that C would end before its end.
var errNUL = errors.New("NUL byte in a name")

// name takes a name. One NUL at its end is dropped, as sftp-server does.
func (s *server) name() string {
	b := s.req.String()
	for i, c := range b {
		if c != 0 {
			continue
		}
		if i != len(b)-1 {
			s.req.Fail(errNUL)
			return ""
		}
		b = b[:i]
	}
	return string(b)
}

// reader makes a Reader that needs no memory of its own.
func reader(b []byte) wire.Reader { return *wire.NewReader(b) }
