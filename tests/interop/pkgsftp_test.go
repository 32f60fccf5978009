package interop

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"testing"

	"github.com/pkg/sftp"

	"nano_ssh_server/tests/harness"
)

// TestGoSFTP works on files as programs in Go do, with github.com/pkg/sftp over
// x/crypto/ssh: many requests in flight, reads and writes at offsets, and the extensions
// that it knows.
func TestGoSFTP(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "Subsystem sftp internal-sftp"})
		c, err := sftp.NewClient(godial(t, s, gossh(t, s)), sftp.UseConcurrentReads(true), sftp.UseConcurrentWrites(true))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		home, err := c.Getwd()
		if err != nil || home != s.Account.Home {
			t.Fatalf("%q, %v", home, err)
		}
		dir := path.Join(home, "pkgsftp")
		if err := c.MkdirAll(path.Join(dir, "a/b")); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}()
		transferGoSFTP(t, c, path.Join(dir, "a/large"))
		changeGoSFTP(t, c, dir)
	})
}

// transferGoSFTP moves a file both ways, whole and in parts.
func transferGoSFTP(t *testing.T, c *sftp.Client, name string) {
	const size = 24<<20 + 12345
	f, err := c.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.ReadFrom(stream(size)); n != size || err != nil {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if _, err := f.WriteAt([]byte("in the middle"), size/2); err != nil {
		t.Error(err)
	}
	if err := errors.Join(f.Truncate(size-1), f.Close()); err != nil {
		t.Error(err)
	}
	want, _ := io.ReadAll(stream(size - 1))
	copy(want[size/2:], "in the middle")
	if f, err = c.Open(name); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got bytes.Buffer
	if n, err := f.WriteTo(&got); n != size-1 || err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes read, %v, or others", n, err)
	}
	part := make([]byte, 100_000)
	if n, err := f.ReadAt(part, size-50_000); n != 49_999 || err != io.EOF || !bytes.Equal(part[:n], want[size-50_000:]) {
		t.Errorf("%d bytes at the end, %v", n, err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != size-1 || !st.Mode().IsRegular() {
		t.Errorf("%v, %v", st, err)
	}
}

// changeGoSFTP makes, renames, links and removes, and is told why it may not.
func changeGoSFTP(t *testing.T, c *sftp.Client, dir string) {
	at := func(name string) string { return path.Join(dir, name) }
	did := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	did("symlink", c.Symlink("large", at("a/link")))
	did("link", c.Link(at("a/large"), at("a/b/hard")))
	did("chmod", c.Chmod(at("a/large"), 0o640))
	did("rename", c.Rename(at("a/b/hard"), at("a/b/renamed")))
	if c.Rename(at("a/b/renamed"), at("a/link")) == nil {
		t.Error("rename replaces a file")
	}
	did("symlink", c.Symlink("elsewhere", at("a/b/other")))
	did("posix rename", c.PosixRename(at("a/b/renamed"), at("a/b/other")))
	if target, err := c.ReadLink(at("a/link")); target != "large" || err != nil {
		t.Errorf("%q, %v", target, err)
	}
	if st, err := c.StatVFS(dir); err != nil || st.TotalSpace() == 0 {
		t.Errorf("%+v, %v", st, err)
	}
	var seen []string
	for w := c.Walk(dir); w.Step(); {
		if err := w.Err(); err != nil {
			t.Error(err)
		}
		seen = append(seen, strings.TrimPrefix(w.Path(), dir))
	}
	sort.Strings(seen)
	if got := strings.Join(seen, " "); got != " /a /a/b /a/b/other /a/large /a/link" {
		t.Errorf("%q", got)
	}
	_, err := c.Open(at("missing"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := c.RemoveDirectory(at("a")); err == nil {
		t.Error("a directory with entries is gone")
	}
	if _, err := c.OpenFile(at("a/b"), os.O_WRONLY); err == nil {
		t.Error("a directory is open for writing")
	}
}
