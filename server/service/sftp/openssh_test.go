package sftp

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// batch runs OpenSSH's sftp on this program, without ssh between them: commands are
// the lines of a batch file, local is where the client is, remote where the server.
// -D takes a program and no arguments; those are in a script.
func batch(t *testing.T, local, remote string, commands []string, serverArgs string, args ...string) (string, int) {
	t.Helper()
	sftp, err := exec.LookPath("sftp")
	if err != nil {
		t.Skip("there is no sftp to test with")
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncd '%s' && %s=1 exec '%s' %s\n", remote, asServer, own(t), serverArgs)
	if err := os.WriteFile(dir+"/server", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/batch", []byte(strings.Join(commands, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sftp, append(append([]string{"-D", dir + "/server", "-b", dir + "/batch"}, args...), "host")...)
	cmd.Dir = local
	cmd.Env = append(os.Environ(), "TZ=UTC")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	if !killer.Stop() {
		t.Fatalf("not done after %v: %s", deadline, out.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// pattern is content of a length that repeats nowhere near.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i*i)
	}
	return b.String()[:n]
}

func same(t *testing.T, one, two string) {
	t.Helper()
	a, err1 := os.ReadFile(one)
	b, err2 := os.ReadFile(two)
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("%s (%d bytes) and %s (%d bytes) differ: %v, %v", one, len(a), two, len(b), err1, err2)
	}
}

// TestOpenSSHClient is a day's work with sftp(1).
func TestOpenSSHClient(t *testing.T) {
	local, remote := t.TempDir(), t.TempDir()
	put(t, local+"/large", pattern(3<<20+17), 0o640)
	put(t, local+"/small", "small\n", 0o600)
	put(t, local+"/empty", "", 0o644)
	put(t, local+"/tree/a/b/c", "deep", 0o644)
	put(t, local+"/tree/x y", "space", 0o755)
	put(t, local+"/tree/\xff\xfe", "bytes", 0o644)
	out, code := batch(t, local, remote, []string{
		"pwd", "ls -la", "df", "df -i", "put -p large", "put -f small one", "put empty", "put -rp tree", "get large back", "get -p one",
		"get -a empty back2", "mkdir dir", "ls -l dir", "rename one dir/two", "ln dir/two hard", "ln -s dir/two soft", "ls -la", "ls -1 dir",
		"chmod 751 large", "chgrp " + fmt.Sprint(os.Getgid()) + " large", "chown " + fmt.Sprint(os.Getuid()) + " large", "chmod -h 600 large",
		"cp large copy", "rm soft", "get -rp tree tree2", "cd dir", "pwd", "put ../" + filepath.Base(local) + "/small again", "rm two", "rm *", "cd ..",
		"rmdir dir", "ls -lan", "ls -lt", "ls -lS tree/*", "version", "lls", "bye",
	}, "")
	if code != 0 {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	for _, names := range [][2]string{{local + "/large", remote + "/large"}, {local + "/large", local + "/back"}, {local + "/large", remote + "/copy"},
		{local + "/small", remote + "/hard"}, {local + "/empty", local + "/back2"}} {
		same(t, names[0], names[1])
	}
	if a, b, c := tree(t, local+"/tree"), tree(t, remote+"/tree"), tree(t, local+"/tree2"); a != b || a != c {
		t.Errorf("trees\n%s\n%s\n%s", a, b, c)
	}
	if info, err := os.Stat(remote + "/large"); err != nil || info.Mode() != 0o600 || info.ModTime().Unix() != 1183828267 {
		t.Errorf("%v, %v", info, err)
	}
	for _, want := range []string{"Remote working directory: " + remote, "SFTP protocol version 3", "\nlrwxrwxrwx", "drwxr-xr-x"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, name := range []string{"soft", "dir", "one"} {
		if _, err := os.Lstat(remote + "/" + name); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

// TestOpenSSHResume continues transfers that were cut off.
func TestOpenSSHResume(t *testing.T) {
	local, remote := t.TempDir(), t.TempDir()
	content := pattern(1 << 20)
	put(t, local+"/up", content, 0o644)
	put(t, remote+"/up", content[:300001], 0o644)
	put(t, remote+"/down", content, 0o644)
	put(t, local+"/down", content[:77777], 0o644)
	if out, code := batch(t, local, remote, []string{"reput up", "reget down"}, ""); code != 0 {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	same(t, local+"/up", remote+"/up")
	same(t, local+"/down", remote+"/down")
}

// TestOpenSSHSizes uses requests of all sizes and numbers.
func TestOpenSSHSizes(t *testing.T) {
	content := pattern(700001)
	for _, args := range [][]string{
		{"-B", "1024", "-R", "1"}, {"-B", "32768", "-R", "64"}, {"-B", "261120", "-R", "256"}, {"-B", "200000", "-R", "2"}, {"-R", "1"},
	} {
		local, remote := t.TempDir(), t.TempDir()
		put(t, local+"/file", content, 0o644)
		if out, code := batch(t, local, remote, []string{"put file", "get file back"}, "", args...); code != 0 {
			t.Fatalf("%q: exit %d:\n%s", args, code, out)
		}
		same(t, local+"/file", remote+"/file")
		same(t, local+"/file", local+"/back")
	}
}

// TestOpenSSHErrors: the client understands what goes wrong.
func TestOpenSSHErrors(t *testing.T) {
	local, remote := t.TempDir(), t.TempDir()
	put(t, local+"/file", "local", 0o644)
	put(t, remote+"/there/file", "remote", 0o644)
	for command, want := range map[string]string{
		"get none": "not found", "rm none": "No such file or directory", "rmdir there": "Failure", "mkdir there": "Failure",
		"cd none": "No such file or directory", "put file none/x": "No such file or directory", "ls none": "not found", "ln there/file there": "Failure",
	} {
		if out, code := batch(t, local, remote, []string{command}, ""); code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, %s", command, code, out)
		}
	}
	for _, command := range []string{"put file", "rm there/file", "mkdir new", "rename there/file new", "ln there/file new", "ln -s there/file new", "chmod 600 there/file", "cp there/file new"} {
		before := tree(t, remote)
		if out, code := batch(t, local, remote, []string{command}, "-R"); code == 0 || tree(t, remote) != before {
			t.Errorf("-R: %s: exit %d, %s", command, code, out)
		}
	}
	if out, code := batch(t, local, remote, []string{"get there/file got"}, "-R -d "+remote+"/.."); code == 0 {
		t.Errorf("-d is not where the client starts: %s", out)
	}
	if out, code := batch(t, local, remote, []string{"get file got"}, "-R -d "+remote+"/there"); code != 0 {
		t.Errorf("-d: exit %d, %s", code, out)
	}
	if out, code := batch(t, local, remote, []string{"put file new", "mkdir newdir"}, "-u 007"); code != 0 {
		t.Errorf("-u: exit %d, %s", code, out)
	}
	if info, err := os.Stat(remote + "/newdir"); err != nil || info.Mode().Perm() != 0o770 {
		t.Errorf("-u: %v, %v", info, err)
	}
}
