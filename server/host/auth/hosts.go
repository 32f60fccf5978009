package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// HostFiles are the machine's files about other machines (sshd(8), FILES).
type HostFiles struct {
	Equiv []string // whose users are those of the same name here
	// Known are files of host keys. The user's file of the same index belongs to each;
	// later ones are asked about hosts that are in none before.
	Known []string
}

// SystemHostFiles are those of sshd.
var SystemHostFiles = HostFiles{
	Equiv: []string{"/etc/hosts.equiv", "/etc/ssh/shosts.equiv"},
	Known: []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"},
}

// The user's files, below the home.
var (
	userEquiv = []string{".shosts", ".rhosts"}
	userKnown = []string{".ssh/known_hosts", ".ssh/known_hosts2"}
)

// A HostQuery asks whether a user of another machine may log in as an account because
// that machine says so (RFC 4252 section 9). That its key signed is the caller's to
// verify.
type HostQuery struct {
	Account    *user.Account
	Key        sshkey.PublicKey // of the machine, or its certificate
	ClientUser string
	ClientHost string // as the client says
	Host, Addr string // as this side knows the peer: its name, or the address again
	// NameFromPacket is HostbasedUsesNameFromPacketOnly.
	NameFromPacket                                  bool
	IgnoreRhosts, IgnoreShosts, IgnoreUserKnownHost bool
	Strict                                          bool // StrictModes
	Files                                           *HostFiles
	Now                                             time.Time
	Log                                             Log
	// Name is a key in log lines: type and fingerprint.
	Name func(sshkey.PublicKey) string
}

// AuthorizedHost answers it. Every host that it lets in is logged, as in sshd.
func AuthorizedHost(q *HostQuery) bool {
	said := strings.TrimSuffix(q.ClientHost, ".")
	host, addr := q.Host, q.Addr
	if q.NameFromPacket {
		host, addr = said, said
	} else if !strings.EqualFold(host, said) {
		q.Log.printf(Info, "userauth_hostbased mismatch: client sends %s, but we resolve %s to %s", said, addr, host)
	}
	if host == "" {
		return false
	}
	peer := &equivPeer{Host: host, Addr: addr, ClientUser: q.ClientUser, ServerUser: q.Account.Name}
	if !q.equivalent(peer) {
		q.Log.printf(Debug2, "auth_rhosts2 refused user %q host %q addr %q", q.ClientUser, host, addr)
		return false
	}
	cert, isCert := q.Key.(*sshkey.Certificate)
	if isCert {
		if err := checkHostCertificate(cert, host, q.Now); err != nil {
			q.Log.printf(Error, "%s", err)
			return false
		}
	}
	if q.known(host) != HostFound {
		return false
	}
	if isCert {
		q.Log.printf(Verbose, "Accepted certificate ID \"%s\" signed by %s from %s@%s", cert.KeyID, caName(q.Name(cert.CA)), q.ClientUser, host)
	} else {
		kind, fingerprint, _ := strings.Cut(q.Name(q.Key), " ")
		q.Log.printf(Verbose, "Accepted %s public key %s from %s@%s", kind, fingerprint, q.ClientUser, host)
	}
	return true
}

// caName puts "CA" between type and fingerprint, as sshd does in this line.
func caName(name string) string {
	kind, fingerprint, _ := strings.Cut(name, " ")
	return kind + " CA " + fingerprint
}

// checkHostCertificate is for names that are compared in lower case.
func checkHostCertificate(c *sshkey.Certificate, host string, now time.Time) error {
	err := c.Check(sshkey.HostCertificate, strings.ToLower(host), now)
	if _, unknown := c.UnknownCritical(); err == nil && unknown {
		err = sshkey.CertificateError("Certificate contains unsupported critical options(s)")
	}
	return err
}

// equivalent looks for the peer in the files of equivalent hosts: root only in
// those of its own.
func (q *HostQuery) equivalent(p *equivPeer) bool {
	a := q.Account
	if a.UID != 0 {
		for _, path := range q.Files.Equiv {
			if q.systemEquiv(path, p) == equivAllowed {
				q.Log.printf(Debug, "Accepted for %.100s [%.100s] by %.100s.", p.Host, p.Addr, path)
				return true
			}
		}
	}
	var home unix.Stat_t
	err := asAccount(a, func() error { return retry(func() error { return unix.Stat(a.Home, &home) }) })
	switch {
	case err != nil:
		q.Log.printf(Info, "Rhosts authentication refused for %.100s: no home directory %.200s", a.Name, a.Home)
		return false
	case q.Strict && !trusted(&home, a.UID):
		q.Log.printf(Info, "Rhosts authentication refused for %.100s: bad ownership or modes for home directory.", a.Name)
		return false
	}
	for i, ignored := range []bool{q.IgnoreShosts, q.IgnoreRhosts} {
		if ignored {
			q.Log.printf(Debug, "Server has been configured to ignore %.100s.", userEquiv[i])
			continue
		}
		if q.userEquiv(filepath.Join(a.Home, userEquiv[i]), p) == equivAllowed {
			q.Log.printf(Debug, "Accepted by %.100s.", userEquiv[i])
			return true
		}
	}
	return false
}

func (q *HostQuery) systemEquiv(path string, p *equivPeer) equivAnswer {
	f, err := openRegular(unix.AT_FDCWD, path, path, 0)
	if err != nil {
		q.irregular(path, err)
		return equivSilent
	}
	defer f.Close()
	return readEquiv(f, path, p, q.Log)
}

func (q *HostQuery) userEquiv(path string, p *equivPeer) equivAnswer {
	f, err := OpenTrusted(path, q.Account, q.Strict)
	if err != nil {
		if refused := q.irregular(path, err); refused {
			q.Log.printf(Info, "Rhosts authentication refused for %.100s: bad modes for %.200s", q.Account.Name, path)
		}
		return equivSilent
	}
	defer f.Close()
	return readEquiv(f, path, p, q.Log)
}

// irregular logs what is wrong with a file that could not be opened, and reports
// whether it was refused for its modes.
func (q *HostQuery) irregular(path string, err error) (modes bool) {
	var refused *Refused
	switch {
	case !errors.As(err, &refused):
		if !errors.Is(err, fs.ErrNotExist) {
			q.Log.printf(Debug, "%v", err)
		}
	case refused.Irregular:
		q.Log.printf(Info, "User %s hosts file %s is not a regular file", q.Account.Name, path)
	default:
		return true
	}
	return false
}

// known looks the host's key up. A key that is revoked in any file is, whatever a
// file before it says.
func (q *HostQuery) known(host string) HostStatus {
	status := HostNew
	for i, path := range q.Files.Known {
		s := q.systemKnown(path, host)
		if i < len(userKnown) && !q.IgnoreUserKnownHost {
			s = max(s, q.userKnown(filepath.Join(q.Account.Home, userKnown[i]), host))
		}
		if status == HostNew || s == HostRevoked {
			status = s
		}
	}
	switch status {
	case HostRevoked:
		q.Log.printf(Error, "WARNING: revoked key for %s attempted authentication", host)
	case HostNew, HostChanged:
		q.Log.printf(Debug, "key for host %s not found", host)
	}
	return status
}

func (q *HostQuery) systemKnown(path, host string) HostStatus {
	f, err := openRegular(unix.AT_FDCWD, path, path, 0)
	if err != nil {
		return q.unreadable(path, err)
	}
	defer f.Close()
	return q.find(f, path, host)
}

// userKnown reads a user's file, which adds hosts to those of the machine.
func (q *HostQuery) userKnown(path, host string) HostStatus {
	f, err := OpenTrusted(path, q.Account, q.Strict)
	var refused *Refused
	if errors.As(err, &refused) && !refused.Irregular {
		q.Log.printf(Info, "Authentication refused for %.100s: bad owner or modes for %.200s", q.Account.Name, path)
		return HostNew
	}
	if err != nil {
		return q.unreadable(path, err)
	}
	defer f.Close()
	return q.find(f, path, host)
}

// unreadable is what a file says that could not be opened: nothing.
func (q *HostQuery) unreadable(path string, err error) HostStatus {
	if !errors.Is(err, fs.ErrNotExist) {
		q.Log.printf(Debug, "%s: %v", path, err)
	}
	return HostNew
}

// find looks into one file. A file that cannot be read to its end may have revoked
// the key.
func (q *HostQuery) find(f *os.File, path, host string) HostStatus {
	status, err := FindHost(f, path, host, q.Key, q.Log)
	if err != nil {
		q.Log.printf(Error, "%s: %v", path, err)
		return HostRevoked
	}
	return status
}
