package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/server/host/user"
)

// TestCleanStart: whatever this process was started with, programs get none of it.
func TestCleanStart(t *testing.T) {
	const inner = "SESSION_TEST_INNER"
	if os.Getenv(inner) != "" {
		got := run(t, testPolicy(t), "ulimit -Sn; grep -E 'Sig(Ign|Blk)' /proc/self/status; ls /proc/$$/fd; umask")
		fmt.Printf("<<%s>>", got.out)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A limit of its own, five ignored signals, a descriptor that is not closed on exec.
	script := "umask 027; ulimit -Sn 333; trap '' HUP INT QUIT TSTP USR1; exec 9</dev/null; exec \"$0\" -test.run='^TestCleanStart$'"
	cmd := exec.Command("/bin/sh", "-c", script, exe)
	cmd.Env = append(os.Environ(), inner+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "<<")
	got, _, _ := strings.Cut(rest, ">>")
	want := "333\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n1\n2\n0027\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCredential: a root process starts programs as the user, in all respects.
func TestCredential(t *testing.T) {
	if !asRoot() {
		t.Skip("needs root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	p := testPolicy(t)
	nobody.Shell = "/bin/sh"
	nobody.Home = p.Account.Home
	p.Account = nobody
	p.Credential = &syscall.Credential{Uid: nobody.UID, Gid: nobody.GID, Groups: []uint32{nobody.GID, 5}}
	complaint := "Could not chdir to home directory " + nobody.Home + ": Permission denied\n"
	if got := run(t, p, "id; pwd"); !strings.HasPrefix(got.out, "uid=65534(nobody)") || !strings.HasSuffix(got.out, "\n/\n") || got.err != complaint {
		t.Errorf("home of root: %q", got)
	}
	for dir := nobody.Home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(nobody.Home, int(nobody.UID), int(nobody.GID)); err != nil {
		t.Fatal(err)
	}
	s := testServer(t, p)
	c := newClient(t, s)
	c.pty()
	c.exec("id -un; id -G; pwd; stat -c '%U %G %a' $(tty); echo x >$(tty); touch file; (echo 0 >/etc/nobody-can-write-here) 2>&1")
	got := strings.ReplaceAll(c.wait().out, "\r\n", "\n")
	want := fmt.Sprintf("nobody\n%d 5\n%s\nnobody tty 620\nx\n", nobody.GID, nobody.Home)
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "Permission denied") {
		t.Errorf("%q, want %q", got, want)
	}
	// Signals go where the user's own could go.
	c = newClient(t, s)
	c.exec("echo ready; exec sleep 100")
	c.output("ready")
	c.must("signal", text("KILL"))
	if got := c.wait(); !strings.Contains(got.events, "exit-signal KILL") {
		t.Errorf("%s", got.events)
	}
	if ownedBy(os.Getpid(), nobody.UID) || !ownedBy(os.Getpid(), 0) {
		t.Error("this process is root's")
	}
	// A file of root's, by a link in the user's place, is not read for him.
	if err := os.Mkdir(nobody.Home+"/.ssh", 0o755); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("SECRET=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, nobody.Home+"/.ssh/environment"); err != nil {
		t.Fatal(err)
	}
	p.PermitUserEnvironment = true
	if got := run(t, p, "echo [$SECRET]"); got.out != "[]\n" {
		t.Errorf("%q", got)
	}
}

// TestReapedElsewhere: the session ends all the same.
func TestReapedElsewhere(t *testing.T) {
	c := newClient(t, testServer(t, testPolicy(t)))
	c.exec("echo ready; read x")
	c.output("ready")
	pid := c.pid()
	reaped := make(chan error)
	go func() {
		_, err := syscall.Wait4(pid, nil, 0, nil)
		reaped <- err
	}()
	c.eof()
	<-reaped // the one or the other got the status
	if got := c.wait(); !strings.HasSuffix(got.events, "close") {
		t.Errorf("%s", got.events)
	}
}

// TestWithoutPidfd waits as on kernels that have none.
func TestWithoutPidfd(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := spawn(&programSpec{path: "/bin/sh", argv: []string{"sh", "-c", "exit 5"}, dir: "/", stdin: null, stdout: null, stderr: null})
	if err != nil {
		t.Fatal(err)
	}
	if p.pidfd != nil {
		p.pidfd.Close()
		p.pidfd = nil
	}
	if status := p.wait(); status.ExitStatus() != 5 {
		t.Errorf("status %d", status.ExitStatus())
	}
	if err := p.signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: %v", err)
	}
}

func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"No such file or directory": syscall.ENOENT,
		"Permission denied":         &os.PathError{Op: "x", Path: "y", Err: syscall.EACCES},
		"Exec format error":         fmt.Errorf("a: %w", fmt.Errorf("b: %w", syscall.ENOEXEC)),
		"EOF":                       io.EOF,
	} {
		if got := reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestSourceHoldsNothing: while a program is silent, no read is under way in a
// caller's buffer, and one that floods is read in full buffers.
func TestSourceHoldsNothing(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := newSource(r, true)
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan []int)
	go func() {
		s.pump(func(src io.Reader) (total int64, err error) {
			var sizes []int
			b := make([]byte, 1000)
			for {
				n, err := src.Read(b)
				if err == io.EOF {
					calls <- sizes
					return total, nil
				}
				sizes = append(sizes, n)
				total += int64(n)
			}
		})
		close(calls)
	}()
	expect := func(want string) {
		t.Helper()
		if got := fmt.Sprint(<-calls); got != want {
			t.Errorf("reads of %s bytes, want %s", got, want)
		}
	}
	select {
	case <-calls:
		t.Error("a read without data")
	case <-time.After(20 * time.Millisecond):
	}
	fmt.Fprint(w, "x")
	expect("[1]")
	w.Write(make([]byte, headSize))
	expect(fmt.Sprint([]int{headSize}))
	w.Write(make([]byte, 2500))
	expect("[1000 1000 500]")
	w.Write(make([]byte, 2000))
	expect("[1000 1000]")
	w.Close()
	if _, open := <-calls; open {
		t.Error("a read after the end")
	}
}

// BenchmarkSource: reading costs no allocation.
func BenchmarkSource(b *testing.B) {
	for _, size := range []int{32, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			s, err := newSource(r, false)
			if err != nil {
				b.Fatal(err)
			}
			data, buf := make([]byte, size), make([]byte, 64<<10)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				w.Write(data)
				for got := 0; got < size; {
					s.wait()
					n, _ := s.Read(buf)
					got += n
				}
			}
		})
	}
}
