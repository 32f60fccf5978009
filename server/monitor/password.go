package monitor

import (
	"context"
	"slices"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
)

// None lets a user without password in where PermitEmptyPasswords says so. Where it
// does not, there is no line in the log and no failure to count: it is how a
// client asks what it may try.
func (c *Connection) None() (ok, partial bool) {
	c.must(ipc.None)
	usable := c.cfg.PermitEmptyPasswords && c.cfg.PasswordAuthentication && c.shared.Only == nil
	if !usable || !c.next("none") {
		return false, false
	}
	tries := c.tries
	ok, partial = c.judge("none", nil)
	c.tries = tries
	return ok, partial
}

// Password checks a password.
func (c *Connection) Password(password []byte) (ok, partial bool) {
	c.must(ipc.Password)
	if !slices.Contains(c.methods(), "password") {
		return c.finish(try{method: "password"})
	}
	return c.judge("password", password)
}

// Interactive checks the answer to the one prompt of keyboard-interactive, which is
// for the password.
func (c *Connection) Interactive(response []byte) (ok, partial bool) {
	c.must(ipc.Interactive)
	if !slices.Contains(c.methods(), interactive) {
		return c.finish(try{method: interactive})
	}
	return c.judge(interactive, response)
}

// passwordTimeout bounds the wait for a free processor.
const passwordTimeout = 30 * time.Second

func (c *Connection) judge(method string, password []byte) (ok, partial bool) {
	right, err := c.verify(password)
	if err != nil {
		c.log.Error("%v", err)
	}
	t := try{method: method, right: right && err == nil, rights: auth.Everything()}
	if t.right && c.valid && c.shadow != nil {
		if line, must := c.shadow.MustChange(time.Now()); must {
			c.log.Info("%s", line)
			c.expired = true
			t.rights = &auth.Permissions{PTY: true, Tunnel: auth.TunnelUnset}
		}
	}
	return c.finish(t)
}

// verify does the same work for every user.
func (c *Connection) verify(password []byte) (right bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), passwordTimeout)
	defer cancel()
	if c.oneTime || c.shared.Only != nil && c.shared.OneTime != nil {
		err = c.shared.Verifier.Do(ctx, func() { right = c.shared.OneTime.Verify(password) })
		return right, err
	}
	check := user.Check{PermitEmpty: c.cfg.PermitEmptyPasswords}
	if c.valid {
		check.Shadow = c.shadow
	}
	return c.shared.Verifier.Verify(ctx, password, check)
}
