package user

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"nano_ssh_server/server/host/textlines"
)

// Bounds of the system files. They are trusted to be honest, not to be small or
// well formed: one absurd line must cost neither memory nor a login.
const (
	firstLineBuffer = 4 << 10 // most files fit whole
	maxLineLen      = 1 << 20 // a group of 30,000 members; longer lines are skipped
)

// eachLine calls f with every line, without its newline, until f returns false. The
// slice is valid during the call. Lines over maxLineLen are skipped.
func eachLine(r io.Reader, f func(line []byte) bool) error {
	return textlines.Each(r, firstLineBuffer, maxLineLen, func(line []byte, tooLong bool) bool { return tooLong || f(line) })
}

// eachLineOf is eachLine on a file.
func eachLineOf(path string, f func(line []byte) bool) error {
	if path == "" {
		return os.ErrNotExist
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return eachLine(file, f)
}

// Each calls f with every account of the passwd file, without its groups, until f
// returns false. Accounts of other sources are not listed.
func (d *Database) Each(f func(*Account) bool) error {
	return eachLineOf(d.Passwd, func(line []byte) bool {
		a := parsePasswd(string(line))
		return a == nil || f(a)
	})
}

// passwdEntry returns the first account whose line passes the cheap look at its
// bytes and then the checks. The file is always read to its end, so that the time
// says nothing about where, or whether, a name is in it.
func (d *Database) passwdEntry(look func(line []byte) bool, checks ...func(*Account) bool) (*Account, error) {
	var found *Account
	err := eachLineOf(d.Passwd, func(line []byte) bool {
		if found != nil || !look(line) {
			return true
		}
		a := parsePasswd(string(line))
		for _, check := range checks {
			if a != nil && !check(a) {
				a = nil
			}
		}
		found = a
		return true
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, ErrUnknown
	}
	return found, nil
}

// parsePasswd reads one line of passwd(5). It returns nil for anything that is
// not a whole entry: comments, the +/- lines of the compat source, bad ids.
func parsePasswd(line string) *Account {
	fields := strings.Split(line, ":")
	if len(fields) != 7 || fields[0] == "" || strings.IndexByte("+-#", fields[0][0]) >= 0 {
		return nil
	}
	if strings.IndexByte(line, 0) >= 0 {
		return nil
	}
	uid, err1 := parseID(fields[2])
	gid, err2 := parseID(fields[3])
	if err1 != nil || err2 != nil {
		return nil
	}
	password := Hash(fields[1])
	return &Account{
		Name: fields[0], password: &password, UID: uid, GID: gid,
		Gecos: fields[4], Home: fields[5], Shell: fields[6],
	}
}

// parseID reads a user or group id. The largest value is refused: as (uid_t)-1
// it means "leave unchanged" to setresuid and its kin, which would keep root.
func parseID(s string) (uint32, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, strconv.ErrSyntax
	}
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, err
	}
	if id == 1<<32-1 {
		return 0, strconv.ErrRange
	}
	return uint32(id), nil
}

// A groupLine is one line of group(5); the slices alias the line.
type groupLine struct {
	name, members []byte
	gid           uint32
}

// parseGroup reads one line of group(5).
func parseGroup(line []byte) (g groupLine, ok bool) {
	name, rest, ok1 := bytes.Cut(line, []byte{':'})
	_, rest, ok2 := bytes.Cut(rest, []byte{':'})
	id, members, ok3 := bytes.Cut(rest, []byte{':'})
	if !ok1 || !ok2 || !ok3 || len(name) == 0 || bytes.IndexByte([]byte("+-#"), name[0]) >= 0 {
		return g, false
	}
	if bytes.IndexByte(members, ':') >= 0 || bytes.IndexByte(line, 0) >= 0 {
		return g, false
	}
	gid, err := parseID(string(id))
	return groupLine{name, members, gid}, err == nil
}

// hasMember reports whether the comma-separated list holds the name.
func (g groupLine) hasMember(name string) bool {
	rest := g.members
	for len(rest) > 0 {
		var m []byte
		m, rest, _ = bytes.Cut(rest, []byte{','})
		if string(m) == name {
			return true
		}
	}
	return false
}

// maxGroups is NGROUPS_MAX of Linux: setgroups(2) takes no more.
const maxGroups = 65536

func appendGroup(groups []uint32, gid uint32) []uint32 {
	for _, g := range groups {
		if g == gid {
			return groups
		}
	}
	return append(groups, gid)
}

// groupsOf collects the groups as initgroups(3) does: the primary one, each
// group of the file that lists the name, and what other sources add.
func (d *Database) groupsOf(a *Account) ([]uint32, error) {
	groups := []uint32{a.GID}
	err := eachLineOf(d.Group, func(line []byte) bool {
		if g, ok := parseGroup(line); ok && g.hasMember(a.Name) && len(groups) < maxGroups {
			groups = appendGroup(groups, g.gid)
		}
		return true
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("groups: %w", err)
	}
	// As in libc, a directory service that is away does not lock local accounts
	// out: they keep the groups of the file.
	for _, gid := range d.foreignGroups(a.Name) {
		if len(groups) < maxGroups {
			groups = appendGroup(groups, gid)
		}
	}
	return groups, nil
}

// GroupNames names the account's groups, in their order; a group without a name
// is left out. It is what AllowGroups, DenyGroups and Match Group look at.
func (d *Database) GroupNames(a *Account) []string {
	names := make(map[uint32]string, len(a.Groups))
	for _, gid := range a.Groups {
		names[gid] = ""
	}
	// A file that cannot be read leaves the names to getent, or unknown.
	_ = eachLineOf(d.Group, func(line []byte) bool {
		if g, ok := parseGroup(line); ok {
			if have, wanted := names[g.gid]; wanted && have == "" {
				names[g.gid] = string(g.name)
			}
		}
		return true
	})
	var out []string
	for _, gid := range a.Groups {
		name := names[gid]
		if name == "" {
			name = d.foreignGroupName(gid)
		}
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}
