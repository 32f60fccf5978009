package monitor

import (
	"slices"
	"testing"
)

func TestInteractive(t *testing.T) {
	w := newWorld(t, "PasswordAuthentication no\nKbdInteractiveAuthentication yes")
	c := w.start("alice")
	if got := c.Methods(); !slices.Equal(got, []string{"publickey", "keyboard-interactive"}) {
		t.Error(got)
	}
	if ok, _ := c.Password([]byte(rightPassword)); ok {
		t.Error("the method password is off")
	}
	w.log.take()
	for _, wrong := range []string{"wrong", ""} {
		if ok, _ := c.Interactive([]byte(wrong)); ok {
			t.Fatal("let in")
		}
	}
	if ok, _ := c.Interactive([]byte(rightPassword)); !ok {
		t.Fatal("refused")
	}
	failed := "INFO Failed keyboard-interactive/password for alice" + from + " ssh2"
	w.wantLog(failed, failed, "INFO Accepted keyboard-interactive/password for alice"+from+" ssh2")
	if g := c.Grant(); g.Method != "keyboard-interactive" || !slices.Equal(g.Methods, []string{"keyboard-interactive/password"}) {
		t.Errorf("%+v", g)
	}
	for name, line := range map[string]string{
		"nosuch": "INFO Failed keyboard-interactive/password for invalid user nosuch" + from + " ssh2",
		"locked": "INFO Failed keyboard-interactive/password for invalid user locked" + from + " ssh2",
		"empty":  "INFO Failed keyboard-interactive/password for empty" + from + " ssh2",
		"root":   "INFO Failed keyboard-interactive/password for root" + from + " ssh2",
	} {
		c := w.start(name)
		password := rightPassword
		if name == "empty" {
			password = ""
		}
		if ok, partial := c.Interactive([]byte(password)); ok || partial {
			t.Errorf("%s is let in", name)
		}
		if got := w.log.take(); !slices.Contains(got, line) {
			t.Errorf("%s: %q", name, got)
		}
	}
	c = w.start("old")
	if ok, _ := c.Interactive([]byte(rightPassword)); !ok || !c.Grant().PasswordExpired || c.Grant().Permissions.PortForwarding {
		t.Error("an expired password does not have to be changed")
	}
	w = newWorld(t, "PermitEmptyPasswords yes")
	if ok, _ := w.start("empty").Interactive(nil); !ok {
		t.Error("an empty password is refused with PermitEmptyPasswords")
	}
}

// TestInteractiveOff: an sshd without PAM takes no password where
// PasswordAuthentication says no, whatever the default of the other keyword.
func TestInteractiveOff(t *testing.T) {
	const kbd = "keyboard-interactive"
	for configuration, want := range map[string]bool{
		"":                          true,
		"PasswordAuthentication no": false,
		"PasswordAuthentication no\nChallengeResponseAuthentication yes": true,
		"KbdInteractiveAuthentication no":                                false,
		"PasswordAuthentication no\nAuthenticationMethods " + kbd:        true,
		"AuthenticationMethods " + kbd + ":password":                     true,
		"AuthenticationMethods " + kbd + ":pam":                          false,
		"AuthenticationMethods publickey":                                false,
		"Match User alice\nPasswordAuthentication no":                    false,
	} {
		w := newWorld(t, configuration)
		c := w.start("alice")
		if got := slices.Contains(c.Methods(), kbd); got != want {
			t.Errorf("%q: offered %v", configuration, got)
		}
		if ok, _ := c.Interactive([]byte(rightPassword)); ok != want {
			t.Errorf("%q: in %v", configuration, ok)
		}
	}
	w := newWorld(t, "AuthenticationMethods publickey,"+kbd+":password")
	c := w.start("alice")
	if ok, partial := c.Interactive([]byte(rightPassword)); ok || partial {
		t.Error("the second method comes first")
	}
	if ok, partial := w.login(c, "alice", w.alice); ok || !partial {
		t.Error("one of two methods is enough")
	}
	if ok, _ := c.Interactive([]byte(rightPassword)); !ok || c.Grant() == nil {
		t.Error("refused")
	}
}

// TestThreat10 guesses past MaxAuthTries.
func TestThreat10(t *testing.T) {
	w := newWorld(t, "MaxAuthTries 3")
	c := w.start("alice")
	for range 2 {
		c.Interactive([]byte("wrong"))
	}
	c.Failed("keyboard-interactive") // a prompt without an answer
	defer func() {
		if _, ok := recover().(*Unpermitted); !ok || c.Grant() != nil {
			t.Error("an answer is judged after MaxAuthTries prompts")
		}
	}()
	c.Interactive([]byte(rightPassword))
}
