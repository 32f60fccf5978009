package monitor

import (
	"os"
	"slices"
	"strings"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
)

// Methods are the methods that may be tried now, in sshd's order.
func (c *Connection) Methods() []string {
	c.must(ipc.Methods)
	return c.methods()
}

func (c *Connection) methods() []string {
	var enabled []string
	if c.cfg.PubkeyAuthentication {
		enabled = append(enabled, "publickey")
	}
	if c.cfg.PasswordAuthentication && (c.shared.Only == nil || c.shared.OneTime != nil) {
		enabled = append(enabled, "password") // an ordinary user cannot read shadow(5)
	}
	if c.interactiveEnabled() {
		enabled = append(enabled, interactive)
	}
	if c.cfg.HostbasedAuthentication {
		enabled = append(enabled, hostbased)
	}
	return slices.DeleteFunc(enabled, func(m string) bool { return !c.next(m) })
}

// Keyboard-interactive (RFC 4256) has one device, as sshd calls what asks: it asks
// for the password.
const (
	interactive = "keyboard-interactive"
	device      = "password"
)

// interactiveEnabled applies KbdInteractiveAuthentication, whose default is yes. An
// sshd without PAM has no device behind that, so who switched passwords off there
// was rid of them: here they stay off, unless the configuration names the method.
func (c *Connection) interactiveEnabled() bool {
	return c.cfg.KbdInteractiveAuthentication && (c.shared.Only == nil || c.shared.OneTime != nil) &&
		(c.cfg.PasswordAuthentication || c.limited || c.shared.File.Origin("KbdInteractiveAuthentication") != "")
}

// next reports whether AuthenticationMethods has the method as one of the next.
func (c *Connection) next(method string) bool {
	return !c.limited || slices.ContainsFunc(c.chains, func(chain []string) bool { return names(chain[0], method) })
}

// names reports whether an entry of AuthenticationMethods is a method of this
// server's: only keyboard-interactive may name a device behind it.
func names(entry, method string) bool {
	return entry == method || method == interactive && entry == interactive+":"+device
}

// try is a try that was judged.
type try struct {
	method string
	right  bool
	key    string            // as log lines describe it, "" without one
	info   string            // what ExposeAuthInfo says behind the method
	rights *auth.Permissions // if right
}

func (t *try) submethod() string {
	if t.method == interactive {
		return device
	}
	return ""
}

func (t *try) asksPassword() bool { return t.method == "password" || t.method == interactive }

// finish turns a try into a verdict, logs it and, when all methods that are asked
// for are done, makes the grant.
func (c *Connection) finish(t try) (ok, partial bool) {
	right := t.right && c.valid && c.grant == nil
	rights := c.rights
	if right {
		rights, right = c.joined(t.rights)
	}
	if right && c.account.UID == 0 && !c.rootAllowed(t.method, rights) {
		c.log.RootRefused(c.peer.RemoteHost, c.peer.RemotePort)
		right = false
	}
	if right && c.limited {
		right, partial = c.advance(t.method)
	}
	if right || partial {
		c.rights = rights
		c.authInfo = append(c.authInfo, strings.TrimSpace(strings.TrimSuffix(t.method+"/"+t.submethod(), "/")+" "+t.info))
	}
	outcome := log.Failed
	switch {
	case right:
		outcome = log.Accepted
	case partial:
		outcome = log.Partial
	}
	failures := c.failures
	if t.method == interactive {
		failures = c.cfg.MaxAuthTries // a wrong password concerns administrators by whatever method
	}
	c.log.Auth(log.Attempt{
		Outcome: outcome, Method: t.method, Submethod: t.submethod(), Peer: c.LogPeer(), Key: t.key,
		Failures: failures, MaxTries: c.cfg.MaxAuthTries,
	})
	if right {
		c.makeGrant(t.method)
		return true, false
	}
	if !partial {
		if t.asksPassword() {
			e := c.entry("ssh:notty", os.Getpid())
			e.User = c.name
			c.record(c.shared.Records.Failed(e))
		}
		c.failures++
		c.tries++
	}
	return false, partial
}

// joined are the permissions of this try and those before it together: what
// one forbids stays forbidden.
func (c *Connection) joined(p *auth.Permissions) (*auth.Permissions, bool) {
	if c.rights == nil {
		return p, true
	}
	both, err := auth.Merge(c.rights, p)
	if err != nil {
		c.log.Error("%v", err)
		return nil, false
	}
	return both, true
}

// rootAllowed applies PermitRootLogin.
func (c *Connection) rootAllowed(method string, p *auth.Permissions) bool {
	if c.oneTime && (method == "password" || method == interactive) {
		return true // who started the server as root made it for this
	}
	switch c.cfg.PermitRootLogin {
	case config.RootYes:
		return true
	case config.RootProhibitPassword:
		return method == "publickey" || method == hostbased
	case config.RootForcedCommandsOnly:
		if p.HasForceCommand {
			c.log.Info("Root login accepted for forced command.")
			return true
		}
	}
	return false
}

// advance takes a completed method off the lists of AuthenticationMethods.
func (c *Connection) advance(method string) (complete, partial bool) {
	for i, chain := range c.chains {
		if !names(chain[0], method) {
			continue
		}
		if len(chain) == 1 {
			return true, false
		}
		c.chains[i] = chain[1:]
		partial = true
	}
	return false, partial
}

// Failed counts a try that failed before a question came here: as in sshd's
// monitor there is no line for it.
func (c *Connection) Failed(method string) {
	c.must(ipc.Failed)
	if method == "password" {
		c.log.WithPreauth().Info("password change not supported")
	}
	c.tries++
}
