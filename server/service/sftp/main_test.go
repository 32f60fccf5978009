package sftp

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/proto/wire"
)

// asServer in the environment makes this binary sftp-server.
const asServer = "SFTP_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		os.Exit(Main(append([]string{"sftp-server"}, os.Args[1:]...)))
	}
	// The race detector lets every program linger for a second.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// deadline is for one run of a program, and for what must happen.
const deadline = 60 * time.Second

// reference is where distributions have OpenSSH's program.
var references = []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"}

func reference(t testing.TB) string {
	t.Helper()
	for _, path := range references {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("there is no sftp-server to compare with")
	return ""
}

// own is this binary as sftp-server.
func own(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// result is what a program did.
type result struct {
	replies []reply
	stderr  string
	code    int
}

// run runs a program on a client's requests, one after the other: sftp-server drops
// what it has not sent when its input ends.
func run(t testing.TB, dir, program string, requests [][]byte, args ...string) (r result) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asServer+"=1", "TZ=UTC", "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() })
	in := bufio.NewReader(stdout)
	for _, q := range requests {
		if _, err = stdin.Write(q); err != nil {
			break
		}
		var x reply
		if x, err = readReply(in); err != nil {
			break
		}
		r.replies = append(r.replies, x)
	}
	_ = stdin.Close()
	_, _ = io.Copy(io.Discard, in)
	_ = cmd.Wait()
	if !killer.Stop() {
		t.Fatalf("%q: not done after %v; stderr %q", cmd.Args, deadline, stderr.String())
	}
	if err != nil {
		t.Logf("%s: after %d replies: %v; stderr %q", program, len(r.replies), err, stderr.String())
	}
	r.stderr, r.code = stderr.String(), cmd.ProcessState.ExitCode()
	return r
}

// Fields of requests.

func u32(n uint32) []byte  { return wire.AppendUint32(nil, n) }
func u64(n uint64) []byte  { return wire.AppendUint64(nil, n) }
func str(s string) []byte  { return wire.AppendText(nil, s) }
func hnd(n uint32) []byte  { return wire.AppendString(nil, u32(n)) }
func noAttrs() []byte      { return u32(0) }
func mode(m uint32) []byte { return append(u32(attrMode), u32(m)...) }

// frame is a request or a reply with its length.
func frame(kind byte, fields ...[]byte) []byte {
	body := append([]byte{kind}, bytes.Join(fields, nil)...)
	return append(u32(uint32(len(body))), body...)
}

var initFrame = frame(fxpInit, u32(protocolVersion))

// script is a session's requests; it numbers them.
type script struct{ requests [][]byte }

func newScript() *script { return &script{[][]byte{initFrame}} }

func (s *script) add(kind byte, fields ...[]byte) {
	id := u32(uint32(len(s.requests)))
	s.requests = append(s.requests, frame(kind, append([][]byte{id}, fields...)...))
}

func (s *script) extended(name string, fields ...[]byte) {
	s.add(fxpExtended, append([][]byte{str(name)}, fields...)...)
}

// reply is one message of the server.
type reply struct {
	kind byte
	id   uint32
	body []byte
}

func (r reply) String() string {
	if r.kind == fxpStatus && len(r.body) >= 4 {
		return fmt.Sprintf("#%d status %d %q", r.id, binary.BigEndian.Uint32(r.body), r.body[4:])
	}
	return fmt.Sprintf("#%d type %d %q", r.id, r.kind, r.body)
}

// status is the code of a STATUS reply, and -1 for other replies.
func (r reply) status() int {
	if r.kind != fxpStatus || len(r.body) < 4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(r.body))
}

// readReply reads one message.
func readReply(r io.Reader) (reply, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:5]); err != nil {
		return reply{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 || n > 1<<20 {
		return reply{}, fmt.Errorf("reply of %d bytes", n)
	}
	if _, err := io.ReadFull(r, head[5:]); err != nil {
		return reply{}, err
	}
	x := reply{kind: head[4], id: binary.BigEndian.Uint32(head[5:]), body: make([]byte, n-5)}
	_, err := io.ReadFull(r, x.body)
	return x, err
}

// put makes a file with an old time.
func put(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	age(t, path)
}

func age(t testing.TB, path string) {
	t.Helper()
	at := time.Unix(1183828267, 0)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// ageLink is age for what may be a link.
func ageLink(t testing.TB, path string) {
	t.Helper()
	ts := []unix.Timespec{{Sec: 1183828267}, {Sec: 1183828267}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

// tree describes all below a directory: kinds, modes, sizes, contents, targets, and
// times that a test has set.
func tree(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%q %o %d", strings.TrimPrefix(path, root), st.Mode, st.Nlink)
		if mtime := info.ModTime(); time.Since(mtime).Abs() > 500*time.Hour {
			fmt.Fprintf(&b, " at %d", mtime.Unix())
		}
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if os.IsPermission(err) { // an ordinary user's may be closed to its owner
				_ = os.Chmod(path, 0o600)
				content, err = os.ReadFile(path)
				_ = os.Chmod(path, info.Mode())
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d bytes %x", len(content), sha256.Sum256(content))
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
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

func sameTree(t testing.TB, roots [2]string) {
	t.Helper()
	there, here := tree(t, roots[0]), tree(t, roots[1])
	if there != here {
		t.Errorf("files\n here:\n%s\nthere:\n%s", here, there)
	}
}
