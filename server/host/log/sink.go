package log

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Writer is a Sink in sshd's form of stderr (-e, -d, -t) and of a log file (-E):
// the text after `debug1: ` for the debug levels, CR LF, no time.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Sink that writes each line with one call.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// OpenFile opens or makes a log file for appending, with mode 0600.
func OpenFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// Write implements Sink.
func (w *Writer) Write(level Level, _ int, text string) {
	line := text + "\r\n"
	if level >= Debug1 {
		line = debugPrefix(level) + line
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = io.WriteString(w.w, line)
}

func debugPrefix(level Level) string {
	return "debug" + strconv.Itoa(int(level-Debug1)+1) + ": "
}

// syslogSocket is where syslog daemons listen.
const syslogSocket = "/dev/log"

// syslogTimeout bounds how long one line may wait for a stuck syslog daemon.
// With a full queue connections would otherwise stand still together.
const syslogTimeout = 200 * time.Millisecond

// syslogRetry is how long after a failure no new connection to the daemon is
// tried, so that a dead one costs nothing per line.
const syslogRetry = time.Second

// Syslog is a Sink of the local syslog daemon.
type Syslog struct {
	tag      string
	facility Facility
	path     string

	mu      sync.Mutex
	conn    net.Conn
	failed  time.Time
	dropped int
}

// NewSyslog returns a Sink; tag is the program's name, sshd for drop-in use. The
// daemon is connected at the first line, and again whenever it was restarted.
func NewSyslog(tag string, facility Facility) *Syslog {
	return &Syslog{tag: tag, facility: facility, path: syslogSocket}
}

// Open connects now. Call it before a chroot that has no /dev/log.
func (s *Syslog) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connect()
}

// Close ends the connection to the daemon.
func (s *Syslog) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
}

func (s *Syslog) connect() error {
	if s.conn != nil {
		return nil
	}
	var err error
	// Daemons use a datagram socket, a few a stream.
	for _, network := range []string{"unixgram", "unix"} {
		if s.conn, err = net.DialTimeout(network, s.path, syslogTimeout); err == nil {
			return nil
		}
		s.conn = nil
	}
	s.failed = time.Now()
	return err
}

func (s *Syslog) disconnect() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// priority is the number before a line.
func priority(facility Facility, level Level) int {
	const critical, failure, informational, debug = 2, 3, 6, 7
	severity := debug
	switch level {
	case Fatal:
		severity = critical
	case Error:
		severity = failure
	case Info, Verbose:
		severity = informational
	}
	return int(facility) + severity
}

// Write implements Sink.
func (s *Syslog) Write(level Level, id int, text string) {
	switch {
	case level == Fatal:
		text = "fatal: " + text
	case level == Error:
		text = "error: " + text
	case level >= Debug1:
		text = debugPrefix(level) + text
	}
	line := fmt.Sprintf("<%d>%s %s[%d]: %s", priority(s.facility, level), time.Now().Format(time.Stamp), s.tag, id, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.failed.IsZero() && time.Since(s.failed) < syslogRetry {
		s.dropped++
		return
	}
	// A daemon that was restarted shows at the first write: try once more.
	for range 2 {
		if s.connect() == nil && s.send(line) == nil {
			s.failed, s.dropped = time.Time{}, 0
			return
		}
		s.disconnect()
	}
	s.failed = time.Now()
	s.dropped++
}

func (s *Syslog) send(line string) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(syslogTimeout)); err != nil {
		return err
	}
	if s.conn.LocalAddr().Network() == "unix" {
		line += "\x00" // a stream needs an end of the record
	}
	_, err := io.WriteString(s.conn, line)
	return err
}
