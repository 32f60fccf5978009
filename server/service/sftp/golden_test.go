package sftp

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// world makes the same files below a directory for each server.
func world(t *testing.T, root string) {
	t.Helper()
	put(t, root+"/file", "some content\n", 0o644)
	put(t, root+"/old", "old", 0o755|os.ModeSetuid|os.ModeSetgid)
	put(t, root+"/dir/inner", strings.Repeat("x", 1000), 0o666|os.ModeSticky)
	put(t, root+"/bytes\xff\xfe", "", 0o600)
	put(t, root+"/two/a", "a", 0o644)
	put(t, root+"/future", "", 0o644)
	for _, link := range [][2]string{{"file", "link"}, {"nowhere", "dangling"}, {"dir", "dirlink"}, {"loop", "loop"},
		{"/", "rootlink"}, {"../nowhere/x", "dir/up"}} {
		if err := os.Symlink(link[0], root+"/"+link[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(root+"/empty", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(root+"/fifo", 0o640); err != nil {
		t.Fatal(err)
	}
	future := time.Now().Add(1000 * time.Hour).Truncate(24 * time.Hour)
	if err := os.Chtimes(root+"/future", future, future); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dir", "empty", "two", "fifo"} {
		age(t, root+"/"+name)
	}
	_ = filepath.Walk(root, func(path string, _ os.FileInfo, _ error) error {
		if filepath.Base(path) != "future" {
			ageLink(t, path)
		}
		return nil
	})
}

// compare runs a script through both servers and compares what they answer, and how
// they end. The names of the two roots have the same length.
func compare(t *testing.T, s *script, args ...string) (results [2]result, roots [2]string) {
	t.Helper()
	return compareBut(t, s, func(int, *reply) {}, args...)
}

// compareBut is compare that takes from each reply what may differ.
func compareBut(t *testing.T, s *script, but func(int, *reply), args ...string) (results [2]result, roots [2]string) {
	t.Helper()
	theirs := reference(t)
	top := t.TempDir()
	for i, program := range []string{theirs, own(t)} {
		roots[i] = filepath.Join(top, string("ab"[i]), "root")
		world(t, roots[i])
		ageLink(t, filepath.Dir(roots[i]))
		results[i] = run(t, roots[i], program, s.requests, args...)
		results[i].stderr = strings.ReplaceAll(results[i].stderr, roots[i], roots[0])
	}
	a, b := results[0].replies, results[1].replies
	bad := 0
	for i := range max(len(a), len(b)) {
		if i < len(a) && i < len(b) {
			b[i].body = bytes.ReplaceAll(b[i].body, []byte(filepath.Dir(roots[1])), []byte(filepath.Dir(roots[0])))
			for _, r := range []*reply{&a[i], &b[i]} {
				r.body = withoutNow(r)
				but(i, r)
			}
			if a[i].String() == b[i].String() {
				continue
			}
		}
		there, here := "nothing", "nothing"
		if i < len(a) {
			there = a[i].String()
		}
		if i < len(b) {
			here = b[i].String()
		}
		if bad++; bad < 20 {
			t.Errorf("request %d, %.100q\n here: %.400s\nthere: %.400s", i, s.requests[i], here, there)
		}
	}
	if results[0].code != results[1].code {
		t.Errorf("exit %d, sftp-server's is %d", results[1].code, results[0].code)
	}
	return results, roots
}

// paths are names that servers could disagree on.
var paths = []string{
	"", ".", "/", "//", "///etc", "file", "./file", "dir/../file", "file/", "file/..", "file/x", "file/.", "none", "none/", "none/.",
	"none/..", "none/none", "dir/none", "dir/none/", "link", "link/", "link/..", "dangling", "dangling/", "dangling/x", "dirlink", "dirlink/",
	"dirlink/inner", "dirlink/..", "dirlink/none", "loop", "loop/x", "loop/..", "rootlink/..", "dir/up", "dir//inner",
	"empty", "empty/", "fifo", "bytes\xff\xfe", "future", strings.Repeat("n", 255), strings.Repeat("n", 256), strings.Repeat("n/", 2100),
	"file\x00", "~", "~/file", "~/", "~root", "~root/x", "~nobodyatall", "~nobodyatall/x", "old", "two", "a/b/../../file",
	"..", "../..", "/..", "/../etc/.", "/dev/null", "nobodyatall", "root", "daemon",
}

func TestGoldenNames(t *testing.T) {
	for _, c := range []struct {
		name string
		kind byte
		ext  string
	}{
		{"realpath", fxpRealpath, ""}, {"stat", fxpStat, ""}, {"lstat", fxpLstat, ""}, {"readlink", fxpReadlink, ""},
		{"opendir", fxpOpendir, ""}, {"rmdir", fxpRmdir, ""}, {"remove", fxpRemove, ""},
		{"expand", fxpExtended, "expand-path@openssh.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript()
			for _, path := range paths {
				if (c.name == "rmdir" || c.name == "remove") && strings.HasPrefix(path, "/") || strings.HasSuffix(c.name, "stat") && path == "../.." {
					continue
				}
				if c.ext != "" {
					s.extended(c.ext, str(path))
				} else {
					s.add(c.kind, str(path))
				}
			}
			compare(t, s)
		})
	}
}

func TestGoldenOpen(t *testing.T) {
	s := newScript()
	for flags := range uint32(64) {
		for _, path := range []string{"file", "new", "dir", "link", "dangling", "none/x", "loop"} {
			s.add(fxpOpen, str(path), u32(flags), mode(0o640))
		}
		if flags%8 == 7 {
			s.add(fxpRemove, str("new"))
			s.add(fxpRemove, str("nowhere"))
		}
	}
	s.add(fxpOpen, str("plain"), u32(openWrite|openCreate), noAttrs())
	s.add(fxpOpen, str("special"), u32(openWrite|openCreate), mode(0o107777))
	_, roots := compare(t, s)
	sameTree(t, roots)
}

func TestGoldenFiles(t *testing.T) {
	s := newScript()
	s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
	s.add(fxpOpen, str("new"), u32(openWrite|openCreate), mode(0o640))
	s.add(fxpOpen, str("old"), u32(openRead|openWrite|openAppend), noAttrs())
	s.add(fxpOpendir, str("two"))
	s.add(fxpOpen, str("/dev/null"), u32(openRead|openWrite), noAttrs())
	s.add(fxpOpen, str("/dev/zero"), u32(openRead|openWrite), noAttrs())
	for _, h := range [][]byte{hnd(0), hnd(1), hnd(2), hnd(3), hnd(4), hnd(5), hnd(6), hnd(math.MaxUint32), str("abc\x00"), str("abcde"), str(strings.Repeat("h", 300))} {
		for _, offset := range []uint64{0, 5, 13, 14, 1 << 40, 1 << 63, math.MaxUint64} {
			if offset >= 1<<63 && (h[7] == 4 || h[7] == 5) {
				continue // devices may have files of any size
			}
			for _, n := range []uint32{0, 1, 100, maxTransfer, maxTransfer + 1, math.MaxUint32} {
				s.add(fxpRead, h, u64(offset), u32(n))
			}
			for _, data := range []string{"", "x", "data"} {
				if offset != 1<<40 { // not the same limit on every file system
					s.add(fxpWrite, h, u64(offset), str(data))
				}
			}
		}
		s.extended("fsync@openssh.com", h)
	}
	for _, h := range [][]byte{hnd(3), hnd(6), str("")} {
		s.add(fxpFstat, h)
		s.add(fxpFsetstat, h, mode(0o600))
		s.extended("fstatvfs@openssh.com", h)
	}
	for _, h := range []uint32{0, 2, 3, 3, 3, 4} {
		s.add(fxpReaddir, hnd(h))
	}
	s.add(fxpRead, hnd(2), u64(0), u32(100))
	for _, h := range []uint32{0, 0, 2, 9} {
		s.add(fxpClose, hnd(h))
	}
	for range 3 {
		s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
	}
	s.add(fxpClose, str("toolong"))
	_, roots := compareBut(t, s, func(_ int, r *reply) {
		if r.kind == fxpName {
			r.body = nil // another test's; here the directory above is new
		}
	})
	sameTree(t, roots)
}

func TestGoldenChanges(t *testing.T) {
	s := newScript()
	all := func(flags uint32) []byte {
		b := u32(flags)
		if flags&attrSize != 0 {
			b = append(b, u64(7)...)
		}
		if flags&attrOwner != 0 {
			b = append(append(b, u32(uint32(os.Getuid()))...), u32(uint32(os.Getgid()))...)
		}
		if flags&attrMode != 0 {
			b = append(b, u32(0o107711)...)
		}
		if flags&attrTimes != 0 {
			b = append(append(b, u32(1000000000)...), u32(math.MaxUint32)...)
		}
		if flags&attrExtended != 0 {
			b = append(append(append(b, u32(1)...), str("name")...), str("value")...)
		}
		return b
	}
	s.add(fxpOpen, str("two/a"), u32(openRead|openWrite), noAttrs())
	for flags := range uint32(16) {
		for _, path := range []string{"file", "link", "dangling", "none", "dir", "fifo", "", "loop"} {
			s.add(fxpSetstat, str(path), all(flags))
			s.extended("lsetstat@openssh.com", str(path), all(flags))
		}
		s.add(fxpFsetstat, hnd(0), all(flags|attrExtended))
	}
	s.add(fxpSetstat, str("file"), append(u32(attrSize), u64(1<<63)...))
	s.add(fxpSetstat, str("file"), append(append(u32(attrOwner), u32(math.MaxUint32)...), u32(math.MaxUint32)...))
	s.add(fxpSetstat, str("/proc/1/none"), all(15))
	// Links to nowhere are another test's: RENAME differs there on purpose.
	names := []string{"file", "none", "old", "dir", "empty", "two", "", "dir/", "dir/sub", "none/x", "fifo", "file/x"}
	for _, from := range names {
		for _, to := range names {
			s.extended("hardlink@openssh.com", str(from), str(to))
			s.add(fxpRename, str(from), str(to))
			s.extended("posix-rename@openssh.com", str(from), str(to))
		}
		s.add(fxpMkdir, str(from), all(attrMode))
		s.add(fxpMkdir, str(from+"2"), noAttrs())
		s.add(fxpRmdir, str(from+"2"))
	}
	for _, from := range append(names, "link", "dangling") {
		for _, to := range append(names, "newlink", "link", "dangling") {
			s.add(fxpSymlink, str(from), str(to))
			s.extended("posix-rename@openssh.com", str(to), str("moved"))
		}
	}
	_, roots := compare(t, s)
	sameTree(t, roots)
}
