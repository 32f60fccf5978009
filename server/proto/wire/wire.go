// Package wire reads and writes the data types of RFC 4251 section 5: byte,
// boolean, uint32, uint64, string, mpint and name-list.
//
// Every parser of the project stands on it. A Reader never panics, never
// allocates by a length that a peer sent, and keeps the first error, so that a
// parser is a plain list of fields with one check at its end.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrShort means that the data ended inside a field.
	ErrShort = errors.New("wire: data ends inside a field")
	// ErrTrailing means that bytes follow the last field.
	ErrTrailing = errors.New("wire: bytes follow the last field")
	// ErrNegative means that an mpint that must not be negative is.
	ErrNegative = errors.New("wire: negative integer")
	// ErrPadded means that an mpint has needless leading zero bytes.
	ErrPadded = errors.New("wire: integer with needless leading zeros")
)

// MaxNames bounds the entries of one name-list. OpenSSH's longest list has
// fewer than 70; the bound keeps a peer's 32 KiB of commas from costing 500 KiB.
const MaxNames = 1024

// Reader takes fields from the front of a byte slice. The zero value reads
// nothing. After the first error every method returns a zero value.
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a Reader of b, which it does not copy.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Err returns the first error, or nil.
func (r *Reader) Err() error { return r.err }

// End returns the first error, or ErrTrailing if bytes are left.
func (r *Reader) End() error {
	if r.err == nil && len(r.rest) != 0 {
		r.err = fmt.Errorf("%w: %d", ErrTrailing, len(r.rest))
	}
	return r.err
}

// Rest takes all that is left. It aliases the input.
func (r *Reader) Rest() []byte {
	b := r.rest
	r.rest = nil
	return b
}

// Len returns the number of bytes left.
func (r *Reader) Len() int { return len(r.rest) }

// Fail records err unless an earlier one stands; for checks between fields.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// Raw takes n bytes. It aliases the input.
func (r *Reader) Raw(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.rest) {
		r.Fail(ErrShort)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Byte takes one byte.
func (r *Reader) Byte() byte {
	if b := r.Raw(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool takes a boolean; any value but 0 is true.
func (r *Reader) Bool() bool { return r.Byte() != 0 }

// Uint32 takes four bytes, big-endian.
func (r *Reader) Uint32() uint32 {
	if b := r.Raw(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 takes eight bytes, big-endian.
func (r *Reader) Uint64() uint64 {
	if b := r.Raw(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// String takes a string: uint32 length and that many bytes. It aliases the input.
func (r *Reader) String() []byte {
	n := r.Uint32()
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.rest)) {
		r.Fail(ErrShort)
		return nil
	}
	return r.Raw(int(n))
}

// Text takes a string as a Go string (a copy).
func (r *Reader) Text() string { return string(r.String()) }

// NameList takes a comma-separated list of names. An empty string is an empty
// list; empty names, as OpenSSH sends none, are an error, as are more than MaxNames.
func (r *Reader) NameList() []string {
	s := r.Text()
	if s == "" {
		return nil
	}
	if strings.Count(s, ",") >= MaxNames {
		r.Fail(fmt.Errorf("wire: name-list with more than %d names", MaxNames))
		return nil
	}
	return strings.Split(s, ",")
}

// Mpint takes a non-negative multiple precision integer and returns its
// magnitude, big-endian without leading zeros (empty for zero). It aliases the
// input. Negative values are ErrNegative, needless zeros ErrPadded.
func (r *Reader) Mpint() []byte {
	b := r.String()
	if len(b) == 0 {
		return b
	}
	if b[0]&0x80 != 0 {
		r.Fail(ErrNegative)
		return nil
	}
	if b[0] == 0 {
		if len(b) == 1 || b[1]&0x80 == 0 {
			r.Fail(ErrPadded)
			return nil
		}
		return b[1:]
	}
	return b
}

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendUint32 appends v big-endian.
func AppendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

// AppendUint64 appends v big-endian.
func AppendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// AppendString appends s with its length in front.
func AppendString(b, s []byte) []byte {
	return append(AppendUint32(b, uint32(len(s))), s...)
}

// AppendText appends s with its length in front.
func AppendText(b []byte, s string) []byte {
	return append(AppendUint32(b, uint32(len(s))), s...)
}

// AppendNameList appends names joined by commas.
func AppendNameList(b []byte, names []string) []byte {
	return AppendText(b, strings.Join(names, ","))
}

// AppendMpint appends the non-negative integer with the given big-endian
// magnitude; leading zeros of the magnitude are dropped.
func AppendMpint(b, magnitude []byte) []byte {
	for len(magnitude) > 0 && magnitude[0] == 0 {
		magnitude = magnitude[1:]
	}
	n := len(magnitude)
	if n > 0 && magnitude[0]&0x80 != 0 {
		b = append(AppendUint32(b, uint32(n+1)), 0)
		return append(b, magnitude...)
	}
	return AppendString(b, magnitude)
}
