package pty

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open opens a terminal that is closed with the test.
func open(t *testing.T) (master, slave *os.File, name string) {
	t.Helper()
	master, slave, name, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave, name
}

// stty asks the system's own tool about a terminal.
func stty(t *testing.T, slave *os.File, args ...string) string {
	t.Helper()
	c := exec.Command("stty", args...)
	c.Stdin = slave
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("stty: %v: %s", err, out)
	}
	return string(out)
}

func TestOpenMasterTakesDeadlines(t *testing.T) {
	master, slave, name := open(t)
	if !strings.HasPrefix(name, "/dev/pts/") {
		t.Errorf("name %q", name)
	}
	if err := master.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := master.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v, want a deadline", err)
	}
	master.SetReadDeadline(time.Time{})
	if _, err := slave.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	n, err := master.Read(b)
	if string(b[:n]) != "hello\r\n" || err != nil {
		t.Errorf("read %q, %v", b[:n], err)
	}
	for f, want := range map[*os.File]bool{master: true, slave: false} {
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 != want {
			t.Errorf("%s: flags %#x, %v; nonblocking must be %v", f.Name(), flags, err, want)
		}
		if flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: inherited by programs", f.Name())
		}
	}
	slave.Close()
	if _, err := master.Read(b); !errors.Is(err, syscall.EIO) {
		t.Errorf("after the last close: %v, want EIO", err)
	}
}

func TestSetSize(t *testing.T) {
	master, slave, _ := open(t)
	for _, c := range []struct {
		size Size
		want string
	}{
		{Size{Cols: 132, Rows: 43, Width: 1320, Height: 860}, "43 132"},
		{Size{}, "0 0"},
		{Size{Cols: 1 << 31, Rows: 65536}, "65535 65535"},
	} {
		if err := SetSize(master, c.size); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(stty(t, slave, "size")); got != c.want {
			t.Errorf("%+v: stty says %q, want %q", c.size, got, c.want)
		}
	}
	// Setting a size must not have taken the master out of the poller.
	master.SetReadDeadline(time.Now())
	if _, err := master.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v, want a deadline", err)
	}
	master.Close()
	if err := SetSize(master, Size{}); err == nil {
		t.Error("a closed terminal has a size")
	}
}

func TestSendBreak(t *testing.T) {
	master, _, _ := open(t)
	if err := SendBreak(master); err != nil {
		t.Error(err)
	}
}

func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		master, slave, _ := open(t)
		defer master.Close()
		if err := SetOwner(slave, uint32(os.Getuid()), uint32(os.Getgid())); err != nil {
			t.Error(err)
		}
		return
	}
	_, slave, name := open(t)
	const uid = 12345
	if err := SetOwner(slave, uid, 23456); err != nil {
		t.Fatal(err)
	}
	want := "12345:5 620"
	if gid, ok := ttyGroup("/etc/group"); !ok {
		want = "12345:23456 600"
	} else {
		want = fmt.Sprintf("12345:%d 620", gid)
	}
	owner := func() string {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		s := st.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%d:%d %o", s.Uid, s.Gid, s.Mode&0o777)
	}
	if got := owner(); got != want {
		t.Errorf("owner %s, want %s", got, want)
	}
	if err := Release(name); err != nil {
		t.Fatal(err)
	}
	if got := owner(); got != "0:0 666" {
		t.Errorf("released: %s", got)
	}
	if err := Release("/dev/pts/no-such"); err != nil {
		t.Error(err)
	}
}

func TestTTYGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "group")
	os.WriteFile(path, []byte("root:x:0:\nttys:x:7:\ntty:x:5:alice\n"), 0o600)
	if gid, ok := ttyGroup(path); gid != 5 || !ok {
		t.Errorf("got %d %v", gid, ok)
	}
	for _, bad := range []string{"", "tty\n", "tty:x\n", "tty:x:abc:\n", "tty:x:99999999999:\n"} {
		os.WriteFile(path, []byte(bad), 0o600)
		if gid, ok := ttyGroup(path); ok {
			t.Errorf("%q: %d", bad, gid)
		}
	}
	if _, ok := ttyGroup(path + "no"); ok {
		t.Error("missing file")
	}
}

func TestWrapBadDescriptor(t *testing.T) {
	if _, err := Wrap(-1); err == nil {
		t.Error("no error")
	}
}

func TestHangup(t *testing.T) {
	master, slave, _ := open(t)
	master.Close()
	if n, err := slave.Read(make([]byte, 1)); n != 0 || (err != io.EOF && !errors.Is(err, syscall.EIO)) {
		t.Errorf("slave of a closed master: %d, %v", n, err)
	}
}
