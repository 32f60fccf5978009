// Package textlines cuts text that others wrote into lines, in bounded memory: the
// system's account files, authorized_keys and its kin.
package textlines

import (
	"bytes"
	"io"

	"nano_ssh_server/cgo/sodium"
)

// Each calls f with every line of r, without its newline, until f returns false. The
// slice is valid during the call. A line over most bytes is reported as too long, once,
// without its text. Memory is one buffer of first to most bytes; it is wiped at the end,
// as a line may have held a hash. The error is r's own.
func Each(r io.Reader, first, most int, f func(line []byte, tooLong bool) bool) error {
	buf := make([]byte, first)
	defer func() { sodium.Memzero(buf) }()
	have, skipping := 0, false
	for {
		n, err := r.Read(buf[have:])
		have += n
		start := 0
		for {
			end := bytes.IndexByte(buf[start:have], '\n')
			if end < 0 {
				break
			}
			line := buf[start : start+end]
			start += end + 1
			if skipping {
				skipping = false // the rest of a long line
			} else if !f(line, false) {
				return nil
			}
		}
		have = copy(buf, buf[start:have])
		switch {
		case err == io.EOF:
			if have > 0 && !skipping {
				f(buf[:have], false)
			}
			return nil
		case err != nil:
			return err
		case have == len(buf) && have >= most:
			if !skipping && !f(nil, true) {
				return nil
			}
			have, skipping = 0, true
		case have == len(buf):
			larger := make([]byte, min(2*len(buf), most))
			copy(larger, buf)
			sodium.Memzero(buf)
			buf = larger
		}
	}
}
