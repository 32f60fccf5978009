package scp

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// The kinds of a record are its first byte.
const (
	kindWarning   = 1   // text: something is left out, the copy goes on
	kindFatal     = 2   // text: the peer gives up
	kindFile      = 'C' // mode, size, name; the data follows
	kindDirectory = 'D' // mode, size (ignored), name; its content follows up to kindEnd
	kindEnd       = 'E' // end of a directory
	kindTimes     = 'T' // times of the file or directory that comes next
)

// fileTime is a time in seconds and microseconds since the epoch.
type fileTime struct{ sec, usec int64 }

// record is one line of the peer's.
type record struct {
	kind byte
	// Of kindFile and kindDirectory:
	mode uint32
	size int64
	name string
	// Of kindTimes. A time that no file can have is valid and ignored.
	modified, accessed fileTime
	ignored            bool
}

// What is wrong with a record. The words are scp's.
var (
	errNewline    = errors.New("unexpected <newline>")
	errKind       = errors.New("expected control record")
	errMode       = errors.New("bad mode")
	errModeEnd    = errors.New("mode not delimited")
	errSize       = errors.New("size not present")
	errSizeEnd    = errors.New("size not delimited")
	errSizeRange  = errors.New("size out of range")
	errModSec     = errors.New("mtime.sec not present")
	errModSecEnd  = errors.New("mtime.sec not delimited")
	errModUsecEnd = errors.New("mtime.usec not delimited")
	errAccSec     = errors.New("atime.sec not present")
	errAccSecEnd  = errors.New("atime.sec not delimited")
	errAccUsecEnd = errors.New("atime.usec not delimited")
)

// nameError is a name that is not that of an entry of a directory.
type nameError string

func (e nameError) Error() string { return "unexpected filename: " + string(e) }

// parseRecord reads a record without its end of line.
func parseRecord(line []byte) (record, error) {
	if len(line) == 0 {
		return record{}, errNewline
	}
	rec := record{kind: line[0]}
	switch rec.kind {
	case kindWarning, kindFatal, kindEnd:
		return rec, nil
	case kindTimes:
		err := rec.parseTimes(line[1:])
		return rec, err
	case kindFile, kindDirectory:
		err := rec.parseEntry(line[1:])
		return rec, err
	}
	return rec, errKind
}

// parseEntry reads "mode size name": four octal digits, decimal digits, anything.
func (rec *record) parseEntry(b []byte) error {
	const digits = 4
	for i := range digits {
		if i >= len(b) || b[i] < '0' || b[i] > '7' {
			return errMode
		}
		rec.mode = rec.mode<<3 | uint32(b[i]-'0')
	}
	rec.mode &= permissionBits
	b, ok := bytes.CutPrefix(b[digits:], []byte(" "))
	if !ok {
		return errModeEnd
	}
	size, name, err := cutNumber(b, ' ', errSize, errSizeEnd)
	if err != nil {
		return err
	}
	if size > math.MaxInt64 {
		return errSizeRange
	}
	rec.size, rec.name = int64(size), string(name)
	if !validName(rec.name) {
		return nameError(rec.name)
	}
	return nil
}

// validName reports whether a name is that of an entry of a directory, so that
// joined to the directory's it cannot lead elsewhere.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && !bytes.ContainsAny([]byte(name), "/\x00")
}

// parseTimes reads "mtime usec atime usec", all in decimal digits.
func (rec *record) parseTimes(b []byte) error {
	var sec [2]uint64
	var usec [2]uint64
	var err error
	if sec[0], b, err = cutNumber(b, ' ', errModSec, errModSecEnd); err != nil {
		return err
	}
	if usec[0], b, err = cutNumber(b, ' ', errModUsecEnd, errModUsecEnd); err != nil {
		return err
	}
	if sec[1], b, err = cutNumber(b, ' ', errAccSec, errAccSecEnd); err != nil {
		return err
	}
	if usec[1], _, err = cutNumber(b, 0, errAccUsecEnd, errAccUsecEnd); err != nil {
		return err
	}
	switch {
	case usec[0] >= 1e6:
		return errModUsecEnd
	case usec[1] >= 1e6:
		return errAccUsecEnd
	case sec[0] > math.MaxInt64 || sec[1] > math.MaxInt64:
		rec.ignored = true
		return nil
	}
	rec.modified = fileTime{int64(sec[0]), int64(usec[0])}
	rec.accessed = fileTime{int64(sec[1]), int64(usec[1])}
	return nil
}

// cutNumber takes decimal digits and the byte that ends them off the front of b;
// end 0 is the end of b. A number too large for its type is the largest.
func cutNumber(b []byte, end byte, missing, undelimited error) (uint64, []byte, error) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n == 0 {
		return 0, nil, missing
	}
	value, _ := strconv.ParseUint(string(b[:n]), 10, 64) // the only error is one of range
	switch {
	case end == 0 && n == len(b):
		return value, nil, nil
	case end != 0 && n < len(b) && b[n] == end:
		return value, b[n+1:], nil
	}
	return 0, nil, undelimited
}
