package forward

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"nano_ssh_server/server/proto/wire"
)

const errTooMany = syscall.EMFILE

func (r *rig) listenPath(name string) bool {
	_, ok := r.request("streamlocal-forward@openssh.com", wire.AppendText(nil, name))
	return ok
}

// TestListenStreamLocal: connections come with the path, and the socket goes when the
// client cancels.
func TestListenStreamLocal(t *testing.T) {
	r := newRig(t, everything())
	name := tempDir(t) + "/s"
	if !r.listenPath(name) {
		t.Fatalf("refused: %q", r.log.lines)
	}
	if r.listenPath(name) {
		t.Error("twice")
	}
	c := connect(t, "unix", name)
	n, ch, w := r.next()
	if string(n.Extra) != string(forwardedStreamLocal(name)) || n.Type != "forwarded-streamlocal@openssh.com" {
		t.Errorf("%s %q", n.Type, n.Extra)
	}
	write(t, c, "hello")
	_ = c.CloseWrite()
	if got := text(t, ch); got != "hello" {
		t.Errorf("client got %q", got)
	}
	write(t, ch, "you")
	_ = ch.CloseWrite()
	if got := text(t, c); got != "you" {
		t.Errorf("peer got %q", got)
	}
	w.wait(t)
	if _, ok := r.request("cancel-streamlocal-forward@openssh.com", wire.AppendText(nil, name+"x")); ok {
		t.Error("another path cancels")
	}
	if _, ok := r.request("cancel-streamlocal-forward@openssh.com", wire.AppendText(nil, name)); !ok {
		t.Error("cancel refused")
	}
	if _, err := os.Lstat(name); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestBindMask: the socket's mode is what StreamLocalBindMask leaves, whatever the
// umask of the process, and that does not change.
func TestBindMask(t *testing.T) {
	umask := syscall.Umask(0o027)
	defer syscall.Umask(umask)
	for _, mask := range []uint32{0o177, 0o111, 0o000, 0o777} {
		p := everything()
		p.StreamLocalBindMask = mask
		r := newRig(t, p)
		name := tempDir(t) + "/s"
		if !r.listenPath(name) {
			t.Fatal("refused")
		}
		info, err := os.Lstat(name)
		if err != nil || uint32(info.Mode().Perm()) != 0o777&^mask {
			t.Errorf("mask %o: %v, %v", mask, info.Mode(), err)
		}
		r.close()
	}
	if now := syscall.Umask(0o027); now != 0o027 {
		t.Errorf("the umask is %o", now)
	}
}

// TestBindUnlink: an existing socket is in the way unless StreamLocalBindUnlink is
// set; other files are in the way always; what took our name stays when we go.
func TestBindUnlink(t *testing.T) {
	dir := tempDir(t)
	stale, file := dir+"/stale", dir+"/file"
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, everything())
	if r.listenPath(stale) || r.listenPath(file) {
		t.Error("bound over something")
	}
	r.log.expect(t, "error: unix_listener: cannot bind to path "+stale+": Address already in use")
	p := everything()
	p.StreamLocalBindUnlink = true
	r = newRig(t, p)
	if !r.listenPath(stale) {
		t.Error("the old socket is in the way")
	}
	if r.listenPath(file) {
		t.Error("bound over a file")
	}
	if b, _ := os.ReadFile(file); string(b) != "mine" {
		t.Error("the file is gone")
	}
	_ = os.Remove(stale)
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.close()
	if _, err := os.Lstat(stale); err != nil {
		t.Errorf("another's file was removed: %v", err)
	}
}

// TestPaths: what is no path for a socket, and that no path means the abstract name
// space, where no permissions are.
func TestPaths(t *testing.T) {
	r := newRig(t, everything())
	dir := tempDir(t)
	for _, name := range []string{
		"", "\x00abstract", dir + "/a\x00b", dir + "/missing/s", dir, dir + "/" + strings.Repeat("x", maxPath),
	} {
		if r.listenPath(name) {
			t.Errorf("%q is bound", name)
		}
		if _, err := r.client.OpenChannel("direct-streamlocal@openssh.com", directStreamLocal(name), newWatcher()); err == nil {
			t.Errorf("%q is connected", name)
		}
	}
	if got := absolute("@abstract"); got != "/@abstract" {
		t.Error(got)
	}
	if got := absolute("a/b"); got != "/a/b" {
		t.Error(got)
	}
	// The longest that there is.
	longest := dir + "/" + strings.Repeat("x", maxPath-len(dir)-1)
	if !r.listenPath(longest) {
		t.Errorf("%d bytes are refused: %q", len(longest), r.log.lines)
	}
}
