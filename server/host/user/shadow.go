package user

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"nano_ssh_server/cgo/sodium"
)

// A Hash is the password field of passwd(5) or shadow(5). It never prints.
type Hash string

// String hides the hash.
func (Hash) String() string { return "[hash]" }

// GoString hides the hash.
func (Hash) GoString() string { return "user.Hash{}" }

// A Shadow is one line of shadow(5). Days count from 1970-01-01 UTC; -1 means
// that the field is empty, which switches its rule off.
type Shadow struct {
	Name       string
	Hash       Hash
	LastChange int64 // day of the last change; 0 means "must change now"
	Max        int64 // days a password is good for
	Warn       int64 // days before Max or Expire when the user is told
	Expire     int64 // day the account expires
}

// LookupShadow finds the password entry of an account: in the shadow file, then
// by getent if nsswitch.conf names another source, else the second field of
// passwd(5) with no dates, as on hosts without shadow passwords. A shadow file
// that may not be read is ErrLookup: an ordinary user's server has no passwords.
func (d *Database) LookupShadow(a *Account) (*Shadow, error) {
	var found *Shadow
	prefix := []byte(a.Name + ":")
	err := eachLineOf(d.Shadow, func(line []byte) bool {
		if found == nil && bytes.HasPrefix(line, prefix) {
			found = parseShadow(line)
		}
		return true // to the end, see passwdEntry
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrLookup, err)
	}
	if found == nil && ValidName(a.Name) && d.foreign("shadow") {
		if out, err := d.getent("shadow", a.Name); err == nil && strings.HasPrefix(out, a.Name+":") {
			line, _, _ := strings.Cut(out, "\n")
			found = parseShadow([]byte(line))
		}
	}
	if found == nil {
		found = &Shadow{Name: a.Name, Hash: "*", LastChange: -1, Max: -1, Warn: -1, Expire: -1}
		if a.password != nil {
			found.Hash = *a.password
		}
	}
	return found, nil
}

// parseShadow reads one line of shadow(5), nil if it is no entry. A number that
// cannot be read switches its rule off, as in libc.
func parseShadow(line []byte) *Shadow {
	fields := bytes.Split(line, []byte{':'})
	if len(fields) < 2 || len(fields) > 9 || len(fields[0]) == 0 || bytes.IndexByte(line, 0) >= 0 {
		return nil
	}
	day := func(i int) int64 {
		if i >= len(fields) {
			return -1
		}
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil || n < 0 || n > maxDay {
			return -1
		}
		return n
	}
	return &Shadow{
		Name: string(fields[0]), Hash: Hash(fields[1]),
		LastChange: day(2), Max: day(4), Warn: day(5), Expire: day(7),
	}
}

// maxDay keeps sums of days far from overflow. It is the year 2.7 million.
const maxDay = 1 << 30

// Locked reports whether the account may not log in by any method: its hash
// starts with "!", the mark that passwd -l and usermod -L leave (sshd's
// LOCKED_PASSWD_PREFIX on Linux). A "*" is no lock: it says that there is no
// password, and keys still work. "*LK*" is treated as that, as sshd does on Linux.
func (s *Shadow) Locked() bool { return strings.HasPrefix(string(s.Hash), "!") }

// HasPassword reports whether any password could match, the empty one included.
func (s *Shadow) HasPassword() bool {
	return s.Hash == "" || knownHash(string(s.Hash))
}

// Expired reports whether the account itself is past its last day.
func (s *Shadow) Expired(now time.Time) bool {
	return s.Expire >= 0 && today(now) > s.Expire
}

// MustChange reports whether the password has to be changed before anything else,
// with the line that sshd logs. It concerns logins by password only: a key does
// not age.
func (s *Shadow) MustChange(now time.Time) (line string, must bool) {
	switch {
	case s.LastChange == 0:
		return fmt.Sprintf("User %.100s password has expired (root forced)", s.Name), true
	case s.LastChange > 0 && s.Max >= 0 && today(now) > s.LastChange+s.Max:
		return fmt.Sprintf("User %.100s password has expired (password aged)", s.Name), true
	}
	return "", false
}

// Warnings is what the user is told at login of an end that is near: whole lines
// with their newlines, or "". The password's end is left out after a key login.
func (s *Shadow) Warnings(now time.Time, byPassword bool) string {
	var b strings.Builder
	warn := func(what string, left int64) {
		if left >= 0 && left <= s.Warn {
			plural := "s"
			if left == 1 {
				plural = ""
			}
			fmt.Fprintf(&b, "Your %s will expire in %d day%s.\n", what, left, plural)
		}
	}
	if s.Expire >= 0 {
		warn("account", s.Expire-today(now))
	}
	if byPassword && s.LastChange > 0 && s.Max >= 0 {
		warn("password", s.LastChange+s.Max-today(now))
	}
	return b.String()
}

func today(now time.Time) int64 { return now.Unix() / (24 * 60 * 60) }

// maxNologin bounds what is shown of a nologin file.
const maxNologin = 16 << 10

// Nologin reports whether the host takes no logins but root's, the text of the
// file that says so (to be shown before the session ends, at most 16 KiB), and
// the line to log. As with sshd a file that cannot be read counts, with no text.
func (d *Database) Nologin(a *Account) (text []byte, line string, closed bool) {
	if a.UID == 0 {
		return nil, "", false
	}
	for _, path := range d.NologinFiles {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			defer f.Close()
			// What cannot be read is not shown; the file still closes the host.
			text, _ = io.ReadAll(io.LimitReader(f, maxNologin))
		}
		return text, fmt.Sprintf("User %.100s not allowed because %s exists", a.Name, path), true
	}
	return nil, "", false
}

// wipe clears a copy of a secret.
func wipe(b []byte) { sodium.Memzero(b) }
