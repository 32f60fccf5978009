package sftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// step is one request of a table and the status of its reply; -1: another reply, one
// whose fields contain want.
type step struct {
	kind   byte
	fields []byte
	status int
	want   string
}

func fields(f ...[]byte) []byte { return bytes.Join(f, nil) }

func extension1(name string, f ...[]byte) []byte { return append(str(name), bytes.Join(f, nil)...) }

// TestRequests is what the requests do, without OpenSSH's to compare with.
func TestRequests(t *testing.T) {
	dir := t.TempDir()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	world(t, dir)
	c := dial(t, options(dir))
	for i, x := range []step{
		{fxpRealpath, str(""), -1, dir},
		{fxpRealpath, str("none"), -1, dir + "/none"},
		{fxpRealpath, str("none/x"), statusNoSuchFile, ""},
		{fxpRealpath, str("dirlink/../link"), -1, dir + "/file"},
		{fxpRealpath, str("loop"), statusNoSuchFile, ""},
		{fxpRealpath, str("/../.."), -1, "\x00\x00\x00\x01/"},
		{fxpReadlink, str("dangling"), -1, "nowhere"},
		{fxpReadlink, str("file"), statusBadMessage, ""},
		{fxpStat, str("dangling"), statusNoSuchFile, ""},
		{fxpLstat, str("dangling"), -1, "\xa1\xff"},
		{fxpStat, str("file/x"), statusNoSuchFile, ""},
		{fxpStat, str(strings.Repeat("n", 256)), statusBadMessage, ""},
		{fxpMkdir, fields(str("made"), mode(0o700)), statusOK, ""},
		{fxpMkdir, fields(str("made"), mode(0o700)), statusFailure, ""},
		{fxpRmdir, str("dir"), statusFailure, ""},
		{fxpRmdir, str("made"), statusOK, ""},
		{fxpRemove, str("dir"), statusFailure, ""},
		{fxpRename, fields(str("file"), str("old")), statusFailure, ""},
		{fxpRename, fields(str("file"), str("dangling")), statusFailure, ""},
		{fxpRename, fields(str("dir"), str("empty")), statusFailure, ""},
		{fxpRename, fields(str("dir"), str("dir/sub")), statusBadMessage, ""},
		{fxpRename, fields(str("none"), str("new")), statusNoSuchFile, ""},
		{fxpRename, fields(str("file"), str("renamed")), statusOK, ""},
		{fxpExtended, extension1("posix-rename@openssh.com", str("renamed"), str("old")), statusOK, ""},
		{fxpExtended, extension1("hardlink@openssh.com", str("old"), str("hard")), statusOK, ""},
		{fxpExtended, extension1("hardlink@openssh.com", str("old"), str("hard")), statusFailure, ""},
		{fxpSymlink, fields(str("any target"), str("newlink")), statusOK, ""},
		{fxpReadlink, str("newlink"), -1, "any target"},
		{fxpSetstat, fields(str("hard"), u32(attrSize), u64(4)), statusOK, ""},
		{fxpStat, str("old"), -1, "\x00\x00\x00\x0f\x00\x00\x00\x00\x00\x00\x00\x04"},
		{fxpExtended, extension1("lsetstat@openssh.com", str("newlink"), u32(attrTimes), u32(5), u32(6)), statusOK, ""},
		{fxpLstat, str("newlink"), -1, "\x00\x00\x00\x05\x00\x00\x00\x06"},
		{fxpExtended, extension1("lsetstat@openssh.com", str("newlink"), mode(0o600)), statusFailure, ""},
		{fxpExtended, extension1("lsetstat@openssh.com", str("hard"), u32(attrSize), u64(1)), statusBadMessage, ""},
		{fxpExtended, extension1("statvfs@openssh.com", str(".")), -1, ""},
		{fxpExtended, extension1("limits@openssh.com"), -1, "\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x03\xfc\x00\x00\x00\x00\x00\x00\x03\xfc\x00"},
		{fxpExtended, extension1("expand-path@openssh.com", str("~/x")), -1, dir + "/x"},
		{fxpExtended, extension1("expand-path@openssh.com", str("~nobodyatall/x")), statusNoSuchFile, ""},
		{fxpExtended, extension1("home-directory", str("")), -1, dir},
		{fxpExtended, extension1("home-directory", str("nobodyatall")), statusFailure, ""},
		{fxpExtended, extension1("users-groups-by-id@openssh.com", str("abc"), str("")), statusBadMessage, ""},
		{fxpOpendir, str("old"), statusNoSuchFile, ""},
		{fxpClose, hnd(0), statusNoSuchFile, ""},
	} {
		r := c.do(x.kind, x.fields)
		if r.status() != x.status || !bytes.Contains(r.body, []byte(x.want)) {
			t.Errorf("%d: request %d %q: %v, expected %d with %q", i, x.kind, x.fields, r, x.status, x.want)
		}
	}
	if exit := c.close(); exit != exitOK {
		t.Errorf("exit %d", exit)
	}
}

// TestFar writes where no small number leads: the file has a hole.
func TestFar(t *testing.T) {
	dir := t.TempDir()
	c := dial(t, options(dir))
	h := c.open("sparse", openRead|openWrite|openCreate, noAttrs())
	const far = 5 << 30
	c.want(statusOK, fxpWrite, hnd(h), u64(far), str("end"))
	if data, _ := c.read(h, far-2, 100); data != "\x00\x00end" {
		t.Errorf("%q", data)
	}
	if _, status := c.read(h, far+3, 1); status != statusEOF {
		t.Errorf("behind the end: %d", status)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir+"/sparse", &st); err != nil || st.Size != far+3 || st.Blocks > 1000 {
		t.Errorf("size %d, %d blocks, %v", st.Size, st.Blocks, err)
	}
	r := c.do(fxpFstat, hnd(h))
	if r.kind != fxpAttrs || binary.BigEndian.Uint64(r.body[4:]) != far+3 {
		t.Error(r)
	}
}

// TestAppend writes at the end whatever the offset.
func TestAppend(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", "begin", 0o644)
	c := dial(t, options(dir))
	h := c.open("file", openWrite|openAppend, noAttrs())
	c.want(statusOK, fxpWrite, hnd(h), u64(0), str(" one"))
	c.want(statusOK, fxpWrite, hnd(h), u64(1<<63), str(" two"))
	if got, _ := os.ReadFile(dir + "/file"); string(got) != "begin one two" {
		t.Errorf("%q", got)
	}
}

// TestSpecialFiles opens what would make a program wait for ever.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	c := dial(t, options(dir))
	c.want(statusFailure, fxpOpen, str("fifo"), u32(openWrite), noAttrs()) // nobody reads
	h := c.open("fifo", openRead, noAttrs())
	if _, status := c.read(h, 0, 10); status != statusFailure {
		t.Errorf("read: %d", status)
	}
	h = c.open("/dev/zero", openRead, noAttrs())
	if data, _ := c.read(h, 1<<40, 3); data != "\x00\x00\x00" {
		t.Errorf("%q", data)
	}
}

// TestNamesAreBytes lists and opens names that are no text.
func TestNamesAreBytes(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for c := 1; c < 256; c++ {
		if c != '/' && c != '.' {
			names = append(names, string([]byte{byte(c), 0xff}))
		}
	}
	c := dial(t, options(dir))
	for _, name := range names {
		c.want(statusOK, fxpMkdir, str(name), noAttrs())
	}
	got, _ := c.list(".")
	slices.Sort(names)
	if want := append([]string{".", ".."}, names...); !slices.Equal(got, sorted(want)) {
		t.Errorf("%q", got)
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

// list reads a directory to its end, sorted, and returns the largest number of names
// in one reply.
func (c *client) list(dir string) (names []string, most int) {
	c.t.Helper()
	r := c.do(fxpOpendir, str(dir))
	if r.kind != fxpHandle {
		c.t.Fatal(r)
	}
	h := r.body[4:]
	for {
		r := c.do(fxpReaddir, str(string(h)))
		if r.status() == statusEOF {
			break
		}
		if r.kind != fxpName {
			c.t.Fatal(r)
		}
		d := reader(r.body)
		n := int(d.Uint32())
		most = max(most, n)
		for range n {
			names = append(names, d.Text())
			d.String()
			d.Raw(32)
		}
		if err := d.End(); err != nil {
			c.t.Fatal(err)
		}
	}
	c.want(statusOK, fxpClose, str(string(h)))
	return sorted(names), most
}

// TestLargeDirectory reads many names by replies of maxNames, each name once.
func TestLargeDirectory(t *testing.T) {
	dir := t.TempDir()
	want := []string{".", ".."}
	for i := range 1234 {
		name := fmt.Sprintf("%04d%s", i, strings.Repeat("x", i%250))
		want = append(want, name)
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, options(dir))
	got, most := c.list(".")
	if !slices.Equal(got, sorted(want)) || most != maxNames {
		t.Errorf("%d names, at most %d at once", len(got), most)
	}
}

// TestHandles opens as many files as may be open; one more is refused.
func TestHandles(t *testing.T) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur < maxHandles+200 {
		t.Skipf("not that many descriptors: %d", r.Cur)
	}
	dir := t.TempDir()
	put(t, dir+"/file", "data", 0o644)
	before := openFiles(t)
	c := dial(t, options(dir))
	for i := range uint32(maxHandles) {
		if h := c.open("file", openRead, noAttrs()); h != i {
			t.Fatalf("handle %d, expected %d", h, i)
		}
	}
	c.want(statusFailure, fxpOpen, str("file"), u32(openRead), noAttrs())
	c.want(statusFailure, fxpOpendir, str("."))
	c.want(statusOK, fxpClose, hnd(7))
	if h := c.open("file", openRead, noAttrs()); h != 7 {
		t.Errorf("handle %d", h)
	}
	c.close()
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// TestCopyEnds copies from a file without an end: the session's end stops it.
func TestCopyEnds(t *testing.T) {
	c := dial(t, options(t.TempDir()))
	from := c.open("/dev/zero", openRead, noAttrs())
	to := c.open("/dev/null", openWrite, noAttrs())
	c.send(frame(fxpExtended, u32(1), str("copy-data"), hnd(from), u64(0), u64(0), hnd(to), u64(0)))
	c.cancel()
	if r := c.receive(); r.status() != statusFailure {
		t.Error(r)
	}
	c.close()
}

// TestCopyOntoItself copies a file to its own end under another name.
func TestCopyOntoItself(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", strings.Repeat("0123456789", 100), 0o644)
	if err := os.Link(dir+"/file", dir+"/same"); err != nil {
		t.Fatal(err)
	}
	c := dial(t, options(dir))
	from, to := c.open("file", openRead, noAttrs()), c.open("same", openWrite, noAttrs())
	r := c.extended("copy-data", hnd(from), u64(0), u64(0), hnd(to), u64(1000))
	if info, err := os.Stat(dir + "/file"); err != nil || info.Size() != 2000 || r.status() != statusOK {
		t.Errorf("%v, %v, %v", info, err, r)
	}
}

// TestStartDir starts where there is nothing: in the root.
func TestStartDir(t *testing.T) {
	var l lines
	o := options("/none/at/all")
	o.Log, o.Level = &l, 2
	c := dial(t, o)
	if r := c.do(fxpRealpath, str("etc")); !bytes.Contains(r.body, []byte("\x04/etc")) {
		t.Error(r)
	}
	c.close()
	if want := []string{`error: chdir to "/none/at/all" failed: No such file or directory`}; !slices.Equal(l.all, want) {
		t.Errorf("%q", l.all)
	}
}

// TestManySessions runs sessions with other directories and umasks in one process.
func TestManySessions(t *testing.T) {
	done := make(chan error)
	top := t.TempDir()
	masks := []int{-1, 0, 0o02, 0o77, 0o27}
	for i := range 20 {
		dir := fmt.Sprintf("%s/%d", top, i)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		o := options(dir)
		o.Umask = masks[i%len(masks)]
		s := newScript()
		for n := range 50 {
			s.add(fxpOpen, str(fmt.Sprint(n)), u32(openWrite|openCreate), noAttrs())
			s.add(fxpWrite, hnd(uint32(n)), u64(0), str(dir))
		}
		go func() {
			p := &pieces{in: s.requests}
			if exit := Serve(context.Background(), p, o); exit != exitOK {
				done <- fmt.Errorf("%s: exit %d", dir, exit)
			}
			want := os.FileMode(defaultMode)
			if o.Umask >= 0 {
				want &^= os.FileMode(o.Umask)
			}
			for n := range 50 {
				name := fmt.Sprintf("%s/%d", dir, n)
				content, err := os.ReadFile(name)
				info, err2 := os.Stat(name)
				if err != nil || err2 != nil || string(content) != dir || o.Umask >= 0 && info.Mode() != want {
					done <- fmt.Errorf("%s: %q, %v, %v, %v", name, content, info, err, err2)
					return
				}
			}
			done <- nil
		}()
	}
	for range 20 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(deadline):
			t.Fatal("not done")
		}
	}
}
