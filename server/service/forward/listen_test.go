package forward

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// hasIPv6 reports whether loopback has both families here.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

func connect(t testing.TB, network, address string) stream {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(stream)
}

// TestListenTCP: the port that was given is open in both families, connections come
// with the address that the client asked for, and are gone when it cancels.
func TestListenTCP(t *testing.T) {
	r := newRig(t, everything())
	port := r.forward("localhost")
	addresses := []string{"127.0.0.1"}
	if hasIPv6() {
		addresses = append(addresses, "::1")
	}
	for _, a := range addresses {
		c := connect(t, "tcp", net.JoinHostPort(a, strconv.Itoa(port)))
		n, ch, w := r.next()
		origin := c.LocalAddr().(*net.TCPAddr)
		if want := forwardedTCP("localhost", port, origin.IP.String(), origin.Port); string(n.Extra) != string(want) || n.Type != "forwarded-tcpip" {
			t.Errorf("%s %q, expected %q", n.Type, n.Extra, want)
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
	}
	kept := connect(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	_, ch, w := r.next()
	for _, wrong := range [][]byte{listenPayload("127.0.0.1", port), listenPayload("localhost", port-1), listenPayload("localhost", 0)} {
		if _, ok := r.request("cancel-tcpip-forward", wrong); ok {
			t.Errorf("%x cancels", wrong)
		}
	}
	if reply, ok := r.request("cancel-tcpip-forward", listenPayload("localhost", port)); !ok || len(reply) != 0 {
		t.Errorf("cancel: %v %x", ok, reply)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		c.Close()
		t.Error("listens after the cancellation")
	}
	write(t, kept, "still here") // what was accepted goes on
	kept.Close()
	if got := text(t, ch); got != "still here" {
		t.Errorf("client got %q", got)
	}
	_ = ch.CloseWrite()
	w.wait(t)
}

// TestListenTwice: one place has one forwarding, whether it is ours or another's.
func TestListenTwice(t *testing.T) {
	r := newRig(t, everything())
	port := r.forward("127.0.0.1")
	for _, address := range []string{"127.0.0.1", "localhost"} {
		_, ok := r.request("tcpip-forward", listenPayload(address, port))
		if ok != (address == "localhost" && hasIPv6()) { // there ::1 is free, and enough
			t.Errorf("%s again: %v", address, ok)
		}
	}
	r.log.expect(t, fmt.Sprintf("error: channel_setup_fwd_listener_tcpip: cannot listen to port: %d", port))
}

// TestListenAddresses: what is bound for what the client asks, by GatewayPorts.
func TestListenAddresses(t *testing.T) {
	const both, all = "::1 127.0.0.1", "0.0.0.0 ::"
	for _, c := range []struct{ host, no, yes, specified string }{
		{"", both, all, all},
		{"*", both, all, all},
		{"localhost", both, all, both},
		{"127.0.0.1", "127.0.0.1", all, "127.0.0.1"},
		{"::1", "::1", all, "::1"},
		{"0.0.0.0", both, all, "0.0.0.0"},
		{"::", both, all, "::"},
		{"192.0.2.1", both, all, "192.0.2.1"},
		{"::ffff:192.0.2.1", both, all, "192.0.2.1"},
		{"no such host", both, all, "unknown"},
	} {
		for gateway, want := range map[config.GatewayPorts]string{
			config.GatewayNo: c.no, config.GatewayYes: c.yes, config.GatewayClientSpecified: c.specified,
		} {
			p := everything()
			p.GatewayPorts = gateway
			s := NewServer(p, nil)
			list, err := s.bindAddresses(c.host)
			got := strings.Trim(fmt.Sprint(list), "[]")
			if err != nil {
				got = "unknown"
			}
			if got != want {
				t.Errorf("%q with GatewayPorts %d: %s, expected %s", c.host, gateway, got, want)
			}
			s.Close()
		}
	}
	p := everything()
	for family, want := range map[config.AddressFamily]int{config.FamilyIPv4: 4, config.FamilyIPv6: 16} {
		p.AddressFamily = family
		list, _ := NewServer(p, nil).bindAddresses("")
		if len(list) != 1 || len(list[0].AsSlice()) != want {
			t.Errorf("family %d: %v", family, list)
		}
	}
}

// TestGatewayYes: anyone may connect, and the client's address is overridden.
func TestGatewayYes(t *testing.T) {
	p := everything()
	p.GatewayPorts = config.GatewayYes
	r := newRig(t, p)
	port := r.forward("127.0.0.1")
	connect(t, "tcp", fmt.Sprintf("127.0.0.2:%d", port)).Close()
	n, ch, w := r.next()
	if address := wire.NewReader(n.Extra).Text(); address != "127.0.0.1" {
		t.Errorf("address %q", address)
	}
	text(t, ch)
	_ = ch.CloseWrite()
	w.wait(t)
	r.log.expect(t, `debug1: Forwarding listen address "127.0.0.1" overridden by server GatewayPorts`)
}

// TestBindRetries: a port that is taken in one of the families is not taken in the other.
func TestBindRetries(t *testing.T) {
	s := NewServer(everything(), nil)
	defer s.Close()
	one := netip.MustParseAddr("127.0.0.1")
	sockets, bound := s.bind([]netip.Addr{one, one}, 0) // the second can never have it
	defer closeAll(sockets)
	if len(sockets) != 1 || bound == 0 {
		t.Errorf("%d sockets on %d", len(sockets), bound)
	}
	n := 0
	for _, line := range s.log.(*logged).lines {
		if strings.HasPrefix(line, "debug1: Local forwarding listening on ") {
			n++
		}
	}
	if n != 2*portTries {
		t.Errorf("%d sockets were tried", n)
	}
}

// TestPrivilegedPort: ports below 1024 are root's.
func TestPrivilegedPort(t *testing.T) {
	p := everything()
	p.UID = 12345
	r := newRig(t, p)
	r.server.foreign = false
	if _, ok := r.request("tcpip-forward", listenPayload("localhost", 1023)); ok {
		t.Error("accepted")
	}
	r.log.expect(t, "debug1: Server has disabled port forwarding.")
	if slices.ContainsFunc(r.log.lines, func(l string) bool { return strings.Contains(l, "listening on") }) {
		t.Error("tried to bind")
	}
}

// TestPortZeroNeedsReply: who does not want to know the port gets none.
func TestPortZeroNeedsReply(t *testing.T) {
	r := newRig(t, everything())
	_, _, _ = r.client.SendGlobal("tcpip-forward", false, listenPayload("localhost", 0))
	_, _ = r.request("cancel-tcpip-forward", listenPayload("localhost", 1)) // they come in order
	if n, _ := r.server.Counts(); n != 0 {
		t.Errorf("%d listeners", n)
	}
}

// TestClientRefuses: a connection that the client does not want is closed, and told.
func TestClientRefuses(t *testing.T) {
	r := newRig(t, everything())
	c := connect(t, "tcp", fmt.Sprintf("127.0.0.1:%d", r.forward("localhost")))
	n := <-r.come
	n.Reject(msg.OpenConnectFailed, "no\nthanks")
	if got := text(t, c); got != "" {
		t.Errorf("peer got %q", got)
	}
	eventually(t, "the end of it", func() bool { return !r.serves(0) })
	r.log.expect(t, "info: channel forwarded-tcpip: open failed: connect failed: no\nthanks") // the sink escapes
}

// TestThreat16PendingBounded: a client that never answers gathers no sockets.
func TestThreat16PendingBounded(t *testing.T) {
	r := newRig(t, everything())
	port := r.forward("localhost")
	r.server.mu.Lock()
	r.server.pending = maxPending - 1
	r.server.mu.Unlock()
	at := fmt.Sprintf("127.0.0.1:%d", port)
	waits := connect(t, "tcp", at)
	n := <-r.come
	if got := text(t, connect(t, "tcp", at)); got != "" { // closed at once
		t.Errorf("peer got %q", got)
	}
	r.log.expect(t, "debug1: forwarded-tcpip: too many connections wait for the client")
	w := newWatcher()
	w.ch = n.Accept(w)
	write(t, waits, "hello")
	waits.Close()
	if got := text(t, w.ch); got != "hello" {
		t.Errorf("client got %q", got)
	}
	_ = w.ch.CloseWrite()
	w.wait(t)
}

// TestThreat16ChannelsBounded: a connection for which there is no channel is closed.
func TestThreat16ChannelsBounded(t *testing.T) {
	r := newRig(t, everything())
	r.server.SetOpener(fullMux{})
	port := r.forward("localhost")
	if got := text(t, connect(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))); got != "" {
		t.Errorf("peer got %q", got)
	}
	eventually(t, "the end of it", func() bool { return !r.serves(0) })
	r.log.expect(t, "debug1: forwarded-tcpip: no channel: the connection has ended or has too many")
}

type fullMux struct{}

func (fullMux) OpenChannel(string, []byte, connection.ChannelHandler) (*connection.Channel, error) {
	return nil, connection.ErrEnded
}

// TestThreat16ListenersBounded: listeners are bounded, too.
func TestThreat16ListenersBounded(t *testing.T) {
	r := newRig(t, everything())
	for range maxListeners {
		r.forward("127.0.0.1")
	}
	if _, ok := r.request("tcpip-forward", listenPayload("127.0.0.1", 0)); ok {
		t.Error("one more")
	}
	r.log.expect(t, "error: too many remote forwards")
}

// TestThreat32Listeners: with the connection go its listeners, local sockets with
// their names, and connections that the client never answered.
func TestThreat32Listeners(t *testing.T) {
	r := newRig(t, everything())
	port := r.forward("localhost")
	name := tempDir(t) + "/s"
	if _, ok := r.request("streamlocal-forward@openssh.com", wire.AppendText(nil, name)); !ok {
		t.Fatal("refused")
	}
	c := connect(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	<-r.come
	r.close()
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		c.Close()
		t.Error("the port still listens")
	}
	if _, err := os.Lstat(name); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// stuckListener fails until it is closed.
type stuckListener struct {
	net.Listener
	calls chan struct{}
}

func (s stuckListener) Accept() (net.Conn, error) {
	s.calls <- struct{}{}
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errTooMany)}
}

// TestAcceptFails: a failure that stays is told and not tried again at once.
func TestAcceptFails(t *testing.T) {
	r := newRig(t, everything())
	socket := target(t, "tcp")
	calls := make(chan struct{}, 100)
	at := place{"x", 1}
	l := &listener{server: r.server, place: at, kind: "forwarded-tcpip", sockets: []net.Listener{stuckListener{socket, calls}}}
	if !l.start() {
		t.Fatal("not started")
	}
	<-calls
	eventually(t, "the log line", func() bool { return r.log.has("error: accept: Too many open files") })
	if !r.server.stop(at) { // does not wait for the pause
		t.Error("not stopped")
	}
	if n := len(calls); n > 1 {
		t.Errorf("%d more calls", n)
	}
}

// TestBacklog: as many connections wait for accept(2) as with sshd.
func TestBacklog(t *testing.T) {
	s := NewServer(everything(), nil)
	defer s.Close()
	sockets, _ := s.bind([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, 0)
	defer closeAll(sockets)
	conn, err := sockets[0].(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Sacked != backlog { // of a listening socket it is the backlog
			t.Errorf("%d, %v", info.Sacked, err)
		}
	})
}
