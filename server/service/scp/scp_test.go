package scp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

// TestSpecialBits: without -p nobody makes a set-user-id file, with it exactly that.
func TestSpecialBits(t *testing.T) {
	defer unix.Umask(unix.Umask(0o022))
	stream := "C7755 1 f\nx\x00D7755 0 d\nE\n"
	for option, want := range map[string]os.FileMode{
		"-r": 0o755, "-rp": 0o755 | os.ModeSetuid | os.ModeSetgid | os.ModeSticky,
	} {
		dir := t.TempDir()
		if r := local(stream, option, "-t", dir); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		for name, kind := range map[string]os.FileMode{"f": 0, "d": os.ModeDir} {
			info, err := os.Stat(dir + "/" + name)
			if err != nil || info.Mode() != want|kind {
				t.Errorf("%s: %s has %v, %v; expected %v", option, name, info.Mode(), err, want|kind)
			}
		}
	}
}

// TestInheritedGroup: a directory in one with set-group-id stays the group's.
func TestInheritedGroup(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if r := local("D0755 0 d\nE\n", "-r", "-t", dir); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if info, err := os.Stat(dir + "/d"); err != nil || info.Mode()&os.ModeSetgid == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestUmaskStays: what the sink does to the umask is over when it is done.
func TestUmaskStays(t *testing.T) {
	defer unix.Umask(unix.Umask(0o027))
	for _, option := range []string{"-t", "-pt"} {
		local("C0644 1 f\nx\x00", option, t.TempDir())
		if got := unix.Umask(0o027); got != 0o027 {
			t.Errorf("%s: umask %o", option, got)
		}
	}
}

// TestTimesOnce: times are those of one file, even if it cannot be made.
func TestTimesOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/a", 0o755); err != nil {
		t.Fatal(err)
	}
	r := local("T1183828267 0 1183828267 0\nC0644 1 a\nC0644 1 b\nx\x00", "-t", dir)
	if r.code != 1 || r.stdout != "\x00\x00\x01scp: "+dir+"/a: Is a directory\n\x00\x00" {
		t.Errorf("%+v", r)
	}
	if info, err := os.Stat(dir + "/b"); err != nil || info.ModTime().Before(oldest) {
		t.Errorf("b has the times of a: %v, %v", info.ModTime(), err)
	}
}

// TestLongLines: what is too long is refused or left out, and does not get out of step.
func TestLongLines(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 3*bufferSize)
	if r := local("\x01"+long+"\nC0644 1 a\nx\x00", "-t", dir); r.code != 1 || r.stdout != "\x00\x00\x00" {
		t.Errorf("a long warning: %+v", r)
	}
	for _, n := range []int{maxRecord, bufferSize, 3 * bufferSize} {
		r := local("C0644 1 "+long[:n]+"\nx\x00C0644 1 b\nx\x00", "-t", dir)
		if r.code != 1 || r.stdout != "\x00\x01scp: protocol error: record too long\n" {
			t.Errorf("a record of %d bytes: %+v", n, r)
		}
		if r = local("C0644 1 "+long[:n], "-t", dir); r.stdout != "\x00\x01scp: protocol error: lost connection\n" {
			t.Errorf("an endless record of %d bytes: %+v", n, r)
		}
	}
	if r := local("\x00\x01"+long+"\n\x00\x00\x00", "-f", "/nonexistent", "/none"); r.code != 1 || strings.Count(r.stdout, "\x01") != 2 {
		t.Errorf("a long reply: %+v", r)
	}
}

// TestErrorIsOneLine: a name cannot end the line that an error is.
func TestErrorIsOneLine(t *testing.T) {
	r := local("\x00", "-f", "no\nC0644 1 such")
	if r.code != 1 || r.stdout != "\x01scp: no\\^JC0644 1 such: No such file or directory\n" {
		t.Errorf("%+v", r)
	}
}

// TestVerbose: what the peer sends reaches the terminal harmless.
func TestVerbose(t *testing.T) {
	r := local("C0644 0 \x1b[2J\n\x00", "-v", "-t", t.TempDir())
	if r.code != 0 || r.stderr != "Sink: C0644 0 \\^[[2J\n" {
		t.Errorf("%+v", r)
	}
}

// TestUsage: what is no remote half is told so.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b:c"}, {"-r", "a"}, {"-t", "-y", "."}, {"-t", "-l"}, {"--", "-t", "."}} {
		if r := local("", args...); r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "usage: scp") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if code := run(nil, strings.NewReader(""), io.Discard, io.Discard); code != 1 {
		t.Errorf("no name: exit %d", code)
	}
}

// TestPartialData: what came before the connection broke is there.
func TestPartialData(t *testing.T) {
	dir := t.TempDir()
	if r := local("C0644 5 f\nhe", "-t", dir); r.code != 1 || r.stdout != "\x00\x00\x01scp: Broken pipe\n" {
		t.Errorf("%+v", r)
	}
	if got, err := os.ReadFile(dir + "/f"); string(got) != "he" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSmallReads: the sink does not depend on how the stream is cut.
func TestSmallReads(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	stream := "T5 0 5 0\nD0755 0 d\nC0644 5 f\nhello\x00E\n"
	code := run([]string{"scp", "-r", "-t", dir}, iotest.OneByteReader(strings.NewReader(stream)), &out, io.Discard)
	if got, err := os.ReadFile(dir + "/d/f"); code != 0 || string(got) != "hello" || out.String() != "\x00\x00\x00\x00\x00\x00" {
		t.Errorf("exit %d, %q, %q, %v", code, out.String(), got, err)
	}
}

// zeros is a file of zeros that counts what is read of it.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.left))
	z.left -= int64(n)
	return n, nil
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// TestLargerThan4GiB sends and receives more bytes than 32 bits count.
func TestLargerThan4GiB(t *testing.T) {
	const size = 4<<30 + 12345
	head := fmt.Sprintf("C0644 %d x\n", int64(size))
	in := io.MultiReader(strings.NewReader(head), &zeros{size + 1}, strings.NewReader("E\n"))
	var out bytes.Buffer
	if code := run([]string{"scp", "-t", "/dev/null"}, in, &out, io.Discard); code != 0 || out.String() != "\x00\x00\x00\x00" {
		t.Errorf("sink: exit %d, %q", code, out.String())
	}
	r := &remote{}
	c := &counter{}
	r.out = c
	if failure, err := r.sendData(&zeros{size}, size); failure != nil || err != nil || c.n != size {
		t.Errorf("source: %d bytes, %v, %v", c.n, failure, err)
	}
}

// TestReadError: a file that cannot be read to its end is filled up and reported.
func TestReadError(t *testing.T) {
	var out bytes.Buffer
	r := &remote{out: &out}
	f := io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(&os.PathError{Op: "read", Path: "f", Err: unix.EIO}))
	failure, err := r.sendData(f, 600_000)
	if err != nil || reason(failure) != "Input/output error" || out.Len() != 600_000 || strings.Trim(out.String()[2:], "\x00") != "" {
		t.Errorf("%v, %v, %d bytes", failure, err, out.Len())
	}
}

// TestWriteError: a full disk in the middle of a file does not stop the reading.
func TestWriteError(t *testing.T) {
	r := &remote{in: bufio.NewReader(strings.NewReader(strings.Repeat("x", 10_000) + "rest"))}
	full := &limited{left: 5000}
	failure, err := r.receiveData(full, 10_000)
	rest, _ := io.ReadAll(r.in)
	if failure != "No space left on device" || err != nil || string(rest) != "rest" || full.after {
		t.Errorf("%q, %v, then %q, written after the error: %v", failure, err, rest, full.after)
	}
}

// limited is a full disk.
type limited struct {
	left   int
	failed bool
	after  bool
}

func (l *limited) Write(p []byte) (int, error) {
	l.after = l.failed
	if len(p) > l.left {
		l.failed = true
		return l.left, unix.ENOSPC
	}
	l.left -= len(p)
	return len(p), nil
}

// TestClientGone: who cannot answer any more ends with status 1, not by a signal,
// and a file beyond the user's limit is an error that is told.
func TestClientGone(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "scp")
	if err := os.Symlink(program(t), link); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	cmd := exec.Command(link, "-t", dir)
	cmd.Stdout = write
	err = cmd.Run()
	_ = write.Close()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("a closed pipe: %v", err)
	}

	cmd = exec.Command("/bin/sh", "-c", `ulimit -f 1; exec "$0" -t "$1"`, link, dir)
	cmd.Stdin = strings.NewReader("C0644 100000 f\n" + strings.Repeat("x", 100_000) + "\x00C0644 1 g\nx\x00")
	r := finish(t, cmd)
	if want := "\x00\x00\x01scp: " + dir + "/f: File too large\n\x00\x00"; r.code != 1 || r.stdout != want {
		t.Errorf("a limit: exit %d, %q", r.code, r.stdout)
	}
}

// TestReason: Go's words become the C library's.
func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"No such file or directory": &os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT},
		"No space left on device":   unix.ENOSPC,
		"Broken pipe":               io.ErrUnexpectedEOF,
		"Something":                 errors.New("something"),
		"":                          errors.New(""),
	} {
		if got := reason(err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
}
