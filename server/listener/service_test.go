package listener

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager that listens to sd_notify(3).
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &manager{t, c, path}
}

// told waits for the next message and checks its lines.
func (m *manager) told(wants ...string) {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, want := range wants {
		if !strings.Contains("\n"+string(b[:n])+"\n", "\n"+want) {
			m.t.Errorf("told %q, not %q", b[:n], want)
		}
	}
}

// TestServiceManager: the server uses the sockets that it is given and tells when it
// is ready, reloads and ends. A reload does not close what is the manager's.
func TestServiceManager(t *testing.T) {
	m := newManager(t)
	s := newSite(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := program(t, asSSHD)
	// Only the process itself knows the number that LISTEN_PID has to be.
	p.Cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, self, "-D", "-e", "-f", s.config)
	p.Env = append(os.Environ(), asServer+"="+asSSHD, "NOTIFY_SOCKET="+m.path, "LISTEN_FDS=1", "LISTEN_FDNAMES=ssh")
	p.Stdout, p.Stderr = &p.out, &p.out
	p.ExtraFiles = []*os.File{file}
	p.begin()
	s.port = l.Addr().(*net.TCPAddr).Port
	p.says(fmt.Sprintf("Server listening on 127.0.0.1 port %d.", s.port))
	m.told("READY=1\n", fmt.Sprintf("MAINPID=%d\n", p.Process.Pid))
	s.dial(t).want("hello 127.0.0.1")
	s.write(t, "ListenAddress 127.0.0.2")
	p.signal(syscall.SIGHUP)
	m.told("RELOADING=1\n", "MONOTONIC_USEC=")
	m.told("READY=1\n")
	s.dial(t).want("hello 127.0.0.1")
	p.signal(syscall.SIGTERM)
	m.told("STOPPING=1\n")
	if status := p.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestInherited: what a starter says about descriptors is not believed blindly.
func TestInherited(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ env, want string }{
		{inheritEnv + "=x", "bad " + inheritEnv},
		{inheritEnv + "=3", "descriptor 3 is no listening socket"},
		{inheritEnv + "=-1", "bad " + inheritEnv},
		{childrenEnv + "=1,", "bad " + childrenEnv},
	} {
		p := program(t, asSSHD, "-D", "-e", "-f", s.config)
		p.Env = append(p.Env, c.env)
		if p.begin().wait() == 0 || !strings.Contains(p.out.String(), c.want) {
			t.Errorf("%s: %s", c.env, &p.out)
		}
	}
	// Sockets for another process are none of this one's.
	p := program(t, asSSHD, "-D", "-e", "-f", s.config)
	p.Env = append(p.Env, "LISTEN_PID=1", "LISTEN_FDS=3")
	p.begin().says(fmt.Sprintf("Server listening on 127.0.0.1 port %d.", s.port))
}
