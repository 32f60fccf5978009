package login

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"time"
)

// The files utmp, wtmp and btmp are rows of glibc's struct utmp, lastlog is one of
// struct lastlog indexed by uid: who, last, lastb and lastlog read them. musl has only
// stubs for them, so they are read and written here.

// The sizes of their fields (UT_LINESIZE and so on). Text that fills a field has
// no NUL behind it.
const (
	lineSize = 32
	idSize   = 4
	nameSize = 32
	hostSize = 256
)

// The types of a Record that matter here (ut_type).
const (
	initProcess  = 5
	loginProcess = 6 // btmp: an attempt
	userProcess  = 7 // a session
	deadProcess  = 8 // its end
)

// The offsets in struct utmp that all architectures share.
const (
	offType = 0
	offPID  = 4
	offLine = 8
	offID   = offLine + lineSize
	offUser = offID + idSize
	offHost = offUser + nameSize
	offExit = offHost + hostSize
)

// layout is the rest of struct utmp. There are two: where programs of 32 and of 64
// bits share the files, times have 32 bits (__WORDSIZE_TIME64_COMPAT32), elsewhere 64.
type layout struct {
	wide       bool // times, and ut_session, of 64 bits
	time, addr int  // offsets
	size       int  // of struct utmp
	lastSize   int  // of struct lastlog: the time, line and host
}

var (
	narrowLayout = layout{wide: false, time: 340, addr: 348, size: 384, lastSize: 4 + lineSize + hostSize}
	wideLayout   = layout{wide: true, time: 344, addr: 360, size: 400, lastSize: 8 + lineSize + hostSize}
)

// maxRecord is the larger of the sizes.
const maxRecord = 400

// layoutOf returns what glibc uses on an architecture, by Go's name of it.
func layoutOf(arch string) *layout {
	switch arch {
	case "arm64", "loong64", "s390x":
		return &wideLayout
	}
	return &narrowLayout
}

// native is the layout here.
var native = layoutOf(runtime.GOARCH)

// Record is one struct utmp. Reserved parts, the exit status and ut_session are left
// out: sshd does not set them.
type Record struct {
	Type int16
	PID  int32
	Line string // "pts/0"
	ID   string // what tells the lines of one machine apart, at most 4 bytes
	User string
	Host string
	Time time.Time // to the microsecond
	Addr netip.Addr
}

// ErrRecord means that bytes are too few for a Record.
var ErrRecord = errors.New("truncated login record")

// put writes a record into the first l.size bytes of b.
func (l *layout) put(b []byte, r *Record) {
	b = b[:l.size]
	clear(b)
	e := binary.NativeEndian
	e.PutUint16(b[offType:], uint16(r.Type))
	e.PutUint32(b[offPID:], uint32(r.PID))
	copy(b[offLine:offID], r.Line)
	copy(b[offID:offUser], r.ID)
	copy(b[offUser:offHost], r.User)
	copy(b[offHost:offExit], r.Host)
	seconds, micro := r.Time.Unix(), r.Time.Nanosecond()/1000
	if l.wide {
		e.PutUint64(b[l.time:], uint64(seconds))
		e.PutUint64(b[l.time+8:], uint64(micro))
	} else {
		e.PutUint32(b[l.time:], uint32(seconds)) // unsigned, as glibc reads it today: good until 2106
		e.PutUint32(b[l.time+4:], uint32(micro))
	}
	switch addr := r.Addr.Unmap(); {
	case addr.Is4():
		four := addr.As4()
		copy(b[l.addr:], four[:])
	case addr.Is6():
		sixteen := addr.As16()
		copy(b[l.addr:], sixteen[:])
	}
}

// parse reads a record from the beginning of b.
func (l *layout) parse(b []byte) (Record, error) {
	if len(b) < l.size {
		return Record{}, ErrRecord
	}
	b = b[:l.size]
	e := binary.NativeEndian
	r := Record{
		Type: int16(e.Uint16(b[offType:])), PID: int32(e.Uint32(b[offPID:])),
		Line: field(b[offLine:offID]), ID: field(b[offID:offUser]),
		User: field(b[offUser:offHost]), Host: field(b[offHost:offExit]),
	}
	if l.wide {
		r.Time = time.Unix(int64(e.Uint64(b[l.time:])), micros(e.Uint64(b[l.time+8:])))
	} else {
		r.Time = time.Unix(int64(e.Uint32(b[l.time:])), micros(uint64(e.Uint32(b[l.time+4:]))))
	}
	addr := [16]byte(b[l.addr:])
	switch zero := [12]byte{}; {
	case addr == [16]byte{}:
	case [12]byte(addr[4:]) == zero:
		r.Addr = netip.AddrFrom4([4]byte(addr[:]))
	default:
		r.Addr = netip.AddrFrom16(addr).Unmap()
	}
	return r, nil
}

// micros turns tv_usec into nanoseconds; what is no fraction of a second counts as none.
func micros(n uint64) int64 {
	if n >= 1e6 {
		return 0
	}
	return int64(n) * 1000
}

// field is the text of a field of fixed size.
func field(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// same reports whether a row of utmp is the one that a new record replaces, as
// glibc's pututline decides: the same ID, or the same line where one has none.
func same(row, record []byte) bool {
	if !process(row) || !process(record) {
		return false
	}
	if row[offID] != 0 && record[offID] != 0 {
		return field(row[offID:offUser]) == field(record[offID:offUser])
	}
	return field(row[offLine:offID]) == field(record[offLine:offID])
}

// process reports whether a row is about a process, and not about the boot.
func process(row []byte) bool {
	t := rowType(row)
	return t >= initProcess && t <= deadProcess
}

func rowType(row []byte) int { return int(int16(binary.NativeEndian.Uint16(row[offType:]))) }
func rowPID(row []byte) int  { return int(int32(binary.NativeEndian.Uint32(row[offPID:]))) }

// lineName is a terminal's name without /dev/.
func lineName(tty string) string { return strings.TrimPrefix(tty, "/dev/") }

// lineID is sshd's ut_id of a terminal: the last four bytes of its name, without
// `tty` ("ts/0" for pts/0, "S0" for ttyS0).
func lineID(line string) string {
	line = strings.TrimPrefix(line, "tty")
	return line[max(0, len(line)-idSize):]
}
