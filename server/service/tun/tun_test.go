package tun

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
)

func testPolicy() *Policy {
	return &Policy{
		Permit: config.TunnelYes, Device: NoDevice, Log: &logged{},
		Account: &user.Account{Name: "alice", UID: uint32(os.Geteuid())},
	}
}

func (p *Policy) logged() *logged { return p.Log.(*logged) }

// machine makes interfaces that are pairs of sockets: the test has the other ends.
type machine struct {
	t     *testing.T
	mu    sync.Mutex
	asked []request
	ends  []*os.File
}

func (m *machine) open(q request) (*os.File, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, q)
	if q.unit == 13 {
		return nil, "", unix.EPERM
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	end := os.NewFile(uintptr(fds[1]), "other end")
	m.ends = append(m.ends, end)
	m.t.Cleanup(func() { end.Close() })
	if err := end.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "interface"), "tun" + string(rune('0'+len(m.ends))), nil
}

func (m *machine) end(i int) *os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ends[i]
}

func testServer(t *testing.T, p *Policy) (*Server, *machine) {
	t.Helper()
	m := &machine{t: t}
	s := New(p, func() { t.Error("a panic") })
	s.open = m.open
	t.Cleanup(s.Close)
	return s, m
}

// fakeChannel keeps what is sent.
type fakeChannel struct {
	mu     sync.Mutex
	sent   [][]byte
	err    error
	closed bool
}

func (c *fakeChannel) WriteDatagram(p []byte) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || len(p) > 1000 {
		return false, c.err
	}
	c.sent = append(c.sent, bytes.Clone(p))
	return true, nil
}

func (c *fakeChannel) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return nil
}

func (c *fakeChannel) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *fakeChannel) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

// connected is a link of a server's with a channel in memory.
func connected(t *testing.T, mode uint32) (*Server, *link, *fakeChannel, *os.File) {
	t.Helper()
	s, m := testServer(t, testPolicy())
	l, _ := s.connect(requestBytes(mode, anyUnit))
	if l == nil {
		t.Fatal("refused")
	}
	ch := &fakeChannel{}
	l.start(ch)
	return s, l, ch, m.end(0)
}

// receive reads one packet that went to the interface.
func receive(t *testing.T, f *os.File) []byte {
	t.Helper()
	b := make([]byte, 1<<17)
	n, err := f.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestPackets(t *testing.T) {
	v4, v6 := []byte{0x45, 1, 2, 3}, []byte{0x60, 1, 2, 3, 4}
	frame := []byte("sixbyt+sixbyte and what is in it")
	for _, c := range []struct {
		mode             uint32
		packets, message [][]byte
	}{
		{modePointToPoint, [][]byte{v4, v6, v4}, [][]byte{
			append([]byte{0, 0, 0, 2}, v4...), append([]byte{0, 0, 0, 24}, v6...), append([]byte{0, 0, 0, 2}, v4...)}},
		{modeEthernet, [][]byte{frame, frame[:20]}, [][]byte{frame, frame[:20]}},
	} {
		_, l, ch, other := connected(t, c.mode)
		for i, packet := range c.packets {
			l.Datagram(c.message[i])
			if got := receive(t, other); !bytes.Equal(got, packet) {
				t.Errorf("mode %d: the interface got %x, expected %x", c.mode, got, packet)
			}
			if _, err := other.Write(packet); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all packets", func() bool { return ch.count() == len(c.packets) })
		for i, message := range c.message {
			if !bytes.Equal(ch.sent[i], message) {
				t.Errorf("mode %d: the client got %x, expected %x", c.mode, ch.sent[i], message)
			}
		}
	}
}

// TestLost: what is no packet, is too long for a message or finds no room is lost, and
// what follows is not.
func TestLost(t *testing.T) {
	_, l, ch, other := connected(t, modePointToPoint)
	good := []byte{0x45, 'o', 'k'}
	for _, bad := range [][]byte{{0x10}, append([]byte{0x45}, make([]byte, 2000)...), good} {
		if _, err := other.Write(bad); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the packet", func() bool { return ch.count() == 1 })
	if want := append([]byte{0, 0, 0, 2}, good...); !bytes.Equal(ch.sent[0], want) {
		t.Errorf("%x", ch.sent[0])
	}
	message := append([]byte{0, 0, 0, 2, 0x45}, make([]byte, 1000)...)
	for range 10000 { // more than the socket takes: nothing here may wait
		l.Datagram([]byte("no packet"))
		l.Datagram(message)
	}
	if got := receive(t, other); !bytes.Equal(got, message[4:]) {
		t.Errorf("%x", got)
	}
}

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		permit config.Tunnel
		device int
		extra  []byte
		want   *request // what is opened; nil: refused
		reason uint32
		log    string
	}{
		"yes":             {config.TunnelYes, NoDevice, requestBytes(1, 5), &request{1, 5}, 0, "Tunnel forwarding using interface tun1"},
		"any":             {config.TunnelYes, NoDevice, requestBytes(2, anyUnit), &request{2, anyUnit}, 0, "Tunnel forwarding using interface tun1"},
		"no":              {config.TunnelNo, NoDevice, requestBytes(1, 5), nil, msg.OpenConnectFailed, textRefuse},
		"point-to-point":  {config.TunnelPointToPoint, NoDevice, requestBytes(1, 5), &request{1, 5}, 0, "Tunnel forwarding"},
		"not ethernet":    {config.TunnelPointToPoint, NoDevice, requestBytes(2, 5), nil, msg.OpenConnectFailed, textRefuse},
		"not IP":          {config.TunnelEthernet, NoDevice, requestBytes(1, 5), nil, msg.OpenConnectFailed, textRefuse},
		"mode 3":          {config.TunnelYes, NoDevice, requestBytes(3, 5), nil, msg.OpenConnectFailed, textMode},
		"bad number":      {config.TunnelYes, NoDevice, requestBytes(1, 1<<31), nil, msg.OpenConnectFailed, "invalid tun"},
		"malformed":       {config.TunnelYes, NoDevice, []byte{0, 0, 0, 1, 0}, nil, msg.OpenConnectFailed, "inside a field"},
		"forced":          {config.TunnelYes, 7, requestBytes(1, anyUnit), &request{1, 7}, 0, "Tunnel forwarding"},
		"forced, asked":   {config.TunnelYes, 7, requestBytes(1, 7), &request{1, 7}, 0, "Tunnel forwarding"},
		"forced, another": {config.TunnelYes, 7, requestBytes(1, 8), nil, msg.OpenConnectFailed, textFailed},
		"forced 0":        {config.TunnelYes, 0, requestBytes(1, 1), nil, msg.OpenConnectFailed, textFailed},
		"any, and one":    {config.TunnelYes, anyUnit, requestBytes(1, 8), nil, msg.OpenConnectFailed, textFailed},
		"any, and any":    {config.TunnelYes, anyUnit, requestBytes(1, anyUnit), &request{1, anyUnit}, 0, "Tunnel forwarding"},
		"kernel says no":  {config.TunnelYes, NoDevice, requestBytes(1, 13), nil, msg.OpenConnectFailed, textFailed},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPolicy()
			p.Permit, p.Device = c.permit, c.device
			s, m := testServer(t, p)
			l, reason := s.connect(c.extra)
			if (l != nil) != (c.want != nil) || reason != c.reason || !strings.Contains(p.logged().text(), "debug: ") ||
				!strings.Contains(p.logged().text(), c.log) {
				t.Errorf("%v, %d, log %q", l, reason, p.logged().text())
			}
			if c.want != nil && (len(m.asked) != 1 || m.asked[0] != *c.want) || c.want == nil && len(m.ends) != 0 {
				t.Errorf("opened %+v", m.asked)
			}
		})
	}
}

// TestThreat18OtherUser: a process that is not the user's makes no interface.
func TestThreat18OtherUser(t *testing.T) {
	p := testPolicy()
	p.Account.UID++
	s, m := testServer(t, p)
	if l, reason := s.connect(requestBytes(1, 0)); l != nil || reason == 0 || len(m.asked) != 0 {
		t.Errorf("%v, %d, asked %v", l, reason, m.asked)
	}
}

func TestLimit(t *testing.T) {
	s, m := testServer(t, testPolicy())
	var last *link
	for range maxDevices {
		l, reason := s.connect(requestBytes(1, anyUnit))
		if l == nil {
			t.Fatalf("refused: %d", reason)
		}
		last = l
	}
	if l, reason := s.connect(requestBytes(1, anyUnit)); l != nil || reason != msg.OpenResourceShortage {
		t.Errorf("one more: %v, %d", l, reason)
	}
	if l, _ := s.connect(requestBytes(1, 13)); l != nil || len(m.asked) != maxDevices {
		t.Errorf("%d were asked for", len(m.asked))
	}
	last.Closed()
	last.Closed()
	if l, _ := s.connect(requestBytes(1, 13)); l != nil {
		t.Error("a failure that succeeds")
	}
	if l, reason := s.connect(requestBytes(1, anyUnit)); l == nil {
		t.Errorf("a free place is not given: %d", reason)
	}
}

func TestInterfaces(t *testing.T) {
	s, _ := testServer(t, testPolicy())
	if got := s.Interfaces(); got != "" {
		t.Errorf("%q", got)
	}
	for range 3 {
		s.connect(requestBytes(1, anyUnit))
	}
	if got := s.Interfaces(); got != "tun1,tun2,tun3" {
		t.Errorf("%q", got)
	}
}

// TestInterfacesWait: a session that starts while an interface is being opened gets it.
func TestInterfacesWait(t *testing.T) {
	s, _ := testServer(t, testPolicy())
	s.settle() // nobody said that it would come
	s.Arriving()
	got := make(chan string)
	go func() { got <- s.Interfaces() }()
	select {
	case names := <-got:
		t.Errorf("%q before the interface is there", names)
	default:
	}
	s.connect(requestBytes(1, anyUnit))
	s.settle()
	if names := <-got; names != "tun1" {
		t.Errorf("%q", names)
	}
}

// TestThreat32Gone: no interface outlives its channel or its connection.
func TestThreat32Gone(t *testing.T) {
	for name, finish := range map[string]func(*Server, *link, *fakeChannel, *os.File){
		"the client closes":    func(_ *Server, l *link, _ *fakeChannel, _ *os.File) { l.Closed() },
		"the connection ends":  func(s *Server, _ *link, _ *fakeChannel, _ *os.File) { s.Close() },
		"the interface vanish": func(_ *Server, _ *link, _ *fakeChannel, other *os.File) { other.Close() },
		"the channel fails": func(_ *Server, _ *link, ch *fakeChannel, other *os.File) {
			ch.mu.Lock()
			ch.err = connection.ErrEnded
			ch.mu.Unlock()
			_, _ = other.Write([]byte{0x45})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, l, ch, other := connected(t, modePointToPoint)
			finish(s, l, ch, other)
			eventually(t, "the channel's end", ch.isClosed)
			eventually(t, "the interface's end", func() bool {
				_, err := l.device.Write([]byte{0})
				return errors.Is(err, os.ErrClosed)
			})
			eventually(t, "nothing to be left", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return len(s.links) == 0
			})
			s.Close()
			if l, _ := s.connect(requestBytes(1, anyUnit)); l != nil {
				t.Error("an interface after the end")
			}
		})
	}
	// An interface that comes while the connection ends.
	s, _ := testServer(t, testPolicy())
	open := s.open
	s.open = func(q request) (*os.File, string, error) { s.Close(); return open(q) }
	if l, _ := s.connect(requestBytes(1, anyUnit)); l != nil {
		t.Error("an interface after the end")
	}
	// And one whose channel does.
	s, _ = testServer(t, testPolicy())
	l, _ := s.connect(requestBytes(1, anyUnit))
	l.abort()
	ch := &fakeChannel{}
	l.start(ch)
	eventually(t, "the channel's end", ch.isClosed)
}

// TestBug: a panic ends the connection that it is in.
func TestBug(t *testing.T) {
	p := testPolicy()
	broken := make(chan struct{})
	s := New(p, func() { close(broken) })
	go s.guard(func() { panic("oops") })
	<-broken
	if text := p.logged().text(); !strings.HasPrefix(text, "error: internal error: oops\n") {
		t.Errorf("log %q", text)
	}
}

// TestChannels joins an interface to a client over a Mux: packets keep their bounds.
func TestChannels(t *testing.T) {
	p := testPolicy()
	s, m := testServer(t, p)
	_, client := pairServing(t, map[string]func(*connection.NewChannel){ChannelType: s.Open})
	got := &taker{quiet: newQuiet()}
	ch, err := client.OpenChannel(ChannelType, requestBytes(modePointToPoint, anyUnit), got)
	if !boundaries {
		var refused *connection.OpenError
		if !errors.As(err, &refused) || refused.Reason != msg.OpenUnknownChannelType || len(m.asked) != 0 {
			t.Errorf("%v", err)
		}
		t.Skip("package connection does not keep the bounds of messages yet: every tunnel is refused")
	}
	if err != nil {
		t.Fatal(err)
	}
	message := append([]byte{0, 0, 0, 2, 0x45}, make([]byte, 1200)...)
	const many = 5000 // far more than the windows
	go func() {
		for range many {
			_, _ = any(ch).(channel).WriteDatagram(message)
			_, _ = any(ch).(channel).WriteDatagram(message[:6])
		}
		_ = ch.Close()
	}()
	other := m.end(0)
	long, short := 0, 0
	for {
		b := make([]byte, 4096)
		n, err := other.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the interface outlives its channel")
		}
		if err != nil || n == 0 {
			break
		}
		switch n {
		case len(message) - 4:
			long++
		case 2:
			short++
		default:
			t.Fatalf("a packet of %d bytes", n)
		}
	}
	if long == 0 || short == 0 { // some are lost when this reader is slow
		t.Errorf("%d and %d of %d packets", long, short, many)
	}
	<-got.closed
	eventually(t, "the end of all channels", func() bool { return client.Counts() == 0 })
}

// taker is the client's end of a tunnel.
type taker struct{ *quiet }

func (taker) Datagram([]byte) {}
