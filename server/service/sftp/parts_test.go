package sftp

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/log"
)

func TestStatusOf(t *testing.T) {
	for errno, want := range map[unix.Errno]uint32{
		0: statusOK, unix.ENOENT: statusNoSuchFile, unix.ENOTDIR: statusNoSuchFile, unix.EBADF: statusNoSuchFile, unix.ELOOP: statusNoSuchFile,
		unix.EPERM: statusPermissionDenied, unix.EACCES: statusPermissionDenied, unix.EFAULT: statusPermissionDenied,
		unix.ENAMETOOLONG: statusBadMessage, unix.EINVAL: statusBadMessage, unix.ENOSYS: statusUnsupported,
		unix.EEXIST: statusFailure, unix.ENOSPC: statusFailure, unix.EIO: statusFailure, unix.EROFS: statusFailure, unix.ENOTEMPTY: statusFailure,
	} {
		if got := statusOf(errno); got != want {
			t.Errorf("%v: %d, expected %d", errno, got, want)
		}
	}
	if got := reason(unix.ENOENT); got != "No such file or directory" {
		t.Errorf("%q", got)
	}
	if got := reason(context.Canceled); got != "context canceled" {
		t.Errorf("%q", got)
	}
}

func TestAppendMode(t *testing.T) {
	for mode, want := range map[uint32]string{
		unix.S_IFREG | 0o644: "-rw-r--r--", unix.S_IFDIR | 0o755: "drwxr-xr-x", unix.S_IFLNK | 0o777: "lrwxrwxrwx", unix.S_IFCHR | 0o620: "crw--w----",
		unix.S_IFBLK | 0o660: "brw-rw----", unix.S_IFSOCK: "s---------", unix.S_IFIFO | 0o600: "prw-------", 0o111: "?--x--x--x",
		unix.S_IFREG | 0o7777: "-rwsrwsrwt", unix.S_IFREG | 0o7000: "---S--S--T", unix.S_IFDIR | 0o1777: "drwxrwxrwt",
	} {
		if got := string(appendMode(nil, mode)); got != want {
			t.Errorf("%o: %q, expected %q", mode, got, want)
		}
	}
}

// TestRenameByLink is RENAME where no call does it in one step.
func TestRenameByLink(t *testing.T) {
	dir := t.TempDir()
	world(t, dir)
	for _, x := range []struct {
		from, to string
		want     unix.Errno
	}{
		{"none", "new", unix.ENOENT}, {"file", "old", unix.EEXIST}, {"file", "dangling", unix.EEXIST}, {"file", "none/x", unix.ENOENT},
		{"dir", "empty", unix.EEXIST}, {"dir", "dangling", unix.EEXIST}, {"dir", "none/x", unix.ENOENT},
		{"file", "new", 0}, {"dir", "newdir", 0}, {"link", "newlink", 0}, {"dangling", "newdangling", 0},
	} {
		if got := renameByLink(dir+"/"+x.from, dir+"/"+x.to); got != x.want {
			t.Errorf("%s to %s: %v, expected %v", x.from, x.to, got, x.want)
		}
		if _, err := os.Lstat(dir + "/" + x.from); x.want == 0 && !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", x.from, err)
		}
	}
	if got, err := os.ReadFile(dir + "/new"); err != nil || string(got) != "some content\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestManyNames asks for the names of more ids than one reply has room for, and of
// more than a session looks up.
func TestManyNames(t *testing.T) {
	c := dial(t, options(t.TempDir()))
	id := string(u32(uint32(os.Getuid())))
	if r := c.extended("users-groups-by-id@openssh.com", str(strings.Repeat(id, 60000)), str("")); r.status() != statusFailure && len(r.body) > maxMessage {
		t.Errorf("a reply of %d bytes", len(r.body))
	}
	look := 0
	var names map[uint32]string
	for id := range uint32(3 * maxCached) {
		got := cached(&names, id, func(uint32) string { look++; return "name" })
		if want := "name"; id < maxCached && got != want || id >= maxCached && got != "" {
			t.Fatalf("id %d: %q", id, got)
		}
		cached(&names, 0, nil)
	}
	if look != maxCached {
		t.Errorf("%d looks", look)
	}
}

// TestShortInit: INIT without a version is no INIT.
func TestShortInit(t *testing.T) {
	got, exit := serve(t, options(t.TempDir()), [][]byte{frame(fxpInit, []byte{0, 0}), frame(fxpStat, u32(1), str(".")), initFrame, frame(fxpStat, u32(2), str("."))})
	if exit != exitOK || len(got) != 4 || got[0].status() != statusBadMessage || got[1].status() != statusBadMessage || got[2].kind != fxpVersion || got[3].kind != fxpAttrs {
		t.Errorf("exit %d, %v", exit, got)
	}
}

// TestVersions: clients of old versions get statuses without a text.
func TestVersions(t *testing.T) {
	for version, want := range map[uint32]string{0: "", 2: "", 3: "\x00\x00\x00\x0cNo such file\x00\x00\x00\x00", 6: "\x00\x00\x00\x0cNo such file\x00\x00\x00\x00"} {
		got, _ := serve(t, options(t.TempDir()), [][]byte{frame(fxpInit, u32(version)), frame(fxpStat, u32(1), str("none"))})
		if len(got) != 2 || got[0].id != protocolVersion || string(got[1].body[4:]) != want {
			t.Errorf("version %d: %v", version, got)
		}
	}
}

// TestRemovedDirectory lists a directory that is gone: it has ended.
func TestRemovedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/gone", 0o755); err != nil {
		t.Fatal(err)
	}
	c := dial(t, options(dir))
	if r := c.do(fxpOpendir, str("gone")); r.kind != fxpHandle {
		t.Fatal(r)
	}
	if err := os.Remove(dir + "/gone"); err != nil {
		t.Fatal(err)
	}
	c.want(statusEOF, fxpReaddir, hnd(0))
}

// TestSystemLog takes the server's own log where the system has none.
func TestSystemLog(t *testing.T) {
	if _, err := os.Stat("/dev/log"); err == nil {
		t.Skip("this system has a log")
	}
	var l lines
	s := &systemLog{syslog: log.NewSyslog("internal-sftp", log.FacilityAuth), fallback: &l}
	s.Errorf("one")
	s.Infof("two")
	s.Verbosef("three")
	s.Debugf(1, "four")
	if got := strings.Join(l.all, ", "); got != "error: one, info: two, verbose: three, debug: four" {
		t.Errorf("%s", got)
	}
	(&systemLog{syslog: log.NewSyslog("internal-sftp", log.FacilityAuth)}).Errorf("lost")
}

// TestFull writes to a device that takes nothing.
func TestFull(t *testing.T) {
	var st syscall.Stat_t
	if syscall.Stat("/dev/full", &st) != nil {
		t.Skip("no /dev/full")
	}
	c := dial(t, options(t.TempDir()))
	h := c.open("/dev/full", openWrite, noAttrs())
	c.want(statusFailure, fxpWrite, hnd(h), u64(0), str("data"))
	from := c.open("/dev/zero", openRead, noAttrs())
	if r := c.extended("copy-data", hnd(from), u64(0), u64(5), hnd(h), u64(0)); r.status() != statusFailure {
		t.Errorf("a copy that cannot be written: %v", r)
	}
}
