package monitor

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

// keygen runs ssh-keygen in the world's folder.
func (w *world) keygen(arguments ...string) {
	w.t.Helper()
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		w.t.Skip("no ssh-keygen")
	}
	command := exec.Command(path, arguments...)
	command.Dir = w.dir
	if out, err := command.CombinedOutput(); err != nil {
		w.t.Fatalf("ssh-keygen %v: %v\n%s", arguments, err, out)
	}
}

// certify has ssh-keygen make a CA and a certificate of a key by it.
func (w *world) certify(key sshkey.PrivateKey, serial string) *sshkey.Certificate {
	w.t.Helper()
	if _, err := os.Stat(filepath.Join(w.dir, "ca")); err != nil {
		w.keygen("-q", "-t", "ed25519", "-N", "", "-f", "ca")
	}
	w.write("user.pub", string(sshkey.MarshalAuthorized(key.Public(), "")))
	w.keygen("-q", "-s", "ca", "-I", "id", "-n", "alice", "-z", serial, "user.pub")
	text, err := os.ReadFile(filepath.Join(w.dir, "user-cert.pub"))
	must(w.t, err)
	cert, _, err := sshkey.ParseAuthorizedCertificate(text)
	must(w.t, err)
	return cert
}

func TestRevokedByKRL(t *testing.T) {
	w := newWorld(t, "")
	line := func(k sshkey.PrivateKey) string { return string(sshkey.MarshalAuthorized(k.Public(), "gone")) }
	list := func(name string, arguments ...string) string {
		path := filepath.Join(w.dir, name)
		w.keygen(append([]string{"-q", "-k", "-f", path}, arguments...)...)
		return path
	}
	try := func(list string) bool {
		t.Helper()
		w.shared.File = w.parse("RevokedKeys " + list)
		w.log.take()
		ok, _ := w.login(w.start("alice"), "alice", w.alice)
		return ok
	}
	w.write("alice-key", line(w.alice))
	w.write("other-key", line(w.other))
	w.write("sha", "sha256: "+line(w.alice))
	if path := list("with", "alice-key"); try(path) {
		t.Error("a revoked key logs in")
	} else if got := strings.Join(w.log.take(), "\n"); !strings.Contains(got, "ERROR Authentication key "+fingerprint(w.alice)+" revoked by file "+path) {
		t.Errorf("%s", got)
	}
	if try(list("by-hash", "sha")) {
		t.Error("a key that is revoked by its hash logs in")
	}
	if path := list("without", "other-key"); !try(path) {
		t.Errorf("a list without the key refuses it: %q", w.log.take())
	}

	cert, other := w.certify(w.alice, "7"), w.certify(w.other, "8")
	w.write("serials", "serial: 7\n")
	w.write("cert-line", string(sshkey.MarshalAuthorized(cert, "")))
	ca, err := os.ReadFile(filepath.Join(w.dir, "ca.pub"))
	must(t, err)
	w.write("ca-line", string(ca))
	for _, c := range []struct {
		path        string
		cert, other bool
	}{
		{list("krl-serial", "-s", filepath.Join(w.dir, "ca.pub"), "serials"), true, false},
		{list("krl-key", "alice-key"), true, false},
		{list("krl-ca", filepath.Join(w.dir, "ca.pub")), true, true},
		{filepath.Join(w.dir, "alice-key"), true, false},
		{filepath.Join(w.dir, "cert-line"), true, false},
		{filepath.Join(w.dir, "ca-line"), true, true},
		{w.write("nobody", "# nothing\n\n"), false, false},
	} {
		w.shared.File = w.parse("RevokedKeys " + c.path)
		connection := w.start("alice")
		if a, b := connection.revoked(cert), connection.revoked(other); a != c.cert || b != c.other {
			t.Errorf("%s: %v %v", c.path, a, b)
		}
	}
}

// A list that cannot be understood revokes every key.
func TestRevokedMalformed(t *testing.T) {
	w := newWorld(t, "")
	good := string(sshkey.MarshalAuthorized(w.other.Public(), ""))
	krl := append([]byte(krlMagic), wire.AppendUint32(nil, 1)...)
	for name, text := range map[string]string{
		"garbage": good + "garbage\n", "options": "no-pty " + good, "half": good[:40], "type": "ssh-dss AAAAB3NzaC1kc3M=\n",
		"krl": string(krl), "newer krl": krlMagic + "\x00\x00\x00\x02",
	} {
		path := w.write(name, text)
		w.shared.File = w.parse(`RevokedKeys "` + path + `"`)
		c := w.start("alice")
		w.log.take()
		if !c.revoked(w.alice.Public()) {
			t.Errorf("%s: revokes nothing", name)
		}
		want := "ERROR Error checking authentication key " + fingerprint(w.alice) + " in revoked keys file " + path + ": invalid format"
		if got := w.log.take(); len(got) == 0 || got[len(got)-1] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	short := wire.AppendMpint(wire.AppendMpint(wire.AppendText(nil, "ssh-rsa"), []byte{3}), bytes.Repeat([]byte{0xfd}, 64))
	path := w.write("short", "ssh-rsa "+base64.StdEncoding.EncodeToString(short)+"\n"+good)
	w.shared.File = w.parse("RevokedKeys " + path)
	if c := w.start("alice"); c.revoked(w.alice.Public()) || !c.revoked(w.other.Public()) {
		t.Errorf("a key that is too short spoils the list: %q", w.log.take())
	}
	path = filepath.Join(w.dir, "missing")
	w.shared.File = w.parse("RevokedKeys " + path)
	c := w.start("alice")
	w.log.take()
	if !c.revoked(w.alice.Public()) {
		t.Error("a missing file revokes nothing")
	}
	w.wantLog("ERROR Error checking authentication key " + fingerprint(w.alice) + " in revoked keys file " + path + ": No such file or directory")
}

// Lists are kept while their files stay as they are, and no longer.
func TestRevokedKept(t *testing.T) {
	w := newWorld(t, "")
	a, b := w.alice.Public(), w.other.Public()
	path := w.write("kept", string(sshkey.MarshalAuthorized(a, "")))
	ask := func(key sshkey.PublicKey, now time.Time) bool {
		t.Helper()
		found, err := findRevoked(path, key, now)
		must(t, err)
		return found
	}
	kept := func() bool {
		revokedFiles.Lock()
		defer revokedFiles.Unlock()
		_, ok := revokedFiles.lists[path]
		return ok
	}
	if !ask(a, time.Now()) || kept() {
		t.Error("a file that may still change without a trace is kept")
	}
	later := time.Now().Add(time.Hour)
	if !ask(a, later) || ask(b, later) || !kept() {
		t.Error("a file that has settled is not kept")
	}
	st, err := os.Stat(path)
	must(t, err)
	before, _ := identify(st, later)
	must(t, os.WriteFile(path, sshkey.MarshalAuthorized(b, ""), 0o644))
	after := before
	for deadline := time.Now().Add(20 * time.Second); after == before && time.Now().Before(deadline); { // the clock of files ticks slowly
		must(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
		now, err := os.Stat(path)
		must(t, err)
		after, _ = identify(now, later)
	}
	if after.size != before.size || after.modified != before.modified || after.status == before.status {
		t.Fatalf("%v, before %v", after, before)
	}
	if ask(a, later) || !ask(b, later) {
		t.Error("a changed file of the same size and time is not read again")
	}
	must(t, os.Remove(path))
	if _, err := findRevoked(path, b, later); err == nil {
		t.Error("a file that is gone is believed still")
	}
	for n := range maxRevokedFiles + 3 {
		path = w.write(fmt.Sprint("kept", n), "")
		ask(a, later)
	}
	revokedFiles.Lock()
	defer revokedFiles.Unlock()
	if n := len(revokedFiles.lists); n > maxRevokedFiles {
		t.Errorf("%d lists kept", n)
	}
}
