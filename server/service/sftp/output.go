package sftp

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/wire"
)

const (
	// outputSize is the buffer that replies are made in, in bytes: the data of a READ
	// of maxTransfer with its header, behind a few hundred small replies.
	outputSize = 288 << 10
	// flushAt is how many bytes of replies are sent without waiting for the end of
	// the requests at hand: four READs of 32 KiB, which fill four of the channel's
	// packets where one by one they would take eight.
	flushAt = 128 << 10
	// dataHeader is what stands before the data of a DATA reply, from the length
	// field on, in bytes.
	dataHeader = lengthSize + 1 + 4 + 4
)

// outputs are buffers that no session needs at the moment. A session has one while it
// has requests to answer, so that an idle one pins none.
var outputs = sync.Pool{New: func() any { return new([outputSize]byte) }}

// output is the replies that are not sent yet.
type output struct {
	writer io.Writer
	buffer *[outputSize]byte
	out    []byte // of buffer, or a larger one of its own for a reply that does not fit
	start  int    // of the reply that is made
	gone   bool   // the client takes no more
}

// room makes out hold n more bytes.
func (s *server) room(n int) {
	if s.buffer == nil {
		s.buffer = outputs.Get().(*[outputSize]byte)
		s.out = s.buffer[:0]
	}
	if cap(s.out)-len(s.out) < n {
		s.flush()
	}
}

// begin starts a reply of a type. What follows is appended to out, then comes end.
func (s *server) begin(kind byte) {
	s.room(maxReply)
	s.start = len(s.out)
	s.out = append(s.out, 0, 0, 0, 0, kind)
	s.out = wire.AppendUint32(s.out, s.id)
}

// maxReply is the room that a reply starts with, in bytes: most need no more.
const maxReply = 4 << 10

// end completes the reply.
func (s *server) end() {
	binary.BigEndian.PutUint32(s.out[s.start:], uint32(len(s.out)-s.start-lengthSize))
	if len(s.out) >= flushAt {
		s.flush()
	}
}

// cancel takes the reply back that was begun.
func (s *server) cancel() { s.out = s.out[:s.start] }

// flush sends the replies. One failure ends the session.
func (s *server) flush() {
	if len(s.out) == 0 {
		return
	}
	if !s.gone {
		if _, err := s.writer.Write(s.out); err != nil {
			if !errors.Is(err, connection.ErrEnded) {
				s.errorf("write: %s", reason(err))
			}
			s.gone, s.exit = true, exitFailed
		}
	}
	s.out = s.buffer[:0]
}

// giveBack lets other sessions have the buffer.
func (s *server) giveBack() {
	if s.buffer != nil {
		outputs.Put(s.buffer)
		s.buffer, s.out = nil, nil
	}
}

func (s *server) release() { s.giveBack() }

// status answers with a status (section 7 of the draft). Clients of versions before 3
// know no text.
func (s *server) status(code uint32) { s.statusText(code, messages[min(code, statusUnknown)]) }

func (s *server) statusText(code uint32, message string) {
	if s.level > log.Verbose {
		s.debugf(3, "request %d: sent status %d", s.id, code)
	}
	if s.level > log.Verbose || code != statusOK && code != statusEOF {
		s.infof("sent status %s", messages[min(code, statusUnknown)])
	}
	s.begin(fxpStatus)
	s.out = wire.AppendUint32(s.out, code)
	if s.version >= protocolVersion {
		s.out = wire.AppendText(s.out, message)
		s.out = wire.AppendText(s.out, "") // no language
	}
	s.end()
}

// done answers with the status of an error, or success.
func (s *server) done(errno unix.Errno) { s.status(statusOf(errno)) }
