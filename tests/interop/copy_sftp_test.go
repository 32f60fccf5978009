package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

// psftp does by commands what people do with it.
func psftp(t *testing.T, c *client) {
	here, there, back := fillFolder(t), remoteFolder(t, c.s), t.TempDir()
	script := filepath.Join(t.TempDir(), "script")
	lines := []string{
		"cd " + there, "pwd", "lcd " + here, "put large", "put plain renamed", "mkdir folder", "cd folder",
		"put -r a", "cd ..", "mv renamed folder/plain", "chmod 600 large", "ls", "ls folder",
		"lcd " + back, "get large", "get -r folder", "put none", "rm large", "reget folder/plain", "quit",
	}
	if err := os.WriteFile(script, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := c.program("psftp", append(putty(t, c.s), "-v", "-be", "-b", script, c.user+"@127.0.0.1")...)
	for _, want := range []string{"Remote directory is now " + there, "large:", "-rw-------", "folder", "plain"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("psftp does not say %q; exit %d\n%s%s", want, r.Code, r.Stdout, r.Stderr)
			break
		}
	}
	if strings.Contains(r.Stderr+r.Stdout, noSubsystem) {
		t.Errorf("the subsystem is not there:\n%s", r.Stderr)
	}
	for _, names := range [][2]string{{"large", "large"}, {"folder/plain", "plain"}, {"folder/a/b/c/d/e/f", "a/b/c/d/e/f"}} {
		got, err := os.ReadFile(filepath.Join(back, names[0]))
		want, _ := os.ReadFile(filepath.Join(here, names[1]))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, expected %d; %v", names[0], len(got), len(want), err)
		}
	}
	if _, err := os.Stat(there + "/large"); !os.IsNotExist(err) {
		t.Errorf("rm: %v", err)
	}
}

// mountSSHFS mounts a remote folder until the end of the test.
func mountSSHFS(t *testing.T, c *client, remote string) string {
	t.Helper()
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	_ = device.Close()
	mount := t.TempDir()
	var stderr bytes.Buffer
	cmd := exec.Command("sshfs", "-f", "-o", "ssh_command="+c.sshCommand(), c.at(remote), mount)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C"}
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	exited := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	mounted := func() bool {
		table, _ := os.ReadFile("/proc/self/mountinfo")
		return bytes.Contains(table, []byte(" "+mount+" "))
	}
	t.Cleanup(func() {
		_ = exec.Command("fusermount3", "-u", "-z", mount).Run()
		if !harness.Within(20*time.Second, exited) {
			t.Error("sshfs does not end")
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	harness.Eventually(t, 20*time.Second, "the mount", func() bool { return exited() || mounted() })
	if !mounted() {
		if strings.Contains(stderr.String(), "mount failed") || strings.Contains(stderr.String(), "fuse:") {
			t.Skipf("FUSE cannot mount here: %s", stderr.String())
		}
		t.Fatalf("sshfs: %s", stderr.String())
	}
	return mount
}

// TestSSHFS works on a remote folder as on a file system.
func TestSSHFS(t *testing.T) {
	t.Parallel()
	harness.Program(t, "sshfs")
	harness.Program(t, "fusermount3")
	for name, config := range subsystems(t) {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, harness.Options{Config: config})
			c, here, there := openssh(t, s), fillFolder(t), remoteFolder(t, s)
			mount := mountSSHFS(t, c, there)
			c.fine("cp", "-r", "--preserve=mode,timestamps", here+"/.", mount+"/tree")
			sameFolder(t, "written", here, there+"/tree", true)
			sameFolder(t, "read", here, mount+"/tree", true)
			for _, step := range []error{
				os.Rename(mount+"/tree/plain", mount+"/renamed"),
				os.WriteFile(mount+"/over", []byte("old and long"), 0o644),
				os.Rename(mount+"/renamed", mount+"/over"), // onto a file that is there
				os.Symlink("over", mount+"/link"),
				os.Link(mount+"/over", mount+"/hard"),
				os.Truncate(mount+"/hard", 500),
				os.Remove(mount + "/tree/empty"),
				os.RemoveAll(mount + "/tree/many"),
			} {
				if step != nil {
					t.Error(step)
				}
			}
			if info, err := os.Stat(there + "/link"); err != nil || info.Size() != 500 {
				t.Errorf("%v, %v", info, err)
			}
			f, err := os.OpenFile(mount+"/over", os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err1 := f.WriteString("appended")
			err2, err3 := f.Sync(), f.Close()
			if got, err := os.ReadFile(there + "/over"); err != nil || len(got) != 508 || err1 != nil || err2 != nil || err3 != nil {
				t.Errorf("%d bytes, %v, %v, %v, %v", len(got), err, err1, err2, err3)
			}
			if _, err := os.Stat(mount + "/none"); !os.IsNotExist(err) {
				t.Errorf("a missing file: %v", err)
			}
			if err := os.Remove(mount + "/tree"); err == nil {
				t.Error("a folder that is not empty was removed")
			}
		})
	}
}
