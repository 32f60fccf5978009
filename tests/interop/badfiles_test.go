package interop

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

// badFile puts something at a path that is not what the server expects there.
type badFile struct {
	name string
	make func(path string) error
	in   bool   // the login works all the same
	log  string // what the log says, at the default level; "" for nothing
}

func text(s string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(s), 0o644) }
}

// rubbish is bytes that are no text, the same each time.
func rubbish(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

func makeFifo(path string) error { return syscall.Mkfifo(path, 0o644) }

func makeDirectory(path string) error { return os.Mkdir(path, 0o755) }

func linkTo(target string) func(string) error {
	return func(path string) error { return os.Symlink(target, path) }
}

// lookups is how many lines the log may have about one bad file and one login.
const lookups = 40

// badServer is a server of root's that has a bad file for one user, and a good one for
// another.
type badServer struct {
	*harness.Server
	dir        string // root's; {} in the Match block
	good, evil *client
}

func newBadServer(t *testing.T, match string, options ...string) *badServer {
	t.Helper()
	harness.NeedRoot(t)
	harness.SkipPeer(t, "it waits for a fifo, and has no such bounds")
	dir, err := os.MkdirTemp(harness.SharedDir(), "bad")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	evil := harness.Lookup(t, "nanoother")
	s := harness.Start(t, harness.Options{
		Mode: harness.AsRoot, Config: "MaxStartups 100\nLoginGraceTime 60",
		Match: "Match User " + evil.Name + "\n" + strings.ReplaceAll(match, "{}", dir),
	})
	b := &badServer{Server: s, dir: dir, good: openssh(t, s), evil: openssh(t, s, options...)}
	b.evil.user = evil.Name
	return b
}

// try puts a bad file in place, logs its user in a few times, and another user
// meanwhile.
func (b *badServer) try(t *testing.T, f badFile, path string) {
	t.Helper()
	if err := f.make(path); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(path)
	mark := b.Log.Len()
	const tries = 2
	ended := make(chan result, tries)
	for range tries {
		cmd := b.evil.cmd(nil, "echo in")
		go func() { ended <- finish(t, cmd, nil) }()
	}
	b.good.t, b.evil.t = t, t
	b.good.expect("echo well", "well", 0)
	for range tries {
		if r := <-ended; (r.Stdout == "in\n" && r.Code == 0) != f.in || !f.in && r.Code != 255 {
			t.Errorf("exit %d, stdout %q, stderr %q; in: %v", r.Code, r.Stdout, r.Stderr, f.in)
		}
	}
	if f.log != "" {
		b.Log.Wait(t, mark, f.log)
	}
	if b.Log.Count(mark, "Timeout before authentication") > 0 {
		t.Error("the login waits for the file")
	}
	if lines := b.Log.Lines(mark); len(lines) > (tries+2)*lookups {
		t.Errorf("%d lines in the log, the last: %q", len(lines), lines[len(lines)-1])
	}
	for _, l := range b.Log.Lines(mark) {
		if len(l) > 2000 || strings.Contains(l, "panic") {
			t.Errorf("in the log: %.200q", l)
		}
	}
}

// TestBadAuthorizedKeys logs in with authorized_keys that are huge, are none, or are
// somebody else's.
func TestBadAuthorizedKeys(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	good := harness.UserKey(t, "ed25519", "").Line
	other := harness.UserKey(t, "ed25519", "-stranger").Line + "\n"
	evil := harness.Lookup(t, "nanoother")
	const bad, noFile = `Authentication refused: bad ownership or modes for file \S+$`, `User 'nanoother' authorized keys '\S+' is not a regular file`
	elsewhere := filepath.Join(harness.SharedDir(), "elsewhere")
	owned := func(s string, uid int, mode os.FileMode) func(string) error {
		return func(path string) error {
			if err := os.WriteFile(path, []byte(s), mode); err != nil {
				return err
			}
			if err := os.Chmod(path, mode); err != nil {
				return err
			}
			return os.Chown(path, uid, uid)
		}
	}
	sparse := func(path string) error {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		return os.Truncate(path, 1<<40)
	}
	b := newBadServer(t, "AuthorizedKeysFile {}/keys")
	for _, f := range []badFile{
		{"10 MB of other keys, the right one last", text(strings.Repeat(other, 10<<20/len(other)) + good + "\n"), true, ""},
		{"100,000 lines of rubbish, the right key last", text(strings.Repeat("no key at all\n", 100_000) + good), true, ""},
		{"100,000 empty lines, the right key last", text(strings.Repeat("\n", 100_000) + good), true, ""},
		{"100,000 lines with bad options", text(strings.Repeat("nonsense "+good+"\n", 100_000)), false, ""},
		{"100,000 lines from elsewhere", text(strings.Repeat(`from="192.0.2.1" `+good+"\n", 100_000)), false, "More about this search for a key of nanoother is not logged"},
		{"100,000 lines that expired", text(strings.Repeat(`expiry-time="20200101" `+good+"\n", 100_000)), false, "Refused by key options"},
		{"10 MB without an end of line", text(strings.Repeat("x", 10<<20) + " " + good), false, ""},
		{"a line of 10 MB, the right key last", text(strings.Repeat("x", 10<<20) + "\n" + good), true, ""},
		{"10 MB of zeros", text(strings.Repeat("\x00", 10<<20)), false, ""},
		{"10 MB of bytes", text(rubbish(10 << 20)), false, ""},
		{"bytes, the right key last", text(rubbish(1<<20) + "\n" + good), true, ""},
		{"the key cut short", text(good[:60]), false, ""},
		{"an open quote", text(`command="x ` + good), false, ""},
		{"a terabyte", sparse, false, `Could not read user 'nanoother' authorized keys '\S+': file too large`},
		{"empty", text(""), false, ""},
		{"missing", func(string) error { return nil }, false, ""},
		{"a fifo", makeFifo, false, noFile},
		{"a directory", makeDirectory, false, noFile},
		{"a link to a device", linkTo("/dev/zero"), false, noFile},
		{"a link to a terminal", linkTo("/dev/tty"), false, ""},
		{"a link to nothing", linkTo("/nonexistent"), false, ""},
		{"a link to itself", func(path string) error { return os.Symlink(filepath.Base(path), path) }, false, "Could not open user 'nanoother' authorized keys"},
		{"a link to what only root may read", func(path string) error {
			return combine(owned(good, 0, 0o600)(elsewhere), os.Symlink(elsewhere, path))
		}, false, `Could not open user 'nanoother' authorized keys '\S+': permission denied`},
		{"a link to another user's", func(path string) error {
			_ = os.Remove(elsewhere)
			return combine(owned(good, evil.UID+1, 0o644)(elsewhere), os.Symlink(elsewhere, path))
		}, false, bad},
		{"another owner's", owned(good, evil.UID+1, 0o644), false, bad},
		{"writable for the group", owned(good, evil.UID, 0o660), false, bad},
		{"writable for all", owned(good, evil.UID, 0o606), false, bad},
		{"readable for root only", owned(good, 0, 0o600), false, `Could not open user 'nanoother' authorized keys '\S+': permission denied`},
		{"the user's own", owned(good, evil.UID, 0o600), true, ""},
	} {
		t.Run(f.name, func(t *testing.T) {
			f.log = strings.ReplaceAll(f.log, "nanoother", evil.Name)
			b.try(t, f, filepath.Join(b.dir, "keys"))
		})
	}
	_ = os.Remove(elsewhere)
}

func combine(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// listFiles are what no list of the administrator's is.
func listFiles(t *testing.T) []badFile {
	return []badFile{
		{"bytes", text(rubbish(1 << 20)), false, ""},
		{"10 MB of zeros", text(strings.Repeat("\x00", 10<<20)), false, ""},
		{"100,000 lines of rubbish", text(strings.Repeat("no key at all\n", 100_000)), false, ""},
		{"a line of 10 MB", text(strings.Repeat("x", 10<<20)), false, ""},
		{"half a key", text(harness.UserKey(t, "ed25519", "-stranger").Line[:50]), false, ""},
		{"a fifo", makeFifo, false, ""},
		{"a directory", makeDirectory, false, ""},
		{"missing", func(string) error { return nil }, false, ""},
		{"a link to itself", func(path string) error { return os.Symlink(filepath.Base(path), path) }, false, ""},
	}
}

// TestBadRevokedKeys logs in with a list of revoked keys that is none: it revokes every
// key of those it is for, with a line for each key.
func TestBadRevokedKeys(t *testing.T) {
	t.Parallel()
	b := newBadServer(t, "RevokedKeys {}/revoked")
	krl := filepath.Join(t.TempDir(), "krl")
	public := harness.UserKey(t, "ed25519", "-stranger")
	if err := os.WriteFile(krl+".pub", []byte(public.Line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(harness.Program(t, "ssh-keygen"), "-q", "-k", "-f", krl, krl+".pub").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list, err := os.ReadFile(krl)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(list)
	damaged[len(damaged)/2] ^= 0xff
	cases := append(listFiles(t), badFile{"half a KRL", text(string(list[:len(list)/2])), false, ""},
		badFile{"a KRL and bytes", text(string(list) + rubbish(100)), false, ""},
		badFile{"the beginning of a KRL and bytes", text(string(list[:8]) + rubbish(1<<20)), false, ""})
	for _, f := range cases {
		t.Run(f.name, func(t *testing.T) {
			f.log = `Error checking authentication key ED25519 SHA256:\S+ in revoked keys file \S+: .`
			b.try(t, f, filepath.Join(b.dir, "revoked"))
		})
	}
	for _, f := range []badFile{
		{"a good KRL", text(string(list)), true, ""}, {"an empty list", text(""), true, ""}, {"a device", linkTo(os.DevNull), true, ""},
	} {
		t.Run(f.name, func(t *testing.T) { b.try(t, f, filepath.Join(b.dir, "revoked")) })
	}
}

// TestBadAuthorities logs in with a certificate whose authority's file, or whose
// principals' file, is rubbish; a plain key still lets in.
func TestBadAuthorities(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	a := newAuthority(t)
	evil := harness.Lookup(t, "nanoother")
	options := a.sign("ed25519", "-n", evil.Name+",guest")
	ca := filepath.Join(harness.SharedDir(), "badca")
	if err := os.WriteFile(ca, []byte(a.line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, match, file string
		cases             []badFile
	}{
		{"TrustedUserCAKeys", "TrustedUserCAKeys {}/cas", "cas", append(listFiles(t),
			badFile{"the authority last of 10,000", text(strings.Repeat(harness.UserKey(t, "ed25519", "-stranger").Line+"\n", 10_000) + a.line), true, ""})},
		{"AuthorizedPrincipalsFile", "TrustedUserCAKeys " + ca + "\nAuthorizedPrincipalsFile {}/principals", "principals", append(listFiles(t),
			badFile{"100,000 lines with bad options", text(strings.Repeat("nonsense guest\n", 100_000)), false, ""},
			badFile{"the principal last of 100,000", text(strings.Repeat("somebody\n", 100_000) + "guest"), true, ""})},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBadServer(t, c.match, options...)
			for _, f := range c.cases {
				t.Run(f.name, func(t *testing.T) { b.try(t, f, filepath.Join(b.dir, c.file)) })
			}
			plain := openssh(t, b.Server)
			plain.user = evil.Name
			plain.expect("echo in", "in", 0)
		})
	}
}

// TestBadKnownHosts asks for hostbased with a user's known_hosts that is rubbish: lines
// are passed over, and what is no file lets nobody in.
func TestBadKnownHosts(t *testing.T) {
	harness.NeedRoot(t)
	harness.SkipPeer(t, "it has no such bounds")
	key := harness.UserKey(t, "ed25519", "-machine")
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "HostbasedAuthentication yes\nHostbasedUsesNameFromPacketOnly yes\nIgnoreRhosts no\nMaxStartups 100"})
	h := newHostbasedClient(t, s, key)
	good := "localhost " + key.Line + "\n"
	path := filepath.Join(h.user.Home, ".ssh", "known_hosts")
	for _, f := range []badFile{
		{"100,000 lines of rubbish, the right one last", text(strings.Repeat("no host\n", 100_000) + good), true, ""},
		{"bytes, the right one last", text(rubbish(1<<10) + "\n" + good), true, ""},
		{"100,000 lines with the right name and no key", text(strings.Repeat("localhost ssh-ed25519 !\n", 100_000) + good), true, ""},
		{"10 MB", text(good + strings.Repeat("no host\n", 10<<20/8)), false, "known_hosts: file too large"},
		{"a line of 10 MB", text(good + strings.Repeat("x", 10<<20)), false, "known_hosts: file too large"},
		{"zeros", text(strings.Repeat("\x00", 1<<16)), false, ""},
		{"a fifo", makeFifo, false, ""},
		{"a directory", makeDirectory, false, ""},
		{"a link to a device", linkTo("/dev/zero"), false, ""},
	} {
		t.Run(f.name, func(t *testing.T) {
			h.t = t
			h.trust("localhost\n", good)
			if err := combine(os.Remove(path), f.make(path), os.Lchown(path, h.user.UID, h.user.UID)); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(path)
			mark := s.Log.Len()
			ended := make(chan result, 1)
			go func() { ended <- h.login("echo in") }()
			openssh(t, s).expect("echo well", "well", 0)
			if r := <-ended; (r.Code == 0 && r.Stdout == "in\n") != f.in {
				t.Errorf("%+v, in: %v", r, f.in)
			}
			if f.log != "" {
				s.Log.Wait(t, mark, f.log)
			}
			if n := s.Log.Len() - mark; n > 3*lookups {
				t.Errorf("%d lines in the log", n)
			}
			if s.Log.Count(mark, "Timeout before authentication") > 0 {
				t.Error("the login waits for the file")
			}
		})
	}
}

// TestBadConfiguration starts with configurations that are broken in many places: each
// is named with its file and line, and a server that runs keeps what it has.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "it stops at the first of some faults, and ends at a reload")
	s := harness.Start(t, harness.Options{Config: "# good"})
	dir := filepath.Dir(s.ConfigFile)
	link := filepath.Join(dir, "gone.conf")
	if err := os.Symlink("nothing", link); err != nil {
		t.Fatal(err)
	}
	if err := makeFifo(filepath.Join(dir, "fifo")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(s.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	included := s.WriteFile("included", "Port 1\nNoSuch x\n\xff\xfe\x00\n", 0o644)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"many lines": {"NoSuchA\nNoSuchB x\nPort many\nMaxAuthTries x\n\"open\nCiphers rot13\nMatch user x y\nPort 3\nMatch nonsense x\nMatch\n",
			[]string{"line 1", "line 2", "line 3", "line 4", "line 5", "line 6", "line 7", "line 8", "line 9", "line 10"}},
		"Match":           {"Match user\nMatch user x y\nMatch address 10.0.0.0/8,10.0.0.1/40\nMatch all user x\n", []string{"line 1", "line 2", "line 3", "line 4"}},
		"a file included": {"Include " + included + "\n", []string{"included: line 2", "included line 3"}},
		"a file gone":     {"Include " + link + "\nNoSuch x\n", []string{link + ": No such file", "line 2"}},
		"nothing matches": {"Include " + dir + "/*.none\nNoSuch x\n", []string{"line 2"}},
		"itself":          {"Include " + s.ConfigFile + "\n", []string{"line 1", "recursive"}},
		"bytes":           {"\x01\n\xff x\n", []string{"line 1", "line 2"}},
		"10,000 lines":    {strings.Repeat("NoSuch x\n", 10_000), []string{"line 1:", "line 10000:"}},
		"an endless line": {"NoSuch " + strings.Repeat("x", 1<<20) + "\n", []string{"line 1"}},
		"too large":       {strings.Repeat("# comment\n", 2<<20), []string{"File too large"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.WriteFile("config", c.text, 0o644)
			defer s.WriteFile("config", string(good), 0o644)
			began := time.Now()
			r := s.Run("-t", "-f", s.ConfigFile)
			if r.Code == 0 {
				t.Error("found good")
			}
			for _, want := range c.want {
				if !strings.Contains(r.Stderr, want) {
					t.Errorf("not said: %q", want)
				}
			}
			for _, b := range []byte(r.Stderr) {
				if b != '\n' && b != '\r' && (b < ' ' || b > '~') {
					t.Errorf("byte %#x in what it says", b)
					break
				}
			}
			if t.Failed() {
				t.Logf("after %v: %.3000s", time.Since(began), r.Stderr)
			}
			mark := s.Log.Len()
			s.Signal(syscall.SIGHUP)
			s.Log.Wait(t, mark, "reload failed, the old configuration stays: the new one has faults")
			for _, want := range c.want {
				s.Log.Wait(t, mark, regexp.QuoteMeta(want))
			}
			openssh(t, s).expect("echo in", "in", 0)
		})
	}
}
