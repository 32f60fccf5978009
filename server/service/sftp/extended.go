package sftp

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/proto/wire"
)

// Flags of the reply to statvfs@openssh.com (PROTOCOL section 4.4).
const (
	statvfsReadOnly = 1 << 0
	statvfsNoSUID   = 1 << 1
)

func (s *server) statvfs() {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: statvfs", s.id)
	s.infof("statvfs \"%s\"", name)
	path := s.path(name)
	var st unix.Statfs_t
	s.answerStatvfs(&st, again(func() error { return unix.Statfs(path, &st) }))
}

func (s *server) fstatvfs() {
	h, i := s.handle(handleFile)
	if s.bad() {
		return
	}
	s.debugf(1, "request %d: fstatvfs \"%s\" (handle %d)", s.id, s.handleName(i), uint32(i))
	if h == nil {
		s.status(statusFailure)
		return
	}
	var st unix.Statfs_t
	s.answerStatvfs(&st, again(func() error { return unix.Fstatfs(h.fd, &st) }))
}

func (s *server) answerStatvfs(st *unix.Statfs_t, errno unix.Errno) {
	if errno != 0 {
		s.done(errno)
		return
	}
	flags := uint64(0)
	if uint64(st.Flags)&unix.ST_RDONLY != 0 {
		flags |= statvfsReadOnly
	}
	if uint64(st.Flags)&unix.ST_NOSUID != 0 {
		flags |= statvfsNoSUID
	}
	fragment := uint64(st.Frsize)
	if fragment == 0 {
		fragment = uint64(st.Bsize)
	}
	id := uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32
	s.begin(fxpExtendedReply)
	for _, n := range [...]uint64{
		uint64(st.Bsize), fragment, st.Blocks, st.Bfree, st.Bavail,
		st.Files, st.Ffree, st.Ffree, id, flags, uint64(st.Namelen),
	} {
		s.out = wire.AppendUint64(s.out, n)
	}
	s.end()
}

// fsync is PROTOCOL section 4.6.
func (s *server) fsync() {
	h, i := s.handle(handleFile)
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: fsync (handle %d)", s.id, uint32(i))
	if h == nil {
		s.done(unix.ENOENT) // and not FAILURE: sftp-server's answer
		return
	}
	s.verbosef("fsync \"%s\"", h.name)
	s.done(again(func() error { return unix.Fsync(h.fd) }))
}

// spareFiles are descriptors of the process that are not for handles, as
// sftp-server counts them.
const spareFiles = 5

// limits tells the largest request, READ and WRITE, and how many handles may be open
// (PROTOCOL section 4.8).
func (s *server) limits() {
	s.debugf(1, "request %d: limits", s.id)
	open := uint64(0) // not known
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur > spareFiles {
		open = min(r.Cur-spareFiles, maxHandles)
	}
	s.begin(fxpExtendedReply)
	for _, n := range [...]uint64{maxMessage, maxTransfer, maxTransfer, open} {
		s.out = wire.AppendUint64(s.out, n)
	}
	s.end()
}

// idSize is the length of an id in usersGroupsByID, in bytes.
const idSize = 4

var errIDs = errors.New("list of ids of an odd length")

// usersGroupsByID tells the names of users and groups (PROTOCOL section 4.12);
// those that the system does not know are empty.
func (s *server) usersGroupsByID() {
	users, groups := s.req.String(), s.req.String()
	if len(users)%idSize != 0 || len(groups)%idSize != 0 {
		s.req.Fail(errIDs)
	}
	if s.bad() {
		return
	}
	s.debugf(1, "process_extended_get_users_groups_by_id: uids len = %d, gids len = %d", len(users), len(groups))
	s.begin(fxpExtendedReply)
	ok := s.appendNames(users, s.names.knownUser) && s.appendNames(groups, s.names.knownGroup)
	if !ok {
		s.cancel()
		s.status(statusFailure)
		return
	}
	s.verbosef("users-groups-by-id: %d users, %d groups", len(users)/idSize, len(groups)/idSize)
	s.end()
}

// appendNames appends the names of ids as one string. It gives up when the reply
// gets longer than a request may be, or the session ends.
func (s *server) appendNames(ids []byte, name func(uint32) string) bool {
	at := len(s.out)
	s.out = wire.AppendUint32(s.out, 0)
	for ; len(ids) > 0; ids = ids[idSize:] {
		s.out = wire.AppendText(s.out, name(binary.BigEndian.Uint32(ids)))
		if len(s.out)-s.start > maxMessage || s.ctx.Err() != nil {
			return false
		}
	}
	binary.BigEndian.PutUint32(s.out[at:], uint32(len(s.out)-at-4))
	return true
}
