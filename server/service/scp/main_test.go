package scp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asHome tells this binary, started as "ssh" by scp, where the remote command runs.
const asHome = "SCP_TEST_HOME"

// TestMain makes this binary the program under test when it is started as scp, and
// a stand-in for ssh that runs the remote command here when started as ssh.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "scp":
		os.Exit(Main(os.Args))
	case "ssh":
		os.Exit(asSSH())
	}
	// The race detector lets every program linger for a second.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// asSSH does as sshd does: the user's shell runs the command in the home directory.
func asSSH() int {
	dir := filepath.Dir(os.Args[0])
	env := append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+os.Getenv(asHome))
	err := os.Chdir(os.Getenv(asHome))
	if err == nil {
		err = syscall.Exec("/bin/sh", []string{"sh", "-c", os.Args[len(os.Args)-1]}, env)
	}
	fmt.Fprintln(os.Stderr, "as ssh:", err)
	return 255
}

// deadline is for one run of a program.
const deadline = 60 * time.Second

// result is what a program did.
type result struct {
	stdout, stderr string
	code           int
}

// finish runs a program to its end.
func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !killer.Stop() {
		t.Fatalf("%q: not done after %v; stderr %q", cmd.Args, deadline, stderr.String())
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// program returns this binary's path.
func program(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// reference returns the path of OpenSSH's scp.
func reference(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("scp")
	if err != nil {
		t.Skip("there is no scp to compare with")
	}
	return path
}

// oldest is the time up to which a modification time is one that a test has set.
var oldest = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)

// tree describes everything below a directory: names, kinds, modes, sizes,
// contents, and the modification times that were set. It leaves the files readable.
func tree(t testing.TB, root string) string {
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
		st := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(root, path)
		fmt.Fprintf(&b, "%q %o", rel, st.Mode)
		if info.ModTime().Before(oldest) {
			fmt.Fprintf(&b, " at %d", info.ModTime().UnixMicro())
		}
		if info.Mode().IsRegular() {
			_ = os.Chmod(path, 0o600) // an ordinary user's may be closed to its owner
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d bytes %x", len(content), sha256.Sum256(content))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// put makes a file with a mode and an old time.
func put(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	age(t, path, mode)
}

// age gives a file a mode and an old time.
func age(t testing.TB, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1183828267, 0)
	if err := os.Chtimes(path, at.Add(time.Hour), at); err != nil {
		t.Fatal(err)
	}
}

// local runs the program in this process with a stream as the client.
func local(stream string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(append([]string{"scp"}, args...), strings.NewReader(stream), &stdout, &stderr)
	return result{stdout.String(), stderr.String(), code}
}
