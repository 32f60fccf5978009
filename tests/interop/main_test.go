// Package interop drives the built server with the clients that people use:
// OpenSSH's ssh, dropbear's dbclient, PuTTY's plink and golang.org/x/crypto/ssh;
// with servers of root's and of an ordinary user's.
package interop

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

// TestMain also lets this program be a remote command: it can produce and check
// more data in a second than a shell's tools.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "produce" {
		n, _ := strconv.ParseInt(os.Args[2], 10, 64)
		_, err := io.Copy(os.Stdout, stream(n))
		exit(err)
	}
	if len(os.Args) == 2 && os.Args[1] == "digest" {
		h := sha256.New()
		n, err := io.CopyBuffer(h, struct{ io.Reader }{os.Stdin}, make([]byte, 256<<10))
		fmt.Printf("%x %d\n", h.Sum(nil), n)
		exit(err)
	}
	// The tests mostly wait for other processes.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		exit(err)
	}
	os.Exit(harness.Main(m))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// keyStream is a reader of bytes that look random but are always the same.
type keyStream struct{ s cipher.Stream }

func (k keyStream) Read(p []byte) (int, error) {
	clear(p)
	k.s.XORKeyStream(p, p)
	return len(p), nil
}

// stream returns a reader of n such bytes.
func stream(n int64) io.Reader {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		panic(err)
	}
	return io.LimitReader(keyStream{cipher.NewCTR(block, make([]byte, 16))}, n)
}

// digest returns SHA-256 in hexadecimal.
func digest(r io.Reader) string {
	h := sha256.New()
	_, _ = io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return hex.EncodeToString(h.Sum(nil))
}

// helperOnce puts this program where every account can start it.
var helperOnce = sync.OnceValues(func() (string, error) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	path := filepath.Join(harness.SharedDir(), "helper")
	return path, os.WriteFile(path, program, 0o755)
})

func helper(t testing.TB) string {
	t.Helper()
	path, err := helperOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// limit is how long one client may run.
const limit = 4 * time.Minute

// result is what a client did.
type result struct {
	Stdout, Stderr string
	Code           int
}

// finish runs a client to its end.
func finish(t testing.TB, cmd *exec.Cmd, stdin io.Reader) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !killer.Stop() {
		t.Errorf("%v: killed after %v\nstderr: %s", cmd.Args, limit, stderr.String())
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// client is an OpenSSH client for one server.
type client struct {
	t    testing.TB
	s    *harness.Server
	user string
	base []string // options for every run
	env  []string
}

// openssh returns a client that checks the server's host key and logs in with the
// default user key.
func openssh(t testing.TB, s *harness.Server, options ...string) *client {
	t.Helper()
	harness.Program(t, "ssh")
	c := &client{t: t, s: s, user: s.Account.Name}
	// The first value of an option counts, so the caller's come first.
	c.base = append(append([]string{"-F", "/dev/null"}, options...), "-p", strconv.Itoa(s.Port),
		"-o", "UserKnownHostsFile="+knownHosts(t, s), "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20")
	if !strings.Contains(strings.Join(options, " "), "-i ") {
		c.base = append(c.base, "-i", harness.UserKey(t, "ed25519", "").Path)
	}
	if !strings.Contains(strings.Join(options, " "), "BatchMode=") {
		c.base = append(c.base, "-o", "BatchMode=yes")
	}
	return c
}

func knownHosts(t testing.TB, s *harness.Server) string {
	t.Helper()
	var b strings.Builder
	for _, k := range s.HostKeys {
		fmt.Fprintf(&b, "[127.0.0.1]:%d %s\n", s.Port, k.Line)
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// cmd builds a command line: options are ssh's own, command is the remote one
// ("" for none).
func (c *client) cmd(options []string, command string) *exec.Cmd {
	args := append(append(append([]string{}, c.base...), options...), c.user+"@127.0.0.1")
	if command != "" {
		args = append(args, command)
	}
	cmd := exec.Command("ssh", args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C", "TERM=xterm"}, c.env...)
	return cmd
}

// run runs a remote command with nothing on its stdin.
func (c *client) run(command string, options ...string) result {
	c.t.Helper()
	return finish(c.t, c.cmd(options, command), nil)
}

// expect runs a remote command and checks its stdout (surrounding blanks ignored)
// and exit status.
func (c *client) expect(command, stdout string, code int, options ...string) {
	c.t.Helper()
	r := c.run(command, options...)
	if strings.TrimSpace(r.Stdout) != stdout || r.Code != code {
		c.t.Errorf("ssh %v %q: exit %d, stdout %q, stderr %q; expected exit %d, stdout %q",
			options, command, r.Code, r.Stdout, r.Stderr, code, stdout)
	}
}

// refused runs a client that must not get in.
func (c *client) refused(options ...string) result {
	c.t.Helper()
	r := c.run("echo in", options...)
	if r.Code != 255 || r.Stdout != "" {
		c.t.Errorf("ssh %v: exit %d, stdout %q, stderr %q; expected to be refused", options, r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// background starts a client with a command whose first line of output is
// returned; the process is killed at the end of the test.
func (c *client) background(options []string, command string) (*exec.Cmd, string) {
	c.t.Helper()
	cmd := c.cmd(options, command)
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe() // stays open: the remote stdin has no end
	if err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = stdin.Close(); _ = cmd.Wait() })
	killer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	line := make([]byte, 0, 80)
	for b := make([]byte, 1); ; {
		if _, err := out.Read(b); err != nil {
			c.t.Fatalf("%v: no line of output: %v", cmd.Args, err)
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return cmd, strings.TrimSpace(string(line))
}

// gossh returns the configuration of an x/crypto/ssh client.
func gossh(t testing.TB, s *harness.Server) *ssh.ClientConfig {
	t.Helper()
	return &ssh.ClientConfig{
		User:            s.Account.Name,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(harness.UserKey(t, "ed25519", "").Signer())},
		HostKeyCallback: ssh.FixedHostKey(s.HostKeys[0].Public),
		Timeout:         20 * time.Second,
	}
}

// godial connects with x/crypto/ssh.
func godial(t testing.TB, s *harness.Server, config *ssh.ClientConfig) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", s.Addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// withLimit gives a function that may hang a limit.
func withLimit(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), d)
	go func() { defer done(); f() }()
	<-ctx.Done()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("%s: not done after %v", what, d)
	}
}
