// Package log writes the server's log: sshd's levels, sshd's forms on stderr, in
// a file and to syslog, and one catalogue (catalogue.go) of the lines that
// fail2ban, auditors and people read in sshd's logs, word for word.
//
// Every role of the server calls it. Callers pass what a peer sent as it is:
// the whole line is escaped once, here, so that no control byte and no newline
// of a peer reaches a log. The package never ends the process, and never waits
// for a stuck syslog daemon for longer than a moment.
package log

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// Level is one of sshd's log levels, from the least to the most that is logged.
type Level int32

// The levels.
const (
	Quiet Level = iota
	Fatal
	Error
	Info
	Verbose
	Debug1
	Debug2
	Debug3
)

// levelNames are in the order of sshd's own table: the first name of a level is
// the one that -T prints.
var levelNames = []struct {
	name  string
	level Level
}{
	{"SILENT", Quiet}, {"QUIET", Quiet}, {"FATAL", Fatal}, {"ERROR", Error},
	{"INFO", Info}, {"VERBOSE", Verbose},
	{"DEBUG", Debug1}, {"DEBUG1", Debug1}, {"DEBUG2", Debug2}, {"DEBUG3", Debug3},
}

// ParseLevel reads a value of LogLevel, in any case.
func ParseLevel(s string) (Level, bool) {
	for _, n := range levelNames {
		if strings.EqualFold(n.name, s) {
			return n.level, true
		}
	}
	return Info, false
}

// String returns the name that sshd -T prints.
func (l Level) String() string {
	for _, n := range levelNames {
		if n.level == l {
			return n.name
		}
	}
	return "UNKNOWN"
}

// Facility is a facility of syslog, as its code in a priority.
type Facility int

// The facilities that SyslogFacility knows.
const (
	FacilityUser     Facility = 1 << 3
	FacilityDaemon   Facility = 3 << 3
	FacilityAuth     Facility = 4 << 3
	FacilityAuthpriv Facility = 10 << 3
	FacilityLocal0   Facility = 16 << 3
)

var facilityNames = []struct {
	name     string
	facility Facility
}{
	{"DAEMON", FacilityDaemon}, {"USER", FacilityUser}, {"AUTH", FacilityAuth}, {"AUTHPRIV", FacilityAuthpriv},
	{"LOCAL0", FacilityLocal0}, {"LOCAL1", 17 << 3}, {"LOCAL2", 18 << 3}, {"LOCAL3", 19 << 3},
	{"LOCAL4", 20 << 3}, {"LOCAL5", 21 << 3}, {"LOCAL6", 22 << 3}, {"LOCAL7", 23 << 3},
}

// ParseFacility reads a value of SyslogFacility, in any case.
func ParseFacility(s string) (Facility, bool) {
	for _, n := range facilityNames {
		if strings.EqualFold(n.name, s) {
			return n.facility, true
		}
	}
	return FacilityAuth, false
}

// String returns the name that sshd -T prints.
func (f Facility) String() string {
	for _, n := range facilityNames {
		if n.facility == f {
			return n.name
		}
	}
	return "UNKNOWN"
}

// Sink takes finished lines. Implementations are safe for concurrent use and
// swallow their own errors: a server does not stop because its log is full.
type Sink interface {
	// Write gets one line without newline, already escaped and without the
	// level's prefix, which differs between syslog and files. id is the number
	// in the tag `sshd[id]`.
	Write(level Level, id int, text string)
}

// maxLine bounds one line, as sshd's buffer does: what a peer sends must not
// fill the disk faster than it can send.
const maxLine = 1023

// Logger writes lines up to a level to a sink. The zero value writes nothing;
// all methods may be called on nil.
type Logger struct {
	sink   Sink
	level  *atomic.Int32
	id     int
	suffix string
}

// New returns a Logger. Its tag number is the process's pid.
func New(sink Sink, level Level) *Logger {
	l := &Logger{sink: sink, level: new(atomic.Int32), id: os.Getpid()}
	l.level.Store(int32(level))
	return l
}

// SetLevel changes the level of this Logger and of those derived from it.
func (l *Logger) SetLevel(level Level) {
	if l != nil && l.level != nil {
		l.level.Store(int32(level))
	}
}

// Level is up to which level lines are written.
func (l *Logger) Level() Level {
	if l == nil || l.level == nil {
		return Quiet
	}
	return Level(l.level.Load())
}

// Enabled reports whether lines of a level are written, for lines that are
// expensive to make.
func (l *Logger) Enabled(level Level) bool {
	return l != nil && l.sink != nil && int32(level) <= l.level.Load()
}

// derive copies l; changing the copy leaves l alone.
func (l *Logger) derive() *Logger {
	if l == nil {
		return &Logger{}
	}
	c := *l
	return &c
}

// WithPreauth returns a Logger that ends its lines with ` [preauth]`, as sshd's
// unprivileged process does before the user is authenticated.
func (l *Logger) WithPreauth() *Logger {
	c := l.derive()
	c.suffix = " [preauth]"
	return c
}

// WithID returns a Logger with another number in its tag. Log readers, fail2ban
// among them, put the lines of one connection together by that number, and sshd
// has a process for each: here every connection needs a number of its own.
func (l *Logger) WithID(id int) *Logger {
	c := l.derive()
	c.id = id
	return c
}

// WithLevel returns a Logger with a level of its own, for LogLevel in a Match
// block.
func (l *Logger) WithLevel(level Level) *Logger {
	c := l.derive()
	c.level = new(atomic.Int32)
	c.level.Store(int32(level))
	return c
}

// Log writes one line of a level.
func (l *Logger) Log(level Level, format string, args ...any) {
	if level == Quiet || !l.Enabled(level) {
		return
	}
	text := Escape(fmt.Sprintf(format, args...))
	if limit := maxLine - len(l.suffix); len(text) > limit {
		text = text[:limit]
	}
	l.sink.Write(level, l.id, text+l.suffix)
}

// Fatal logs why the process, or the connection, ends. It returns: to end is
// the caller's business.
func (l *Logger) Fatal(format string, args ...any) { l.Log(Fatal, format, args...) }

// Error logs a line of level ERROR.
func (l *Logger) Error(format string, args ...any) { l.Log(Error, format, args...) }

// Info logs a line of level INFO.
func (l *Logger) Info(format string, args ...any) { l.Log(Info, format, args...) }

// Verbose logs a line of level VERBOSE.
func (l *Logger) Verbose(format string, args ...any) { l.Log(Verbose, format, args...) }

// Debug logs a line of level DEBUG1.
func (l *Logger) Debug(format string, args ...any) { l.Log(Debug1, format, args...) }

// Debug2 logs a line of level DEBUG2.
func (l *Logger) Debug2(format string, args ...any) { l.Log(Debug2, format, args...) }

// Debug3 logs a line of level DEBUG3.
func (l *Logger) Debug3(format string, args ...any) { l.Log(Debug3, format, args...) }

// Escape makes a text safe for a log, in the form of vis(3) that sshd uses for
// syslog: printable ASCII stays, a backslash is doubled, known control bytes
// become \n, \r, \t, \a, \b, \v, \f, anything else three octal digits. Lines
// that go through a Logger are escaped there, once.
func Escape(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f && s[i] != '\\'
	}
	if clean {
		return s
	}
	const names = "abtnvfr" // of the bytes 7 to 13
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			b = append(b, '\\', '\\')
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		case c >= 7 && c <= 13:
			b = append(b, '\\', names[c-7])
		default:
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		}
	}
	return string(b)
}

// Relay writes a line that another process of the server formatted and escaped. One
// that holds anything but printable ASCII was not escaped: it is, here.
func (l *Logger) Relay(level Level, text string) {
	if level <= Quiet || level > Debug3 || !l.Enabled(level) {
		return
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		text = Escape(text)
	}
	if limit := maxLine - len(l.suffix); len(text) > limit {
		text = text[:limit]
	}
	l.sink.Write(level, l.id, text+l.suffix)
}
