// Package sftp is the server of the SSH File Transfer Protocol, version 3
// (draft-ietf-secsh-filexfer-02), with the extensions of section 4 of OpenSSH's
// PROTOCOL, as sftp-server(8) serves it.
//
// Two callers run it: the account role by Builtin, for the subsystem internal-sftp,
// many times in one process that has the user's rights; and main by Main, when the
// program was started under the name sftp-server. It asks nobody whether a user may
// do something: the process has the user's ids and no more, and the kernel decides.
//
// A session is one goroutine that answers requests in their order. It never changes
// how the process's other sessions work: no working directory, no umask, no signal
// (Main does, where the process is its own). It starts no program, opens nothing but
// what the client names, and keeps no state between sessions.
package sftp

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/wire"
	"nano_ssh_server/server/service/session"
)

const (
	// maxMessage bounds a request, without its length field, in bytes:
	// SFTP_MAX_MSG_LENGTH of sftp-server. A longer one ends the session, since
	// nobody can tell where the next one starts.
	maxMessage = 256 << 10
	// maxTransfer bounds the data of one READ and what limits@openssh.com promises
	// for a WRITE: the same, less room for the other fields, as sftp-server has it.
	maxTransfer = maxMessage - 1024
	// protocolVersion is the only version spoken.
	protocolVersion = 3

	// readSize is how much is read at once from a client that is no channel.
	readSize = maxMessage
	// keepPending is the largest buffer for an incomplete request, in bytes, that a
	// session keeps: one for a long name, so that an idle session stays small.
	keepPending = 8 << 10
)

// The exit statuses, those of sftp-server.
const (
	exitOK     = 0
	exitFailed = 1   // reading or writing failed, or a wrong command line
	exitFrame  = 11  // a request that is longer than maxMessage
	exitFatal  = 255 // an option's value that cannot be
)

// Logger takes lines in sftp-server's wording. They quote what the peer sent: the
// sink escapes.
type Logger = session.Logger

// Options are what sftp-server's command line says, and who is served.
type Options struct {
	ReadOnly bool // -R
	// StartDir is where relative names start; "": the process's working directory.
	StartDir string
	// Umask is -u: the bits that the modes of new files lose, in place of those of
	// the process. -1: the process's count.
	Umask int
	// Allow and Deny are -p and -P, names of requests; nil: not given.
	Allow, Deny []string

	Level    log.Level    // -l
	Facility log.Facility // -f
	Stderr   bool         // -e: for whoever makes Log

	Log     Logger        // nil: no log
	Account *user.Account // whose names and home are meant; nil: the process's own
	Client  string        // the client's address, for the log
}

// server is one session.
type server struct {
	options *Options
	account *user.Account
	ctx     context.Context
	base    string // absolute, where relative names start; "": as the process has it
	umask   umask
	names   nameCache
	logger

	inited  bool
	version uint32 // the client's

	// Of the request that is served.
	id  uint32
	req wire.Reader

	input
	output
	handles
}

// Serve answers the requests that rw yields until its end, and returns the exit
// status. It reads by io.WriterTo where rw has that, as channels have, so that the
// data of a WRITE goes from the channel's memory to the file. What the client left
// open is closed at the end. The context stops what would take long by itself; a
// read ends when rw ends.
func Serve(ctx context.Context, rw io.ReadWriter, o *Options) int {
	s := newServer(ctx, rw, o)
	defer s.release()
	s.infof("session opened for local user %s from [%s]", s.account.Name, s.client())
	defer func() { s.infof("session closed for local user %s from [%s]", s.account.Name, s.client()) }()
	defer s.closeHandles()
	s.enter()
	err := s.pump(rw)
	switch {
	case s.exit != exitOK:
		return s.exit
	case err != nil:
		s.errorf("read: %s", reason(err))
		return exitFailed
	}
	s.debugf(1, "read eof")
	return exitOK
}

func newServer(ctx context.Context, w io.Writer, o *Options) *server {
	s := &server{options: o, account: o.Account, ctx: ctx, logger: logger{o.Log, o.Level}}
	s.umask.wanted = o.Umask
	s.writer = w
	s.unused = noHandle
	if s.account == nil {
		s.account = currentAccount()
	}
	if s.Logger == nil {
		s.level = log.Quiet
	}
	return s
}

// currentAccount is the account of this process, known to the system or not.
func currentAccount() *user.Account {
	a, err := user.Current()
	if err != nil {
		a = &user.Account{Name: "user", Home: "/", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	}
	return a
}

func (s *server) client() string {
	if s.options.Client == "" {
		return "UNKNOWN"
	}
	return s.options.Client
}

// enter finds the directory that relative names start in. Where it cannot be
// entered the session goes on in the root, as under sshd, whose sessions start
// there.
func (s *server) enter() {
	if s.options.StartDir == "" {
		return
	}
	dir, errno := s.canonical(absolute(s.options.StartDir))
	if errno == 0 {
		errno = searchable(dir)
	}
	if errno != 0 {
		s.errorf("chdir to \"%s\" failed: %s", s.options.StartDir, reason(errno))
		dir = "/"
	}
	s.base = dir
}

// searchable reports what chdir(2) would.
func searchable(dir string) unix.Errno {
	var st unix.Stat_t
	errno := failure(unix.Fstatat(unix.AT_FDCWD, dir, &st, 0))
	if errno == 0 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		errno = unix.ENOTDIR
	}
	if errno == 0 {
		errno = failure(unix.Access(dir, unix.X_OK))
	}
	return errno
}

// absolute makes a name start at the root.
func absolute(name string) string {
	if name != "" && name[0] == '/' {
		return name
	}
	return "/" + name
}

// path is where a name of the client's is. The empty name stays: the kernel says
// that there is no such file.
func (s *server) path(name string) string {
	if s.base == "" || name == "" || name[0] == '/' {
		return name
	}
	if s.base == "/" {
		return "/" + name
	}
	return s.base + "/" + name
}

// cwd is the directory that relative names start in.
func (s *server) cwd() (string, unix.Errno) {
	if s.base != "" {
		return s.base, 0
	}
	var b [unix.PathMax]byte
	n, err := unix.Getcwd(b[:])
	if err != nil {
		return "", failure(err)
	}
	return string(b[:max(n-1, 0)]), 0
}
