package user

import (
	"fmt"
	"os"
	"time"

	"nano_ssh_server/server/proto/algo"
)

// Rules are the keywords of sshd_config(5) that say who may log in.
type Rules struct {
	DenyUsers, AllowUsers   []string // patterns: user, user@host, user@network
	DenyGroups, AllowGroups []string // patterns of group names
	// Chroot says that ChrootDirectory is set: the account's shell then need not
	// exist outside.
	Chroot bool
}

// A Decision is the answer of Access.
type Decision struct {
	Allowed bool
	// Lines are what sshd logs at level INFO, in order; empty when Allowed.
	Lines []string
}

// Access decides whether an account may log in at all, before any method is tried
// (allowed_user in OpenSSH, without PAM): not if it has expired or is locked, not
// without a shell that can be executed, and only as the four lists say. The deny
// lists come before the allow lists, users before groups. Where Access says no,
// the caller goes on as with an unknown user, so that the peer learns nothing.
//
// s may be nil for a server that cannot read the shadow file (not root).
func (d *Database) Access(a *Account, s *Shadow, r *Rules, peer Peer, now time.Time) Decision {
	deny := func(lines ...string) Decision { return Decision{Lines: lines} }
	if s != nil {
		locked := fmt.Sprintf("User %.100s not allowed because account is locked", a.Name)
		if s.Expired(now) {
			return deny(fmt.Sprintf("Account %.100s has expired", a.Name), locked)
		}
		if s.Locked() {
			return deny(locked)
		}
	}
	if line := shellRefused(a); line != "" && !r.Chroot {
		return deny(line)
	}
	refused := func(why string) Decision {
		return deny(fmt.Sprintf("User %.100s from %.100s not allowed because %s", a.Name, peer.Name(), why))
	}
	for _, pattern := range r.DenyUsers {
		switch hit, err := MatchUser(a.Name, peer, pattern); {
		case err != nil:
			return deny(fmt.Sprintf("Invalid DenyUsers pattern \"%.100s\"", pattern))
		case hit:
			return refused("listed in DenyUsers")
		}
	}
	if len(r.AllowUsers) > 0 {
		allowed := false
		for _, pattern := range r.AllowUsers {
			hit, err := MatchUser(a.Name, peer, pattern)
			if err != nil {
				return deny(fmt.Sprintf("Invalid AllowUsers pattern \"%.100s\"", pattern))
			}
			if allowed = hit; hit {
				break
			}
		}
		if !allowed {
			return refused("not listed in AllowUsers")
		}
	}
	if len(r.DenyGroups) > 0 || len(r.AllowGroups) > 0 {
		names := d.GroupNames(a)
		switch {
		case len(names) == 0:
			return refused("not in any group")
		case matchAny(names, r.DenyGroups):
			return refused("a group is listed in DenyGroups")
		case len(r.AllowGroups) > 0 && !matchAny(names, r.AllowGroups):
			return refused("none of user's groups are listed in AllowGroups")
		}
	}
	return Decision{Allowed: true}
}

// shellRefused returns sshd's line for a login shell that cannot run, or "".
// Like sshd it looks at the file itself and not at /etc/shells.
func shellRefused(a *Account) string {
	shell := a.LoginShell()
	st, err := os.Stat(shell)
	switch {
	case err != nil:
		return fmt.Sprintf("User %.100s not allowed because shell %.100s does not exist", a.Name, shell)
	case !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0:
		return fmt.Sprintf("User %.100s not allowed because shell %.100s is not executable", a.Name, shell)
	}
	return ""
}

// matchAny reports whether one of the names fits one of the patterns.
func matchAny(names, patterns []string) bool {
	for _, name := range names {
		for _, pattern := range patterns {
			if algo.MatchPattern(name, pattern) {
				return true
			}
		}
	}
	return false
}
