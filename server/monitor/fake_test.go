package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/hostkey"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

// lines keeps a log: the text of each line, with its level before it.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(level log.Level, _ int, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level <= log.Verbose {
		l.text = append(l.text, level.String()+" "+text)
	}
}

// take returns what was logged since the last call.
func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.text
	l.text = nil
	return t
}

const (
	rightPassword = "correct horse"
	rightHash     = "$1$saltsalt$NuzA7WTAelpl95xgBGWN60"
)

// world is a machine with accounts: alice has a password and keys, root too,
// locked is locked, empty has no password, old has one that is too old.
type world struct {
	t      testing.TB
	dir    string
	log    *lines
	host   sshkey.PrivateKey
	alice  sshkey.PrivateKey // in alice's authorized_keys
	second sshkey.PrivateKey // too, with options
	other  sshkey.PrivateKey // in nobody's
	users  *user.Database
	shared *Shared
}

func newKey(t testing.TB) sshkey.PrivateKey {
	t.Helper()
	k, err := sshkey.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Wipe)
	return k
}

// newWorld makes the machine, with a configuration.
func newWorld(t testing.TB, configuration string) *world {
	t.Helper()
	// Not t.TempDir: only its owner may pass through that.
	dir, err := os.MkdirTemp("", "monitor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t, dir: dir, log: &lines{}, host: newKey(t), alice: newKey(t), second: newKey(t), other: newKey(t)}
	must(t, os.Chmod(dir, 0o755))
	uid := os.Getuid()
	if uid == 0 {
		uid = 20333 // any that is nobody's
	}
	var passwd, shadow strings.Builder
	account := func(name string, uid int, hash, dates string) {
		home := filepath.Join(dir, name)
		must(t, os.Mkdir(home, 0o755))
		if os.Getuid() == 0 {
			must(t, os.Chown(home, uid, uid))
		}
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s of the test:%s:/bin/sh\n", name, uid, uid, name, home)
		fmt.Fprintf(&shadow, "%s:%s:%s\n", name, hash, dates)
	}
	account("root", 0, rightHash, "19000:0:99999:7:::")
	account("alice", uid, rightHash, "19000:0:99999:7:::")
	account("locked", uid, "!"+rightHash, "19000:0:99999:7:::")
	account("empty", uid, "", "19000:0:99999:7:::")
	account("old", uid, rightHash, "100:0:10:7:::")
	w.write("passwd", passwd.String())
	w.write("shadow", shadow.String())
	w.write("group", fmt.Sprintf("root:x:0:\nalice:x:%d:\n", uid))
	for _, name := range []string{"root", "alice", "locked"} {
		w.authorize(name, string(sshkey.MarshalAuthorized(w.alice.Public(), "main"))+
			`command="/bin/true",no-pty `+string(sshkey.MarshalAuthorized(w.second.Public(), "second")))
	}
	w.users = &user.Database{
		Passwd: filepath.Join(dir, "passwd"), Shadow: filepath.Join(dir, "shadow"), Group: filepath.Join(dir, "group"),
	}
	w.shared = &Shared{
		File: w.parse(configuration), Keys: &hostkey.Set{}, Users: w.users, Verifier: user.NewVerifier(w.users),
		Log: log.New(w.log, log.Debug3),
	}
	w.shared.Keys.Add(w.host)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) write(name, text string) string {
	path := filepath.Join(w.dir, name)
	must(w.t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func (w *world) parse(configuration string) *config.File {
	f, err := config.Parse("sshd_config", configuration, config.SshdProfile())
	must(w.t, err)
	return f
}

// authorize writes a user's authorized_keys.
func (w *world) authorize(name, text string) {
	dir := filepath.Join(w.dir, name, ".ssh")
	must(w.t, os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, "authorized_keys")
	must(w.t, os.WriteFile(path, []byte(text), 0o600))
	if os.Getuid() != 0 {
		return
	}
	st, err := os.Stat(filepath.Join(w.dir, name))
	must(w.t, err)
	uid := int(st.Sys().(*syscall.Stat_t).Uid)
	must(w.t, os.Chown(dir, uid, uid))
	must(w.t, os.Chown(path, uid, uid))
}

var testHash = []byte("exchange hash of thirty-two byte")

// connect returns a connection that has exchanged keys.
func (w *world) connect() *Connection {
	w.t.Helper()
	c := New(w.shared, Peer{RemoteHost: "192.0.2.7", RemotePort: 1234, LocalHost: "192.0.2.1", LocalPort: 22})
	_, err := c.Sign(testHash, testHash, "ssh-ed25519")
	must(w.t, err)
	return c
}

// start returns a connection whose user is named.
func (w *world) start(name string) *Connection {
	w.t.Helper()
	c := w.connect()
	c.Start(name, "", service)
	return c
}

// toSign is the data of RFC 4252 section 7, built independently.
func toSign(sessionID []byte, user, service, method, algorithm string, blob, hostKey []byte) []byte {
	b := append(wire.AppendString(nil, sessionID), 50)
	b = wire.AppendText(wire.AppendText(wire.AppendText(b, user), service), method)
	b = wire.AppendString(wire.AppendText(append(b, 1), algorithm), blob)
	if hostKey != nil {
		b = wire.AppendString(b, hostKey)
	}
	return b
}

// login tries a key with a good signature.
func (w *world) login(c *Connection, user string, key sshkey.PrivateKey) (ok, partial bool) {
	w.t.Helper()
	blob := key.Public().Blob()
	data := toSign(testHash, user, service, "publickey", "ssh-ed25519", blob, nil)
	signature, err := key.Sign("ssh-ed25519", data)
	must(w.t, err)
	return c.KeySigned("ssh-ed25519", blob, data, signature)
}

// fingerprint is a key in log lines.
func fingerprint(key sshkey.PrivateKey) string {
	return "ED25519 " + sshkey.FingerprintSHA256(key.Public().Blob())
}

func (w *world) wantLog(want ...string) {
	w.t.Helper()
	if got := w.log.take(); !slices.Equal(got, want) {
		w.t.Errorf("log:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
