package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

// An authority signs certificates with the real ssh-keygen.
type authority struct {
	t    testing.TB
	dir  string
	line string // its public key
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	harness.Program(t, "ssh-keygen")
	a := &authority{t: t, dir: t.TempDir()}
	a.keygen("-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "ca")
	a.line = strings.TrimSpace(a.read("ca.pub"))
	return a
}

func (a *authority) keygen(arguments ...string) {
	a.t.Helper()
	cmd := exec.Command("ssh-keygen", arguments...)
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("ssh-keygen %v: %v\n%s", arguments, err, out)
	}
}

func (a *authority) read(name string) string {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// sign certifies a user key and returns ssh's options to log in with it.
func (a *authority) sign(keyType string, arguments ...string) []string {
	a.t.Helper()
	key := harness.UserKey(a.t, keyType, "-certified")
	name := fmt.Sprintf("key%d", len(a.files()))
	if err := os.WriteFile(filepath.Join(a.dir, name+".pub"), []byte(key.Line+"\n"), 0o644); err != nil {
		a.t.Fatal(err)
	}
	a.keygen(append(append([]string{"-q", "-s", "ca", "-I", "an id"}, arguments...), name+".pub")...)
	return []string{"-i", key.Path, "-o", "CertificateFile=" + filepath.Join(a.dir, name+"-cert.pub")}
}

func (a *authority) files() []string {
	names, _ := filepath.Glob(filepath.Join(a.dir, "*"))
	return names
}

// server starts a server that trusts the authority; %d in the configuration is
// its folder.
func (a *authority) server(t *testing.T, m harness.Mode, config string, files map[string]string) *harness.Server {
	t.Helper()
	// The folder is known only after Prepare, so files have one of their own.
	dir, err := os.MkdirTemp(harness.SharedDir(), "certs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files["ca"] = a.line + "\n"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(config, "TrustedUserCAKeys") {
		config += "\nTrustedUserCAKeys %d/ca"
	}
	return harness.Start(t, harness.Options{
		Mode: m, Config: strings.ReplaceAll(config, "%d", dir) + "\nLogLevel VERBOSE\nMaxStartups 100",
	})
}

// TestCertificates logs in with a certificate of each key type, and with those that
// are not good.
func TestCertificates(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		a := newAuthority(t)
		s := a.server(t, m, "", map[string]string{})
		name := s.Account.Name
		for _, keyType := range harness.KeyTypes {
			openssh(t, s, a.sign(keyType, "-n", name)...).expect("echo in", "in", 0)
		}
		s.Log.Wait(t, 0, `Accepted certificate ID "an id" \(serial 0\) signed by ED25519 CA SHA256:\S+ via `)
		s.Log.Wait(t, 0, `Accepted publickey for `+name+` from \S+ port \d+ ssh2: RSA-CERT SHA256:\S+ ID an id \(serial 0\) CA ED25519 SHA256:`)
		only := a.server(t, m, "PubkeyAcceptedAlgorithms rsa-sha2-512-cert-v01@openssh.com", map[string]string{})
		openssh(t, only, a.sign("rsa", "-n", name)...).expect("echo in", "in", 0)
		openssh(t, only, a.sign("ed25519", "-n", name)...).refused()
		for what, options := range map[string][]string{
			"name is not a listed principal":      {"-n", "somebody"},
			"lacks principal list":                {},
			"expired":                             {"-n", name, "-V", "20200101:20200102"},
			"not yet valid":                       {"-n", name, "-V", "20980101:20990102"},
			"not from a permitted source address": {"-n", name, "-O", "source-address=10.0.0.0/8"},
			"is not supported":                    {"-n", name, "-O", "critical:unknown@example.com=x"},
		} {
			openssh(t, s, a.sign("ed25519", options...)...).refused()
			s.Log.Wait(t, 0, what)
		}
		openssh(t, s, "-i", harness.UserKey(t, "ed25519", "-certified").Path).refused()
		openssh(t, s, newAuthority(t).sign("ed25519", "-n", name)...).refused()
		here := a.sign("ed25519", "-n", name, "-O", "source-address=127.0.0.0/8")
		openssh(t, s, here...).expect("echo in", "in", 0)
		forced := a.sign("ed25519", "-n", name, "-O", "force-command=echo forced", "-O", "no-pty")
		openssh(t, s, forced...).expect("echo in", "forced", 0)
		if r := openssh(t, s, forced...).run("", "-tt"); !strings.Contains(r.Stderr, "PTY allocation request failed") {
			t.Errorf("no-pty: %+v", r)
		}
	})
}

// TestCertificatePrincipals uses the files and commands that name principals, and
// authorized_keys that name CAs.
func TestCertificatePrincipals(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		a := newAuthority(t)
		var name string
		try := func(config string, files map[string]string, want string) {
			t.Helper()
			s := a.server(t, m, config, files)
			name = s.Account.Name
			c := openssh(t, s, a.sign("ed25519", "-n", "web,db")...)
			if want == "" {
				c.refused()
			} else {
				c.expect("echo in", want, 0)
			}
		}
		file := "AuthorizedPrincipalsFile %d/principals"
		try(file, map[string]string{"principals": "# these\nmail\ncommand=\"echo web\" web\n"}, "web")
		try(file, map[string]string{"principals": "mail\n"}, "")
		try(file, map[string]string{}, "")
		as := "\nAuthorizedPrincipalsCommandUser " + name
		try("AuthorizedPrincipalsCommand /bin/echo mail db"+as, map[string]string{}, "")
		try("AuthorizedPrincipalsCommand /bin/echo db"+as, map[string]string{}, "in")
		try("AuthorizedPrincipalsCommand /bin/sh -c \"echo db; exit 1\""+as, map[string]string{}, "")
		keys := "TrustedUserCAKeys none\nAuthorizedKeysFile %d/keys"
		for line, want := range map[string]string{
			`cert-authority,principals="db",command="echo db" `: "db", `cert-authority,principals="mail" `: "",
			"cert-authority ": "", "": "",
		} {
			try(keys, map[string]string{"keys": line + a.line + "\n"}, want)
		}
		as = "\nAuthorizedKeysCommandUser " + name
		try("TrustedUserCAKeys none\nAuthorizedKeysCommand /bin/cat %d/keys"+as, map[string]string{
			"keys": `cert-authority,principals="db" ` + a.line + "\n"}, "in")
	})
}

// TestAuthorizedKeysCommand asks a program for keys.
func TestAuthorizedKeysCommand(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		stranger := harness.UserKey(t, "ed25519", "-commanded")
		a := newAuthority(t)
		name := harness.Prepare(t, harness.Options{Mode: m}).Account.Name
		s := a.server(t, m, "AuthorizedKeysCommand /bin/sh %d/script %u %f\nAuthorizedKeysCommandUser "+name, map[string]string{
			"script": `echo "command=\"echo $1 $2 $(id -u) $(id -G)\" ` + stranger.Line + `"`})
		r := openssh(t, s, "-i", stranger.Path).run("true")
		fields := strings.Fields(r.Stdout)
		if r.Code != 0 || len(fields) < 4 || fields[0] != name || !strings.HasPrefix(fields[1], "SHA256:") {
			t.Fatalf("%+v", r)
		}
		if uid := fmt.Sprint(s.Account.UID); fields[2] != uid {
			t.Errorf("the command ran as %s, not %s", fields[2], uid)
		}
		if m == harness.AsRoot && strings.Contains(" "+strings.Join(fields[3:], " ")+" ", " 0 ") {
			t.Errorf("the command has root's group: %v", fields[3:])
		}
		openssh(t, s, "-i", harness.UserKey(t, "ed25519", "-stranger").Path).refused()
		openssh(t, s).expect("echo in", "in", 0)
	})
}

// TestRevokedCertificates revokes by serial, by key, and the CA.
func TestRevokedCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	name := harness.Prepare(t, harness.Options{}).Account.Name
	bad, good := a.sign("ed25519", "-n", name, "-z", "7"), a.sign("ed25519", "-n", name, "-z", "8")
	if err := os.WriteFile(filepath.Join(a.dir, "spec"), []byte("serial: 5-7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.keygen("-q", "-k", "-f", "serials", "-s", "ca", "spec")
	a.keygen("-q", "-k", "-f", "authorities", "ca.pub")
	s := a.server(t, harness.AsUser, "RevokedKeys %d/krl", map[string]string{"krl": a.read("serials")})
	openssh(t, s, bad...).refused()
	s.Log.Wait(t, 0, `Authentication key ED25519-CERT SHA256:\S+ revoked by file `)
	openssh(t, s, good...).expect("echo in", "in", 0)
	s = a.server(t, harness.AsUser, "RevokedKeys %d/krl", map[string]string{"krl": a.read("authorities")})
	openssh(t, s, good...).refused()
}
