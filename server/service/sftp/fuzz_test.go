package sftp

import (
	"bytes"
	"context"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzRequests feeds a session anything, cut anywhere. It must not panic, must
// answer each whole request once, and gives the same answers however it is cut.
//
// The session has files of its own open, for reading and writing. What takes a name
// and changes something is refused, so that no name that the fuzzer finds comes to
// harm; copy-data, since it can take for ever on a file with a hole.
func FuzzRequests(f *testing.F) {
	whole := newScript()
	addEverything(whole)
	for _, q := range whole.requests {
		f.Add(q, 7)
	}
	f.Add(bytes.Join(whole.requests, nil), 30)
	f.Add(upload(), 100)
	for _, path := range paths {
		f.Add(append(bytes.Clone(initFrame), frame(fxpRealpath, u32(1), str(path))...), 50)
		f.Add(append(bytes.Clone(initFrame), frame(fxpExtended, u32(1), str("expand-path@openssh.com"), str(path))...), 50)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size = size&0xffff + 1; len(in)/size > 10000 {
			size = len(in)/10000 + 1
		}
		one, _ := fuzzed(t, dir, in, len(in)+1)
		two, ended := fuzzed(t, dir, in, size)
		if len(one) != len(two) {
			t.Errorf("%d replies, and %d in pieces of %d", len(one), len(two), size)
		}
		if n, early, tooLong := countRequests(in); len(one) != n && len(one) != n+early || ended != tooLong {
			t.Errorf("%d replies to %d requests; ended: %v", len(one), n, ended)
		}
	})
}

// fuzzed runs one session on bytes that a fuzzer made, in pieces of a size.
func fuzzed(t *testing.T, dir string, in []byte, size int) (all []reply, ended bool) {
	put(t, dir+"/file", "some content", 0o644)
	var out bytes.Buffer
	o := options(dir)
	o.Deny = []string{"open", "setstat", "remove", "mkdir", "rmdir", "rename", "symlink", "posix-rename", "hardlink", "lsetstat", "copy-data"}
	s := newServer(context.Background(), io.Writer(&out), o)
	s.enter()
	defer s.closeHandles()
	for _, name := range []string{"file", "."} {
		kind, flags := handleFile, unix.O_RDWR
		if name == "." {
			kind, flags = handleDir, unix.O_RDONLY
		}
		fd, errno := openPlain(s.path(name), flags, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		s.newHandle(kind, fd, name)
	}
	for _, p := range cut(in, size) {
		if s.feed(p) != nil {
			ended = true
			break
		}
	}
	return parse(t, out.Bytes()), ended
}

// countRequests counts the whole requests. early is 1 if what follows may be
// answered before it is whole, as a WRITE that is refused is; tooLong says that what
// follows ends the session.
func countRequests(in []byte) (n, early int, tooLong bool) {
	for len(in) >= lengthSize {
		r := reader(in)
		size := r.Uint32()
		if size > maxMessage {
			return n, 0, true
		}
		if uint64(size) > uint64(r.Len()) {
			if len(in) >= writeHeader && in[lengthSize] == fxpWrite {
				early = 1
			}
			return n, early, false
		}
		in = in[lengthSize+size:]
		n++
	}
	return n, 0, false
}

// FuzzArguments reads any command line.
func FuzzArguments(f *testing.F) {
	for _, args := range []string{"-R", "-u 022", "-d /%u/%d%%", "-Q requests", "-ecl x", "-p a,b -P c", "-d ~/x", "-d ~root", "--"} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, args string) {
		o, exit, text := ParseArgs(append([]string{"sftp-server"}, bytesFields(args)...), options("/home/alice").Account)
		if (o == nil) != (text != "") || o != nil && (exit != exitOK || o.Umask < -1 || o.Umask > maxUmask) {
			t.Errorf("%q: %v, %d, %q", args, o, exit, text)
		}
	})
}

func bytesFields(s string) (out []string) {
	for _, b := range bytes.Fields([]byte(s)) {
		out = append(out, string(b))
	}
	return out
}
