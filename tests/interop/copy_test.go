package interop

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

// remoteFolder returns an empty folder of the account's.
func remoteFolder(t testing.TB, s *harness.Server) string {
	t.Helper()
	dir, err := os.MkdirTemp(harness.SharedDir(), "copy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if harness.HasRoot() {
		if err := os.Chown(dir, s.Account.UID, s.Account.GID); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// in is the client for a sub-test.
func (c *client) in(t testing.TB) *client {
	sub := *c
	sub.t = t
	return &sub
}

// options are the client's options in the form that scp takes as well.
func (c *client) options() []string {
	var list []string
	for i := 0; i < len(c.base); i++ {
		if c.base[i] == "-p" {
			i++
			list = append(list, "-o", "Port="+c.base[i])
			continue
		}
		list = append(list, c.base[i])
	}
	return list
}

// sshCommand is the client as a command line for programs that start it.
func (c *client) sshCommand() string { return "ssh " + strings.Join(c.options(), " ") }

// at is a remote path.
func (c *client) at(path string) string { return c.user + "@127.0.0.1:" + path }

// program runs a program that uses the client.
func (c *client) program(name string, args ...string) result {
	c.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = c.t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "LANG=C", "GIT_SSH_COMMAND=" + c.sshCommand(),
		"GIT_SSH_VARIANT=ssh", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "RSYNC_RSH=" + c.sshCommand()}, c.env...)
	return finish(c.t, cmd, nil)
}

// fine is program that has to succeed.
func (c *client) fine(name string, args ...string) string {
	c.t.Helper()
	r := c.program(name, args...)
	if r.Code != 0 {
		c.t.Fatalf("%s %q: exit %d\n%s%s", name, args, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// fillFolder makes what the tests copy: odd names, modes, sizes and times.
func fillFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	at := time.Unix(1183828267, 0)
	put := func(name string, size int64, mode os.FileMode) {
		path := filepath.Join(dir, name)
		content, err := io.ReadAll(stream(size))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
		}
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	put("plain", 1000, 0o644)
	put("empty", 0, 0o600)
	put("program", 40_000, 0o755)
	put("read-only", 10, 0o444)
	put("large", 9_000_001, 0o640)
	put("with blanks & 'quotes' \"\\$x", 100, 0o644)
	put("umläut \u65e5\u672c", 100, 0o644)
	put("-dash", 100, 0o644)
	put("closed/inside", 100, 0o600)
	put("a/b/c/d/e/f", 100, 0o644)
	for i := range 50 {
		put(fmt.Sprintf("many/%d", i), int64(i)*100, 0o644)
	}
	if err := os.Chmod(dir+"/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	setTimes(t, dir, at)
	return dir
}

// setTimes gives everything in a folder the same time.
func setTimes(t testing.TB, dir string, at time.Time) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// folder describes what is in a folder: kinds, modes, contents, and times if asked.
func folder(t testing.TB, root string, times bool) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		fmt.Fprintf(&b, "%q %v", rel, info.Mode())
		if times {
			fmt.Fprintf(&b, " %d", info.ModTime().Unix())
		}
		switch {
		case info.Mode().IsRegular():
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d %s", info.Size(), digest(f))
			_ = f.Close()
		case info.Mode()&os.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %q", target)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sameFolder checks that a copy is the original.
func sameFolder(t testing.TB, what, original, copied string, times bool) {
	t.Helper()
	if want, got := folder(t, original, times), folder(t, copied, times); want != got {
		t.Errorf("%s: it holds\n%sexpected\n%s", what, got, want)
	}
}

// TestRsync synchronises folders both ways, with small changes and deletions.
func TestRsync(t *testing.T) {
	t.Parallel()
	harness.Program(t, "rsync")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "RekeyLimit 2M"})
		c, here, there, back := openssh(t, s), fillFolder(t), remoteFolder(t, s), t.TempDir()
		if err := os.Symlink("plain", here+"/link"); err != nil {
			t.Fatal(err)
		}
		setTimes(t, here, time.Unix(1183828267, 0))
		sync := func(from, to string, more ...string) string {
			t.Helper()
			return c.fine("rsync", append(more, "-rlpt", "--omit-link-times", "--stats", from+"/", to+"/")...)
		}
		same := func(what, copied string) {
			t.Helper()
			_ = os.Remove(copied + "/link") // its own time is not kept
			sameFolder(t, what, here, copied, true)
		}
		sync(here, c.at(there))
		_ = os.Remove(here + "/link")
		same("up", there)
		sync(c.at(there), back)
		same("down", back)

		f, err := os.OpenFile(here+"/large", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("changed"), 5_000_000); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		if err := os.RemoveAll(here + "/many"); err != nil {
			t.Fatal(err)
		}
		setTimes(t, here, time.Unix(1283828267, 0))
		stats := sync(here, c.at(there), "--delete", "-z")
		same("the changes", there)
		if !strings.Contains(stats, "Number of deleted files: 51") || strings.Contains(stats, "Literal data: 9,") {
			t.Errorf("not only the changes were sent:\n%s", stats)
		}
		if r := c.program("rsync", c.at(there+"/none"), back); r.Code != 23 || !strings.Contains(r.Stderr, "No such file") {
			t.Errorf("a missing file: %+v", r)
		}
	})
}

// TestGit clones, pushes and fetches.
func TestGit(t *testing.T) {
	t.Parallel()
	harness.Program(t, "git")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "AcceptEnv GIT_PROTOCOL"})
		c, there, work := openssh(t, s), remoteFolder(t, s), t.TempDir()
		c.expect("git init -q --bare -b main "+there+"/project.git", "", 0)
		url := "ssh://" + c.user + "@127.0.0.1" + there + "/project.git"
		git := func(args ...string) string {
			t.Helper()
			return strings.TrimSpace(c.fine("git", append([]string{"-c", "user.name=n", "-c", "user.email=n@example.com",
				"-c", "safe.directory=*", "-c", "commit.gpgSign=false"}, args...)...))
		}
		one, two := work+"/one", work+"/two"
		git("clone", "-q", url, one)
		c.fine("cp", "-a", fillFolder(t)+"/.", one)
		git("-C", one, "add", "-A")
		git("-C", one, "commit", "-qm", "first")
		git("-C", one, "push", "-q", "-u", "origin", "HEAD:main")
		git("clone", "-q", "-b", "main", url, two)
		for i := range 3 {
			if err := os.WriteFile(two+"/plain", fmt.Appendf(nil, "change %d", i), 0o644); err != nil {
				t.Fatal(err)
			}
			git("-C", two, "commit", "-qam", "more")
		}
		git("-C", two, "push", "-q", "origin", "main:main", "main:refs/heads/branch")
		git("-C", one, "fetch", "-q")
		if a, b := git("-C", one, "rev-parse", "origin/branch"), git("-C", two, "rev-parse", "HEAD"); a != b {
			t.Errorf("fetched %s, pushed %s", a, b)
		}
		git("-C", one, "fsck", "--full", "--strict")
		git("-C", work, "clone", "-q", "--depth", "1", "-b", "branch", url, "shallow")
		git("-C", work, "-c", "protocol.version=0", "clone", "-q", url, "old") // without GIT_PROTOCOL
		if r := c.program("git", "clone", "-q", url+"none", work+"/none"); r.Code != 128 {
			t.Errorf("a repository that is not there: %+v", r)
		}
	})
}

// subsystems are the ways of having sftp.
func subsystems(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{"internal": "Subsystem sftp internal-sftp"}
	const program = "/usr/lib/openssh/sftp-server"
	if _, err := os.Stat(program); err == nil {
		all["external"] = "Subsystem sftp " + program
	}
	return all
}

// copyBothWays copies a folder there and back with a program of scp's usage.
func copyBothWays(t *testing.T, c *client, program string, options ...string) {
	t.Helper()
	here, there, back := fillFolder(t), remoteFolder(t, c.s), t.TempDir()
	copied := func(from, to string, more ...string) {
		t.Helper()
		c.fine(program, append(append(append([]string{}, options...), more...), from, to)...)
	}
	copied(here, c.at(there+"/new"), "-r", "-p")
	copied(c.at(there+"/new"), back+"/new", "-r", "-p")
	sameFolder(t, "up", here, there+"/new", true)
	sameFolder(t, "down", here, back+"/new", true)
	copied(here+"/large", c.at(there)) // without -r and -p
	copied(c.at(there+"/large"), back)
	for _, path := range []string{there + "/large", back + "/large"} {
		if info, err := os.Stat(path); err != nil || info.Size() != 9_000_001 || info.ModTime().Before(time.Unix(1500000000, 0)) {
			t.Errorf("a single file: %v, %v", info, err)
		}
	}
	missing := append(append([]string{}, options...), c.at(there+"/none"), back)
	if r := c.program(program, missing...); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "o such file") {
		t.Errorf("a missing file: %+v", r)
	}
}

// TestOldSCP copies by the old protocol.
func TestOldSCP(t *testing.T) {
	t.Parallel()
	harness.Program(t, "scp")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		c := openssh(t, harness.Start(t, harness.Options{Mode: m}))
		copyBothWays(t, c, "scp", append(c.options(), "-q", "-O")...)
	})
}

// TestOldSCPWithoutProgram copies by the old protocol to a host that has no scp: the
// server's own file takes its place.
func TestOldSCPWithoutProgram(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "it needs the program scp")
	harness.Program(t, "scp")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "SetEnv PATH=/nonexistent"})
		c := openssh(t, s)
		c.expect("ls", "", 127) // really nothing there
		copyBothWays(t, c, "scp", append(c.options(), "-q", "-O")...)
	})
}

// TestSCP copies by sftp, as scp does today.
func TestSCP(t *testing.T) {
	t.Parallel()
	harness.Program(t, "scp")
	for name, config := range subsystems(t) {
		t.Run(name, func(t *testing.T) {
			harness.EachMode(t, func(t *testing.T, m harness.Mode) {
				c := openssh(t, harness.Start(t, harness.Options{Mode: m, Config: config}))
				copyBothWays(t, c, "scp", append(c.options(), "-q", "-s")...)
			})
		})
	}
}

// putty returns the options of PuTTY's programs for a server.
func putty(t *testing.T, s *harness.Server) []string {
	t.Helper()
	empty := filepath.Join(t.TempDir(), "empty") // puttygen takes the new passphrase from it
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	key := convert(t, harness.UserKey(t, "ed25519", ""), "puttygen", "IN", "-o", "OUT", "-O", "private", "--new-passphrase", empty)
	return []string{"-batch", "-i", key, "-P", strconv.Itoa(s.Port), "-hostkey", ssh.FingerprintSHA256(s.HostKeys[0].Public)}
}

// noSubsystem is what PuTTY's programs say with -v before they look for a program
// that could serve sftp.
const noSubsystem = "attempting fallback"

// TestPuTTYCopies uses pscp by both protocols, and psftp.
func TestPuTTYCopies(t *testing.T) {
	t.Parallel()
	harness.Program(t, "pscp")
	harness.Program(t, "psftp")
	for name, config := range subsystems(t) {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, harness.Options{Config: config})
			c := openssh(t, s)
			t.Run("pscp", func(t *testing.T) { puttyCopies(t, c.in(t), "-sftp") })
			if name == "internal" {
				t.Run("pscp old", func(t *testing.T) { puttyCopies(t, c.in(t), "-scp") })
			}
			t.Run("psftp", func(t *testing.T) { psftp(t, c.in(t)) })
		})
	}
}

// puttyCopies copies a folder there and back; pscp keeps times but no modes.
func puttyCopies(t *testing.T, c *client, protocol string) {
	here, there, back := fillFolder(t), remoteFolder(t, c.s), t.TempDir()
	// To PuTTY a backslash separates folders.
	if err := os.Rename(here+"/with blanks & 'quotes' \"\\$x", here+"/with blanks & 'quotes' \"$x"); err != nil {
		t.Fatal(err)
	}
	options := append(putty(t, c.s), protocol, "-v", "-q", "-p", "-r")
	name := filepath.Base(here)
	for _, paths := range [][]string{{here, c.at(there + "/")}, {c.at(there + "/" + name), back}} {
		r := c.program("pscp", append(options, paths...)...)
		if r.Code != 0 || strings.Contains(r.Stderr, noSubsystem) {
			t.Fatalf("pscp %q: exit %d\n%s%s", paths, r.Code, r.Stdout, r.Stderr)
		}
	}
	sameContents(t, here, there+"/"+name)
	sameContents(t, here, back+"/"+name)
}

// sameContents compares files without their modes and times.
func sameContents(t *testing.T, original, copied string) {
	t.Helper()
	_ = filepath.WalkDir(original, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(original, path)
		if err != nil || d.IsDir() {
			return err
		}
		want, err1 := os.ReadFile(path)
		got, err2 := os.ReadFile(filepath.Join(copied, rel))
		if err1 != nil || err2 != nil || string(got) != string(want) {
			t.Errorf("%q: %d bytes, expected %d; %v, %v", rel, len(got), len(want), err1, err2)
		}
		return nil
	})
}
