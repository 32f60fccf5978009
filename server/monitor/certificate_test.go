package monitor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

const certAlgorithm = "ssh-ed25519-cert-v01@openssh.com"

// certificate is what a test's certificate says; the zero value is a user's of
// alice's, good now.
type certificate struct {
	host       bool
	principals []string // nil: alice
	before     uint64   // end of validity; 0: far away
	critical   []byte
}

// certify has a CA sign a certificate of a key, built independently.
func certify(t testing.TB, ca, key sshkey.PrivateKey, c certificate) []byte {
	t.Helper()
	kind, names := uint32(1), c.principals
	if c.host {
		kind = 2
	}
	if names == nil {
		names = []string{"alice"}
	}
	var list []byte
	for _, name := range names {
		list = wire.AppendText(list, name)
	}
	if c.before == 0 {
		c.before = uint64(time.Now().Add(time.Hour).Unix())
	}
	r := wire.NewReader(key.Public().Blob())
	r.Text()
	b := wire.AppendText(nil, certAlgorithm)
	b = wire.AppendString(wire.AppendText(b, "nonce"), r.String())
	b = wire.AppendUint32(wire.AppendUint64(b, 77), kind)
	b = wire.AppendString(wire.AppendText(b, "an id"), list)
	b = wire.AppendUint64(wire.AppendUint64(b, 0), c.before)
	b = wire.AppendString(b, c.critical)
	b = wire.AppendString(b, wire.AppendText(wire.AppendText(nil, "permit-pty"), ""))
	b = wire.AppendString(wire.AppendText(b, ""), ca.Public().Blob())
	signature, err := ca.Sign("ssh-ed25519", b)
	must(t, err)
	return wire.AppendString(b, signature)
}

// loginCert tries a certificate with a good signature.
func (w *world) loginCert(c *Connection, blob []byte, key sshkey.PrivateKey) (ok, partial bool) {
	w.t.Helper()
	data := toSign(testHash, "alice", service, "publickey", certAlgorithm, blob, nil)
	signature, err := key.Sign("ssh-ed25519", data)
	must(w.t, err)
	return c.KeySigned(certAlgorithm, blob, data, signature)
}

func TestCertificateLogin(t *testing.T) {
	w := newWorld(t, "")
	ca, key := newKey(t), newKey(t)
	cas := w.write("cas", string(sshkey.MarshalAuthorized(ca.Public(), "")))
	w.shared.File = w.parse("LogLevel VERBOSE\nTrustedUserCAKeys " + cas)
	blob := certify(t, ca, key, certificate{critical: wire.AppendString(wire.AppendText(nil, "force-command"), wire.AppendText(nil, "/bin/id"))})
	c := w.start("alice")
	if !c.KeyAcceptable(certAlgorithm, blob) {
		t.Fatalf("not acceptable: %q", w.log.take())
	}
	w.log.take()
	if ok, _ := w.loginCert(c, blob, key); !ok {
		t.Fatalf("refused: %q", w.log.take())
	}
	text := "ED25519-CERT " + strings.TrimPrefix(fingerprint(key), "ED25519 ") + " ID an id (serial 77) CA " + fingerprint(ca)
	w.wantLog(`VERBOSE Accepted certificate ID "an id" (serial 77) signed by `+fingerprintCA(ca)+" via "+cas,
		"INFO Accepted publickey for alice"+from+" ssh2: "+text)
	g := c.Grant()
	if !g.Permissions.PTY || g.Permissions.AgentForwarding || g.Permissions.ForceCommand != "/bin/id" {
		t.Errorf("%+v", g.Permissions)
	}
	if len(g.Methods) != 1 || !strings.HasPrefix(g.Methods[0], "publickey "+certAlgorithm+" ") {
		t.Errorf("%q", g.Methods)
	}
	// The certificate alone, signed by another key, or under the key's plain name.
	c = w.start("alice")
	if ok, _ := w.loginCert(c, blob, w.other); ok {
		t.Error("another key's signature logs in")
	}
	if ok, _ := w.login(c, "alice", key); ok {
		t.Error("the key logs in without its certificate")
	}
	if c.KeyAcceptable("ssh-ed25519", blob) || c.KeyAcceptable(certAlgorithm, key.Public().Blob()) {
		t.Error("a certificate under a key's name, or the other way round")
	}
	if ok, _ := w.login(c, "alice", ca); ok {
		t.Error("the CA's key logs in")
	}
}

func fingerprintCA(ca sshkey.PrivateKey) string {
	return strings.Replace(fingerprint(ca), "ED25519", "ED25519 CA", 1)
}

// TestThreat25 offers certificates that must not let in, and one that may.
func TestThreat25(t *testing.T) {
	w := newWorld(t, "")
	ca, other, key := newKey(t), newKey(t), newKey(t)
	line := func(k sshkey.PrivateKey) string { return string(sshkey.MarshalAuthorized(k.Public(), "")) }
	trusted := "LogLevel VERBOSE\nTrustedUserCAKeys " + w.write("cas", line(ca)) + "\n"
	unknown := wire.AppendText(wire.AppendText(nil, "unknown-option"), "")
	for name, c := range map[string]struct {
		config string
		ca     sshkey.PrivateKey
		cert   certificate
		want   bool
	}{
		"good":                  {"", ca, certificate{}, true},
		"unknown critical":      {"", ca, certificate{critical: unknown}, false},
		"no principals":         {"", ca, certificate{principals: []string{}}, false},
		"another principal":     {"", ca, certificate{principals: []string{"root"}}, false},
		"host certificate":      {"", ca, certificate{host: true}, false},
		"expired":               {"", ca, certificate{before: 1000}, false},
		"another CA":            {"", other, certificate{}, false},
		"revoked key":           {"RevokedKeys " + w.write("key", line(key)), ca, certificate{}, false},
		"revoked CA":            {"RevokedKeys " + w.write("ca", line(ca)), ca, certificate{}, false},
		"revoked others":        {"RevokedKeys " + w.write("others", line(other)), ca, certificate{}, true},
		"CASignatureAlgorithms": {"CASignatureAlgorithms rsa-sha2-512", ca, certificate{}, false},
		"algorithm off":         {"PubkeyAcceptedAlgorithms ssh-ed25519", ca, certificate{}, false},
		"principals file":       {"AuthorizedPrincipalsFile none", ca, certificate{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w.shared.File = w.parse(trusted + c.config)
			blob := certify(t, c.ca, key, c.cert)
			conn := w.start("alice")
			acceptable := conn.KeyAcceptable(certAlgorithm, blob)
			ok, _ := w.loginCert(conn, blob, key)
			if ok != c.want || acceptable != c.want || (conn.Grant() != nil) != c.want {
				t.Errorf("acceptable %v, in %v: %q", acceptable, ok, w.log.take())
			}
			w.log.take()
		})
	}
	nested := certify(t, ca, key, certificate{})
	if conn := w.start("alice"); conn.KeyAcceptable(certAlgorithm, nested[:len(nested)-1]) {
		t.Error("a certificate that is cut")
	}
	forged := slices.Clone(nested)
	forged[len(forged)-1] ^= 1
	w.log.take()
	if conn := w.start("alice"); conn.KeyAcceptable(certAlgorithm, forged) {
		t.Error("a forged certificate")
	}
	w.wantLog("ERROR userauth_pubkey: parse key: incorrect signature [preauth]")
}

// TestCertificateOfUsedKey wants two keys: a key and its certificate are one.
func TestCertificateOfUsedKey(t *testing.T) {
	w := newWorld(t, "")
	ca := newKey(t)
	w.shared.File = w.parse("AuthenticationMethods publickey,publickey\nTrustedUserCAKeys " +
		w.write("cas", string(sshkey.MarshalAuthorized(ca.Public(), ""))))
	first, second := certify(t, ca, w.alice, certificate{}), certify(t, ca, w.second, certificate{})
	c := w.start("alice")
	if ok, partial := w.login(c, "alice", w.alice); ok || !partial {
		t.Fatal("the first key")
	}
	if ok, partial := w.loginCert(c, first, w.alice); ok || partial {
		t.Fatal("the same key again, as a certificate")
	}
	if ok, _ := w.loginCert(c, second, w.second); !ok {
		t.Errorf("the second key: %q", w.log.take())
	}
}

func TestSignatureAlgorithms(t *testing.T) {
	w := newWorld(t, "PubkeyAcceptedAlgorithms rsa-sha2-512-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512,ssh-ed25519")
	want := []string{"rsa-sha2-512", "sk-ssh-ed25519@openssh.com", "ssh-ed25519"}
	if got := w.shared.GateSettings("").PubkeyAlgorithms; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestKeysCommand lets a program say which keys are good.
func TestKeysCommand(t *testing.T) {
	w := newWorld(t, "")
	ca, key := newKey(t), newKey(t)
	must(t, os.Chmod(w.write("keys-alice", "no key\n"+`command="/bin/echo" `+string(sshkey.MarshalAuthorized(key.Public(), ""))+
		"cert-authority "+string(sshkey.MarshalAuthorized(ca.Public(), ""))), 0o644))
	try := func(command, as string) (*Connection, bool) {
		t.Helper()
		w.shared.File = w.parse("LogLevel VERBOSE\nAuthorizedKeysCommand " + command + "\nAuthorizedKeysCommandUser " + as)
		c := w.start("alice")
		ok, _ := w.login(c, "alice", key)
		return c, ok
	}
	cat := "/bin/cat " + w.dir + "/keys-%u"
	c, ok := try(cat, "alice")
	if !ok || c.Grant().Permissions.ForceCommand != "/bin/echo" {
		t.Fatalf("refused: %q", w.log.take())
	}
	w.wantLog("VERBOSE Accepted key "+fingerprint(key)+" found at "+cat+":2",
		"INFO Accepted publickey for alice"+from+" ssh2: "+fingerprint(key))
	blob := certify(t, ca, w.other, certificate{})
	if ok, _ := w.loginCert(w.start("alice"), blob, w.other); !ok {
		t.Errorf("the CA of a command's line: %q", w.log.take())
	}
	w.log.take()
	failing := w.write("failing", "cat "+w.dir+"/keys-alice; exit 3\n")
	for command, line := range map[string]string{
		"/bin/sh " + failing: "ERROR AuthorizedKeysCommand /bin/sh failed, status 3",
		"/bin/cat/none":      "",
		"/bin/cat %z":        "",
		"/bin/cat " + filepath.Join(w.dir, "keys-%u-%h"): "",
	} {
		if _, ok := try(command, "alice"); ok {
			t.Errorf("%s lets in", command)
		}
		if got := w.log.take(); line != "" && !slices.Contains(got, line) {
			t.Errorf("%s: %q", command, got)
		}
	}
	if _, ok := try(cat, "nosuchuser"); ok {
		t.Error("runs as nobody knows whom")
	}
	w.log.take()
	// What it is told: the tokens, each in one word; and it is not asked for a key
	// that a file has.
	out := filepath.Join(w.dir, "alice/out")
	script := w.write("script", "id -u >"+out+"; id -G >>"+out+"; for a; do echo \"$a\" >>"+out+"; done\n")
	w.shared.File = w.parse("AuthorizedKeysCommand /bin/sh " + script + " %u %U %t %f %C %D. %%\nAuthorizedKeysCommandUser alice")
	c = w.start("alice")
	w.login(c, "alice", w.alice)
	if _, err := os.Stat(out); err == nil {
		t.Error("the command runs for a key that a file has")
	}
	w.login(w.start("alice"), "alice", w.other)
	text, err := os.ReadFile(out)
	must(t, err)
	a, err := w.users.Lookup("alice")
	must(t, err)
	groups, err := exec.Command("id", "-G").Output()
	must(t, err)
	if os.Getuid() == 0 { // its own only, none of root's
		groups = fmt.Appendln(nil, a.GID)
	}
	want := fmt.Sprintf("%d\n%salice\n%d\nssh-ed25519\n%s\n192.0.2.7 1234 192.0.2.1 22\n.\n%%\n", a.UID, groups, a.UID,
		sshkey.FingerprintSHA256(w.other.Public().Blob()))
	if string(text) != want {
		t.Errorf("%q, want %q", text, want)
	}
}
