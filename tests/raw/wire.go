package raw

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
)

// Raw are bytes that Msg appends as they are.
type Raw []byte

func appendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

func appendString(b, s []byte) []byte {
	return append(appendUint32(b, uint32(len(s))), s...)
}

func appendMpint(b []byte, magnitude []byte) []byte {
	for len(magnitude) > 0 && magnitude[0] == 0 {
		magnitude = magnitude[1:]
	}
	if len(magnitude) > 0 && magnitude[0]&0x80 != 0 {
		magnitude = append([]byte{0}, magnitude...)
	}
	return appendString(b, magnitude)
}

// Append appends fields in the data types of RFC 4251 section 5: byte, bool,
// uint32, uint64, string and []byte as strings, []string as a name-list, *big.Int as an
// mpint, int as a uint32, Raw as it is. Another type panics: the test is wrong.
func Append(b []byte, fields ...any) []byte {
	for _, field := range fields {
		switch v := field.(type) {
		case byte:
			b = append(b, v)
		case bool:
			if v {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case int:
			b = appendUint32(b, uint32(v))
		case uint32:
			b = appendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case string:
			b = appendString(b, []byte(v))
		case []byte:
			b = appendString(b, v)
		case []string:
			b = appendString(b, []byte(strings.Join(v, ",")))
		case *big.Int:
			b = appendMpint(b, v.Bytes())
		case Raw:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("raw: no wire form for %T", field))
		}
	}
	return b
}

// Msg builds a message from its number and fields.
func Msg(number byte, fields ...any) []byte { return Append([]byte{number}, fields...) }

// Fields reads the fields of a message; after the first error everything is zero.
type Fields struct {
	b      []byte
	failed bool
}

// NewFields reads from b, usually a payload without its number.
func NewFields(b []byte) *Fields { return &Fields{b: b} }

func (f *Fields) take(n int) []byte {
	if f.failed || n < 0 || n > len(f.b) {
		f.failed = true
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

// Byte reads a byte.
func (f *Fields) Byte() byte {
	if v := f.take(1); v != nil {
		return v[0]
	}
	return 0
}

// Bool reads a boolean.
func (f *Fields) Bool() bool { return f.Byte() != 0 }

// Uint32 reads a uint32.
func (f *Fields) Uint32() uint32 {
	if v := f.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// Bytes reads a string as bytes.
func (f *Fields) Bytes() []byte { return f.take(int(f.Uint32())) }

// Text reads a string.
func (f *Fields) Text() string { return string(f.Bytes()) }

// List reads a name-list.
func (f *Fields) List() []string {
	s := f.Text()
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// Rest returns what is left.
func (f *Fields) Rest() []byte { return f.b }

// Failed reports whether something was too short.
func (f *Fields) Failed() bool { return f.failed }
