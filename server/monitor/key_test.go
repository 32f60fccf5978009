package monitor

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

func TestKeyLogin(t *testing.T) {
	w := newWorld(t, "LogLevel VERBOSE")
	c := w.start("alice")
	if ok, partial := c.None(); ok || partial {
		t.Fatal("let in without anything")
	}
	if got := c.Methods(); !slices.Equal(got, []string{"publickey", "password", "keyboard-interactive"}) {
		t.Error(got)
	}
	w.wantLog()
	blob := w.alice.Public().Blob()
	if c.KeyAcceptable("ssh-ed25519", w.other.Public().Blob()) || !c.KeyAcceptable("ssh-ed25519", blob) {
		t.Fatal("wrong answers to queries")
	}
	if c.Grant() != nil {
		t.Fatal("a query grants")
	}
	file := filepath.Join(w.dir, "alice/.ssh/authorized_keys")
	accepted := "VERBOSE Accepted key " + fingerprint(w.alice) + " found at " + file + ":1"
	w.wantLog("VERBOSE Failed publickey for alice"+from+" ssh2: "+fingerprint(w.other), accepted,
		"VERBOSE Postponed publickey for alice"+from+" ssh2 [preauth]")
	if ok, _ := w.login(c, "alice", w.alice); !ok {
		t.Fatal("refused")
	}
	w.wantLog(accepted, "INFO Accepted publickey for alice"+from+" ssh2: "+fingerprint(w.alice))
	g := c.Grant()
	if g.Account.Name != "alice" || g.User != "alice" || g.Method != "publickey" || !g.Permissions.PTY || g.PasswordExpired {
		t.Errorf("%+v", g)
	}
	if want := "publickey " + strings.TrimSpace(string(sshkey.MarshalAuthorized(w.alice.Public(), ""))); !slices.Equal(g.Methods, []string{want}) {
		t.Errorf("%q, want %q", g.Methods, want)
	}
	if p := c.LogPeer(); !p.Authenticated || p.Invalid || p.User != "alice" {
		t.Errorf("%+v", p)
	}
}

// TestThreat04 offers a good key and signs with another, and the other way round:
// what is granted is the key's that signed.
func TestThreat04(t *testing.T) {
	w := newWorld(t, "")
	c := w.start("alice")
	if !c.KeyAcceptable("ssh-ed25519", w.alice.Public().Blob()) {
		t.Fatal("not acceptable")
	}
	if ok, partial := w.login(c, "alice", w.other); ok || partial || c.Grant() != nil {
		t.Fatal("a key that is nobody's logs in after a query for another")
	}
	// A signature by one key under the name of the other.
	blob := w.alice.Public().Blob()
	data := toSign(testHash, "alice", service, "publickey", "ssh-ed25519", blob, nil)
	signature, err := w.other.Sign("ssh-ed25519", data)
	must(t, err)
	if ok, _ := c.KeySigned("ssh-ed25519", blob, data, signature); ok {
		t.Fatal("another key's signature logs in")
	}
	c = w.start("alice")
	if ok, _ := w.login(c, "alice", w.second); !ok {
		t.Fatal("refused")
	}
	if p := c.Grant().Permissions; p.PTY || !p.HasForceCommand || p.ForceCommand != "/bin/true" {
		t.Errorf("the options of the key that signed are lost: %+v", p)
	}
	// The offer after it, in the other order, changes nothing.
	c = w.start("alice")
	c.KeyAcceptable("ssh-ed25519", w.second.Public().Blob())
	if ok, _ := w.login(c, "alice", w.alice); !ok || !c.Grant().Permissions.PTY {
		t.Errorf("the options of a key that was only offered count")
	}
}

// TestForeignData signs correctly what does not belong to this connection.
func TestForeignData(t *testing.T) {
	w := newWorld(t, "MaxAuthTries 100")
	blob, host := w.alice.Public().Blob(), w.host.Public().Blob()
	const bound = "publickey-hostbound-v00@openssh.com"
	ed := "ssh-ed25519"
	cases := map[string]struct {
		data []byte
		good bool
	}{
		"plain":               {toSign(testHash, "alice", service, "publickey", ed, blob, nil), true},
		"host-bound":          {toSign(testHash, "alice", service, bound, ed, blob, host), true},
		"another session":     {toSign(make([]byte, 32), "alice", service, "publickey", ed, blob, nil), false},
		"another user":        {toSign(testHash, "root", service, "publickey", ed, blob, nil), false},
		"another service":     {toSign(testHash, "alice", "ssh-other", "publickey", ed, blob, nil), false},
		"another method":      {toSign(testHash, "alice", service, "hostbased", ed, blob, nil), false},
		"another algorithm":   {toSign(testHash, "alice", service, "publickey", "rsa-sha2-256", blob, nil), false},
		"another key":         {toSign(testHash, "alice", service, "publickey", ed, w.other.Public().Blob(), nil), false},
		"another host":        {toSign(testHash, "alice", service, bound, ed, blob, w.other.Public().Blob()), false},
		"host-bound, no host": {toSign(testHash, "alice", service, bound, ed, blob, nil), false},
		"more":                {append(toSign(testHash, "alice", service, "publickey", ed, blob, nil), 0), false},
		"nothing":             {nil, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			signature, err := w.alice.Sign(ed, c.data)
			must(t, err)
			if ok, _ := w.start("alice").KeySigned(ed, blob, c.data, signature); ok != c.good {
				t.Errorf("%v, want %v", ok, c.good)
			}
		})
	}
	// With a style, the client signs the whole name.
	c := w.connect()
	c.Start("alice", "skey", service)
	if ok, _ := w.login(c, "alice:skey", w.alice); !ok {
		t.Error("refused with a style")
	}
}

func TestKeyPolicy(t *testing.T) {
	w := newWorld(t, "PubkeyAcceptedAlgorithms rsa-sha2-512\nLogLevel VERBOSE\nMaxAuthTries 50")
	c := w.start("alice")
	blob := w.alice.Public().Blob()
	for _, q := range []struct{ algorithm, line string }{
		{"ssh-ed25519", "INFO userauth_pubkey: signature algorithm ssh-ed25519 not in PubkeyAcceptedAlgorithms [preauth]"},
		{"rsa-sha2-512", "ERROR userauth_pubkey: key type mismatch for decoded key (received ssh-ed25519, expected rsa-sha2-512) [preauth]"},
		{"nonsense\n", `VERBOSE userauth_pubkey: unsupported public key algorithm: nonsense\n [preauth]`},
	} {
		if c.KeyAcceptable(q.algorithm, blob) {
			t.Errorf("%s is acceptable", q.algorithm)
		}
		w.wantLog(q.line)
	}
	c.KeyAcceptable("ssh-ed25519", blob[:20])
	w.wantLog("ERROR userauth_pubkey: parse key: invalid format [preauth]")
	if ok, _ := w.login(c, "alice", w.alice); ok {
		t.Error("let in")
	}
}

func TestRevokedKeys(t *testing.T) {
	w := newWorld(t, "")
	try := func(list string) bool {
		t.Helper()
		w.shared.File = w.parse("RevokedKeys " + list)
		ok, _ := w.login(w.start("alice"), "alice", w.alice)
		return ok
	}
	line := func(k sshkey.PrivateKey) string { return string(sshkey.MarshalAuthorized(k.Public(), "gone")) }
	if try(w.write("revoked", "# none\n"+line(w.alice))) {
		t.Error("a revoked key logs in")
	}
	for name, list := range map[string]string{"others": line(w.other), "empty": ""} {
		if !try(w.write(name+"-revoked", list)) {
			t.Errorf("a list without the key refuses it: %q", w.log.take())
		}
	}
	if try(filepath.Join(w.dir, "missing")) || try(w.write("krl", krlMagic+"xyz")) {
		t.Error("a list that cannot be read revokes nothing")
	}
}

func TestSecurityKeyFlags(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	blob := wire.AppendText(nil, sshkey.TypeSKEd25519)
	blob = wire.AppendText(wire.AppendString(blob, private.Public().(ed25519.PublicKey)), "ssh:")
	key, err := sshkey.ParsePublic(blob)
	must(t, err)
	line := string(sshkey.MarshalAuthorized(key, "sk"))
	try := func(w *world, flags byte) bool {
		t.Helper()
		data := toSign(testHash, "alice", service, "publickey", sshkey.TypeSKEd25519, blob, nil)
		application, sum := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
		signed := append(wire.AppendUint32(append(application[:], flags), 7), sum[:]...)
		signature := wire.AppendString(wire.AppendText(nil, sshkey.TypeSKEd25519), ed25519.Sign(private, signed))
		signature = wire.AppendUint32(append(signature, flags), 7)
		ok, _ := w.start("alice").KeySigned(sshkey.TypeSKEd25519, blob, data, signature)
		return ok
	}
	const present, verified = sshkey.FlagUserPresent, sshkey.FlagUserVerified
	for _, c := range []struct {
		config, options string
		flags           byte
		want            bool
	}{
		{"", "", present, true}, {"", "", 0, false}, {"", "", verified, false},
		{"", "no-touch-required ", 0, true}, {"PubkeyAuthOptions touch-required", "no-touch-required ", 0, false},
		{"", "verify-required ", present, false}, {"", "verify-required ", present | verified, true},
		{"PubkeyAuthOptions verify-required", "", present, false}, {"PubkeyAuthOptions verify-required", "", present | verified, true},
	} {
		w := newWorld(t, c.config)
		w.authorize("alice", c.options+line)
		if got := try(w, c.flags); got != c.want {
			t.Errorf("%q %q flags %d: %v", c.config, c.options, c.flags, got)
		}
		if got := w.log.take(); c.want && !strings.HasSuffix(got[len(got)-1], ", signature count = 7") {
			t.Errorf("%q", got)
		}
	}
}

// TestThreat26Application: a security key of another relying party than SSH is no
// key to log in with.
func TestThreat26Application(t *testing.T) {
	for application, want := range map[string]bool{"ssh:": true, "ssh:work": true, "": false, "example.com": false, "SSH:": false} {
		w := newWorld(t, "LogLevel VERBOSE")
		blob := wire.AppendText(nil, sshkey.TypeSKEd25519)
		blob = wire.AppendText(wire.AppendString(blob, make([]byte, ed25519.PublicKeySize)), application)
		key, err := sshkey.ParsePublic(blob)
		must(t, err)
		w.authorize("alice", string(sshkey.MarshalAuthorized(key, "sk")))
		if got := w.start("alice").KeyAcceptable(sshkey.TypeSKEd25519, blob); got != want {
			t.Errorf("%q: %v", application, got)
		}
		if got := w.log.take(); !want && !slices.Contains(got, "ERROR refusing ED25519-SK key: it was not made for SSH [preauth]") {
			t.Errorf("%q: %q", application, got)
		}
	}
}
