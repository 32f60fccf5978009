package interop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

// socketDir is a folder, short enough for sockets, that the server's account can write to.
func socketDir(t testing.TB, s *harness.Server) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "f")
	if err == nil && os.Getuid() == 0 {
		err = os.Chown(dir, s.Account.UID, s.Account.GID)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// echoSocket is echoServer on a local socket that anybody may connect to.
func echoSocket(t testing.TB, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
}

// control asks a shared connection for something (ssh -O).
func (c *client) control(options ...string) (string, bool) {
	c.t.Helper()
	r := finish(c.t, c.cmd(append([]string{"-O"}, options...), ""), nil)
	return strings.TrimSpace(r.Stdout), r.Code == 0
}

// throughEcho sends data to an address and wants it back, its end included.
func throughEcho(t *testing.T, what, network, address string) {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	if err := echo(conn, 3_000_000); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// TestForwardings goes through every kind of forwarding that OpenSSH's client has.
func TestForwardings(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c := master(t, s)
		dir, here := socketDir(t, s), t.TempDir()
		service, local := echoServer(t), dir+"/echo"
		echoSocket(t, local)
		_, port, _ := net.SplitHostPort(service)
		free := func() string { return strconv.Itoa(harness.FreePort(t)) }
		for what, target := range map[string]string{"address": service, "name": "localhost:" + port, "socket": local} {
			p := free()
			if _, ok := c.control("forward", "-L", p+":"+target); !ok {
				t.Fatalf("-L to a %s refused", what)
			}
			throughEcho(t, "-L to a "+what, "tcp", "127.0.0.1:"+p)
		}
		if _, ok := c.control("forward", "-L", here+"/l:"+service); !ok {
			t.Error("-L from a socket refused")
		}
		throughEcho(t, "-L from a socket", "unix", here+"/l")

		p := free()
		if _, ok := c.control("forward", "-R", p+":"+service); !ok {
			t.Fatalf("-R refused: %s", s.Log)
		}
		throughEcho(t, "-R", "tcp", "127.0.0.1:"+p)
		if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
			_ = l.Close()
			throughEcho(t, "-R by IPv6", "tcp", "[::1]:"+p)
		}
		if _, ok := c.control("cancel", "-R", p+":"+service); !ok {
			t.Error("the cancellation of -R failed")
		}
		harness.Eventually(t, limit, "the end of -R", func() bool { n, _ := strconv.Atoi(p); return !harness.Listening(n) })

		given, ok := c.control("forward", "-R", "0:"+service)
		if n, err := strconv.Atoi(given); !ok || err != nil || n == 0 {
			t.Fatalf("-R 0: %q", given)
		}
		throughEcho(t, "-R 0", "tcp", "127.0.0.1:"+given)

		remote := dir + "/r"
		if _, ok := c.control("forward", "-R", remote+":"+service); !ok {
			t.Fatal("-R of a socket refused")
		}
		throughEcho(t, "-R of a socket", "unix", remote)
		info, err := os.Stat(remote)
		if err != nil || info.Mode().Perm() != 0o600 || int(info.Sys().(*syscall.Stat_t).Uid) != s.Account.UID {
			t.Errorf("the socket of -R: %v, %v", info, err) // THREATS row 18: it is the user's
		}
		if _, ok := c.control("cancel", "-R", remote+":"+service); !ok {
			t.Error("the cancellation of a socket failed")
		}
		if !harness.PeerIsSSHD() { // it leaves the socket behind
			harness.Eventually(t, limit, "the end of the socket", func() bool { _, err := os.Lstat(remote); return os.IsNotExist(err) })
		}
	})
}

// refusal returns why a server did not open a channel.
func refusal(err error) string {
	var e *ssh.OpenChannelError
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s", e.Reason, e.Message)
	}
	return fmt.Sprint(err)
}

// TestForwardingErrors: what client and log are told of targets that are not there.
func TestForwardingErrors(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c := godial(t, s, gossh(t, s))
		closed := harness.FreePort(t)
		_, err := c.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", closed))
		if got := refusal(err); got != "2 Connection refused" {
			t.Errorf("a closed port: %s", got)
		}
		s.Log.Wait(t, 0, fmt.Sprintf(`connect_to 127\.0\.0\.1 port %d: failed\.`, closed))
		missing := socketDir(t, s) + "/missing"
		if _, err := c.Dial("unix", missing); !strings.HasPrefix(refusal(err), "2 ") {
			t.Errorf("a missing socket: %s", refusal(err))
		}
		s.Log.Wait(t, 0, `connect to `+missing+` port -2 failed: No such file or directory`)
	})
}

// attempts says what of the four kinds a login may: L and l to connect, R and r to
// listen, for ports and local sockets.
func attempts(t *testing.T, s *harness.Server, c *ssh.Client, service string, port int) string {
	t.Helper()
	dir := socketDir(t, s)
	echoSocket(t, dir+"/echo")
	got := ""
	for _, k := range []struct{ name, network, address string }{{"L", "tcp", service}, {"l", "unix", dir + "/echo"}} {
		conn, err := c.Dial(k.network, k.address)
		switch {
		case err == nil:
			got += k.name
			_ = conn.Close()
		case refusal(err) != "1 open failed" && !(harness.PeerIsSSHD() && refusal(err) == "2 open failed"):
			t.Errorf("%s: %s", k.name, refusal(err))
		}
	}
	if l, err := c.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
		got += "R"
		_ = l.Close()
	}
	if l, err := c.ListenUnix(dir + "/r"); err == nil {
		got += "r"
		_ = l.Close()
	}
	return got
}

// TestForwardingKeywords: what keywords and key options allow.
func TestForwardingKeywords(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		service, port := echoServer(t), harness.FreePort(t)
		_, number, _ := net.SplitHostPort(service)
		for _, c := range []struct{ config, key, want, line string }{
			{"", "", "LlRr", ""},
			{"DisableForwarding yes", "", "", `refused local port forward: originator .* target 127\.0\.0\.1 port ` + number},
			{"AllowTcpForwarding no", "", "", `Received request from 127\.0\.0\.1 port \d+ to remote forward to path "/.*", but the request was denied\.`},
			{"AllowTcpForwarding local", "", "Ll", ""},
			{"AllowTcpForwarding remote", "", "Rr", ""},
			{"AllowStreamLocalForwarding no", "", "LR", `refused streamlocal port forward: originator .* target /`},
			{"AllowStreamLocalForwarding remote", "", "LRr", ""},
			{"PermitOpen 127.0.0.1:" + number, "", "LRr", `Received request to connect to path /.*, but the request was denied\.`},
			{"PermitOpen none", "", "Rr", `Received request from 127\.0\.0\.1 port \d+ to connect to host 127\.0\.0\.1 port ` + number + `, but the request was denied\.`},
			{"PermitListen none", "", "Llr", `Received request from 127\.0\.0\.1 port \d+ to remote forward to host 127\.0\.0\.1 port \d+, but the request was denied\.`},
			{"", "no-port-forwarding ", "", ""},
			{"", "restrict ", "", ""},
			{"", "restrict,port-forwarding ", "LlRr", ""},
			{"", fmt.Sprintf(`permitopen="127.0.0.1:%s",permitlisten="%d" `, number, port), "LRr", ""},
			{"", fmt.Sprintf(`permitopen="localhost:%s",permitlisten="%d" `, number, port+1), "r", ""},
			{"PermitOpen localhost:*", `permitopen="127.0.0.1:*" `, "Rr", ""},
		} {
			s := harness.Start(t, harness.Options{Mode: m, Config: c.config, Authorized: []string{c.key + harness.UserKey(t, "ed25519", "").Line}})
			client := godial(t, s, gossh(t, s))
			if got := attempts(t, s, client, service, port); got != c.want {
				t.Errorf("%q, key option %q: allows %q, expected %q", c.config, c.key, got, c.want)
			}
			if c.line != "" {
				s.Log.Wait(t, 0, c.line)
			}
			_ = client.Close()
			s.Stop()
		}
	})
}

// TestGatewayPorts: who may reach a remote forwarding.
func TestGatewayPorts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, ask, want string }{
		{"no", "0.0.0.0", "loopback"}, {"no", "127.0.0.1", "loopback"}, {"yes", "127.0.0.1", "all"},
		{"clientspecified", "127.0.0.1", "loopback"}, {"clientspecified", "0.0.0.0", "all"}, {"clientspecified", "", "all"},
	} {
		s := harness.Start(t, harness.Options{Config: "GatewayPorts " + c.value})
		client := godial(t, s, gossh(t, s))
		port := harness.FreePort(t)
		ok, _, err := client.SendRequest("tcpip-forward", true, ssh.Marshal(struct {
			Address string
			Port    uint32
		}{c.ask, uint32(port)}))
		if !ok || err != nil {
			t.Errorf("%+v: %v, %v", c, ok, err)
			continue
		}
		// 127.0.0.2 is this machine's too, but only sockets on all addresses have it.
		got := "loopback"
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.2:%d", port)); err == nil {
			got = "all"
			_ = conn.Close()
		}
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		_ = client.Close()
		s.Stop()
	}
}

// TestThreat32ForwardingEnds: with a client that is killed go its listeners, sockets
// and connections.
func TestThreat32ForwardingEnds(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		remote := filepath.Join(socketDir(t, s), "r")
		local, port := harness.FreePort(t), harness.FreePort(t)
		cmd, _ := openssh(t, s).background([]string{
			"-o", "ExitOnForwardFailure=yes", "-L", fmt.Sprintf("%d:%s", local, l.Addr()),
			"-R", fmt.Sprintf("%d:%s", port, l.Addr()), "-R", remote + ":" + l.Addr().String(),
		}, "echo up; sleep 1000")
		near, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", local))
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		killClient(t, cmd)
		_ = far.SetReadDeadline(time.Now().Add(limit))
		if n, err := far.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the forwarded connection goes on: %d, %v", n, err)
		}
		harness.Eventually(t, limit, "the end of the port", func() bool { return !harness.Listening(port) })
		if !harness.PeerIsSSHD() { // it leaves the socket behind
			harness.Eventually(t, limit, "the end of the socket", func() bool { _, err := os.Lstat(remote); return os.IsNotExist(err) })
		}
	})
}

func killClient(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// TestForwardBulk moves much data both ways through a forwarding.
func TestForwardBulk(t *testing.T) {
	t.Parallel()
	size := 256 << 20
	if testing.Short() {
		size = 32 << 20
	}
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		local := harness.FreePort(t)
		openssh(t, s).background([]string{"-L", fmt.Sprintf("%d:%s", local, l.Addr())}, "echo up; sleep 1000")
		near, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", local))
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		before := s.CPU()
		sums := make(chan string, 2)
		for _, end := range []net.Conn{near, far} {
			_ = end.SetDeadline(time.Now().Add(limit))
			go func() {
				_, _ = io.CopyBuffer(struct{ io.Writer }{end}, stream(int64(size)), make([]byte, 256<<10))
				_ = end.(*net.TCPConn).CloseWrite()
			}()
			go func() { sums <- digest(end) }()
		}
		want := digest(stream(int64(size)))
		for range 2 {
			if got := <-sums; got != want {
				t.Errorf("digest %s, expected %s", got, want)
			}
		}
		t.Logf("%d MiB each way, %v of the server's time", size>>20, s.CPU()-before)
	})
}
