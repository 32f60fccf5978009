package sftp

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestThreat22ReadOnly tries every way to change something, with the handles that
// read-only mode gives out, and looks at the files afterwards (CVE-2017-15906).
func TestThreat22ReadOnly(t *testing.T) {
	dir := t.TempDir()
	world(t, dir)
	before := tree(t, dir)
	o := options(dir)
	o.ReadOnly = true
	c := dial(t, o)
	reading := c.open("file", openRead, noAttrs())
	other := c.open("old", openRead, noAttrs())
	r := c.do(fxpOpendir, str("two"))
	if reading != 0 || other != 1 || r.kind != fxpHandle {
		t.Fatal(r)
	}
	for flags := range uint32(1 << 7) {
		for _, name := range []string{"file", "new", "dangling", "dir", "/dev/null"} {
			r := c.do(fxpOpen, str(name), u32(flags), mode(0o666))
			switch {
			case flags&(openWrite|openCreate|openTruncate) != 0 && r.status() != statusPermissionDenied:
				t.Errorf("open %s with %#x: %v", name, flags, r)
			case r.kind == fxpHandle:
				h := r.body[4:]
				c.want(statusPermissionDenied, fxpWrite, str(string(h)), u64(0), str("changed"))
				c.want(statusOK, fxpClose, str(string(h)))
			}
		}
	}
	attrs := func(flags uint32) []byte { return append(u32(flags), make([]byte, 32)...) }
	for flags := range uint32(16) {
		c.want(statusPermissionDenied, fxpSetstat, str("file"), attrs(flags))
		c.want(statusPermissionDenied, fxpFsetstat, hnd(reading), attrs(flags))
		c.want(statusPermissionDenied, fxpExtended, str("lsetstat@openssh.com"), str("link"), attrs(flags))
	}
	for _, x := range []step{
		{kind: fxpWrite, fields: fields(hnd(reading), u64(0), str("changed"))},
		{kind: fxpRemove, fields: str("file")},
		{kind: fxpMkdir, fields: fields(str("new"), noAttrs())},
		{kind: fxpRmdir, fields: str("empty")},
		{kind: fxpRename, fields: fields(str("file"), str("new"))},
		{kind: fxpSymlink, fields: fields(str("file"), str("new"))},
		{kind: fxpExtended, fields: extension1("posix-rename@openssh.com", str("file"), str("old"))},
		{kind: fxpExtended, fields: extension1("hardlink@openssh.com", str("file"), str("new"))},
		{kind: fxpExtended, fields: extension1("fsync@openssh.com", hnd(reading))},
		{kind: fxpExtended, fields: extension1("copy-data", hnd(reading), u64(0), u64(0), hnd(other), u64(0))},
	} {
		c.want(statusPermissionDenied, x.kind, x.fields)
		c.want(statusPermissionDenied, x.kind, x.fields, []byte("more"))
	}
	if data, _ := c.read(reading, 0, 4); data != "some" {
		t.Errorf("reading: %q", data)
	}
	c.close()
	if after := tree(t, dir); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestThreat22Pieces is the same for a WRITE whose data comes in pieces.
func TestThreat22Pieces(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", "some content", 0o644)
	before := tree(t, dir)
	o := options(dir)
	o.ReadOnly = true
	s := newScript()
	s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
	s.add(fxpWrite, hnd(0), u64(0), str(strings.Repeat("x", 5000)))
	s.add(fxpRead, hnd(0), u64(0), u32(4))
	for _, size := range []int{1, 40, 1000} {
		got, exit := serve(t, o, cut(bytes.Join(s.requests, nil), size))
		if exit != exitOK || len(got) != 4 || got[2].status() != statusPermissionDenied || got[3].kind != fxpData {
			t.Errorf("pieces of %d: exit %d, %v", size, exit, got)
		}
	}
	if after := tree(t, dir); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestThreat22Table is the list of what changes nothing. A new request that is not on
// it must be refused in read-only mode.
func TestThreat22Table(t *testing.T) {
	harmless := []string{"open", "close", "read", "lstat", "fstat", "opendir", "readdir", "realpath", "stat", "readlink",
		"statvfs", "fstatvfs", "limits", "expand-path", "home-directory", "users-groups-by-id"}
	check := func(r *request) {
		if r.writes == slices.Contains(harmless, r.name) {
			t.Errorf("%s: writes is %v", r.name, r.writes)
		}
	}
	for i := range requests {
		check(&requests[i].request)
	}
	for i := range extensions {
		check(&extensions[i].request)
	}
	if len(requests)+len(extensions) != 29 {
		t.Errorf("%d requests and %d extensions: are they all here?", len(requests), len(extensions))
	}
}

// TestLists refuses by -P before -p allows, and announces no refused extension.
func TestLists(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", "data", 0o644)
	o := options(dir)
	o.Allow, o.Deny = []string{"open", "read", "stat", "limits"}, []string{"stat"}
	got, _ := serve(t, o, [][]byte{initFrame, frame(fxpStat, u32(1), str("file")), frame(fxpLstat, u32(2), str("file")),
		frame(fxpOpen, u32(3), str("file"), u32(openRead), noAttrs()), frame(fxpRead, u32(4), hnd(0), u64(0), u32(9)), frame(fxpClose, u32(5), hnd(0))})
	if len(got) != 6 || string(got[0].body) != string(append(str("limits@openssh.com"), str("1")...)) ||
		got[1].status() != statusPermissionDenied || got[2].status() != statusPermissionDenied || got[3].kind != fxpHandle ||
		got[4].kind != fxpData || got[5].status() != statusPermissionDenied {
		t.Errorf("%v", got)
	}
}
