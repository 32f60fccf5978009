package forward

import (
	"context"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/proto/connection"
)

// socketMode is the mode of a local socket of which StreamLocalBindMask takes away.
const socketMode = 0o777

// ListenStreamLocal handles streamlocal-forward@openssh.com: it listens on a local
// socket, and opens a channel of the type "forwarded-streamlocal@openssh.com" for each
// connection. PermitListen speaks of TCP only, as with sshd.
func (s *Server) ListenStreamLocal(g *connection.GlobalRequest) {
	name, err := parseListenPath(g.Payload)
	if err != nil {
		s.log.Debugf(1, "server_input_global_request: streamlocal-forward: %v", err)
		g.Reply(false, nil)
		return
	}
	s.log.Debugf(1, "server_input_global_request: streamlocal-forward listen path %s", name)
	if !s.allowed(config.ForwardRemote, s.policy.AllowStreamLocal) {
		s.log.Debugf(1, "Server has disabled streamlocal forwarding.")
		g.Reply(false, nil)
		return
	}
	if !s.allowedTCP(config.ForwardRemote) {
		s.log.Infof("Received request from %.100s port %d to remote forward to path \"%.100s\", but the request was denied.",
			s.policy.RemoteAddr, s.policy.RemotePort, name)
		g.Reply(false, nil)
		return
	}
	g.Reply(s.listenStreamLocal(name), nil)
}

// CancelStreamLocal handles cancel-streamlocal-forward@openssh.com.
func (s *Server) CancelStreamLocal(g *connection.GlobalRequest) {
	name, err := parseListenPath(g.Payload)
	if err != nil {
		s.log.Debugf(1, "server_input_global_request: cancel-streamlocal-forward: %v", err)
		g.Reply(false, nil)
		return
	}
	s.log.Debugf(1, "server_input_global_request: cancel-streamlocal-forward path %s", name)
	g.Reply(s.stop(place{name, socketPort}), nil)
}

func (s *Server) listenStreamLocal(name string) bool {
	at := place{name, socketPort}
	if s.listens(at) {
		s.log.Errorf("unix_listener: cannot bind to path %s: %s", name, reason(syscall.EADDRINUSE))
		return false
	}
	full := absolute(name)
	if s.policy.StreamLocalBindUnlink {
		s.unlink(full)
	}
	socket, err := bindMasked(full, s.policy.StreamLocalBindMask)
	if err != nil {
		s.log.Errorf("unix_listener: cannot bind to path %s: %s", name, reason(err))
		return false
	}
	s.log.Debugf(1, "Local forwarding listening on path %s.", name)
	mine, err := os.Lstat(full)
	l := &listener{server: s, place: at, kind: "forwarded-streamlocal@openssh.com", sockets: []net.Listener{socket}}
	l.extra = func(net.Conn) []byte { return forwardedStreamLocal(name) }
	l.cleanup = func() {
		// sshd leaves the socket behind. Only ours goes, not one that took its name.
		if now, e := os.Lstat(full); err == nil && e == nil && os.SameFile(mine, now) {
			_ = os.Remove(full)
		}
	}
	return l.start()
}

// unlink takes an existing socket away (StreamLocalBindUnlink). What is no socket
// stays, and the bind fails.
func (s *Server) unlink(path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return
	}
	if err := os.Remove(path); err != nil {
		s.log.Errorf("unlink(%s): %.100s", path, reason(err))
	}
}

// absolute makes a path start at the root, sshd's working directory. It also keeps
// net from taking a leading @ for the abstract name space.
func absolute(path string) string {
	if path != "" && path[0] == '/' {
		return path
	}
	return "/" + path
}

// bindMasked listens on a socket whose mode is what mask leaves of 0777. The mask
// belongs to the process, whose other threads make files at the same time, and a
// chmod after the bind would come too late. So a thread gets a umask of its own
// (unshare(2), CLONE_FS), makes the socket, and ends.
//
// Where a sandbox forbids that, the mode of the unbound socket, of which Linux makes
// that of the name, is narrowed instead: the process's umask then counts as well, so
// that the result is never wider than was asked for.
func bindMasked(path string, mask uint32) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		if unix.Unshare(unix.CLONE_FS) == nil {
			unix.Umask(int(mask))
		} else {
			runtime.UnlockOSThread()
		}
		l, err = listenUnix(path, mask)
	}()
	<-done
	return l, err
}

func listenUnix(path string, mask uint32) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), socketMode&^mask) }); err != nil {
			return err
		}
		return failed
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	socket := l.(*net.UnixListener)
	socket.SetUnlinkOnClose(false) // cleanup knows better
	setBacklog(socket)
	return socket, nil
}

// dialStreamLocal connects to a local socket.
func (s *Server) dialStreamLocal(ctx context.Context, d direct) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", absolute(d.host))
}
