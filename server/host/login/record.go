package login

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Where glibc and sshd look for the files.
const (
	UtmpFile    = "/var/run/utmp"
	WtmpFile    = "/var/log/wtmp"
	BtmpFile    = "/var/log/btmp"
	LastlogFile = "/var/log/lastlog"
)

// DefaultHostLen is sshd's -u when it is not given: HOST_NAME_MAX and one.
const DefaultHostLen = 65

// failedLine is the line of an attempt: it has no terminal.
const failedLine = "ssh:notty"

// Recorder writes the login records: who is here (utmp), who has been (wtmp), who
// has tried (btmp), and when each user came last (lastlog). The monitor of root's
// server owns one; its methods may be called from many goroutines at once.
//
// A file that does not exist is left out, and never made. Every other fault is an
// error that names the file: it is for the log, the login goes on. Nothing here waits
// longer than lockWait, and a path that is a link, a pipe or anything but a
// plain file is refused: /var/log may be writable by the log daemon.
// All methods do nothing on nil, for a server that keeps no records.
type Recorder struct {
	Utmp, Wtmp, Btmp, Lastlog string // paths; "" for none
	// HostLen is sshd's -u: a longer host name is replaced by the address. 0:
	// always the address.
	HostLen int

	owner            uint32 // that btmp must have: root, but for tests
	lockWait         time.Duration
	utmp, wtmp, btmp sync.Mutex
}

// NewRecorder returns one for the system's files.
func NewRecorder() *Recorder {
	return &Recorder{
		Utmp: UtmpFile, Wtmp: WtmpFile, Btmp: BtmpFile, Lastlog: LastlogFile,
		HostLen: DefaultHostLen, lockWait: lockWait,
	}
}

// Entry is a login, or an attempt at one.
type Entry struct {
	User string
	Line string // the terminal, with or without /dev/
	// Host is the peer's name; "" (UseDNS no) for its address.
	Host string
	Addr netip.Addr
	// PID is the process of the session. Logout is given the same.
	PID  int
	UID  uint32
	Time time.Time
}

// host is what is recorded of the peer.
func (r *Recorder) host(e *Entry) string {
	if (e.Host == "" || len(e.Host) > r.HostLen) && e.Addr.IsValid() {
		return e.Addr.Unmap().String()
	}
	return e.Host
}

// Login records that a session with a terminal has begun: lastlog, utmp, wtmp.
// Whoever wants to show the last login calls LastLogin before.
func (r *Recorder) Login(e Entry) error {
	if r == nil {
		return nil
	}
	line := lineName(e.Line)
	rec := Record{
		Type: userProcess, PID: int32(e.PID), Line: line, ID: lineID(line),
		User: e.User, Host: r.host(&e), Time: e.Time, Addr: e.Addr,
	}
	var row [maxRecord]byte
	native.put(row[:], &rec)
	return errors.Join(
		r.writeLastlog(e.UID, lastEntry{Time: e.Time, Line: line, Host: rec.Host}),
		r.putUtmp(row[:native.size]),
		r.append(&r.wtmp, r.Wtmp, row[:native.size], nil),
	)
}

// Logout records the end of a session: utmp, wtmp.
func (r *Recorder) Logout(line string, pid int, at time.Time) error {
	if r == nil {
		return nil
	}
	line = lineName(line)
	var row [maxRecord]byte
	native.put(row[:], &Record{Type: deadProcess, PID: int32(pid), Line: line, ID: lineID(line), Time: at})
	return errors.Join(
		r.putUtmp(row[:native.size]),
		r.append(&r.wtmp, r.Wtmp, row[:native.size], nil),
	)
}

// Failed records a wrong password, or another attempt by what a user typed: btmp.
// Users type passwords where a name is asked for, so nobody but root, and a group
// of its choice, may have access to the file; else ErrPermission is returned.
func (r *Recorder) Failed(e Entry) error {
	if r == nil {
		return nil
	}
	var row [maxRecord]byte
	native.put(row[:], &Record{
		Type: loginProcess, PID: int32(e.PID), Line: failedLine,
		User: e.User, Host: r.host(&e), Time: e.Time, Addr: e.Addr,
	})
	return r.append(&r.btmp, r.Btmp, row[:native.size], r.private)
}
