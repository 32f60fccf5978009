package scp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// world is a client's directory and a host's, where this binary is scp.
type world struct {
	t            *testing.T
	client, home string
	ssh          string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	reference(t)
	w := &world{t: t, client: t.TempDir(), home: t.TempDir()}
	bin := t.TempDir()
	for _, name := range []string{"ssh", "scp"} {
		if err := os.Symlink(program(t), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.ssh = filepath.Join(bin, "ssh")
	return w
}

// scp runs the real client.
func (w *world) scp(args ...string) result {
	w.t.Helper()
	cmd := exec.Command(reference(w.t), append([]string{"-O", "-S", w.ssh}, args...)...)
	cmd.Dir = w.client
	cmd.Env = append(os.Environ(), asHome+"="+w.home)
	return finish(w.t, cmd)
}

// fine is scp that has to succeed without a word.
func (w *world) fine(args ...string) {
	w.t.Helper()
	if r := w.scp(args...); r.code != 0 || r.stderr != "" {
		w.t.Errorf("scp %q: exit %d, stderr %q", args, r.code, r.stderr)
	}
}

// fillTree makes what there is to copy.
func fillTree(t *testing.T, dir string) {
	t.Helper()
	put(t, dir+"/plain", "hello\n", 0o644)
	put(t, dir+"/read-only", "r", 0o444)
	put(t, dir+"/program", "#!/bin/sh\n", 0o755)
	put(t, dir+"/empty", "", 0o600)
	put(t, dir+"/large", strings.Repeat("0123456789abcde\n", 200_000), 0o640)
	put(t, dir+"/exact", strings.Repeat("x", bufferSize), 0o640)
	put(t, dir+"/one more", strings.Repeat("x", bufferSize+1), 0o640)
	put(t, dir+"/\xff\xfe not UTF-8 '\"\\$x", "n", 0o644)
	put(t, dir+"/-dash", "d", 0o644)
	deep := dir + "/a/b/c/d/e/f"
	put(t, deep+"/x", "deep", 0o600)
	for i := range 100 {
		put(t, fmt.Sprintf("%s/many/%d", dir, i), strings.Repeat("m", i), 0o644)
	}
	if err := os.Mkdir(dir+"/hollow", 0o755); err != nil {
		t.Fatal(err)
	}
	age(t, dir+"/hollow", 0o700)
	age(t, dir+"/many", 0o750)
	for d := deep; d != dir; d = filepath.Dir(d) {
		age(t, d, 0o755)
	}
	age(t, dir, 0o755)
}

// TestClient copies a tree there and back with the real client.
func TestClient(t *testing.T) {
	w := newWorld(t)
	fillTree(t, w.client+"/tree")
	w.fine("-rp", "tree", "h:there")
	w.fine("-rp", "h:there", "back")
	want := tree(t, w.client+"/tree")
	if got := tree(t, w.home+"/there"); got != want {
		t.Errorf("there:\n%sexpected:\n%s", got, want)
	}
	if got := tree(t, w.client+"/back"); got != want {
		t.Errorf("back:\n%sexpected:\n%s", got, want)
	}
	w.fine("-r", "tree", "h:there") // into what is there now
	if got := tree(t, w.home+"/there/tree"); strings.Count(got, "\n") != strings.Count(want, "\n") {
		t.Errorf("into the directory:\n%s", got)
	}
}

// TestClientFiles copies single files in the ways there are.
func TestClientFiles(t *testing.T) {
	w := newWorld(t)
	put(t, w.client+"/a", "aaa", 0o644)
	put(t, w.client+"/b", "b", 0o600)
	if err := os.Mkdir(w.home+"/d e", 0o755); err != nil {
		t.Fatal(err)
	}
	w.fine("a", "h:")
	w.fine("a", "b", "h:'d e'")
	w.fine("-p", "b", "h:c")
	w.fine("a", "h:c") // over a file with another mode
	w.fine("h:a", "h:d\\ e/b", ".")
	w.fine("h:[ac]", "h:~/c", ".")
	w.fine("./a", "h:-x")
	w.fine("h:-x", "y")
	w.fine("-3", "h:a", "k:'d e/copied'") // two hosts
	for path, want := range map[string]string{
		w.home + "/a": "aaa", w.home + "/d e/a": "aaa", w.home + "/d e/b": "b", w.home + "/c": "aaa",
		w.home + "/d e/copied": "aaa", w.client + "/b": "b", w.client + "/c": "aaa", w.client + "/y": "aaa",
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if info, err := os.Stat(w.home + "/c"); err != nil || info.Mode() != 0o600 {
		t.Errorf("the mode of a file that was there: %v, %v", info.Mode(), err)
	}
}

// TestClientErrors sees what the client prints and how it ends.
func TestClientErrors(t *testing.T) {
	w := newWorld(t)
	put(t, w.client+"/a", "aaa", 0o644)
	put(t, w.home+"/there", "t", 0o644)
	if err := os.Mkdir(w.home+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"h:none", "."}, "scp: none: No such file or directory\n"},
		{[]string{"h:none", "h:there", "."}, "scp: none: No such file or directory\n"},
		{[]string{"h:d", "."}, "scp: d: not a regular file\n"},
		{[]string{"a", "h:no/where"}, "scp: no/where: No such file or directory\n"},
		{[]string{"a", "a", "h:there"}, "scp: there: Not a directory\n"},
		{[]string{"a", "h:/dev/full"}, "scp: /dev/full: No space left on device\n"},
		{[]string{"a", "none", "h:d"}, "none: No such file or directory\n"},
	} {
		r := w.scp(c.args...)
		if r.code != 1 || !strings.HasSuffix(r.stderr, c.want) {
			t.Errorf("scp %q: exit %d, stderr %q; expected 1, %q", c.args, r.code, r.stderr, c.want)
		}
	}
	for _, path := range []string{w.client + "/there", w.home + "/d/a"} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the file beside the one that is missing was not copied: %v", err)
		}
	}
}
