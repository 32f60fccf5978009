package scp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// ack says that all is well.
func (r *remote) ack() error { return r.send([]byte{0}) }

// send writes to the peer. Without a peer there is nothing left to do.
func (r *remote) send(b []byte) error {
	if _, err := r.out.Write(b); err != nil {
		return errEnd
	}
	return nil
}

// warn tells the peer what went wrong; the copy goes on. The text is one line
// whatever the names in it hold.
func (r *remote) warn(format string, args ...any) error {
	r.errs++
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\\^J")
	return r.send([]byte("\x01scp: " + text + "\n"))
}

// end tells the peer what went wrong and ends the copy.
func (r *remote) end(format string, args ...any) error {
	_ = r.warn(format, args...)
	return errEnd
}

// broken ends the copy because the peer does not keep to the protocol.
func (r *remote) broken(why error) error { return r.end("protocol error: %v", why) }

// debugf writes a line for -v.
func (r *remote) debugf(format string, args ...any) {
	if r.verbose {
		fmt.Fprintln(r.stderr, visible(fmt.Sprintf(format, args...)))
	}
}

// errTooLong is a line beyond maxRecord.
var errTooLong = errors.New("record too long")

// readLine reads a line of the peer's and returns it without its end, valid until
// the next read. A line beyond maxRecord is read to its end too; of it the
// beginning is returned, and errTooLong.
func (r *remote) readLine() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if len(line) <= maxRecord && err == nil {
		return line[:len(line)-1], nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) && err != nil {
		return line, err
	}
	line = bytes.Clone(line[:min(len(line), maxRecord)])
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.in.ReadSlice('\n')
	}
	if err == nil {
		err = errTooLong
	}
	return line, err
}

// response waits for the peer's answer and reports whether it is a yes. A peer
// that gives up, or is gone, is errEnd.
func (r *remote) response() (bool, error) {
	code, err := r.in.ReadByte()
	if err != nil {
		return false, errEnd
	}
	if code == 0 {
		return true, nil
	}
	r.errs++
	if _, err := r.readLine(); err != nil && !errors.Is(err, errTooLong) {
		return false, errEnd
	}
	if code != kindWarning {
		return false, errEnd
	}
	return false, nil
}

// reason is the text of an error in the words of the C library, without the path
// and operation that Go puts in front.
func reason(err error) string {
	if errno := unix.Errno(0); errors.As(err, &errno) {
		err = errno
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrShortWrite) {
		err = unix.EPIPE
	}
	text := err.Error()
	return strings.ToUpper(text[:min(1, len(text))]) + text[min(1, len(text)):]
}

// visible makes a text printable ASCII on one line, in the notation of vis(3), as
// scp writes the name of a file that has an end of line in it.
func visible(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '\\':
			b.WriteString(`\\`)
			continue
		case c >= ' ' && c < 0x7f || c == '\t':
			b.WriteByte(c)
			continue
		case c == 0xa0: // a blank with the high bit set has no other form
			b.WriteString(`\240`)
			continue
		}
		b.WriteByte('\\')
		if c >= 0x80 {
			b.WriteByte('M')
			c &= 0x7f
		}
		switch {
		case c == 0x7f:
			b.WriteString("^?")
		case c < ' ':
			b.Write([]byte{'^', c + '@'})
		default:
			b.Write([]byte{'-', c})
		}
	}
	return b.String()
}
