package x11

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/wire"
	"nano_ssh_server/server/service/agent/relay"
	"nano_ssh_server/server/service/session"
)

// testPolicy is a policy for whoever runs the tests, with displays that no other
// program has: their ports are between those of the tests' servers and those that the
// kernel gives to clients.
func testPolicy(t *testing.T) *Policy {
	t.Helper()
	xauth := filepath.Join(t.TempDir(), "xauth")
	if err := os.WriteFile(xauth, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Policy{
		Permit: true, PermitKey: true, UseLocalhost: true, DisplayOffset: 25100 + rand.IntN(1500),
		XAuthLocation: xauth, Log: &logged{},
		Account: &user.Account{Name: "alice", Home: t.TempDir(), UID: uint32(os.Geteuid())},
	}
}

func (p *Policy) logged() *logged { return p.Log.(*logged) }

// request is what OpenSSH's client asks for.
var request = session.X11Request{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: "0123456789abcdef0123456789abcdef", Screen: 3}

// opened opens a display, whose client accepts channels by accept.
func opened(t *testing.T, p *Policy, r session.X11Request, accept func(*connection.NewChannel)) (f *Forwarder, x *session.X11, port int) {
	t.Helper()
	server, _ := pair(t, channelType, accept)
	f = New(server, p)
	t.Cleanup(f.Close)
	x, err := f.Open(r)
	if err != nil {
		t.Fatalf("%v: %s", err, p.logged().text())
	}
	return f, x, portOf(t, x)
}

// portOf reads the port out of DISPLAY.
func portOf(t *testing.T, x *session.X11) int {
	t.Helper()
	m := regexp.MustCompile(`:(\d+)\.\d+$`).FindStringSubmatch(x.Display)
	if m == nil {
		t.Fatalf("DISPLAY is %q", x.Display)
	}
	n, _ := strconv.Atoi(m[1])
	return basePort + n
}

func dial(t *testing.T, address string, port int) (*net.TCPConn, error) {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn), nil
}

// loopbacks are the families that this machine has.
func loopbacks(t *testing.T) []string {
	t.Helper()
	list := []string{"127.0.0.1"}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		list = append(list, "::1")
	}
	return list
}

// closed waits until nobody listens on a port.
func closed(t *testing.T, port int) {
	t.Helper()
	for _, address := range loopbacks(t) {
		eventually(t, "the end of listening on "+address, func() bool {
			c, err := net.Dial("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
			if err == nil {
				c.Close()
			}
			return errors.Is(err, unix.ECONNREFUSED)
		})
	}
}

func TestForward(t *testing.T) {
	for _, localhost := range []bool{true, false} {
		t.Run(fmt.Sprintf("localhost=%v", localhost), func(t *testing.T) {
			extra := make(chan []byte, 1)
			p := testPolicy(t)
			p.UseLocalhost = localhost
			_, x, port := opened(t, p, request, func(n *connection.NewChannel) {
				extra <- n.Extra
				echo(n)
			})
			number := port - basePort
			display, auth := fmt.Sprintf("localhost:%d.3", number), fmt.Sprintf("unix:%d.3", number)
			if !localhost {
				host, _ := os.Hostname()
				display = fmt.Sprintf("%s:%d.3", host, number)
				auth = display
			}
			if x.Display != display || x.AuthDisplay != auth {
				t.Errorf("%q and %q, expected %q and %q", x.Display, x.AuthDisplay, display, auth)
			}
			for _, address := range loopbacks(t) {
				c, err := dial(t, address, port)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write([]byte("hello"))
				_ = c.CloseWrite()
				if all, err := io.ReadAll(c); err != nil || string(all) != "heard hello" {
					t.Errorf("%q, %v", all, err)
				}
				r := wire.NewReader(<-extra)
				from, fromPort := r.Text(), r.Uint32()
				if err := r.End(); err != nil || from != address || int(fromPort) != c.LocalAddr().(*net.TCPAddr).Port {
					t.Errorf("originator %q %d, %v", from, fromPort, err)
				}
			}
		})
	}
}

// TestLocalhostOnly: by default other machines cannot reach a display.
func TestLocalhostOnly(t *testing.T) {
	p := testPolicy(t)
	_, listeners, err := listen(p, families(true))
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(listeners)
	if len(listeners) != len(loopbacks(t)) {
		t.Errorf("%d listeners", len(listeners))
	}
	for _, l := range listeners {
		if a := l.Addr().(*net.TCPAddr); !a.IP.IsLoopback() {
			t.Errorf("listens on %s", a)
		}
	}
}

// TestSocketOptions: X waits for each small packet's answer.
func TestSocketOptions(t *testing.T) {
	for _, localhost := range []bool{true, false} {
		p := testPolicy(t)
		p.UseLocalhost = localhost
		number, listeners, err := listen(p, families(localhost))
		if err != nil {
			t.Fatal(err)
		}
		defer closeAll(listeners)
		if _, err := dial(t, "127.0.0.1", basePort+number); err != nil {
			t.Fatal(err)
		}
		v4 := listeners[len(listeners)-1]
		c, err := v4.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		check := func(c syscall.Conn, what string, level, option, want int) {
			t.Helper()
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = raw.Control(func(fd uintptr) {
				if got, err := unix.GetsockoptInt(int(fd), level, option); err != nil || got != want {
					t.Errorf("localhost=%v: %s is %d, %v", localhost, what, got, err)
				}
			})
		}
		check(c.(syscall.Conn), "TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		check(c.(syscall.Conn), "SO_PROTOCOL", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP)
		reuse := 0
		if localhost {
			reuse = 1
		}
		check(v4.(syscall.Conn), "SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, reuse)
	}
}

// TestThreat19Taken: a display whose port somebody has in one family only is not used:
// programs would show their cookie there (CVE-2008-1483).
func TestThreat19Taken(t *testing.T) {
	for _, address := range loopbacks(t) {
		p := testPolicy(t)
		other, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(basePort+p.DisplayOffset)))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		_, x, port := opened(t, p, request, echo)
		if port <= basePort+p.DisplayOffset {
			t.Errorf("%s is taken, DISPLAY is %s", other.Addr(), x.Display)
		}
		// Nothing of the first try is left.
		for _, a := range loopbacks(t) {
			if a == address {
				continue
			}
			if c, err := dial(t, a, basePort+p.DisplayOffset); err == nil {
				t.Errorf("somebody listens on %s", c.RemoteAddr())
			}
		}
	}
}

// TestMissingFamily: where IPv6 is off, displays are IPv4's.
func TestMissingFamily(t *testing.T) {
	p := testPolicy(t)
	// An address of documentation's (RFC 3849) is no machine's own.
	_, listeners, err := listen(p, []family{{"tcp6", "2001:db8::1"}, {"tcp4", "127.0.0.1"}})
	if err != nil || len(listeners) != 1 {
		t.Fatalf("%v, %v", listeners, err)
	}
	closeAll(listeners)
	if _, _, err := listen(p, []family{{"tcp6", "2001:db8::1"}}); err == nil {
		t.Error("a display without any family")
	}
	for errno, want := range map[syscall.Errno]bool{
		unix.EAFNOSUPPORT: true, unix.EADDRNOTAVAIL: true, unix.EADDRINUSE: false, unix.EACCES: false, unix.EMFILE: false,
	} {
		if missing(&net.OpError{Err: os.NewSyscallError("bind", errno)}) != want {
			t.Errorf("%v: not %v", errno, want)
		}
	}
}

// TestNoDisplay: no number is tried that has no port, or more than sshd tries.
func TestNoDisplay(t *testing.T) {
	for _, offset := range []int{maxPort - basePort + 1, 1 << 30, -5000} {
		p := testPolicy(t)
		p.DisplayOffset = offset
		server, _ := pair(t, channelType, echo)
		if x, err := New(server, p).Open(request); err != errNoPort {
			t.Errorf("offset %d: %+v, %v", offset, x, err)
		}
		if want := "error: " + string(errAllTaken); p.logged().text() != want {
			t.Errorf("log %q", p.logged().text())
		}
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Policy)
		want   error
	}{
		"configuration": {func(p *Policy) { p.Permit = false }, errDisabled},
		"key":           {func(p *Policy) { p.PermitKey = false }, errKey},
		"no xauth":      {func(p *Policy) { p.XAuthLocation += "x" }, errNoXAuth},
		"xauth none":    {func(p *Policy) { p.XAuthLocation = "" }, errNoXAuth},
	} {
		p := testPolicy(t)
		c.change(p)
		server, _ := pair(t, channelType, echo)
		if x, err := New(server, p).Open(request); x != nil || err != c.want {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
		closed(t, basePort+p.DisplayOffset)
	}
	p := testPolicy(t)
	f, _, _ := opened(t, p, request, echo)
	f.Close()
	if x, err := f.Open(request); x != nil || err != errClosed {
		t.Errorf("after the end: %+v, %v", x, err)
	}
	closed(t, basePort+p.DisplayOffset)
}

// TestThreat18OtherUser: a process that is not the user's opens no display.
func TestThreat18OtherUser(t *testing.T) {
	p := testPolicy(t)
	p.Account.UID++
	server, _ := pair(t, channelType, echo)
	if x, err := New(server, p).Open(request); x != nil || err != errOther {
		t.Errorf("%+v, %v", x, err)
	}
	closed(t, basePort+p.DisplayOffset)
}

// TestSingle: single connection means one, on whatever address.
func TestSingle(t *testing.T) {
	r := request
	r.SingleConnection = true
	hold := make(chan struct{})
	defer close(hold)
	p := testPolicy(t)
	_, x, port := opened(t, p, r, func(n *connection.NewChannel) {
		ch := n.Accept(newQuiet())
		_, _ = ch.Write([]byte("first"))
		<-hold
	})
	c, err := dial(t, "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "first" {
		t.Fatalf("%q, %v", b, err)
	}
	closed(t, port)
	x.Close()
	if !strings.Contains(p.logged().text(), "debug: single_connection: closing X11 listener.") {
		t.Errorf("log %q", p.logged().text())
	}
}

// TestThreat32SessionEnds: a session's end closes its display; programs that are
// connected stay, and go with the connection.
func TestThreat32SessionEnds(t *testing.T) {
	p := testPolicy(t)
	f, x, port := opened(t, p, request, func(n *connection.NewChannel) {
		ch := n.Accept(newQuiet())
		_, _ = ch.WriteTo(ch) // says back what it hears
	})
	_, other, otherPort := opened(t, p, request, echo)
	c, err := dial(t, "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	said := func() {
		t.Helper()
		b := make([]byte, 4)
		if _, err := c.Write([]byte("draw")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "draw" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	said()
	x.Close()
	closed(t, port)
	said()
	if d, err := dial(t, "127.0.0.1", otherPort); err != nil || d == nil {
		t.Errorf("the other session's display %s: %v", other.Display, err)
	}
	f.Close()
	if all, err := io.ReadAll(c); len(all) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%q, %v", all, err)
	}
}

// TestThreat32ConnectionEnds: without any Close too.
func TestThreat32ConnectionEnds(t *testing.T) {
	f, _, port := opened(t, testPolicy(t), request, func(n *connection.NewChannel) { n.Accept(newQuiet()) })
	c, err := dial(t, "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	f.mux.Close()
	if all, err := io.ReadAll(c); len(all) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%q, %v", all, err)
	}
	closed(t, port)
}

// TestForgets: displays that are through cost nothing, on a connection that is shared
// for days.
func TestForgets(t *testing.T) {
	p := testPolicy(t)
	server, _ := pair(t, channelType, echo)
	f := New(server, p)
	defer f.Close()
	for range 20 {
		x, err := f.Open(request)
		if err != nil {
			t.Fatal(err)
		}
		x.Close()
	}
	if len(f.relays) > 1 {
		t.Errorf("%d displays are kept", len(f.relays))
	}
}

func TestAdmit(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	f := New(nil, testPolicy(t))
	if _, ok := f.admit(piped{a}); ok {
		t.Error("a connection without an address is let in")
	}
}

type piped struct{ net.Conn }

func (piped) CloseWrite() error                     { return nil }
func (piped) SyscallConn() (syscall.RawConn, error) { return nil, nil }

var _ relay.Local = piped{}
