package sftp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestGoldenExtensions(t *testing.T) {
	s := newScript()
	s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
	s.add(fxpOpen, str("copy"), u32(openRead|openWrite|openCreate), noAttrs())
	s.add(fxpOpen, str("old"), u32(openWrite|openAppend), noAttrs())
	s.add(fxpOpendir, str("two"))
	s.add(fxpOpen, str("file"), u32(openRead|openWrite), noAttrs())
	copyData := func(from uint32, offset, length uint64, to uint32, at uint64) {
		s.extended("copy-data", hnd(from), u64(offset), u64(length), hnd(to), u64(at))
	}
	for _, from := range []uint32{0, 1, 2, 3, 4, 9} {
		for _, to := range []uint32{0, 1, 2, 3, 4, 9} {
			copyData(from, 0, 0, to, 0)
			if (from == 0 || from == 4) && (to == 1 || to == 2) {
				copyData(from, 3, 5, to, 20)
				copyData(from, 0, 50000, to, 0)
				copyData(from, 0, 500000, to, 0)
			}
			copyData(from, 1<<63, 1, to, 0)
			copyData(from, 0, 1, to, 1<<63)
			copyData(from, 50, 0, to, 0)
		}
	}
	ids := func(n ...uint32) []byte {
		var b []byte
		for _, id := range n {
			b = append(b, u32(id)...)
		}
		return str(string(b))
	}
	s.extended("users-groups-by-id@openssh.com", ids(0, 1, 2, 65534, 4711, 0), ids(0, 1, 5, 65534, 4711))
	s.extended("users-groups-by-id@openssh.com", ids(), ids())
	s.extended("statvfs@openssh.com", str("none"))
	s.extended("statvfs@openssh.com", str(""))
	s.extended("statvfs@openssh.com", str("/proc"))
	s.extended("limits@openssh.com")
	s.extended("home-directory", str("nobodyatall"))
	s.extended("unknown@example.org", str("x"))
	s.extended("", str("x"))
	s.requests = append(s.requests, initFrame, frame(fxpInit, u32(7)))
	s.add(fxpStat, str("none"))
	s.requests = append(s.requests, frame(fxpInit, u32(2)))
	s.add(fxpStat, str("none"))
	s.requests = append(s.requests, frame(fxpInit, u32(3), str("name@example.org"), str("1")))
	s.add(fxpStat, append(str("none"), "what nobody reads"...))
	_, roots := compareBut(t, s, func(i int, r *reply) {
		if bytes.Contains(s.requests[i], []byte("limits@")) && len(r.body) == 32 {
			clear(r.body[24:]) // handles
		}
	})
	sameTree(t, roots)
}

// TestGoldenListing compares listings, with the lines of `ls -l`.
func TestGoldenListing(t *testing.T) {
	s := newScript()
	for _, path := range []string{".", "/usr/bin", "/usr/lib", "/usr", "two", "empty", "fifo", "rootlink/bin/"} {
		s.add(fxpOpendir, str(path))
	}
	for h := range uint32(8) {
		for range 6 {
			s.add(fxpReaddir, hnd(h))
		}
	}
	compareBut(t, s, func(_ int, r *reply) {
		// The time of the last access is younger for the second one that looks.
		if r.kind == fxpName {
			r.body = withoutAccess(t, r.body)
		}
	})
}

// withoutAccess clears the times of access in a NAME reply.
func withoutAccess(t *testing.T, body []byte) []byte {
	t.Helper()
	body = bytes.Clone(body)
	r := reader(body)
	for n := r.Uint32(); n > 0; n-- {
		r.String()
		r.String()
		if r.Uint32() != attrSize|attrOwner|attrMode|attrTimes {
			t.Fatalf("attributes: %q", body)
		}
		r.Raw(8 + 4 + 4 + 4)
		clear(r.Raw(4))
		r.Raw(4)
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return body
}

// withoutNow clears what depends on the moment: times that the script's own requests
// set, since both servers do not run within one second, and what is free on a disk
// that others use too.
func withoutNow(r *reply) []byte {
	body := bytes.Clone(r.body)
	if r.kind == fxpExtendedReply && len(body) == 11*8 { // statvfs
		clear(body[3*8 : 5*8])
		clear(body[6*8 : 8*8])
	}
	if r.kind != fxpAttrs || len(body) < 8 {
		return body
	}
	const recent = 1600000000 // the files of the tests are older, or far younger
	for _, at := range [][]byte{body[len(body)-8 : len(body)-4], body[len(body)-4:]} {
		if n := binary.BigEndian.Uint32(at); n > recent && n < recent+1<<30 {
			clear(at)
		}
	}
	return body
}

// TestGoldenRefusals are read-only mode and lists, extensions and their order
// included.
func TestGoldenRefusals(t *testing.T) {
	for _, args := range [][]string{
		{"-R"}, {"-P", "rename,mkdir,limits,stat"}, {"-p", "open,read,close,stat,statvfs"}, {"-p", "open", "-P", "open"},
		{"-p", ""}, {"-P", ""}, {"-R", "-p", "mkdir"}, {"-P", "Open, read"}, {"-p", "o*,extended"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			s := newScript()
			s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
			addEverything(s)
			_, roots := compare(t, s, args...)
			sameTree(t, roots)
		})
	}
}

// addEverything adds every request that changes something, and some that do not.
func addEverything(s *script) {
	for _, flags := range []uint32{openWrite, openRead | openWrite, openRead | openCreate, openRead | openTruncate, openRead | openAppend,
		openCreate, openTruncate, openAppend, openWrite | openCreate | openTruncate, openRead | openCreate | openExclude} {
		s.add(fxpOpen, str("file"), u32(flags), noAttrs())
		s.add(fxpOpen, str("newfile"), u32(flags), noAttrs())
	}
	for h := range uint32(3) {
		s.add(fxpWrite, hnd(h), u64(0), str("data"))
		s.add(fxpFsetstat, hnd(h), mode(0o600))
		s.add(fxpFsetstat, hnd(h), append(u32(attrSize), u64(0)...))
		s.extended("fsync@openssh.com", hnd(h))
		s.extended("copy-data", hnd(h), u64(0), u64(0), hnd(h+1), u64(0))
		s.add(fxpRead, hnd(h), u64(0), u32(10))
	}
	s.add(fxpSetstat, str("file"), mode(0o600))
	s.add(fxpSetstat, str("file"), append(u32(attrSize), u64(0)...))
	s.extended("lsetstat@openssh.com", str("file"), mode(0o600))
	s.add(fxpMkdir, str("newdir"), noAttrs())
	s.add(fxpRmdir, str("empty"))
	s.add(fxpRemove, str("two/a"))
	s.add(fxpRename, str("file"), str("renamed"))
	s.extended("posix-rename@openssh.com", str("future"), str("renamed"))
	s.extended("hardlink@openssh.com", str("file"), str("hard"))
	s.add(fxpSymlink, str("file"), str("soft"))
	s.add(fxpStat, str("file"))
	s.extended("unknown@example.org")
	s.extended("expand-path@openssh.com", str("file"))
}

// TestGoldenCommandLine compares what the program prints and how it ends.
func TestGoldenCommandLine(t *testing.T) {
	theirs := reference(t)
	for _, args := range [][]string{
		{"-Q", "requests"}, {"-Q", "Requests"}, {"-Q", "x"}, {"-h"}, {"-x"}, {"-d"}, {"-u", "8"}, {"-u", "1000"}, {"-u", "-1"}, {"-u", "777"},
		{"-eR"}, {"-Re", "-l", "debug3"}, {"-c", "-x"}, {"-ec", "whatever"}, {"--", "-x"}, {"word", "-x"}, {"-l", "loud"}, {"-d", "%x"}, {"-d", "%"},
		{"-P", "a", "-P", "b"}, {"-p", "a", "-p", "b"}, {"-d%d"}, {"-f", "LOCAL3"}, {"-f", "AUTHPRIV"},
	} {
		var out [2]string
		for i, program := range []string{theirs, own(t)} {
			cmd := exec.Command(program, args...)
			cmd.Args[0] = "sftp-server"
			cmd.Env = append(os.Environ(), asServer+"=1")
			stdout, _ := cmd.Output()
			out[i] = fmt.Sprintf("%d %q", cmd.ProcessState.ExitCode(), stdout)
		}
		if out[0] != out[1] {
			t.Errorf("%q\n here: %s\nthere: %s", args, out[1], out[0])
		}
	}
}

// TestGoldenLog compares the log of a session with a bit of everything.
func TestGoldenLog(t *testing.T) {
	s := newScript()
	s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
	s.add(fxpRead, hnd(0), u64(0), u32(5))
	s.add(fxpRead, hnd(0), u64(0), u32(maxTransfer+1))
	s.add(fxpOpendir, str("two"))
	s.add(fxpReaddir, hnd(1))
	s.add(fxpReaddir, hnd(1))
	s.add(fxpClose, hnd(1))
	s.add(fxpFstat, hnd(0))
	s.extended("fstatvfs@openssh.com", hnd(0))
	s.extended("users-groups-by-id@openssh.com", str("\x00\x00\x00\x00"), str(""))
	s.add(fxpReadlink, str("link"))
	s.add(fxpSetstat, str("old"), append(u32(attrTimes), "\x46\x8f\xc9\x2b\x46\x8f\xc9\x2b"...))
	s.add(fxpSetstat, str("old"), append(u32(attrOwner), append(u32(uint32(os.Getuid())), u32(uint32(os.Getgid()))...)...))
	s.extended("limits@openssh.com")
	s.extended("statvfs@openssh.com", str("none"))
	addEverything(s)
	s.add(fxpOpen, str("a\x01b\\c\x80d"), u32(63), mode(0o107777))
	for _, args := range [][]string{{"-l", "INFO"}, {"-l", "VERBOSE"}, {"-l", "DEBUG3"}, {"-l", "ERROR"}, {"-Rl", "VERBOSE"}, {"-l", "DEBUG2", "-p", "open,stat"}} {
		results, _ := compareBut(t, s, func(_ int, r *reply) {
			if r.kind != fxpStatus {
				r.body = nil // limits, free blocks and times of access
			}
		}, append(args, "-e")...)
		there, here := logLines(results[0].stderr), logLines(results[1].stderr)
		bad := 0
		for i := range max(len(there), len(here)) {
			if i >= len(there) || i >= len(here) || there[i] != here[i] {
				t.Errorf("%q line %d\n here: %q\nthere: %q", args, i, here[min(i, len(here)-1)], there[min(i, len(there)-1)])
				if bad++; bad > 10 {
					break
				}
			}
		}
	}
}

// logLines are the lines but for those on memory and on each name.
func logLines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return strings.Contains(line, ": allocate ") || strings.Contains(line, "id: uid ")
	})
}
