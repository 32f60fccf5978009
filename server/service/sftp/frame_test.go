package sftp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// upload is a session that writes files by requests of many sizes.
func upload() []byte {
	s := newScript()
	s.add(fxpOpen, str("one"), u32(openRead|openWrite|openCreate), noAttrs())
	s.add(fxpOpen, str("two"), u32(openRead|openWrite|openCreate|openAppend), noAttrs())
	offset := uint64(0)
	for i, n := range []int{0, 1, 2, 3, 10, 29, 30, 100, 1000, 4096, 5000} {
		data := strings.Repeat(string(rune('a'+i)), n)
		s.add(fxpWrite, hnd(0), u64(offset), str(data))
		s.add(fxpWrite, hnd(1), u64(0), str(data))
		s.add(fxpWrite, hnd(9), u64(0), str(data))                      // no such handle
		s.add(fxpWrite, str("handle"), u64(0), str(data))               // of another size
		s.add(fxpWrite, hnd(0), u64(offset), str(data), []byte("more")) // trailing bytes
		s.add(fxpWrite, hnd(0), u64(1<<63), str(data))
		s.add(fxpWrite, hnd(0), u64(offset), u32(uint32(n)+1), []byte(data)) // more than there is
		s.add(fxpRead, hnd(0), u64(0), u32(uint32(n)))
		offset += uint64(n)
	}
	s.add(fxpStat, str(strings.Repeat("long", 1000)))
	s.add(fxpRead, hnd(0), u64(0), u32(maxTransfer))
	s.add(fxpRead, hnd(1), u64(0), u32(maxTransfer))
	return bytes.Join(s.requests, nil)
}

// TestPieces cuts a session's bytes in many ways: the answers and the files are the
// same.
func TestPieces(t *testing.T) {
	stream := upload()
	var want string
	for _, size := range []int{len(stream), 1, 2, 3, 5, 13, 28, 29, 30, 31, 100, 1021, 4096, 32 << 10} {
		dir := t.TempDir()
		got, exit := serve(t, options(dir), cut(stream, size))
		if exit != exitOK {
			t.Errorf("pieces of %d: exit %d", size, exit)
		}
		one, err1 := os.ReadFile(dir + "/one")
		two, err2 := os.ReadFile(dir + "/two")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		result := fmt.Sprintf("%v %x %x", got, sha256.Sum256(one), sha256.Sum256(two))
		if want == "" {
			want = result
			if len(one) != len(two) || len(one) != 10271 {
				t.Errorf("%d and %d bytes", len(one), len(two))
			}
		}
		if result != want {
			t.Errorf("pieces of %d: other results", size)
		}
	}
}

// TestInterrupted ends a session in the middle of a WRITE: what came stays.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	s := newScript()
	s.add(fxpOpen, str("file"), u32(openWrite|openCreate), noAttrs())
	s.add(fxpWrite, hnd(0), u64(0), str(strings.Repeat("x", 100000)))
	stream := bytes.Join(s.requests, nil)
	o := options(dir)
	var l lines
	o.Log, o.Level = &l, 3
	got, exit := serve(t, o, cut(stream[:len(stream)-50000], 7000))
	if len(got) != 2 || exit != exitOK {
		t.Errorf("%v, exit %d", got, exit)
	}
	if info, err := os.Stat(dir + "/file"); err != nil || info.Size() != 50000 {
		t.Errorf("%v, %v", info, err)
	}
	if !slices.Contains(l.all, `info: forced close "file" bytes read 0 written 50000`) {
		t.Errorf("%q", l.all)
	}
}

// TestMalformed cuts every request short at every field. Each is answered, and the
// session goes on.
func TestMalformed(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", "data", 0o644)
	whole := newScript()
	addEverything(whole)
	for i, q := range whole.requests[1:] {
		s := newScript()
		body := q[4:]
		for n := range len(body) {
			s.requests = append(s.requests, append(u32(uint32(n)), body[:n]...))
		}
		s.add(fxpStat, str("file"))
		got, exit := serve(t, options(dir), [][]byte{bytes.Join(s.requests, nil)})
		if exit != exitOK || len(got) != len(s.requests) {
			t.Fatalf("%q: exit %d, %d replies to %d requests", q, exit, len(got), len(s.requests))
		}
		if last := got[len(got)-1]; last.kind != fxpAttrs {
			t.Errorf("%q: then %v", q, last)
		}
		for n, r := range got[1 : len(got)-1] {
			extended := body[0] == fxpExtended && n > 9 // its name alone, or a name without more, may be whole
			if r.status() != statusBadMessage && !extended || r.kind != fxpStatus && !extended {
				t.Errorf("request %d %q cut to %d bytes: %v", i, q, n, r)
			}
			if n >= 5 && n < len(body)-1 && r.id != uint32(i+1) {
				t.Errorf("request %d: answered %d", i+1, r.id)
			}
		}
	}
}

func TestNULInNames(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", "data", 0o644)
	c := dial(t, options(dir))
	c.want(statusBadMessage, fxpStat, str("fi\x00le"))
	c.want(statusBadMessage, fxpOpen, str("file\x00\x00"), u32(openRead), noAttrs())
	c.want(statusBadMessage, fxpRename, str("file"), str("\x00x"))
	if r := c.do(fxpStat, str("file\x00")); r.kind != fxpAttrs {
		t.Error(r)
	}
}

// TestOversized is the one malformed request that ends a session.
func TestOversized(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []uint32{maxMessage + 1, 1 << 31, 1<<32 - 1} {
		for _, size := range []int{1, 1000} {
			s := newScript()
			s.add(fxpStat, str("."))
			s.requests = append(s.requests, u32(n), []byte{fxpWrite, 0, 0, 0, 9})
			s.add(fxpStat, str("."))
			got, exit := serve(t, options(dir), cut(bytes.Join(s.requests, nil), size))
			if exit != exitFrame || len(got) != 2 {
				t.Errorf("length %d: exit %d, %v", n, exit, got)
			}
		}
	}
	s := newScript()
	s.add(fxpStat, str("."), make([]byte, maxMessage-1-4-4-1))
	if got, exit := serve(t, options(dir), s.requests); exit != exitOK || len(got) != 2 || got[1].kind != fxpAttrs {
		t.Errorf("the longest request: exit %d, %v", exit, got)
	}
}

func TestBeforeInit(t *testing.T) {
	dir := t.TempDir()
	whole := newScript()
	addEverything(whole)
	got, exit := serve(t, options(dir), whole.requests[1:])
	if exit != exitOK || len(got) != len(whole.requests)-1 {
		t.Errorf("exit %d, %d replies", exit, len(got))
	}
	for _, r := range got {
		if r.status() != statusBadMessage {
			t.Errorf("%v", r)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("%v", entries)
	}
}

func TestUnknownRequests(t *testing.T) {
	c := dial(t, options(t.TempDir()))
	for kind := range 256 {
		if kind == fxpInit || kind >= fxpOpen && kind <= fxpSymlink || kind == fxpExtended {
			continue
		}
		c.want(statusUnsupported, byte(kind), str("whatever"))
	}
	c.want(statusUnsupported, fxpExtended, str("unknown@example.org"))
	c.want(statusUnsupported, fxpExtended, str("posix-rename@openssh.co"))
}

// failing is a client who takes n bytes.
type failing struct {
	pieces
	n int
}

func (f *failing) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

// TestClientGone ends the session at the first reply that nobody takes, and closes
// what is open.
func TestClientGone(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", strings.Repeat("x", 1000), 0o644)
	before := openFiles(t)
	for n := range 30 {
		s := newScript()
		for range 20 {
			s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
			s.add(fxpRead, hnd(0), u64(0), u32(1000))
		}
		f := &failing{n: n * 400, pieces: pieces{in: s.requests}}
		want := exitFailed
		if got := Serve(context.Background(), f, options(dir)); got != want && n*400 < 20*1000 {
			t.Errorf("%d bytes taken: exit %d", n*400, got)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// openFiles counts this process's descriptors below a test's directories.
func openFiles(t testing.TB) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, filepath.Dir(os.TempDir()+"/")) {
			n++
		}
	}
	return n
}
