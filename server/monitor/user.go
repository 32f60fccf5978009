package monitor

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
)

// decoy stands for users that do not exist or may not log in: their tries do
// the same work (CVE-2018-15473).
var decoy = &user.Account{Name: "nobody", Home: "/nonexistent", UID: 65534, GID: 65534, Groups: []uint32{65534}}

const service = "ssh-connection"

// Start names the user, once. It returns the text of Banner's file. A name that
// nobody has, an account that may not log in and a service that does not exist
// go on like any other, and fail.
func (c *Connection) Start(name, style, wanted string) (banner string) {
	c.must(ipc.Start)
	c.enter(phaseNamed)
	c.name, c.signedName, c.account = name, name, decoy
	if style != "" {
		c.signedName += ":" + style
	}
	c.learnName()
	account := c.lookup(name)
	info := &config.MatchInfo{
		User: name, InvalidUser: account == nil, Host: c.hostName(), Addr: c.peer.RemoteHost,
		LocalAddr: c.peer.LocalHost, LocalPort: c.peer.LocalPort, RDomain: c.peer.RDomain,
		Version: c.shared.Version, LocalUser: c.shared.LocalUser,
	}
	if account != nil {
		info.Groups = func() []string { return c.shared.Users.GroupNames(account) }
	}
	if cfg, err := c.shared.File.Resolve(info); err != nil {
		c.log.Error("%v", err)
		account = nil
	} else {
		if cfg.LogLevel != c.cfg.LogLevel { // of a Match block; else -d and -q count
			c.log = c.log.WithLevel(cfg.LogLevel)
		}
		c.cfg, c.sessions = cfg, c.shared.File.SessionBlocks(info)
	}
	switch {
	case account == nil:
		c.log.InvalidUser(name, c.peer.RemoteHost, c.peer.RemotePort)
	case c.mayLogin(account) && wanted == service:
		c.account, c.valid = account, true
	}
	c.setChains()
	c.publish()
	return readBanner(c.cfg.Banner)
}

// lookup finds the account of a name, nil if there is none that may be used here.
func (c *Connection) lookup(name string) *user.Account {
	if once := c.shared.OneTimeAccount; once != nil && (name == once.Name || name == "user") {
		c.oneTime = true
		return once
	}
	if only := c.shared.Only; only != nil {
		if name == only.Name || name == "user" {
			return only
		}
		return nil
	}
	account, err := c.shared.Users.Lookup(name)
	if err != nil {
		if !errors.Is(err, user.ErrUnknown) {
			c.log.Error("%v", err)
		}
		return nil
	}
	if c.shadow, err = c.shared.Users.LookupShadow(account); err != nil {
		c.log.Debug("%v", err)
	}
	return account
}

// mayLogin applies what forbids a login by any method. (/etc/nologin is not among
// it: as in sshd the session shows it to a user who is in.)
func (c *Connection) mayLogin(a *user.Account) bool {
	rules := &user.Rules{
		DenyUsers: c.cfg.DenyUsers, AllowUsers: c.cfg.AllowUsers,
		DenyGroups: c.cfg.DenyGroups, AllowGroups: c.cfg.AllowGroups,
		Chroot: set(c.cfg.ChrootDirectory) || c.shared.NoShell,
	}
	d := c.shared.Users.Access(a, c.shadow, rules, c.userPeer(), time.Now())
	for _, line := range d.Lines {
		c.log.Info("%s", line)
	}
	if keyword := c.unserved(); keyword != "" {
		c.log.Error("User %.100s not allowed because %s is set, which needs PrivilegeSeparation and a server of root's", a.Name, keyword)
		return false
	}
	if set(c.cfg.ChrootDirectory) {
		path, err := auth.ExpandPath(c.cfg.ChrootDirectory, a)
		if err != nil {
			c.log.Error("%v", err)
			return false
		}
		c.chroot = path
	}
	if c.cfg.RefuseConnection {
		c.log.Info("User %.100s not allowed because RefuseConnection is set", a.Name)
		return false
	}
	return d.Allowed
}

// setChains takes the lists of AuthenticationMethods whose methods are all on.
func (c *Connection) setChains() {
	for _, list := range c.cfg.AuthenticationMethods {
		if list == "any" {
			continue
		}
		c.limited = true
		chain := strings.Split(list, ",")
		if slices.ContainsFunc(chain, func(m string) bool {
			name, _, _ := strings.Cut(m, ":")
			return !c.cfg.MethodEnabled(name)
		}) {
			c.log.Info("Authentication methods list \"%s\" contains disabled method, skipping", list)
			continue
		}
		c.chains = append(c.chains, chain)
	}
	if c.limited && c.chains == nil {
		c.log.Error("No AuthenticationMethods left after eliminating disabled methods")
	}
}

// MinimumTime is how long a failure takes at least: 5 ms and up to 4 ms that
// depend on the name, so that it cannot be averaged away.
func (c *Connection) MinimumTime(name string) time.Duration {
	const least = 5 * time.Millisecond
	sum, err := libcrypto.Digest("sha256", nil, c.shared.Secret[:], []byte(name))
	if err != nil {
		return least
	}
	return least + time.Duration(binary.BigEndian.Uint32(sum)%4096)*time.Microsecond
}

// maxBanner bounds the banner in bytes, as sshd does.
const maxBanner = 1 << 20

// readBanner reads Banner's file; one that cannot be read, or is larger, shows nothing.
func readBanner(path string) string {
	if path == "" || path == "none" {
		return ""
	}
	f, err := auth.OpenList(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxBanner {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBanner))
	if err != nil {
		return ""
	}
	return string(text)
}
