package monitor

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/ipc"
)

const from = " from 192.0.2.7 port 1234"

func TestPasswordLogin(t *testing.T) {
	w := newWorld(t, "LogLevel VERBOSE")
	c := w.start("alice")
	if ok, _ := c.Password([]byte("wrong")); ok {
		t.Fatal("let in")
	}
	if ok, _ := c.Password(nil); ok {
		t.Fatal("let in")
	}
	if ok, _ := c.Password([]byte(rightPassword)); !ok {
		t.Fatal("refused")
	}
	failed := "INFO Failed password for alice" + from + " ssh2"
	w.wantLog(failed, failed, "INFO Accepted password for alice"+from+" ssh2")
	if g := c.Grant(); g.Method != "password" || !slices.Equal(g.Methods, []string{"password"}) || !g.Permissions.PTY {
		t.Errorf("%+v", g)
	}
	c = w.start("old")
	if ok, _ := c.Password([]byte(rightPassword)); !ok {
		t.Fatal("refused")
	}
	if g := c.Grant(); !g.PasswordExpired || g.Permissions.PortForwarding || !g.Permissions.PTY {
		t.Errorf("an expired password gives %+v", g.Permissions)
	}
	w.wantLog("INFO User old password has expired (password aged)", "INFO Accepted password for old"+from+" ssh2")
	for _, name := range []string{"locked", "empty"} {
		if ok, _ := w.start(name).Password([]byte(rightPassword)); ok {
			t.Errorf("%s is let in", name)
		}
	}
}

func TestPasswordOff(t *testing.T) {
	w := newWorld(t, "PasswordAuthentication no\nPubkeyAuthentication no")
	c := w.start("alice")
	if got := c.Methods(); len(got) != 0 {
		t.Error(got)
	}
	if ok, _ := c.Password([]byte(rightPassword)); ok {
		t.Error("a password is taken though passwords are off")
	}
	if ok, _ := w.login(c, "alice", w.alice); ok || c.KeyAcceptable("ssh-ed25519", w.alice.Public().Blob()) {
		t.Error("a key is taken though keys are off")
	}
}

func TestEmptyPassword(t *testing.T) {
	w := newWorld(t, "LogLevel VERBOSE")
	if ok, _ := w.start("empty").None(); ok {
		t.Error("let in without PermitEmptyPasswords")
	}
	w.wantLog()
	w = newWorld(t, "PermitEmptyPasswords yes\nLogLevel VERBOSE")
	if ok, _ := w.start("alice").None(); ok {
		t.Error("let in without the password")
	}
	if ok, _ := w.start("empty").None(); !ok {
		t.Error("refused")
	}
	w.wantLog("VERBOSE Failed none for alice"+from+" ssh2", "INFO Accepted none for empty"+from+" ssh2")
	if ok, _ := w.start("nosuch").None(); ok {
		t.Error("let in")
	}
	w.wantLog("INFO Invalid user nosuch"+from, "INFO Failed none for invalid user nosuch"+from+" ssh2")
}

// TestThreat08 holds answers and log lines of users that may not log in against
// those of one that exists.
func TestThreat08(t *testing.T) {
	w := newWorld(t, "LogLevel VERBOSE\nDenyUsers bob\nBanner "+os.DevNull)
	answers := func(name string) (said []any) {
		c := w.connect()
		said = append(said, c.Start(name, "", service), c.Methods())
		ok, partial := c.None()
		said = append(said, ok, partial, c.KeyAcceptable("ssh-ed25519", w.other.Public().Blob()), c.KeyAcceptable("nonsense", nil))
		ok, partial = w.login(c, name, w.other)
		said = append(said, ok, partial)
		ok, partial = c.Password([]byte("wrong"))
		return append(said, ok, partial, c.Methods(), c.MaxAuthTries(), c.Grant() == nil)
	}
	want := answers("alice")
	w.log.take()
	for name, first := range map[string]string{
		"nosuch": "INFO Invalid user nosuch" + from, "": "INFO Invalid user " + from,
		"locked":                 "INFO User locked not allowed because account is locked",
		"a\nb":                   `INFO Invalid user a\nb` + from,
		strings.Repeat("x", 900): "INFO Invalid user " + strings.Repeat("x", 100) + from,
	} {
		if got := answers(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is told %v, alice %v", name, got, want)
		}
		got := w.log.take()
		if len(got) < 2 || got[0] != first || !strings.HasPrefix(got[len(got)-1], "INFO Failed password for invalid user ") {
			t.Errorf("%q: %q", name, got)
		}
		if slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "Failed publickey") }) {
			t.Errorf("sshd has no line for keys of %q: %q", name, got)
		}
	}
	// The right secrets of accounts that may not log in help nobody.
	c := w.start("locked")
	if ok, _ := w.login(c, "locked", w.alice); ok || c.KeyAcceptable("ssh-ed25519", w.alice.Public().Blob()) {
		t.Error("a locked account logs in by key")
	}
	c = w.connect()
	c.Start("alice", "", "ssh-other")
	if ok, _ := w.login(c, "alice", w.alice); ok {
		t.Error("logged in to another service")
	}
	if ok, _ := c.Password([]byte(rightPassword)); ok {
		t.Error("logged in to another service")
	}
	if d, e := c.MinimumTime("alice"), c.MinimumTime("nosuch"); d == e || d < 5*time.Millisecond || e > 10*time.Millisecond {
		t.Errorf("minimum times %v and %v", d, e)
	}
}

func TestAllowUsers(t *testing.T) {
	w := newWorld(t, "AllowUsers root alice@198.51.100.*")
	c := w.start("alice")
	w.wantLog("INFO User alice from 192.0.2.7 not allowed because not listed in AllowUsers")
	if ok, _ := c.Password([]byte(rightPassword)); ok || !c.LogPeer().Invalid {
		t.Error("let in")
	}
}

func TestRoot(t *testing.T) {
	refused := "INFO ROOT LOGIN REFUSED FROM 192.0.2.7 port 1234"
	cases := []struct {
		setting              string
		password, key, force bool
	}{
		{"yes", true, true, true}, {"prohibit-password", false, true, true},
		{"forced-commands-only", false, false, true}, {"no", false, false, false},
	}
	for _, c := range cases {
		t.Run(c.setting, func(t *testing.T) {
			w := newWorld(t, "StrictModes no\nPermitRootLogin "+c.setting)
			check := func(what string, ok, want bool) {
				t.Helper()
				got := w.log.take()
				if ok != want || want == slices.Contains(got, refused) {
					t.Errorf("%s: %v, want %v; %q", what, ok, want, got)
				}
				if c.setting == "forced-commands-only" && want && !slices.Contains(got, "INFO Root login accepted for forced command.") {
					t.Errorf("%s: %q", what, got)
				}
			}
			ok, _ := w.start("root").Password([]byte(rightPassword))
			check("password", ok, c.password)
			ok, _ = w.login(w.start("root"), "root", w.alice)
			check("key", ok, c.key)
			ok, _ = w.login(w.start("root"), "root", w.second)
			check("forced command", ok, c.force)
		})
	}
}

func TestAuthenticationMethods(t *testing.T) {
	w := newWorld(t, "AuthenticationMethods publickey,password publickey,publickey\nLogLevel VERBOSE")
	c := w.start("alice")
	if got := c.Methods(); !slices.Equal(got, []string{"publickey"}) {
		t.Error(got)
	}
	if ok, partial := c.Password([]byte(rightPassword)); ok || partial {
		t.Error("the second method comes first")
	}
	w.log.take()
	if ok, partial := w.login(c, "alice", w.second); ok || !partial || c.Grant() != nil {
		t.Fatal("one of two methods is enough")
	}
	if got := w.log.take(); len(got) != 2 || !strings.HasPrefix(got[1], "VERBOSE Partial publickey for alice") {
		t.Errorf("%q", got)
	}
	if got := c.Methods(); !slices.Equal(got, []string{"publickey", "password"}) {
		t.Error(got)
	}
	if ok, partial := w.login(c, "alice", w.second); ok || partial {
		t.Error("one key counts twice")
	}
	w.wantLog("INFO refusing previously-used ED25519 key [preauth]")
	if ok, _ := c.Password([]byte(rightPassword)); !ok {
		t.Fatal("refused")
	}
	// The restrictions of the key outlive the password that completed the login.
	g := c.Grant()
	if g.Permissions.PTY || g.Permissions.ForceCommand != "/bin/true" || len(g.Methods) != 2 || !strings.HasPrefix(g.Methods[0], "publickey ssh-ed25519 ") || g.Methods[1] != "password" {
		t.Errorf("%+v %q", g.Permissions, g.Methods)
	}
	// Two different keys.
	c = w.start("alice")
	_, partial := w.login(c, "alice", w.alice)
	if ok, _ := w.login(c, "alice", w.second); !ok || !partial {
		t.Error("two keys are refused")
	}
	if p := c.Grant().Permissions; p.PTY || !p.HasForceCommand {
		t.Errorf("%+v", p)
	}
	// Lists with a method that is off for this user are not offered.
	w = newWorld(t, "AuthenticationMethods publickey,password\nMatch User alice\nPasswordAuthentication no")
	c = w.start("alice")
	if got := c.Methods(); len(got) != 0 {
		t.Error(got)
	}
	if ok, partial := w.login(c, "alice", w.alice); ok || partial {
		t.Error("let in")
	}
}

func TestOnlyAccount(t *testing.T) {
	w := newWorld(t, "")
	alice, err := w.users.Lookup("alice")
	must(t, err)
	w.shared.Only = alice
	for name, want := range map[string]bool{"alice": true, "user": true, "root": false, "nosuch": false, "": false} {
		c := w.start(name)
		if got := c.Methods(); !slices.Equal(got, []string{"publickey"}) {
			t.Errorf("%q: %v", name, got)
		}
		if ok, _ := w.login(c, name, w.alice); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
		if want && c.Grant().Account.Name != "alice" {
			t.Errorf("%q logs in as %s", name, c.Grant().Account.Name)
		}
	}
	w.shared.OneTime, err = user.NewOneTimePassword()
	must(t, err)
	w.shared.OneTimeAccount = alice
	secret := w.shared.OneTime.Reveal()
	for name, want := range map[string]bool{"user": true, "alice": true, "root": false} {
		c := w.start(name)
		if got := c.Methods(); !slices.Equal(got, []string{"publickey", "password", "keyboard-interactive"}) {
			t.Errorf("%q: %v", name, got)
		}
		if ok, _ := c.Password([]byte("wrong")); ok {
			t.Error("a wrong password is right")
		}
		if ok, _ := c.Password(bytes.Clone(secret)); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
	}
	for _, l := range w.log.take() {
		if strings.Contains(l, string(secret)) {
			t.Error("the one-time password is in the log")
		}
	}
	// Started by root, it is one account's password beside those of others.
	w.shared.Only = nil
	for name, want := range map[string]bool{"user": true, "alice": true, "old": false, "nosuch": false} {
		c := w.start(name)
		if ok, _ := c.Password(bytes.Clone(secret)); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
		if want && c.Grant().Account.Name != "alice" {
			t.Errorf("%q logs in as %s", name, c.Grant().Account.Name)
		}
	}
	if ok, _ := w.start("old").Password([]byte(rightPassword)); !ok {
		t.Error("another account's own password is refused")
	}
}

func TestSign(t *testing.T) {
	w := newWorld(t, "")
	c := New(w.shared, Peer{RemoteHost: "192.0.2.7", RemotePort: 1})
	other := bytes.Repeat([]byte{7}, 32)
	for name, try := range map[string]func() error{
		"id of another": func() error { _, err := c.Sign(other, testHash, "ssh-ed25519"); return err },
		"no hash":       func() error { _, err := c.Sign([]byte("x"), []byte("x"), "ssh-ed25519"); return err },
		"long":          func() error { l := make([]byte, 65); _, err := c.Sign(l, l, "ssh-ed25519"); return err },
		"no such key":   func() error { _, err := c.Sign(testHash, testHash, "rsa-sha2-256"); return err },
	} {
		if try() == nil {
			t.Errorf("%s is signed", name)
		}
	}
	for _, hash := range [][]byte{testHash, other} { // the first exchange and a later one
		signature, err := c.Sign(testHash, hash, "ssh-ed25519")
		if err != nil || w.host.Public().Verify("ssh-ed25519", hash, signature) != nil {
			t.Error(err)
		}
	}
	if _, err := c.Sign(other, other, "ssh-ed25519"); !errors.Is(err, errForeignSession) {
		t.Error("another session is signed for:", err)
	}
}

// TestUnpermitted asks everything in every phase and compares with the table.
func TestUnpermitted(t *testing.T) {
	w := newWorld(t, "MaxAuthTries 2")
	reach := map[phase]func() *Connection{
		phaseNew:          func() *Connection { return New(w.shared, Peer{RemoteHost: "192.0.2.7"}) },
		phaseKeyExchanged: w.connect,
		phaseNamed:        func() *Connection { return w.start("alice") },
		phaseGranted: func() *Connection {
			c := w.start("alice")
			c.Password([]byte(rightPassword))
			return c
		},
	}
	ask := map[ipc.Method]func(*Connection){
		ipc.Start:         func(c *Connection) { c.Start("alice", "", service) },
		ipc.Methods:       func(c *Connection) { c.Methods() },
		ipc.None:          func(c *Connection) { c.None() },
		ipc.Password:      func(c *Connection) { c.Password([]byte("wrong")) },
		ipc.Interactive:   func(c *Connection) { c.Interactive([]byte("wrong")) },
		ipc.KeyAcceptable: func(c *Connection) { c.KeyAcceptable("x", nil) },
		ipc.KeySigned:     func(c *Connection) { c.KeySigned("x", nil, nil, nil) },
		ipc.Failed:        func(c *Connection) { c.Failed("x") },
	}
	refused := func(f func()) (is bool) {
		defer func() {
			if v := recover(); v != nil {
				_, is = v.(*Unpermitted)
			}
		}()
		f()
		return false
	}
	for at, make := range reach {
		for number, f := range ask {
			c := make()
			if c.phase != at {
				t.Fatalf("phase %d, want %d", c.phase, at)
			}
			want := requests[number].when&at == 0
			if got := refused(func() { f(c) }); got != want {
				t.Errorf("%s in phase %d: refused %v, want %v", number, at, got, want)
			}
		}
	}
	twice := w.connect()
	twice.Start("alice", "", service)
	if !refused(func() { twice.Start("root", "", service) }) {
		t.Error("a second user is named")
	}
	busy := w.start("alice")
	for range maxRequests {
		busy.KeyAcceptable("ssh-ed25519", w.alice.Public().Blob())
	}
	if !refused(func() { busy.KeyAcceptable("ssh-ed25519", w.alice.Public().Blob()) }) {
		t.Error("keys are asked for without end")
	}
	many := w.start("alice")
	for range 2 {
		many.Password([]byte("wrong"))
	}
	if !refused(func() { many.Password([]byte(rightPassword)) }) || many.Grant() != nil {
		t.Error("passwords are judged after MaxAuthTries failures")
	}
}

func TestBanner(t *testing.T) {
	w := newWorld(t, "")
	for text, want := range map[string]string{"hello\n": "hello\n", "": "", strings.Repeat("x", maxBanner): strings.Repeat("x", maxBanner), strings.Repeat("x", maxBanner+1): ""} {
		w.shared.File = w.parse("Banner " + w.write("banner", text))
		if got := w.connect().Start("alice", "", service); got != want {
			t.Errorf("%d bytes: got %d", len(text), len(got))
		}
	}
	for _, path := range []string{filepath.Join(w.dir, "missing"), w.dir, "none"} {
		if got := readBanner(path); got != "" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestPlainGrant(t *testing.T) {
	w := newWorld(t, "Subsystem sftp internal-sftp\nAcceptEnv LANG\nSetEnv A=b\nPermitOpen host:1\nForceCommand x\nClientAliveInterval 7\nRekeyLimit 1G 1h\nMatch User alice\nX11Forwarding yes\nMaxSessions 3\n"+
		"Match user alice command ls\nPermitTTY no\nMatch user root command ls\nPermitTTY yes")
	c := w.start("alice")
	if ok, _ := w.login(c, "alice", w.second); !ok {
		t.Fatal("refused")
	}
	c.grant.Permissions.PermitOpen = []auth.Permit{{Host: "::1", Port: 22}}
	plain := c.Plain()
	b, err := plain.Marshal()
	must(t, err)
	g, err := ipc.UnmarshalGrant(b)
	must(t, err)
	if !reflect.DeepEqual(g, plain) {
		t.Errorf("%+v, want %+v", g, plain)
	}
	s := g.Settings
	blocks := []ipc.SessionBlock{{
		Criteria: []ipc.SessionCriterion{{Name: "command", Pattern: "ls"}},
		Lines:    []ipc.SessionLine{{File: "sshd_config", Number: 12, Keyword: "PermitTTY", Text: "no"}},
	}}
	if !reflect.DeepEqual(s.SessionBlocks, blocks) {
		t.Errorf("session blocks %+v", s.SessionBlocks)
	}
	if g.Account.Name != "alice" || g.Account.Gecos != "alice of the test" || !g.Permissions.HasForceCommand || g.Permissions.PTY ||
		g.Permissions.PermitOpen[0] != (ipc.Permit{Host: "::1", Port: 22}) || g.Permissions.Tunnel != -1 ||
		s.ForceCommand != "x" || !s.X11Forwarding || s.MaxSessions != 3 || s.Subsystems[0].Name != "sftp" ||
		s.ClientAliveInterval != 7*time.Second || s.RekeyBytes != 1<<30 || s.RekeyInterval != time.Hour || s.SetEnv[0] != "A=b" {
		t.Errorf("%+v", g)
	}
}
