package interop

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

// sftpPrograms are the ways of having this server's sftp: in its account process,
// and as a program that has the server's file under another name.
func sftpPrograms(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{"internal": "internal-sftp"}
	if !harness.PeerIsSSHD() {
		link := filepath.Join(t.TempDir(), "sftp-server")
		if err := os.Symlink(harness.Binary(t, ""), link); err != nil {
			t.Fatal(err)
		}
		openFolder(t, filepath.Dir(link))
		all["role"] = link
	}
	return all
}

// openFolder lets other accounts into a folder of the test's and those above it.
func openFolder(t testing.TB, dir string) {
	t.Helper()
	for ; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// batch runs sftp(1) with the lines of a batch file, in a local folder.
func (c *client) batch(local string, options []string, lines ...string) result {
	c.t.Helper()
	script := filepath.Join(c.t.TempDir(), "batch")
	if err := os.WriteFile(script, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	args := append(append([]string{"-b", script}, c.options()...), options...)
	cmd := exec.Command("sftp", append(args, c.user+"@127.0.0.1")...)
	cmd.Dir = local
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.t.TempDir(), "LANG=C"}, c.env...)
	return finish(c.t, cmd, nil)
}

// works is batch that has to succeed.
func (c *client) works(local string, lines ...string) string {
	c.t.Helper()
	r := c.batch(local, nil, lines...)
	if r.Code != 0 {
		c.t.Fatalf("sftp %q: exit %d\n%s%s", lines, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// TestSFTP is a day's work with sftp(1).
func TestSFTP(t *testing.T) {
	t.Parallel()
	harness.Program(t, "sftp")
	for name, program := range sftpPrograms(t) {
		t.Run(name, func(t *testing.T) {
			harness.EachMode(t, func(t *testing.T, m harness.Mode) {
				s := harness.Start(t, harness.Options{Mode: m, Config: "Subsystem sftp " + program + "\nRekeyLimit 4M"})
				sftpWork(t, openssh(t, s))
			})
		})
	}
}

func sftpWork(t *testing.T, c *client) {
	here, there := fillFolder(t), remoteFolder(t, c.s)
	home := c.works(here, "pwd")
	if !strings.Contains(home, "Remote working directory: "+c.s.Account.Home) {
		t.Errorf("a session starts in %q", home)
	}
	out := c.works(here, "cd "+there, "put -rp . tree", "df", "df -h tree", "put large", "get large again", "ls -ln tree/many",
		"chmod 710 large", "cp large copy", "ln large hard", "ln -s large soft", "rename copy tree/copy", "rm hard", "mkdir new", "rmdir new", "ls -la")
	for _, want := range []string{"%Capacity", "lrwxrwxrwx", "drwxr-xr-x", " large", c.s.Account.Name} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, path := range []string{there + "/tree/copy", there + "/large", there + "/soft", here + "/again"} {
		want, err1 := os.ReadFile(here + "/large")
		got, err2 := os.ReadFile(path)
		if err1 != nil || err2 != nil || !bytes.Equal(want, got) {
			t.Errorf("%s: %d bytes, expected %d; %v", path, len(got), len(want), err2)
		}
	}
	if err := os.Remove(there + "/tree/copy"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(here + "/again"); err != nil {
		t.Fatal(err)
	}
	setTimes(t, here, time.Unix(1183828267, 0))
	sameFolder(t, "up", here, there+"/tree", true)
	back := t.TempDir()
	c.works(back, "get -rp "+there+"/tree .")
	sameFolder(t, "down", here, back+"/tree", true)

	// Continue what was cut off, in both directions.
	for _, path := range []string{there + "/large", back + "/tree/large"} {
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 5_000_003); err != nil {
			t.Fatal(err)
		}
	}
	c.works(back+"/tree", "reget "+there+"/tree/large large", "reput "+here+"/large "+there+"/large")
	sameContents(t, here, back+"/tree")
	if info, err := os.Stat(there + "/large"); err != nil || info.Size() != 9_000_001 {
		t.Errorf("reput: %v, %v", info, err)
	}
	if r := c.batch(here, nil, "get none"); r.Code != 1 || !strings.Contains(r.Stderr, "not found") {
		t.Errorf("a missing file: %+v", r)
	}
	c.expect("echo and programs still start", "and programs still start", 0)
}

// TestSFTPOnly forces sftp upon everybody, and lets nobody write.
func TestSFTPOnly(t *testing.T) {
	t.Parallel()
	harness.Program(t, "sftp")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "Subsystem sftp internal-sftp\nForceCommand internal-sftp -R -d /etc"})
		c, here := openssh(t, s), fillFolder(t)
		if out := c.works(here, "pwd", "get passwd"); !strings.Contains(out, "Remote working directory: /etc") {
			t.Errorf("%s", out)
		}
		there := remoteFolder(t, s)
		for _, line := range []string{"put plain " + there + "/new", "mkdir " + there + "/new", "rmdir " + there, "chmod 777 " + there, "ln -s x " + there + "/new"} {
			if r := c.batch(here, nil, line); r.Code != 1 || !strings.Contains(r.Stderr, "ermission denied") {
				t.Errorf("%s: %+v", line, r)
			}
		}
		if got := folder(t, there, false); got != "" {
			t.Errorf("written: %s", got)
		}
		for _, command := range []string{"", "id"} {
			if r := c.run(command); r.Code != 1 || !strings.Contains(r.Stdout, "sftp connections only") {
				t.Errorf("ssh %q: %+v", command, r)
			}
		}
	})
}

// TestSFTPChroot serves a folder that has nothing in it but files: no accounts, no
// devices, no /proc.
func TestSFTPChroot(t *testing.T) {
	t.Parallel()
	harness.Program(t, "sftp")
	harness.NeedRoot(t)
	root, err := os.MkdirTemp(harness.SharedDir(), "root")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot,
		Config: "Subsystem sftp internal-sftp -u 0002\nChrootDirectory " + root + "\nForceCommand internal-sftp -d /%u"})
	dir := filepath.Join(root, s.Account.Name)
	for _, err := range []error{os.Chmod(root, 0o755), os.Mkdir(dir, 0o755), os.Chown(dir, s.Account.UID, s.Account.GID), os.Symlink("/"+s.Account.Name, root+"/link")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c, here := openssh(t, s), fillFolder(t)
	out := c.works(here, "pwd", "put -r a", "put plain", "ls -la", "ls -la /", "cd /link/a", "pwd", "cd /../..", "pwd")
	for _, want := range []string{"directory: /" + s.Account.Name + "\n", "directory: /" + s.Account.Name + "/a\n", "directory: /\n", fmt.Sprintf(" %d ", s.Account.UID)} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if r := c.batch(here, nil, "get /etc/passwd"); r.Code != 1 {
		t.Errorf("outside: %+v", r)
	}
	sameContents(t, here+"/a", dir+"/a")
}

// TestSFTPUmask makes new files as -u says, beside sessions that do not.
func TestSFTPUmask(t *testing.T) {
	t.Parallel()
	harness.Program(t, "sftp")
	for name, program := range sftpPrograms(t) {
		t.Run(name, func(t *testing.T) {
			harness.EachMode(t, func(t *testing.T, m harness.Mode) {
				s := harness.Start(t, harness.Options{Mode: m, Config: "Subsystem sftp " + program + " -u 0007"})
				c, here, there := openssh(t, s), fillFolder(t), remoteFolder(t, s)
				if err := os.Chmod(here+"/plain", 0o666); err != nil {
					t.Fatal(err)
				}
				c.works(here, "cd "+there, "put plain", "mkdir dir", "put program")
				for name, want := range map[string]os.FileMode{"plain": 0o660, "dir": 0o770 | os.ModeDir, "program": 0o750} {
					if info, err := os.Stat(there + "/" + name); err != nil || info.Mode() != want {
						t.Errorf("%s: %v, %v, expected %v", name, info.Mode(), err, want)
					}
				}
			})
		})
	}
}

// TestSFTPMemory reaches for the memory of the process that serves: whoever may do
// sftp and nothing else must not get further by it.
func TestSFTPMemory(t *testing.T) {
	t.Parallel()
	harness.Program(t, "sftp")
	for name, program := range sftpPrograms(t) {
		t.Run(name, func(t *testing.T) {
			harness.EachMode(t, func(t *testing.T, m harness.Mode) {
				if os.Getuid() == 0 && !harness.HasRoot() {
					t.Skip("root may do anything")
				}
				s := harness.Start(t, harness.Options{Mode: m, Config: "Subsystem sftp " + program})
				c, here := openssh(t, s), fillFolder(t)
				for _, path := range []string{"/proc/self/mem", "/proc/thread-self/mem", "/proc/self/task/none/../../mem"} {
					r := c.batch(here, nil, "put plain "+path)
					if r.Code != 1 || !strings.Contains(r.Stderr, "ermission denied") && !strings.Contains(r.Stderr, "No such file") {
						t.Errorf("%s: %+v", path, r)
					}
				}
				if r := c.batch(here, nil, "get /proc/self/environ"); r.Code != 1 {
					t.Errorf("the environment can be read: %+v", r)
				}
			})
		})
	}
}

// TestSFTPTogether runs many sessions of one account at once.
func TestSFTPTogether(t *testing.T) {
	t.Parallel()
	harness.Program(t, "sftp")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "Subsystem sftp internal-sftp\nMaxStartups 50"})
		c, here, there, back := openssh(t, s), fillFolder(t), remoteFolder(t, s), t.TempDir()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				dir := fmt.Sprintf("%s/%d", there, i)
				r := c.batch(here, nil, "mkdir "+dir, "cd "+dir, "put -rp many", "put large", "get -rp many "+fmt.Sprintf("%s/%d", back, i), "rm many/7")
				if r.Code != 0 {
					t.Errorf("session %d: %+v", i, r)
				}
			})
		}
		all.Wait()
		for i := range 8 {
			sameFolder(t, fmt.Sprint(i), here+"/many", fmt.Sprintf("%s/%d", back, i), true)
			if info, err := os.Stat(fmt.Sprintf("%s/%d/large", there, i)); err != nil || info.Size() != 9_000_001 {
				t.Errorf("%d: %v, %v", i, info, err)
			}
		}
	})
}

// TestSFTPKilled kills a client in the middle of an upload: what came stays, and
// nothing stays open.
func TestSFTPKilled(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "it looks at descriptors of the server's own process")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "Subsystem sftp internal-sftp"})
		there := remoteFolder(t, s)
		conn := godial(t, s, gossh(t, s))
		session, err := conn.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		in, err1 := session.StdinPipe()
		out, err2 := session.StdoutPipe()
		err3 := session.RequestSubsystem("sftp")
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		path := there + "/file"
		open := "\x03\x00\x00\x00\x01\x00\x00\x00" + string(rune(len(path))) + path + "\x00\x00\x00\x0a\x00\x00\x00\x00"
		write := "\x06\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff" // and 65,535 bytes
		for _, b := range []string{"\x00\x00\x00\x05\x01\x00\x00\x00\x03", "\x00\x00\x00" + string(rune(len(open))) + open,
			"\x00\x01\x00\x18" + write + strings.Repeat("x", 1000)} {
			if _, err := io.WriteString(in, b); err != nil {
				t.Fatal(err)
			}
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		harness.Eventually(t, limit, "the first part of a request", func() bool {
			info, err := os.Stat(path)
			return err == nil && info.Size() == 1000
		})
		if len(holders(s, path)) == 0 {
			t.Error("nobody has the file open: does this test still look at the right place?")
		}
		_ = conn.Close()
		harness.Eventually(t, limit, "the file to be closed", func() bool { return len(holders(s, path)) == 0 })
		if info, err := os.Stat(path); err != nil || info.Size() != 1000 {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// holders are the server's processes that have a file open.
func holders(s *harness.Server, path string) (list []int) {
	for _, p := range s.Processes() {
		dir := fmt.Sprintf("/proc/%d/fd", p.PID)
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if target, _ := os.Readlink(dir + "/" + e.Name()); target == path {
				list = append(list, p.PID)
			}
		}
	}
	return list
}
