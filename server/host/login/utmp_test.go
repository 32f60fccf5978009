package login

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"
)

//lint:file-ignore U1000 the fields are there for their places
//lint:file-ignore SA1011 names need not be UTF-8

// What bits/utmp.h declares, in Go; a C compiler lays these types out the same way on
// a machine of 64 bits.
type exitStatus struct{ termination, exit int16 }

type narrowUtmp struct {
	kind     int16
	pid      int32
	line     [32]byte
	id       [4]byte
	user     [32]byte
	host     [256]byte
	exit     exitStatus
	session  int32
	tv       [2]int32
	addr     [4]int32
	reserved [20]byte
}

type wideUtmp struct {
	kind     int16
	pid      int32
	line     [32]byte
	id       [4]byte
	user     [32]byte
	host     [256]byte
	exit     exitStatus
	session  int64
	tv       [2]int64
	addr     [4]int32
	reserved [20]byte
}

type narrowLast struct {
	time int32
	line [32]byte
	host [256]byte
}

type wideLast struct {
	time int64
	line [32]byte
	host [256]byte
}

func TestLayout(t *testing.T) {
	var n narrowUtmp
	var w wideUtmp
	if unsafe.Sizeof(uintptr(0)) == 4 {
		t.Skip("Go aligns int64 to 4 bytes on machines of 32 bits")
	}
	want := layout{false, int(unsafe.Offsetof(n.tv)), int(unsafe.Offsetof(n.addr)), int(unsafe.Sizeof(n)), int(unsafe.Sizeof(narrowLast{}))}
	if narrowLayout != want || want.size != 384 || want.lastSize != 292 {
		t.Errorf("narrow: %+v, want %+v", narrowLayout, want)
	}
	want = layout{true, int(unsafe.Offsetof(w.tv)), int(unsafe.Offsetof(w.addr)), int(unsafe.Sizeof(w)), int(unsafe.Sizeof(wideLast{}))}
	if wideLayout != want || want.size != 400 || want.lastSize != 296 {
		t.Errorf("wide: %+v, want %+v", wideLayout, want)
	}
	for _, c := range []struct{ got, narrow, wide uintptr }{
		{offType, unsafe.Offsetof(n.kind), unsafe.Offsetof(w.kind)}, {offPID, unsafe.Offsetof(n.pid), unsafe.Offsetof(w.pid)},
		{offLine, unsafe.Offsetof(n.line), unsafe.Offsetof(w.line)}, {offID, unsafe.Offsetof(n.id), unsafe.Offsetof(w.id)},
		{offUser, unsafe.Offsetof(n.user), unsafe.Offsetof(w.user)}, {offHost, unsafe.Offsetof(n.host), unsafe.Offsetof(w.host)},
		{offExit, unsafe.Offsetof(n.exit), unsafe.Offsetof(w.exit)},
	} {
		if c.got != c.narrow || c.got != c.wide {
			t.Errorf("offset %d, want %d and %d", c.got, c.narrow, c.wide)
		}
	}
	for arch, l := range map[string]*layout{"amd64": &narrowLayout, "riscv64": &narrowLayout, "arm": &narrowLayout, "arm64": &wideLayout} {
		if layoutOf(arch) != l {
			t.Errorf("%s has the other layout", arch)
		}
	}
	if max(wideLayout.size, narrowLayout.size, wideLayout.lastSize) > maxRecord {
		t.Error("maxRecord is too small")
	}
}

var layouts = []*layout{&narrowLayout, &wideLayout}

func TestRecord(t *testing.T) {
	full := Record{
		Type: -1, PID: -7, Line: strings.Repeat("l", 32), ID: "1234", User: strings.Repeat("u", 32),
		Host: strings.Repeat("h", 256), Time: time.Unix(1<<32-1, 999999000), Addr: netip.MustParseAddr("2001:db8::1"),
	}
	plain := Record{Type: userProcess, PID: 77, Line: "pts/3", ID: "ts/3", User: "alice", Host: "192.0.2.7",
		Time: time.Unix(1700000000, 5000), Addr: netip.MustParseAddr("192.0.2.7")}
	mapped := plain
	mapped.Addr = netip.MustParseAddr("::ffff:192.0.2.7")
	long := full
	long.Line, long.ID, long.User, long.Host = full.Line+"x", full.ID+"x", full.User+"x", full.Host+"x"
	for _, l := range layouts {
		for _, c := range []struct{ in, want Record }{{full, full}, {plain, plain}, {mapped, plain}, {long, full}, {Record{Time: time.Unix(0, 0)}, Record{Time: time.Unix(0, 0)}}} {
			b := bytes.Repeat([]byte{0xaa}, maxRecord)
			l.put(b, &c.in)
			got, err := l.parse(b)
			if err != nil || got != c.want {
				t.Errorf("%d bytes: %+v, %v, want %+v", l.size, got, err, c.want)
			}
			if strings.Trim(string(b[l.size:]), "\xaa") != "" {
				t.Errorf("%d bytes: wrote behind the row", l.size)
			}
		}
		if _, err := l.parse(make([]byte, l.size-1)); err != ErrRecord {
			t.Errorf("short row: %v", err)
		}
	}
}

// TestRecordBytes pins where things are, in the layout of amd64.
func TestRecordBytes(t *testing.T) {
	b := make([]byte, narrowLayout.size)
	narrowLayout.put(b, &Record{Type: userProcess, PID: 0x01020304, Line: "pts/3", ID: "ts/3", User: "alice", Host: "h",
		Time: time.Unix(0x11121314, 123456789), Addr: netip.MustParseAddr("1.2.3.4")})
	e := binary.NativeEndian
	if e.Uint16(b) != 7 || e.Uint32(b[4:]) != 0x01020304 || string(b[8:13]) != "pts/3" || string(b[40:44]) != "ts/3" ||
		string(b[44:50]) != "alice\x00" || string(b[76:78]) != "h\x00" || e.Uint32(b[340:]) != 0x11121314 ||
		e.Uint32(b[344:]) != 123456 || string(b[348:352]) != "\x01\x02\x03\x04" {
		t.Errorf("%x", b)
	}
}

func TestLineID(t *testing.T) {
	for line, want := range map[string]string{
		"pts/0": "ts/0", "pts/12": "s/12", "pts/1234": "1234", "ttyS0": "S0", "tty1": "1", "tty": "", "": "", "ttyp12345": "2345", "abc": "abc",
	} {
		if got := lineID(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if lineName("/dev/pts/1") != "pts/1" || lineName("pts/1") != "pts/1" {
		t.Error("/dev/ stays")
	}
}

func TestSame(t *testing.T) {
	row := func(kind int16, line, id string) []byte {
		b := make([]byte, native.size)
		native.put(b, &Record{Type: kind, Line: line, ID: id, Time: time.Unix(0, 0)})
		return b
	}
	mine := row(userProcess, "pts/1", "ts/1")
	for _, c := range []struct {
		row  []byte
		want bool
	}{
		{row(deadProcess, "pts/1", "ts/1"), true}, {row(initProcess, "other", "ts/1"), true}, {row(loginProcess, "pts/1", ""), true},
		{row(userProcess, "pts/1", "ts/2"), false}, {row(userProcess, "pts/2", ""), false}, {row(2, "pts/1", "ts/1"), false},
		{row(0, "", ""), false}, {row(9, "pts/1", "ts/1"), false}, {row(-1, "pts/1", "ts/1"), false},
	} {
		if same(c.row, mine) != c.want {
			t.Errorf("type %d, line %s, id %q: %v", rowType(c.row), field(c.row[offLine:offID]), field(c.row[offID:offUser]), !c.want)
		}
	}
}

// FuzzUtmp: any bytes can be read, and what was read can be written and read again.
func FuzzUtmp(f *testing.F) {
	for _, l := range layouts {
		b := make([]byte, l.size)
		l.put(b, &Record{Type: userProcess, PID: 1, Line: "pts/0", ID: "ts/0", User: "root", Host: "h", Time: time.Unix(1, 0), Addr: netip.MustParseAddr("::1")})
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, maxRecord))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range layouts {
			r, err := l.parse(b)
			if (err != nil) != (len(b) < l.size) {
				t.Fatalf("%d bytes of %d: %v", len(b), l.size, err)
			}
			if err == nil {
				again := make([]byte, l.size)
				l.put(again, &r)
				if r2, err := l.parse(again); err != nil || r2 != r {
					t.Fatalf("%+v became %+v, %v", r, r2, err)
				}
				_ = same(b, again)
			}
			last, err := l.parseLast(b)
			if (err != nil) != (len(b) < l.lastSize) {
				t.Fatalf("lastlog: %d bytes of %d: %v", len(b), l.lastSize, err)
			}
			if s := printable(last.Host); len(s) != len(last.Host) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%q", s)
			}
		}
	})
}
