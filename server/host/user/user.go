// Package user answers what the machine knows of its accounts: name, ids,
// groups, home and shell, the password hash with its dates, and whether an
// account may log in at all.
//
// The monitor (or the one process of a server that an ordinary user started)
// calls it. The binary is static, so the C library's name service is not used:
// /etc/passwd, /etc/group and /etc/shadow are parsed here, and names from other
// sources (LDAP, SSSD, systemd) come from the host's own getent(1).
//
// The package never writes to any of these files, never logs, and never lets a
// password or a hash into an error or a printed value. Lines that sshd would log
// are returned as text in sshd's wording; what they quote is not yet escaped.
package user

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

var (
	// ErrUnknown means that no source knows the name or the id.
	ErrUnknown = errors.New("user: unknown account")
	// ErrLookup means that a source could not be asked: a file that cannot be
	// read, or getent that failed or took too long.
	ErrLookup = errors.New("user: account lookup failed")
)

// maxNameLen bounds a login name. Linux allows 32 bytes in useradd and 256 in
// utmp and the kernel's LOGIN_NAME_MAX; directory services use up to that.
const maxNameLen = 256

// An Account is one line of passwd(5) and the groups that go with it.
type Account struct {
	Name  string
	Gecos string
	Home  string // may be empty or missing on disk
	Shell string // empty means /bin/sh, see LoginShell
	UID   uint32
	GID   uint32
	// Groups are the primary group and every supplementary one, each once, the
	// primary first: what initgroups(3) would set.
	Groups []uint32

	// password is the second field. It matters on hosts without shadow(5) only. A
	// pointer, since fmt would print the text of an unexported string.
	password *Hash
}

// LoginShell is the account's shell, /bin/sh if the field is empty.
func (a *Account) LoginShell() string {
	if a.Shell == "" {
		return "/bin/sh"
	}
	return a.Shell
}

// A Database is the set of files and programs that know the accounts. The zero
// value of a field switches that source off. It is safe for concurrent use.
type Database struct {
	Passwd       string   // passwd(5)
	Group        string   // group(5)
	Shadow       string   // shadow(5)
	Nsswitch     string   // nsswitch.conf(5); without it the files are all there is
	LoginDefs    string   // login.defs(5), for the decoy's hash type
	NologinFiles []string // nologin(5), the first that exists counts
	Getent       []string // where getent(1) may be, the first that exists is used
	// UserDB is where systemd keeps its user database sockets. While it does not
	// exist, nss-systemd knows no account that the files lack.
	UserDB string

	mu       sync.Mutex
	usual    usualSetting
	negative negativeCache
}

// System is the machine's own database.
var System = &Database{
	Passwd:       "/etc/passwd",
	Group:        "/etc/group",
	Shadow:       "/etc/shadow",
	Nsswitch:     "/etc/nsswitch.conf",
	LoginDefs:    "/etc/login.defs",
	NologinFiles: []string{"/etc/nologin", "/var/run/nologin"},
	Getent:       []string{"/usr/bin/getent", "/bin/getent"},
	UserDB:       "/run/systemd/userdb",
}

// Lookup finds an account of the machine by its name. See Database.Lookup.
func Lookup(name string) (*Account, error) { return System.Lookup(name) }

// LookupID finds an account of the machine by its user id.
func LookupID(uid uint32) (*Account, error) { return System.LookupID(uid) }

// Current is the account that this process runs as. See Database.Current.
func Current() (*Account, error) { return System.Current() }

// LookupShadow finds the password entry of an account of the machine.
func LookupShadow(a *Account) (*Shadow, error) { return System.LookupShadow(a) }

// GroupNames names the account's groups. See Database.GroupNames.
func GroupNames(a *Account) []string { return System.GroupNames(a) }

// Lookup finds an account by its name: first the passwd file, then getent if
// nsswitch.conf names another source. The name may come from a peer: anything
// that no account can be called is ErrUnknown without a look at any source.
// Other errors are ErrLookup.
func (d *Database) Lookup(name string) (*Account, error) {
	if !ValidName(name) {
		return nil, ErrUnknown
	}
	prefix := []byte(name + ":")
	a, err := d.passwdEntry(func(line []byte) bool { return bytes.HasPrefix(line, prefix) })
	if errors.Is(err, ErrUnknown) || errors.Is(err, os.ErrNotExist) {
		a, err = d.foreignAccount(name)
	}
	return d.complete(a, err)
}

// LookupID finds an account by its user id, in the same order as Lookup.
func (d *Database) LookupID(uid uint32) (*Account, error) {
	id := strconv.FormatUint(uint64(uid), 10)
	part := []byte(":" + id + ":")
	a, err := d.passwdEntry(func(line []byte) bool { return bytes.Contains(line, part) },
		func(a *Account) bool { return a.UID == uid })
	if errors.Is(err, ErrUnknown) || errors.Is(err, os.ErrNotExist) {
		a, err = d.foreignID(id)
	}
	return d.complete(a, err)
}

// Current is the account that this process runs as. A process whose user id has
// no entry (a container started with an arbitrary id) still gets an account: the
// name is "user", the home is $HOME or /, the groups are the process's own.
func (d *Database) Current() (*Account, error) {
	uid, gid := os.Getuid(), os.Getgid()
	a, err := d.LookupID(uint32(uid))
	if err == nil {
		return a, nil
	}
	home := os.Getenv("HOME")
	if !strings.HasPrefix(home, "/") {
		home = "/"
	}
	a = &Account{Name: "user", Home: home, UID: uint32(uid), GID: uint32(gid)}
	if shell := os.Getenv("SHELL"); strings.HasPrefix(shell, "/") {
		a.Shell = shell
	}
	groups, err := os.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLookup, err)
	}
	a.Groups = appendGroup(nil, a.GID)
	for _, g := range groups {
		a.Groups = appendGroup(a.Groups, uint32(g))
	}
	return a, nil
}

// complete adds the groups to an account that was found.
func (d *Database) complete(a *Account, err error) (*Account, error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrUnknown):
		return nil, ErrUnknown
	case errors.Is(err, ErrLookup):
		return nil, err
	default:
		return nil, fmt.Errorf("%w: %w", ErrLookup, err)
	}
	if a.Groups, err = d.groupsOf(a); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLookup, err)
	}
	return a, nil
}

// ValidName reports whether an account could have this name. It refuses what
// passwd(5) cannot hold, what a shell, a path or a log would misread, and what
// getent(1) would take for a user id ("0" is root's) or an option.
func ValidName(name string) bool {
	if name == "" || len(name) > maxNameLen || name == "." || name == ".." {
		return false
	}
	if strings.IndexByte("-+~", name[0]) >= 0 {
		return false
	}
	digits := true
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c <= ' ' || c == 0x7f || strings.IndexByte(":/,\"'`", c) >= 0 {
			return false
		}
		digits = digits && c >= '0' && c <= '9'
	}
	return !digits
}
