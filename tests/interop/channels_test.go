package interop

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

// channelCount is how many sessions or forwardings are open at the same time.
const channelCount = 50

// TestFiftySessions holds fifty sessions open on one connection that several
// clients share, all at the same time, and copies files beside them.
func TestFiftySessions(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "MaxSessions 55"})
		c := master(t, s)
		type session struct {
			cmd *exec.Cmd
			in  io.WriteCloser
			out *bufio.Reader
		}
		var open [channelCount]session
		for i := range open {
			cmd := c.cmd(nil, fmt.Sprintf("echo up; cat; exit %d", i))
			in, err1 := cmd.StdinPipe()
			out, err2 := cmd.StdoutPipe()
			if err := errors.Join(err1, err2, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			open[i] = session{cmd, in, bufio.NewReader(out)}
		}
		withLimit(t, limit, "fifty sessions", func() {
			for i, o := range open {
				if line, err := o.out.ReadString('\n'); line != "up\n" {
					t.Errorf("session %d: %q, %v", i, line, err)
				}
			}
			if _, err := exec.LookPath("rsync"); err == nil {
				here, there := fillFolder(t), remoteFolder(t, s)
				c.fine("rsync", "-rpt", here+"/", c.at(there+"/"))
				sameFolder(t, "rsync beside fifty sessions", here, there, true)
			}
			for i, o := range open {
				text := strings.Repeat(strconv.Itoa(i), 10_000)
				_, _ = io.WriteString(o.in, text)
				_ = o.in.Close()
				got, err := io.ReadAll(o.out)
				_ = o.cmd.Wait()
				if string(got) != text || o.cmd.ProcessState.ExitCode() != i {
					t.Errorf("session %d: %d bytes of %d, %v, exit %d", i, len(got), len(text), err, o.cmd.ProcessState.ExitCode())
				}
			}
		})
		if n := s.Log.Count(0, `Accepted publickey`); n != 1 {
			t.Errorf("%d logins, expected one", n)
		}
	})
}

// echoServer is a service on the remote side that sends back what it gets.
func echoServer(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Add(1)
			go func() {
				defer all.Done()
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}

// exchange opens many connections at the same time, each of which must echo.
func exchange(t *testing.T, what string, dial func() (net.Conn, error)) {
	t.Helper()
	var open sync.WaitGroup
	open.Add(channelCount)
	results := make(chan error, channelCount)
	for i := range channelCount {
		go func() {
			conn, err := dial()
			if err == nil {
				defer conn.Close()
				err = ping(conn)
			}
			open.Done()
			if err == nil {
				open.Wait() // now all are open
				err = echo(conn, 300_000+i)
			}
			results <- err
		}()
	}
	withLimit(t, limit, what, func() {
		failed := 0
		for range channelCount {
			if err := <-results; err != nil {
				if failed++; failed == 1 {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		if failed > 1 {
			t.Errorf("%s: %d of %d connections failed", what, failed, channelCount)
		}
	})
}

// ping sends a byte and waits for its echo.
func ping(conn net.Conn) error {
	b := []byte{'x'}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, b)
	return err
}

// echo sends n bytes and the end, and wants the same back.
func echo(conn net.Conn, n int) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, stream(int64(n)))
		sent <- errors.Join(err, conn.(interface{ CloseWrite() error }).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	want, _ := io.ReadAll(stream(int64(n)))
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came back, expected %d", len(got), n)
	}
	return nil
}

// TestRemoteEditor does what VS Code's Remote does: one connection that carries a
// program, and a lot of forwarded connections to a service on the remote side.
func TestRemoteEditor(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c := godial(t, s, gossh(t, s))
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		in, err1 := session.StdinPipe()
		out, err2 := session.StdoutPipe()
		if err := errors.Join(err1, err2, session.Start("echo up; cat; exit 5")); err != nil {
			t.Fatal(err)
		}
		service, lines := echoServer(t), bufio.NewReader(out)
		exchange(t, "direct-tcpip", func() (net.Conn, error) { return c.Dial("tcp", service) })
		withLimit(t, limit, "the program", func() {
			_, _ = io.WriteString(in, "still there\n")
			_ = in.Close()
			text, err := io.ReadAll(lines)
			if string(text) != "up\nstill there\n" {
				t.Errorf("the program beside the forwardings: %q, %v", text, err)
			}
			if err := session.Wait(); err == nil || !strings.Contains(err.Error(), "status 5") {
				t.Errorf("the program's end: %v", err)
			}
		})
		// A connection without any session goes on.
		exchange(t, "direct-tcpip after the session", func() (net.Conn, error) { return c.Dial("tcp", service) })
	})
}

// TestSOCKS is the same with `ssh -D`, as VS Code starts it.
func TestSOCKS(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		proxy := net.JoinHostPort("127.0.0.1", strconv.Itoa(harness.FreePort(t)))
		_, first := openssh(t, s).background([]string{"-T", "-D", proxy, "-o", "ExitOnForwardFailure=yes"}, "echo up; cat")
		if first != "up" {
			t.Fatalf("the program says %q", first)
		}
		service := echoServer(t)
		exchange(t, "ssh -D", func() (net.Conn, error) { return socks(proxy, service) })
	})
}

// socks connects through a proxy, RFC 1928.
func socks(proxy, target string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", proxy, 20*time.Second)
	if err != nil {
		return nil, err
	}
	request := append([]byte{5, 1, 0, 5, 1, 0, 3, byte(len(host))}, host...)
	answer := make([]byte, 2+10)
	_, err = conn.Write(append(request, byte(number>>8), byte(number)))
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil && (answer[1] != 0 || answer[3] != 0) {
		err = fmt.Errorf("SOCKS: %v", answer)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// TestStdioForward joins a client's stdin and stdout to a remote service, as a jump
// over a host does, and then really jumps.
func TestStdioForward(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	c := openssh(t, s)
	service := echoServer(t)
	var all sync.WaitGroup
	for i := range 10 {
		all.Add(1)
		go func() {
			defer all.Done()
			n := int64(1_000_000 + i)
			r := finish(t, c.cmd([]string{"-W", service}, ""), stream(n))
			if r.Code != 0 || digest(strings.NewReader(r.Stdout)) != digest(stream(n)) {
				t.Errorf("ssh -W: exit %d, %d bytes of %d, %s", r.Code, len(r.Stdout), n, r.Stderr)
			}
		}()
	}
	all.Wait()
	t.Run("jump", func(t *testing.T) {
		c.in(t).expect("echo in", "in", 0, "-o", "ProxyCommand="+c.sshCommand()+" -W %h:%p "+c.user+"@127.0.0.1")
	})
	t.Run("nobody there", func(t *testing.T) {
		closed := net.JoinHostPort("127.0.0.1", strconv.Itoa(harness.FreePort(t)))
		r := finish(t, openssh(t, s, "-o", "LogLevel=INFO").cmd([]string{"-W", closed}, ""), nil)
		if r.Code != 255 || !strings.Contains(r.Stderr, "open failed: connect failed") {
			t.Errorf("%+v", r)
		}
	})
}
