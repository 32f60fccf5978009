package sftp

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
)

// halfYear is how old a file may be for its line to have the time of day instead of
// the year.
const halfYear = 365 * 24 * 60 * 60 / 2 // seconds

// appendLine appends what `ls -l` says of a file, in the columns of sftp-server:
//
//	-rw-r--r--    1 alice    users        1024 Jan 13 18:39 name
func (s *server) appendLine(b, name []byte, st *unix.Stat_t, now time.Time) []byte {
	b = appendMode(b, uint32(st.Mode))
	b = append(b, ' ', ' ')
	b = appendRight(b, uint64(st.Nlink), 3)
	b = append(b, ' ')
	b = appendLeft(b, s.names.user(st.Uid), 8)
	b = append(b, ' ')
	b = appendLeft(b, s.names.group(st.Gid), 8)
	b = append(b, ' ')
	b = appendRight(b, uint64(st.Size), 8)
	b = append(b, ' ')
	at := int64(st.Mtim.Sec)
	layout := "Jan _2  2006"
	if at > now.Unix()-halfYear && at <= now.Unix() {
		layout = "Jan _2 15:04"
	}
	b = time.Unix(at, 0).AppendFormat(b, layout)
	b = append(b, ' ')
	return append(b, name...)
}

// appendMode appends the ten characters of a mode.
func appendMode(b []byte, mode uint32) []byte {
	kind := byte('?')
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		kind = '-'
	case unix.S_IFDIR:
		kind = 'd'
	case unix.S_IFLNK:
		kind = 'l'
	case unix.S_IFCHR:
		kind = 'c'
	case unix.S_IFBLK:
		kind = 'b'
	case unix.S_IFSOCK:
		kind = 's'
	case unix.S_IFIFO:
		kind = 'p'
	}
	b = append(b, kind)
	const letters = "rwxrwxrwx"
	for i := range len(letters) {
		c := byte('-')
		if mode&(1<<(8-i)) != 0 {
			c = letters[i]
		}
		b = append(b, c)
	}
	special := func(bit uint32, back int, with, without byte) {
		if mode&bit == 0 {
			return
		}
		at := &b[len(b)-back]
		if *at == 'x' {
			*at = with
		} else {
			*at = without
		}
	}
	special(unix.S_ISUID, 7, 's', 'S')
	special(unix.S_ISGID, 4, 's', 'S')
	special(unix.S_ISVTX, 1, 't', 'T')
	return b
}

// appendRight appends a number in a column of a width, appendLeft a name.
func appendRight(b []byte, n uint64, width int) []byte {
	var digits [20]byte
	d := strconv.AppendUint(digits[:0], n, 10)
	return append(appendSpaces(b, width-len(d)), d...)
}

func appendLeft(b []byte, name string, width int) []byte {
	return appendSpaces(append(b, name...), width-len(name))
}

func appendSpaces(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// maxCached bounds the names of users, and those of groups, that a session looks up,
// known ones or not: each is a look at the system's files, and may be one at a
// directory service. Past it ids stay numbers.
const maxCached = 4096

// nameCache knows the names of ids, as far as a session has asked for them.
type nameCache struct {
	users, groups map[uint32]string // "": the system knows none
}

// cached is names[id], which is looked up the first time.
func cached(names *map[uint32]string, id uint32, look func(uint32) string) string {
	name, ok := (*names)[id]
	if ok || len(*names) >= maxCached {
		return name
	}
	if *names == nil {
		*names = map[uint32]string{}
	}
	name = look(id)
	(*names)[id] = name
	return name
}

func (c *nameCache) knownUser(uid uint32) string {
	return cached(&c.users, uid, func(uid uint32) string {
		if a, err := user.LookupID(uid); err == nil {
			return a.Name
		}
		return ""
	})
}

func (c *nameCache) knownGroup(gid uint32) string {
	return cached(&c.groups, gid, func(gid uint32) string {
		if names := user.GroupNames(&user.Account{Groups: []uint32{gid}}); len(names) > 0 {
			return names[0]
		}
		return ""
	})
}

// user is a user's name, or else number.
func (c *nameCache) user(uid uint32) string { return orNumber(c.knownUser(uid), uid) }

// group is a group's name, or else number.
func (c *nameCache) group(gid uint32) string { return orNumber(c.knownGroup(gid), gid) }

func orNumber(name string, id uint32) string {
	if name == "" {
		return strconv.FormatUint(uint64(id), 10)
	}
	return name
}
