package pty

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Opcodes that are no entry of the tables below (RFC 4254 section 8).
const (
	opEnd         = 0
	opInputSpeed  = 128
	opOutputSpeed = 129
	// opUndefined is the first opcode whose argument has no known length: parsing
	// stops there.
	opUndefined = 160
)

// disabled is how a control character that is switched off travels; on Linux it
// is stored as 0.
const disabled = 255

// ErrModes means that encoded terminal modes end inside an argument.
var ErrModes = errors.New("pty: terminal modes end inside an argument")

// characters are the opcodes of control characters and their index in c_cc.
// VDSUSP (11), VFLUSH (15) and VSTATUS (17) do not exist on Linux: skipped.
var characters = []struct {
	opcode byte
	index  int
}{
	{1, unix.VINTR}, {2, unix.VQUIT}, {3, unix.VERASE}, {4, unix.VKILL}, {5, unix.VEOF}, {6, unix.VEOL},
	{7, unix.VEOL2}, {8, unix.VSTART}, {9, unix.VSTOP}, {10, unix.VSUSP}, {12, unix.VREPRINT},
	{13, unix.VWERASE}, {14, unix.VLNEXT}, {16, unix.VSWTC}, {18, unix.VDISCARD},
}

// field is one of the four words of flags of a terminal.
type field func(*unix.Termios) *uint32

func input(t *unix.Termios) *uint32       { return &t.Iflag }
func output(t *unix.Termios) *uint32      { return &t.Oflag }
func lineControl(t *unix.Termios) *uint32 { return &t.Cflag }
func local(t *unix.Termios) *uint32       { return &t.Lflag }

// flags are the opcodes of modes: the argument sets or clears the bits of mask.
// 42 is OpenSSH's IUTF8, since RFC 8160 everyone's. CS7 and CS8 are values of the
// field CSIZE and not bits of their own.
var flags = []struct {
	opcode byte
	word   field
	mask   uint32
}{
	{30, input, unix.IGNPAR}, {31, input, unix.PARMRK}, {32, input, unix.INPCK}, {33, input, unix.ISTRIP},
	{34, input, unix.INLCR}, {35, input, unix.IGNCR}, {36, input, unix.ICRNL}, {37, input, unix.IUCLC},
	{38, input, unix.IXON}, {39, input, unix.IXANY}, {40, input, unix.IXOFF}, {41, input, unix.IMAXBEL},
	{42, input, unix.IUTF8},

	{50, local, unix.ISIG}, {51, local, unix.ICANON}, {52, local, unix.XCASE}, {53, local, unix.ECHO},
	{54, local, unix.ECHOE}, {55, local, unix.ECHOK}, {56, local, unix.ECHONL}, {57, local, unix.NOFLSH},
	{58, local, unix.TOSTOP}, {59, local, unix.IEXTEN}, {60, local, unix.ECHOCTL}, {61, local, unix.ECHOKE},
	{62, local, unix.PENDIN},

	{70, output, unix.OPOST}, {71, output, unix.OLCUC}, {72, output, unix.ONLCR}, {73, output, unix.OCRNL},
	{74, output, unix.ONOCR}, {75, output, unix.ONLRET},

	{opCS7, lineControl, unix.CS7}, {opCS8, lineControl, unix.CS8}, {92, lineControl, unix.PARENB}, {93, lineControl, unix.PARODD},
}

const (
	opCS7 = 90
	opCS8 = 91
)

// setMode is what an opcode does to a terminal; nil for those without a meaning here.
var setMode [opUndefined]func(t *unix.Termios, argument uint32)

func init() {
	for _, c := range characters {
		setMode[c.opcode] = func(t *unix.Termios, argument uint32) {
			v := byte(argument)
			if v == disabled {
				v = 0
			}
			t.Cc[c.index] = v
		}
	}
	for _, f := range flags {
		if f.opcode == opCS7 || f.opcode == opCS8 {
			setMode[f.opcode] = func(t *unix.Termios, argument uint32) {
				if argument != 0 {
					t.Cflag = t.Cflag&^unix.CSIZE | f.mask
				}
			}
			continue
		}
		setMode[f.opcode] = func(t *unix.Termios, argument uint32) {
			word := f.word(t)
			*word &^= f.mask
			if argument != 0 {
				*word |= f.mask
			}
		}
	}
	setMode[opInputSpeed] = setSpeed
	setMode[opOutputSpeed] = setSpeed
}

// Decode changes t as the encoded modes say: a sequence of an opcode byte and a
// uint32 argument, ended by opcode 0 or the end of the data. Opcodes below 160
// without a meaning here are skipped; the first of 160 and above ends the
// sequence, since nobody knows what follows it. ErrModes is returned if the data ends
// inside an argument; what stood before it has been applied then.
func Decode(t *unix.Termios, encoded []byte) error {
	for len(encoded) > 0 {
		opcode := encoded[0]
		if opcode == opEnd || opcode >= opUndefined {
			return nil
		}
		if len(encoded) < 5 {
			return ErrModes
		}
		if set := setMode[opcode]; set != nil {
			set(t, binary.BigEndian.Uint32(encoded[1:]))
		}
		encoded = encoded[5:]
	}
	return nil
}

// Encode returns all modes of t that have an opcode, as a client sends them in a
// pty-req: 5 bytes for each and the end.
func Encode(t *unix.Termios) []byte {
	put := func(b []byte, opcode byte, argument uint32) []byte {
		return binary.BigEndian.AppendUint32(append(b, opcode), argument)
	}
	b := make([]byte, 0, 5*(2+len(characters)+len(flags))+1)
	baud := baudOf(t)
	b = put(put(b, opOutputSpeed, baud), opInputSpeed, baud)
	for _, c := range characters {
		v := uint32(t.Cc[c.index])
		if v == 0 {
			v = disabled
		}
		b = put(b, c.opcode, v)
	}
	for _, f := range flags {
		mask := f.mask
		if f.opcode == opCS7 || f.opcode == opCS8 {
			mask = unix.CSIZE
		}
		var v uint32
		if *f.word(t)&mask == f.mask {
			v = 1
		}
		b = put(b, f.opcode, v)
	}
	return append(b, opEnd)
}

// ApplyModes sets the encoded modes on a terminal (RFC 4254 section 8), see
// Decode. The argument of a pty-req may be empty: nothing changes then.
func ApplyModes(f *os.File, encoded []byte) error {
	if len(encoded) == 0 {
		return nil
	}
	return control(f, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		bad := Decode(t, encoded)
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
			return err
		}
		return bad
	})
}
