package pty

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mode is an opcode with its argument as it travels.
func mode(opcode byte, argument uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{opcode}, argument)
}

func sequence(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// TestApplyModesAgainstStty sets every mode of RFC 4254 section 8 that Linux has
// and asks stty, which knows nothing of this table, what came of it.
func TestApplyModesAgainstStty(t *testing.T) {
	chars := map[byte]string{
		1: "intr", 2: "quit", 3: "erase", 4: "kill", 5: "eof", 6: "eol", 7: "eol2", 8: "start", 9: "stop",
		10: "susp", 12: "rprnt", 13: "werase", 14: "lnext", 16: "swtch", 18: "discard",
	}
	bits := map[byte]string{
		30: "ignpar", 31: "parmrk", 32: "inpck", 33: "istrip", 34: "inlcr", 35: "igncr", 36: "icrnl", 37: "iuclc",
		38: "ixon", 39: "ixany", 40: "ixoff", 41: "imaxbel", 42: "iutf8", 50: "isig", 51: "icanon", 52: "xcase",
		53: "echo", 54: "echoe", 55: "echok", 56: "echonl", 57: "noflsh", 58: "tostop", 59: "iexten", 60: "echoctl",
		61: "echoke", 70: "opost", 71: "olcuc", 72: "onlcr", 73: "ocrnl", 74: "onocr", 75: "onlret", 93: "parodd",
	}
	_, slave, _ := open(t)
	for opcode, name := range chars {
		for argument, want := range map[uint32]string{255: "<undef>", 1: "^A", 'x': "x", 127: "^?"} {
			if err := ApplyModes(slave, mode(opcode, argument)); err != nil {
				t.Fatal(err)
			}
			got := " " + strings.NewReplacer("\n", " ").Replace(stty(t, slave, "-a"))
			if !strings.Contains(got, " "+name+" = "+want+";") {
				t.Errorf("opcode %d argument %d: stty does not show %s = %s", opcode, argument, name, want)
			}
		}
	}
	for opcode, name := range bits {
		for argument, want := range map[uint32]string{0: "-" + name, 1: name, 1 << 31: name} {
			if err := ApplyModes(slave, mode(opcode, argument)); err != nil {
				t.Fatal(err)
			}
			got := " " + strings.NewReplacer("\n", " ", ";", " ").Replace(stty(t, slave, "-a")) + " "
			if !strings.Contains(got, " "+want+" ") {
				t.Errorf("opcode %d argument %d: stty does not show %s", opcode, argument, want)
			}
		}
	}
}

// TestDecodeRest checks what a pseudo-terminal does not keep or stty does not show.
func TestDecodeRest(t *testing.T) {
	var tio unix.Termios
	for _, c := range []struct {
		b    []byte
		want uint32
	}{
		{mode(90, 1), unix.CS7}, {mode(91, 1), unix.CS8}, {sequence(mode(90, 1), mode(91, 0)), unix.CS7},
		{sequence(mode(90, 0), mode(91, 1)), unix.CS8}, {sequence(mode(91, 1), mode(92, 1)), unix.CS8 | unix.PARENB},
	} {
		tio = unix.Termios{}
		if err := Decode(&tio, c.b); err != nil || tio.Cflag != c.want {
			t.Errorf("%v: cflag %#x, %v; want %#x", c.b, tio.Cflag, err, c.want)
		}
	}
	tio = unix.Termios{}
	if err := Decode(&tio, mode(62, 1)); err != nil || tio.Lflag != unix.PENDIN {
		t.Errorf("PENDIN: %#x, %v", tio.Lflag, err)
	}
}

func TestSpeeds(t *testing.T) {
	_, slave, _ := open(t)
	for _, s := range speeds[1:] {
		if err := ApplyModes(slave, sequence(mode(128, s.baud), mode(129, s.baud), []byte{0})); err != nil {
			t.Fatal(err)
		}
		tio, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil || baudOf(tio) != s.baud {
			t.Errorf("%d: %d, %v", s.baud, baudOf(tio), err)
		}
	}
	if got := strings.TrimSpace(stty(t, slave, "speed")); got != "2000000" {
		t.Errorf("stty speed says %s", got)
	}
	if err := ApplyModes(slave, mode(129, 12345)); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(stty(t, slave, "speed")); got != "9600" {
		t.Errorf("unknown speed: stty says %s", got)
	}
	if err := ApplyModes(slave, mode(129, 0)); err != nil {
		t.Error(err)
	}
}

func TestDecodeSkipsAndStops(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		intr byte
		err  error
	}{
		"empty":                  {nil, 3, nil},
		"end only":               {[]byte{0}, 3, nil},
		"nothing after the end":  {sequence([]byte{0}, mode(1, 9)), 3, nil},
		"unknown below 160":      {sequence(mode(11, 7), mode(19, 7), mode(100, 7), mode(159, 7), mode(1, 9)), 9, nil},
		"160 ends it":            {sequence(mode(160, 7), mode(1, 9)), 3, nil},
		"255 ends it":            {[]byte{255}, 3, nil},
		"no end needed":          {mode(1, 9), 9, nil},
		"short argument":         {sequence(mode(1, 9), []byte{2, 0, 0}), 9, ErrModes},
		"opcode without any":     {[]byte{1}, 3, ErrModes},
		"argument beyond a byte": {mode(1, 0x1234), 0x34, nil},
		"disabled":               {mode(1, 255), 0, nil},
		"last counts":            {sequence(mode(1, 9), mode(1, 10)), 10, nil},
	} {
		var tio unix.Termios
		tio.Cc[unix.VINTR] = 3
		if err := Decode(&tio, c.b); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if got := tio.Cc[unix.VINTR]; got != c.intr {
			t.Errorf("%s: intr %d, want %d", name, got, c.intr)
		}
	}
}

// TestEncodeFresh: a fresh terminal's modes, sent and applied to one whose modes
// are all different, make it the same.
func TestEncodeFresh(t *testing.T) {
	_, slave, _ := open(t)
	tio, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	other := unix.Termios{Iflag: ^tio.Iflag, Oflag: ^tio.Oflag, Cflag: ^tio.Cflag, Lflag: ^tio.Lflag}
	if err := Decode(&other, Encode(tio)); err != nil {
		t.Fatal(err)
	}
	for _, f := range flags {
		if *f.word(tio)&f.mask != *f.word(&other)&f.mask {
			t.Errorf("opcode %d differs", f.opcode)
		}
	}
	for _, c := range characters {
		if tio.Cc[c.index] != other.Cc[c.index] {
			t.Errorf("opcode %d: %d, want %d", c.opcode, other.Cc[c.index], tio.Cc[c.index])
		}
	}
	if baudOf(tio) != baudOf(&other) {
		t.Errorf("speed %d, want %d", baudOf(&other), baudOf(tio))
	}
}

// FuzzModes: no sequence makes the decoder fail in another way than it says, and
// what it made of one survives being encoded and decoded again.
func FuzzModes(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{0})
	f.Add(sequence(mode(128, 38400), mode(129, 38400), mode(1, 3), mode(42, 1), []byte{0}))
	f.Add(sequence(mode(90, 1), mode(91, 1), mode(3, 255), mode(159, 1), mode(160, 1)))
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second unix.Termios
		if err := Decode(&first, b); err != nil && !errors.Is(err, ErrModes) {
			t.Fatal(err)
		}
		if err := Decode(&second, Encode(&first)); err != nil {
			t.Fatal(err)
		}
		// A character of 255 means none, and both of Decode's results say so. The
		// speed and CSIZE of the zero value are replaced by the nearest there is.
		first.Cflag &^= unix.CBAUD | unix.CSIZE
		second.Cflag &^= unix.CBAUD | unix.CSIZE
		first.Ispeed, first.Ospeed, second.Ispeed, second.Ospeed = 0, 0, 0, 0
		if first != second {
			t.Fatalf("%x: %+v became %+v", b, first, second)
		}
	})
}
