package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The mpint examples of RFC 4251 section 5, and their neighbours.
func TestMpint(t *testing.T) {
	for _, c := range []struct {
		magnitude, wire []byte
	}{
		{nil, []byte{0, 0, 0, 0}},
		{[]byte{0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7}, []byte{0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7}},
		{[]byte{0x80}, []byte{0, 0, 0, 2, 0, 0x80}},
		{[]byte{0, 0, 0x7f}, []byte{0, 0, 0, 1, 0x7f}},
	} {
		got := AppendMpint(nil, c.magnitude)
		if !bytes.Equal(got, c.wire) {
			t.Errorf("AppendMpint(%x) = %x, want %x", c.magnitude, got, c.wire)
		}
		r := NewReader(got)
		back := r.Mpint()
		if err := r.End(); err != nil || !bytes.Equal(back, bytes.TrimLeft(c.magnitude, "\x00")) {
			t.Errorf("Mpint(%x) = %x, %v", got, back, err)
		}
	}
	for _, c := range []struct {
		wire []byte
		want error
	}{
		{[]byte{0, 0, 0, 2, 0xed, 0xcc}, ErrNegative},
		{[]byte{0, 0, 0, 2, 0x00, 0x01}, ErrPadded},
		{[]byte{0, 0, 0, 1, 0x00}, ErrPadded},
		{[]byte{0, 0, 0, 9, 1}, ErrShort},
		{[]byte{0xff, 0xff, 0xff, 0xff}, ErrShort},
	} {
		r := NewReader(c.wire)
		if r.Mpint(); !errors.Is(r.Err(), c.want) {
			t.Errorf("Mpint(%x): %v, want %v", c.wire, r.Err(), c.want)
		}
	}
}

func TestNameList(t *testing.T) {
	r := NewReader([]byte("\x00\x00\x00\x09zlib,none\x00\x00\x00\x00"))
	if got := strings.Join(r.NameList(), " "); got != "zlib none" {
		t.Errorf("got %q", got)
	}
	if got := r.NameList(); got != nil {
		t.Errorf("empty list = %q", got)
	}
	if err := r.End(); err != nil {
		t.Error(err)
	}
	r = NewReader(AppendText(nil, strings.Repeat(",", MaxNames)))
	if r.NameList(); r.Err() == nil {
		t.Error("a list beyond MaxNames passed")
	}
}

func TestStickyErrorAndEnd(t *testing.T) {
	r := NewReader([]byte{0, 0, 0})
	if r.Uint32() != 0 || !errors.Is(r.Err(), ErrShort) {
		t.Fatal("short uint32 passed")
	}
	if r.Byte() != 0 || r.String() != nil || r.Text() != "" || r.Raw(1) != nil || r.Uint64() != 0 {
		t.Error("values after an error")
	}
	r = NewReader([]byte{1, 2})
	r.Byte()
	if !errors.Is(r.End(), ErrTrailing) {
		t.Error("trailing byte passed")
	}
}

// FuzzReader drives a Reader by a program that is part of the input: no
// sequence of calls may panic or return more bytes than there were.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, []byte("\x00\x00\x00\x03abc\x00\x00\x00\x01\x7f"))
	f.Add([]byte{5, 5, 6}, []byte("\x00\x00\x00\x09zlib,none\xff\xff\xff\xff"))
	f.Add([]byte{7, 0}, []byte("\x00\x00\x00\x02\x00\x80"))
	f.Fuzz(func(t *testing.T, program, data []byte) {
		r := NewReader(data)
		taken := 0
		for _, op := range program {
			switch op % 8 {
			case 0:
				r.Byte()
			case 1:
				r.Bool()
			case 2:
				r.Uint32()
			case 3:
				r.Uint64()
			case 4:
				taken += len(r.String())
			case 5:
				r.NameList()
			case 6:
				taken += len(r.Raw(int(op)))
			case 7:
				taken += len(r.Mpint())
			}
		}
		if taken > len(data) {
			t.Fatalf("took %d of %d bytes", taken, len(data))
		}
		_ = r.End()
	})
}
