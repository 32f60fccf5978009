package interop

import (
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

// withPrompt returns a client that answers the prompt of keyboard-interactive.
func withPrompt(t *testing.T, s *harness.Server, password string, options ...string) *client {
	t.Helper()
	c := withPassword(t, s, password)
	// The first value of an option counts.
	c.base = append(append(options, "-o", "PreferredAuthentications=keyboard-interactive"), c.base...)
	return c
}

// TestKeyboardInteractive logs in with the password, asked for by RFC 4256.
func TestKeyboardInteractive(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	harness.SkipPeer(t, "without PAM it has no such device")
	s := harness.Start(t, harness.Options{
		Mode: harness.AsRoot, Config: "PasswordAuthentication no\nKbdInteractiveAuthentication yes\nMaxStartups 100",
	})
	withPrompt(t, s, harness.Password).expect("id -un", s.Account.Name, 0)
	s.Log.Wait(t, 0, `Accepted keyboard-interactive/password for `+s.Account.Name+` from 127.0.0.1 port \d+ ssh2`)
	withPrompt(t, s, harness.Password+"0").refused()
	s.Log.Wait(t, 0, `Failed keyboard-interactive/password for `+s.Account.Name+` from 127.0.0.1 port \d+ ssh2`)
	for _, user := range []string{"nanolocked", "nanoempty", "nosuchuser", "root"} {
		for _, password := range []string{harness.Password, ""} {
			c := withPrompt(t, s, password)
			c.user = user
			c.refused()
		}
	}
	s.Log.Wait(t, 0, `Failed keyboard-interactive/password for invalid user nosuchuser from `)
	withPrompt(t, s, harness.Password, "-o", "KbdInteractiveDevices=pam").refused()
	withPrompt(t, s, harness.Password, "-o", "KbdInteractiveDevices=pam,password").expect("echo in", "in", 0)
	both := harness.Start(t, harness.Options{
		Mode: harness.AsRoot, Config: "AuthenticationMethods publickey,keyboard-interactive:password",
	})
	if r := withPrompt(t, both, harness.Password).refused(); !strings.Contains(r.Stderr, "(publickey)") {
		t.Errorf("%+v", r)
	}
	withPrompt(t, both, harness.Password, "-o", "PubkeyAuthentication=yes", "-o",
		"PreferredAuthentications=publickey,keyboard-interactive").expect("echo in", "in", 0)
	withPrompt(t, both, "wrong", "-o", "PubkeyAuthentication=yes", "-o",
		"PreferredAuthentications=publickey,keyboard-interactive").refused()
}
