package sftp

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Message types (section 3 of the draft).
const (
	fxpInit          = 1
	fxpVersion       = 2
	fxpOpen          = 3
	fxpClose         = 4
	fxpRead          = 5
	fxpWrite         = 6
	fxpLstat         = 7
	fxpFstat         = 8
	fxpSetstat       = 9
	fxpFsetstat      = 10
	fxpOpendir       = 11
	fxpReaddir       = 12
	fxpRemove        = 13
	fxpMkdir         = 14
	fxpRmdir         = 15
	fxpRealpath      = 16
	fxpStat          = 17
	fxpRename        = 18
	fxpReadlink      = 19
	fxpSymlink       = 20
	fxpStatus        = 101
	fxpHandle        = 102
	fxpData          = 103
	fxpName          = 104
	fxpAttrs         = 105
	fxpExtended      = 200
	fxpExtendedReply = 201
)

// Status codes (section 7 of the draft).
const (
	statusOK               = 0
	statusEOF              = 1
	statusNoSuchFile       = 2
	statusPermissionDenied = 3
	statusFailure          = 4
	statusBadMessage       = 5
	statusUnsupported      = 8
	statusUnknown          = 9 // none of them
)

// messages are the texts of the status codes, in their order.
var messages = [...]string{
	"Success", "End of file", "No such file", "Permission denied", "Failure", "Bad message",
	"No connection", "Connection lost", "Operation unsupported", "Unknown error",
}

// statusOf is the status that sftp-server gives for an error of the system.
func statusOf(errno unix.Errno) uint32 {
	switch errno {
	case 0:
		return statusOK
	case unix.ENOENT, unix.ENOTDIR, unix.EBADF, unix.ELOOP:
		return statusNoSuchFile
	case unix.EPERM, unix.EACCES, unix.EFAULT:
		return statusPermissionDenied
	case unix.ENAMETOOLONG, unix.EINVAL:
		return statusBadMessage
	case unix.ENOSYS:
		return statusUnsupported
	}
	return statusFailure
}

// failure is the system's number of an error; EIO for one that has none.
func failure(err error) unix.Errno {
	if err == nil {
		return 0
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}

// again calls f until no signal interrupts it: the runtime sends its threads some.
func again(f func() error) unix.Errno {
	for {
		if err := f(); err != unix.EINTR {
			return failure(err)
		}
	}
}

// reason is an error as C has it: "No such file or directory".
func reason(err error) string {
	errno := failure(err)
	if errno == unix.EIO {
		var own unix.Errno
		if !errors.As(err, &own) {
			return err.Error()
		}
	}
	t := errno.Error()
	if t != "" && t[0] >= 'a' && t[0] <= 'z' {
		t = string(t[0]-'a'+'A') + t[1:]
	}
	return t
}
