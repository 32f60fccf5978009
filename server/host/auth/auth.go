// Package auth reads authorized_keys files (sshd(8), AUTHORIZED_KEYS FILE FORMAT)
// and their kin: which keys and certificates let a user in, from where, until when,
// and to do what.
//
// The monitor calls it while a peer waits, with a key that the peer chose, on
// files that a user wrote. So nothing in a file or a key makes it fail as a whole,
// its memory does not grow with the file, and a file of 100,000 keys is read in
// milliseconds. It never decides about passwords and never verifies a signature.
//
// # Whose eyes open the file
//
// A process that runs as root must open a user's file as that user: else a
// symbolic link ~/.ssh/authorized_keys -> /etc/shadow would be read with root's
// rights, and a home on NFS would not be readable at all. seteuid(2), as sshd
// calls it, changes the whole process, and this process serves other connections
// at the same moment. Linux however keeps these identities per thread, and only
// the C library's wrappers spread them. So a goroutine locks itself to a thread,
// gives that thread the user's groups, file system group and file system user id
// by raw system calls (setfsuid drops the capabilities that pass over file modes
// with it), opens the file, and ends without unlocking. The Go runtime then
// destroys the thread, so nothing has to be undone and no other goroutine can
// ever run with a wrong identity. Dropping to the user in a process of its own
// would also work, at a thousand times the price for each attempt of each peer.
package auth

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"nano_ssh_server/server/host/user"
)

// A Level says how loud a line is, with sshd's names.
type Level int

// The levels in use here.
const (
	Error Level = iota
	Info
	Verbose
	Debug
	Debug2
)

// A Log takes lines in sshd's wording. They quote files and peers unescaped: the
// sink escapes. It may be nil.
type Log func(level Level, format string, args ...any)

func (l Log) printf(level Level, format string, args ...any) {
	if l != nil {
		l(level, format, args...)
	}
}

// A Query asks whether a key is authorized.
type Query struct {
	Account *user.Account
	// Blob is the public key as it travels (RFC 4253 section 6.6), or that of the CA
	// that signed a certificate.
	Blob []byte
	// CA asks for lines marked cert-authority; without it those do not count.
	CA   bool
	Peer user.Peer
	Now  time.Time
	// Strict is StrictModes.
	Strict bool
	Log    Log

	// further is a condition beside those of the line's options, nil for none.
	further func(*Entry) bool
}

// Authorized looks for the key in the files of AuthorizedKeysFile, in their order:
// each a path with the tokens of ExpandPath, "none" for no file. It returns the
// first line that names the key and whose conditions hold, nil if there is none.
// Files that are missing or not trustworthy count as empty; why is logged.
func Authorized(q *Query, files []string) *Entry {
	for _, pattern := range files {
		if !isSet(pattern) {
			continue
		}
		path, err := ExpandPath(pattern, q.Account)
		if err != nil {
			q.Log.printf(Error, "%v", err)
			continue
		}
		q.Log.printf(Debug, "trying public key file %s", path)
		f, err := OpenTrusted(path, q.Account, q.Strict)
		if err != nil {
			q.Log.open(q.Account, "authorized keys", path, err)
			continue
		}
		limited := &io.LimitedReader{R: f, N: maxKeysFile + 1}
		entry, err := Find(limited, path, q)
		f.Close()
		if err == nil && entry == nil && limited.N <= 0 {
			err = errFileSize
		}
		if err != nil {
			q.Log.printf(Info, "Could not read user '%s' authorized keys '%s': %v", q.Account.Name, path, err)
		}
		if entry != nil {
			return entry
		}
	}
	return nil
}

// open logs why a file of an account could not be opened; what says which it is.
func (l Log) open(a *user.Account, what, path string, err error) {
	var refused *Refused
	switch {
	case errors.As(err, &refused) && refused.Irregular:
		l.printf(Info, "User '%s' %s '%s' is not a regular file", a.Name, what, path)
	case errors.As(err, &refused):
		l.printf(Info, "Authentication refused: %s", refused.Reason)
	default:
		level := Info
		if errors.Is(err, fs.ErrNotExist) {
			level = Debug
		}
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		l.printf(level, "Could not open user '%s' %s '%s': %v", a.Name, what, path, err)
	}
}
