package scp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzRecord reads any record, and writes again what it took for one.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		"C0644 5 name", "D0755 0 a b", "T1183828267 0 1183828200 999999", "E", "\x01text", "\x02", "",
		"C7777 9223372036854775807 \xff", "C0644 9223372036854775808 x", "C0644 1 ..", "T99999999999999999999 0 1 0", "C0644 1 a\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		rec, err := parseRecord(line)
		if err != nil {
			return
		}
		if len(line) > 0 && rec.kind != line[0] {
			t.Fatalf("%q is of kind %q", line, rec.kind)
		}
		switch rec.kind {
		case kindFile, kindDirectory:
			if rec.size < 0 || rec.mode > permissionBits || filepath.Base(rec.name) != rec.name || !filepath.IsLocal(rec.name) || rec.name == "." {
				t.Fatalf("%q: %+v", line, rec)
			}
			again, err := parseRecord(fmt.Appendf(nil, "%c%04o %d %s", rec.kind, rec.mode, rec.size, rec.name))
			if err != nil || again != rec {
				t.Fatalf("%q: %+v, then %+v, %v", line, rec, again, err)
			}
		case kindTimes:
			for _, at := range []fileTime{rec.modified, rec.accessed} {
				if at.sec < 0 || at.usec < 0 || at.usec > 999999 {
					t.Fatalf("%q: %+v", line, rec)
				}
			}
		}
	})
}

// checkAnswers takes what the sink sends and sees that the client could read it.
func checkAnswers(t *testing.T, out []byte) {
	t.Helper()
	for len(out) > 0 {
		switch out[0] {
		case 0:
			out = out[1:]
			continue
		case kindWarning:
			if end := bytes.IndexByte(out, '\n'); end > 0 && bytes.HasPrefix(out[1:], []byte("scp: ")) {
				out = out[end+1:]
				continue
			}
		}
		t.Fatalf("not an answer: %q", out)
	}
}

// FuzzSink plays any stream to the sink, which may fill its target and nothing else.
func FuzzSink(f *testing.F) {
	for _, seed := range []string{
		"C0644 5 name\nhello\x00", "T5 0 5 0\nD0755 0 d\nC0600 1 a\nx\x00E\nE\n", "D0000 0 d\nD0000 0 e\nE\nE\n",
		"C0644 1 ../x\nx\x00", "D0755 0 ..\nC0644 1 x\nx\x00E\n", "C0644 0 in\n\x00D0755 0 in\nE\n", "\x01a\n\x02b\n",
		"E\nE\nC0644 1 x\nx\x00", "C0644 1 a/../../x\nx\x00", "C0644 1 out\nx\x00",
	} {
		for _, flags := range []byte{0, 1, 2, 3, 7} {
			f.Add(flags, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, flags byte, stream []byte) {
		root := t.TempDir()
		target := root + "/target"
		if err := os.Mkdir(target, 0o755); err != nil {
			t.Fatal(err)
		}
		args := []string{"scp", "-t"}
		for i, option := range []string{"-r", "-p", "-d"} {
			if flags&(1<<i) != 0 {
				args = append(args, option)
			}
		}
		mask := unix.Umask(0o022)
		defer unix.Umask(mask)
		var out bytes.Buffer
		code := run(append(args, target), bytes.NewReader(stream), &out, io.Discard)
		checkAnswers(t, out.Bytes())
		if failed := bytes.IndexByte(out.Bytes(), kindWarning) >= 0; failed && code != 1 {
			t.Fatalf("exit %d after an error", code)
		}
		outside, err := os.ReadDir(root)
		if err != nil || len(outside) != 1 || outside[0].Name() != "target" {
			t.Fatalf("beside the target: %v, %v", outside, err)
		}
		makeRemovable(target)
	})
}

// makeRemovable lets an ordinary user remove what a stream has made.
func makeRemovable(dir string) {
	_ = os.Chmod(dir, 0o700)
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if e.IsDir() {
			makeRemovable(dir + "/" + e.Name())
		}
	}
}

// TestNames refuses every name that is not one component of a path.
func TestNames(t *testing.T) {
	for _, kind := range []string{"C", "D"} {
		for _, name := range []string{"", ".", "..", "/", "a/b", "../x", "/etc/passwd", "a/", "./a", "a\x00b"} {
			if _, err := parseRecord([]byte(kind + "0644 1 " + name)); !errors.As(err, new(nameError)) {
				t.Errorf("%s %q: %v", kind, name, err)
			}
		}
		for _, name := range []string{"a", "...", ".a", "a.", " ", "\xff", "-", "~", "$x", "*", strings.Repeat("n", 2000)} {
			if _, err := parseRecord([]byte(kind + "0644 1 " + name)); err != nil {
				t.Errorf("%s %q: %v", kind, name, err)
			}
		}
	}
}
