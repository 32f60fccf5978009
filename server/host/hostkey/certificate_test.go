package hostkey

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/sshkey"
)

// keygen runs the real ssh-keygen in a folder.
func keygen(t *testing.T, dir string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is missing")
	}
	cmd := exec.Command(program, append([]string{"-q"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %v: %v\n%s", args, err, out)
	}
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, kind := range map[string]string{"ca": "ed25519", "a": "rsa", "b": "ed25519", "c": "ed25519"} {
		keygen(t, dir, "-t", kind, "-N", "", "-f", name)
	}
	for _, name := range []string{"a", "c"} {
		keygen(t, dir, "-s", "ca", "-h", "-I", "id", "-n", "host", name+".pub")
	}
	set, failed, notes := LoadAll(&Files{
		Keys:         []string{in("a"), in("b")},
		Certificates: []string{in("a-cert.pub"), in("c-cert.pub"), in("b.pub"), in("missing"), in("a"), dir, "none"},
	})
	want := []string{
		"No matching private key for certificate: " + in("c-cert.pub"),
		"Certificate file is not a certificate: " + in("b.pub"),
		"Could not load host certificate \"" + in("missing") + "\": No such file or directory",
		"Could not load host certificate \"" + in("a") + "\": invalid format",
		"Could not load host certificate \"" + dir + "\": invalid format",
	}
	if len(failed) != 0 || !slices.Equal(notes, want) {
		t.Fatalf("%v, notes %q", failed, notes)
	}
	wantNames := []string{"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com", "ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"}
	if names := set.Algorithms(algo.DefaultHostKey); !slices.Equal(names, wantNames) {
		t.Errorf("%q", names)
	}
	name := wantNames[1]
	cert, err := sshkey.ParseCertificate(set.PublicKey(name))
	if err != nil || cert.Kind != sshkey.HostCertificate {
		t.Fatal(err)
	}
	data := []byte("exchange hash")
	signature, err := set.Sign(name, data)
	if err != nil || cert.Verify(name, data, signature) != nil {
		t.Error(err)
	}
	// Certificates are not announced, and their names prove nothing.
	announced := set.Announced()
	if len(announced) != 2 || announced[0].Algorithm != "rsa-sha2-512" || announced[1].Algorithm != "ssh-ed25519" {
		t.Errorf("%v", announced)
	}
	if _, err := set.SignWith(announced[0].Blob, name, data); err == nil {
		t.Error("a proof under the name of a certificate")
	}
	// A public key that is somebody else's is told about, and not used.
	if err := os.Rename(in("c.pub"), in("b.pub")); err != nil {
		t.Fatal(err)
	}
	set, _, notes = LoadAll(&Files{Keys: []string{in("b")}})
	if set.Len() != 1 || !slices.Equal(notes, []string{"Public key for " + in("b") + " does not match private key"}) {
		t.Errorf("%q", notes)
	}
}

// dummyAuthenticator is the library of Debian's openssh-tests that plays a FIDO key.
const dummyAuthenticator = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so"

// TestSecurityKeys: host keys in an authenticator sign by way of ssh-sk-helper.
func TestSecurityKeys(t *testing.T) {
	for _, path := range []string{dummyAuthenticator, skHelper} {
		if _, err := os.Stat(path); err != nil {
			t.Skip(path + " is missing")
		}
	}
	t.Setenv("SSH_SK_HELPER", skHelper)
	dir := t.TempDir()
	data := []byte("exchange hash")
	for _, kind := range []string{"ed25519-sk", "ecdsa-sk"} {
		keygen(t, dir, "-t", kind, "-w", dummyAuthenticator, "-N", "", "-f", kind)
		set, failed, _ := LoadAll(&Files{Keys: []string{filepath.Join(dir, kind)}, Provider: dummyAuthenticator})
		if len(failed) != 0 {
			t.Fatal(failed)
		}
		name := set.Announced()[0].Algorithm
		signature, err := set.Sign(name, data)
		if err != nil {
			t.Fatal(kind, err)
		}
		key := set.Public()[0].(*sshkey.SecurityKey)
		if _, err := key.VerifySecurityKey(name, data, signature); err != nil {
			t.Error(kind, err)
		}
		for _, helper := range []string{"/bin/false", "/no/such/helper", "helper", "/bin/true"} {
			t.Setenv("SSH_SK_HELPER", helper)
			if _, err := set.Sign(name, data); err == nil {
				t.Errorf("%s signs", helper)
			}
		}
		t.Setenv("SSH_SK_HELPER", skHelper)
		// A library that is not there: the helper's own answer is an error.
		set, _, _ = LoadAll(&Files{Keys: []string{filepath.Join(dir, kind)}, Provider: "/no/such/library.so"})
		if _, err := set.Sign(name, data); err == nil {
			t.Error("signed without an authenticator")
		}
		set.Wipe()
	}
}

func TestSKAnswer(t *testing.T) {
	for what, b := range map[string][]byte{
		"empty": nil, "length": {0, 0, 0, 9, 5}, "version": {0, 0, 0, 5, 4, 0, 0, 0, 1}, "command": {0, 0, 0, 5, 5, 0, 0, 0, 2},
		"error": {0, 0, 0, 9, 5, 0, 0, 0, 0, 255, 255, 255, 196}, "no signature": {0, 0, 0, 5, 5, 0, 0, 0, 1},
	} {
		if s, err := parseSKAnswer(b); err == nil {
			t.Errorf("%s: %x", what, s)
		}
	}
	s, err := parseSKAnswer([]byte{0, 0, 0, 10, 5, 0, 0, 0, 1, 0, 0, 0, 1, 7})
	if err != nil || !slices.Equal(s, []byte{7}) {
		t.Error(s, err)
	}
	if _, err := (&bounded{most: 2}).Write([]byte("abc")); !errors.Is(err, errSKHelper) {
		t.Error(err)
	}
}

func FuzzSKAnswer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 10, 5, 0, 0, 0, 1, 0, 0, 0, 1, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSKAnswer(b); err == nil && len(s) > len(b) {
			t.Error("longer than the answer")
		}
	})
}
