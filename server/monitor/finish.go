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
	return slices.DeleteFunc(enabled, func(m string) bool { return !c.next(m) })
}

// next reports whether AuthenticationMethods has the method as one of the next.
func (c *Connection) next(method string) bool {
	return !c.limited || slices.ContainsFunc(c.chains, func(chain []string) bool { return chain[0] == method })
}

// try is a try that was judged.
type try struct {
	method string
	right  bool
	key    string            // as log lines describe it, "" without one
	info   string            // what ExposeAuthInfo says behind the method
	rights *auth.Permissions // if right
}

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
		c.authInfo = append(c.authInfo, strings.TrimSpace(t.method+" "+t.info))
	}
	outcome := log.Failed
	switch {
	case right:
		outcome = log.Accepted
	case partial:
		outcome = log.Partial
	}
	c.log.Auth(log.Attempt{
		Outcome: outcome, Method: t.method, Peer: c.LogPeer(), Key: t.key,
		Failures: c.failures, MaxTries: c.cfg.MaxAuthTries,
	})
	if right {
		c.makeGrant(t.method)
		return true, false
	}
	if !partial {
		if t.method == "password" {
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
	if c.oneTime && method == "password" {
		return true // who started the server as root made it for this
	}
	switch c.cfg.PermitRootLogin {
	case config.RootYes:
		return true
	case config.RootProhibitPassword:
		return method == "publickey" || method == "hostbased"
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
		if chain[0] != method {
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
