package sftp

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/service/session"
)

// Main is sftp-server(8): it serves stdin and stdout. args are the command line with
// the program's name in front, the result is the exit status. The process is its own:
// its working directory and umask are used as they are meant.
func Main(args []string) int {
	// A client that goes away and a file beyond the user's limit are errors of
	// write, not the end of the process.
	signal.Ignore(unix.SIGPIPE, unix.SIGXFSZ)
	closeMemory()
	o, exit, text := ParseArgs(args, currentAccount())
	if o == nil {
		printText(exit, os.Stdout, os.Stderr, text)
		return exit
	}
	name := programName(args)
	var sink log.Sink = log.NewSyslog(name, o.Facility)
	if o.Stderr {
		sink = log.NewWriter(os.Stderr)
	}
	o.Log = printer{log.New(sink, log.Debug3)} // Serve applies -l
	if o.Umask >= 0 {
		unix.Umask(o.Umask)
		o.Umask = -1
	}
	var ok bool
	if o.Client, ok = clientAddress(os.Getenv("SSH_CONNECTION")); !ok {
		o.Log.Errorf("Malformed SSH_CONNECTION variable: \"%s\"", os.Getenv("SSH_CONNECTION"))
		return exitFatal
	}
	if o.StartDir != "" {
		if err := os.Chdir(o.StartDir); err != nil {
			o.Log.Errorf("chdir to \"%s\" failed: %s", o.StartDir, reason(err))
		}
		o.StartDir = ""
	}
	return Serve(context.Background(), stdio{}, o)
}

// closeMemory takes this process's memory from the reach of its user: where sftp is
// all that somebody may do, /proc/self/mem would be a way to anything else. So
// sftp-server does, too. A process that was root's and changed to the user is closed
// already; that of a server that an ordinary user started is not.
func closeMemory() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

func printText(exit int, stdout, stderr io.Writer, text string) {
	if exit == exitOK {
		stderr = stdout
	}
	_, _ = io.WriteString(stderr, text)
}

// clientAddress is the first word of SSH_CONNECTION, "" if that is not set; false if
// it is anything else than sshd makes it.
func clientAddress(connection string) (string, bool) {
	if connection == "" {
		return "", true
	}
	address, _, ok := strings.Cut(connection, " ")
	return address, ok
}

// stdio is stdin and stdout, read and written where they are: what os makes of them
// would take a poller.
type stdio struct{}

func (stdio) Read(p []byte) (int, error) {
	n := 0
	errno := again(func() (err error) {
		n, err = unix.Read(0, p)
		return err
	})
	switch {
	case errno != 0:
		return 0, errno
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (stdio) Write(p []byte) (int, error) {
	total := 0
	for total < len(p) {
		n, err := unix.Write(1, p[total:])
		total += max(n, 0)
		if err != nil && err != unix.EINTR {
			return total, err
		}
	}
	return total, nil
}

// Login is who a Builtin serves, and from where.
type Login struct {
	Account *user.Account
	Client  string // the client's address
	// Fallback takes the lines where the system's log cannot be reached: in a
	// container, or behind ChrootDirectory. Nil: they are lost.
	Fallback Logger
}

// Builtin is the subsystem internal-sftp for a login: sftp-server's command line,
// on a channel, in this process, which must have the user's rights already. Sessions
// start in the account's home.
func Builtin(l *Login) session.Builtin {
	return func(ctx context.Context, ch session.Channel, args []string) int {
		closeMemory()
		account := l.Account
		if account == nil {
			account = currentAccount()
		}
		o, exit, text := ParseArgs(args, account)
		if o == nil {
			printText(exit, ch, extended{ch}, text)
			return exit
		}
		o.Client = l.Client
		if o.StartDir == "" {
			o.StartDir = account.Home
		}
		if o.StartDir == "" {
			o.StartDir = "/"
		}
		if o.Stderr {
			o.Log = printer{log.New(log.NewWriter(extended{ch}), log.Debug3)}
		} else {
			sink := &systemLog{syslog: log.NewSyslog(programName(args), o.Facility), fallback: l.Fallback}
			defer sink.syslog.Close()
			o.Log = sink
		}
		return Serve(ctx, ch, o)
	}
}

// extended writes what goes to the client's stderr.
type extended struct{ ch session.Channel }

func (e extended) Write(p []byte) (int, error) { return e.ch.WriteExtended(p) }

// systemLog is the system's log, or the server's own where there is none.
type systemLog struct {
	once     sync.Once
	syslog   *log.Syslog
	fallback Logger
	to       Logger
}

// sink finds out, at the first line, which of them it is.
func (s *systemLog) sink() Logger {
	s.once.Do(func() {
		s.to = printer{log.New(s.syslog, log.Debug3)}
		if s.syslog.Open() != nil && s.fallback != nil {
			s.to = s.fallback
		}
	})
	return s.to
}

func (s *systemLog) Errorf(format string, args ...any)   { s.sink().Errorf(format, args...) }
func (s *systemLog) Infof(format string, args ...any)    { s.sink().Infof(format, args...) }
func (s *systemLog) Verbosef(format string, args ...any) { s.sink().Verbosef(format, args...) }
func (s *systemLog) Debugf(level int, format string, args ...any) {
	s.sink().Debugf(level, format, args...)
}
