package pty

import "golang.org/x/sys/unix"

// speeds are the line speeds that a terminal can have, in bits per second.
var speeds = []struct{ baud, code uint32 }{
	{0, unix.B0}, {50, unix.B50}, {75, unix.B75}, {110, unix.B110}, {134, unix.B134}, {150, unix.B150},
	{200, unix.B200}, {300, unix.B300}, {600, unix.B600}, {1200, unix.B1200}, {1800, unix.B1800},
	{2400, unix.B2400}, {4800, unix.B4800}, {9600, unix.B9600}, {19200, unix.B19200}, {38400, unix.B38400},
	{57600, unix.B57600}, {115200, unix.B115200}, {230400, unix.B230400}, {460800, unix.B460800},
	{500000, unix.B500000}, {576000, unix.B576000}, {921600, unix.B921600}, {1000000, unix.B1000000},
	{1152000, unix.B1152000}, {1500000, unix.B1500000}, {2000000, unix.B2000000},
}

// setSpeed sets the speed of both directions: Linux has only one for a terminal,
// and the last that a client sends counts. One that no terminal can have becomes
// 9600, as with OpenSSH. On a pseudo-terminal a speed is no more than a number that
// programs read: those that draw slower on slow lines.
func setSpeed(t *unix.Termios, baud uint32) {
	code := uint32(unix.B9600)
	for _, s := range speeds {
		if s.baud == baud {
			code = s.code
		}
	}
	t.Cflag = t.Cflag&^unix.CBAUD | code
	t.Ispeed, t.Ospeed = code, code
}

// baudOf returns the speed of a terminal, 9600 if it is none of the table.
func baudOf(t *unix.Termios) uint32 {
	for _, s := range speeds {
		if s.code == t.Cflag&unix.CBAUD {
			return s.baud
		}
	}
	return 9600
}
