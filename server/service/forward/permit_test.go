package forward

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// TestPermitOpen: key and configuration must both allow the target, as it is written.
func TestPermitOpen(t *testing.T) {
	for _, c := range []struct {
		config  []string
		key     []Permit
		allowed string // "host port" pairs
		denied  string
	}{
		{nil, nil, "a 1,/s -2", ""},
		{[]string{"any"}, nil, "a 1,/s -2", ""},
		{[]string{"none"}, nil, "", "a 1,none 0,none 1, 0,/s -2"},
		{[]string{"a:1"}, nil, "a 1", "a 2,b 1,A 1,/s -2,a:1 1"},
		{[]string{"a:1", "[::1]:2"}, nil, "a 1,::1 2", "::1 1,a 2,[::1] 2"},
		{[]string{"a:*"}, nil, "a 1,a 65535", "b 1,/s -2"},
		{[]string{"*:80"}, nil, "a 80,b 80", "a 81,/s -2"},
		{[]string{"*:*"}, nil, "a 1,/s -2", ""},
		{[]string{"*.a:80"}, nil, "*.a 80", "b.a 80"}, // no patterns here, as in sshd
		{[]string{"a:http"}, nil, "a 80", "a 1"},
		{[]string{"a:0"}, nil, "", "a 0,a 1"},
		{[]string{"a"}, nil, "", "a 0,a 1,a -1"},
		{[]string{"[a"}, nil, "", "a 1,[a 1"},
		{[]string{"a:no-such-service"}, nil, "", "a 1"},
		{nil, []Permit{{"a", 1}, {"b", 0}}, "a 1,b 1,b 2", "a 2,c 1,/s -2"},
		{nil, []Permit{{"*", 0}}, "a 1,/s -2", ""},
		{[]string{"a:*"}, []Permit{{"*", 1}}, "a 1", "a 2,b 1"},
		{[]string{"none"}, []Permit{{"*", 0}}, "", "a 1"},
	} {
		p := everything()
		p.PermitOpen, p.KeyPermitOpen = c.config, c.key
		s := NewServer(p, nil)
		for want, list := range map[bool]string{true: c.allowed, false: c.denied} {
			for _, target := range strings.Split(list, ",") {
				if target == "" {
					continue
				}
				i := strings.LastIndexByte(target, ' ')
				var port int
				_, _ = fmt.Sscan(target[i+1:], &port)
				if got := s.mayOpen(target[:i], port); got != want {
					t.Errorf("%q %v: %q is %v", c.config, c.key, target, got)
				}
			}
		}
	}
}

// TestPermitListen: here hosts are patterns, without regard to case.
func TestPermitListen(t *testing.T) {
	p := everything()
	p.PermitListen = []string{"*:8080", "local*:0", "host?:*", "[::1]:99"}
	s := NewServer(p, nil)
	for _, c := range []struct {
		host string
		port int
		want bool
	}{
		{"", 8080, true}, {"*", 8080, true}, {"anything", 8080, true}, {"", 8081, false}, {"", 0, false},
		{"localhost", 0, false}, {"host1", 7, true}, {"HOST1", 0, true}, {"host", 7, false}, {"::1", 99, true}, {"::2", 99, false},
	} {
		if got := s.mayListen(c.host, c.port); got != c.want {
			t.Errorf("%q %d: %v", c.host, c.port, got)
		}
	}
	p.PermitListen, p.KeyPermitListen = nil, []Permit{{"*", 8080}}
	if s := NewServer(p, nil); !s.mayListen("x", 8080) || s.mayListen("x", 1) {
		t.Error("permitlisten of the key")
	}
}

// tries asks for one of each and returns what is allowed.
func tries(t *testing.T, r *rig, tcp, unix net.Listener) string {
	var got []string
	open := func(name, kind string, extra []byte) {
		_, err := r.client.OpenChannel(kind, extra, newWatcher())
		var refused *connection.OpenError
		switch {
		case err == nil:
			got = append(got, name)
		case !errors.As(err, &refused) || refused.Reason != msg.OpenAdministrativelyProhibited || refused.Text != "open failed":
			t.Errorf("%s: %+v", name, err)
		}
	}
	open("L", "direct-tcpip", directTCP("127.0.0.1", tcp.Addr().(*net.TCPAddr).Port))
	open("l", "direct-streamlocal@openssh.com", directStreamLocal(unix.Addr().String()))
	if _, ok := r.request("tcpip-forward", listenPayload("localhost", 0)); ok {
		got = append(got, "R")
	}
	if r.listenPath(tempDir(t) + "/s") {
		got = append(got, "r")
	}
	return strings.Join(got, "")
}

// TestDirections: what each keyword and key option closes.
func TestDirections(t *testing.T) {
	tcp, unix := target(t, "tcp"), target(t, "unix")
	for name, c := range map[string]struct {
		change func(*Policy)
		want   string
	}{
		"nothing":                           {func(p *Policy) {}, "LlRr"},
		"AllowTcpForwarding no":             {func(p *Policy) { p.AllowTCP = config.ForwardNone }, ""}, // sshd's way
		"AllowTcpForwarding local":          {func(p *Policy) { p.AllowTCP = config.ForwardLocal }, "Ll"},
		"AllowTcpForwarding remote":         {func(p *Policy) { p.AllowTCP = config.ForwardRemote }, "Rr"},
		"AllowStreamLocalForwarding no":     {func(p *Policy) { p.AllowStreamLocal = config.ForwardNone }, "LR"},
		"AllowStreamLocalForwarding local":  {func(p *Policy) { p.AllowStreamLocal = config.ForwardLocal }, "LlR"},
		"AllowStreamLocalForwarding remote": {func(p *Policy) { p.AllowStreamLocal = config.ForwardRemote }, "LRr"},
		"DisableForwarding":                 {func(p *Policy) { p.DisableForwarding = true }, ""},
		"no-port-forwarding":                {func(p *Policy) { p.PortForwarding = false }, ""},
		"PermitOpen none":                   {func(p *Policy) { p.PermitOpen = []string{"none"} }, "Rr"},
		"PermitListen none":                 {func(p *Policy) { p.PermitListen = []string{"none"} }, "Llr"},
		"zero":                              {func(p *Policy) { *p = Policy{Log: p.Log} }, ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			p := everything()
			c.change(p)
			r := newRig(t, p)
			if got := tries(t, r, tcp, unix); got != c.want {
				t.Errorf("allowed %q, expected %q", got, c.want)
			}
		})
	}
}

// TestThreat18NotTheUsers: in a process of another user, root's above all, nothing is
// forwarded.
func TestThreat18NotTheUsers(t *testing.T) {
	p := everything()
	p.UID = os.Geteuid() + 1
	r := newRig(t, p)
	if got := tries(t, r, target(t, "tcp"), target(t, "unix")); got != "" {
		t.Errorf("allowed %q", got)
	}
	r.log.expect(t, "error: forwarding refused: this process is not the user's")
}

// TestRefusalLines: refusals are told in sshd's words.
func TestRefusalLines(t *testing.T) {
	p := everything()
	p.PermitOpen, p.PermitListen = []string{"none"}, []string{"none"}
	r := newRig(t, p)
	_, _ = r.client.OpenChannel("direct-tcpip", directTCP("example\n", 80), newWatcher())
	_, _ = r.client.OpenChannel("direct-streamlocal@openssh.com", directStreamLocal("/s"), newWatcher())
	_, _ = r.request("tcpip-forward", listenPayload("", 8080))
	for _, line := range []string{
		"info: Received request from 192.0.2.7 port 50000 to connect to host example\n port 80, but the request was denied.",
		"info: Received request to connect to path /s, but the request was denied.",
		"info: Received request from 192.0.2.7 port 50000 to remote forward to host  port 8080, but the request was denied.",
	} {
		r.log.expect(t, line)
	}
	p = everything()
	p.DisableForwarding = true
	r = newRig(t, p)
	_, _ = r.client.OpenChannel("direct-tcpip", directTCP("example", 80), newWatcher())
	_, _ = r.client.OpenChannel("direct-streamlocal@openssh.com", directStreamLocal("/s"), newWatcher())
	_, _ = r.request("tcpip-forward", listenPayload("", 8080))
	for _, line := range []string{
		"info: refused local port forward: originator 127.0.0.1 port 1234, target example port 80",
		"info: refused streamlocal port forward: originator  port 0, target /s",
		"debug1: Server has disabled port forwarding.",
	} {
		r.log.expect(t, line)
	}
	p = everything()
	p.AllowTCP = config.ForwardNone
	r = newRig(t, p)
	_, _ = r.client.OpenChannel("direct-streamlocal@openssh.com", directStreamLocal("/s"), newWatcher())
	r.listenPath("/s")
	for _, line := range []string{
		"info: Received request to connect to path /s, but the request was denied.",
		`info: Received request from 192.0.2.7 port 50000 to remote forward to path "/s", but the request was denied.`,
	} {
		r.log.expect(t, line)
	}
}

// TestDialErrors: what the client and the log are told of a target that is not there.
func TestDialErrors(t *testing.T) {
	r := newRig(t, everything())
	l := target(t, "tcp")
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	missing := tempDir(t) + "/none"
	for _, c := range []struct {
		kind  string
		extra []byte
		text  string
		line  string
	}{
		{"direct-tcpip", directTCP("127.0.0.1", port), "Connection refused", fmt.Sprintf("connect_to 127.0.0.1 port %d: failed.", port)},
		{"direct-tcpip", directTCP("no such host", 80), "Name or service not known", "connect_to no such host: unknown host (Name or service not known)"},
		{"direct-tcpip", directTCP("", 80), "Name or service not known", "connect_to : unknown host (Name or service not known)"},
		{"direct-tcpip", directTCP("a]:1", 80), "Name or service not known", "connect_to a]:1: unknown host (Name or service not known)"},
		{"direct-streamlocal@openssh.com", directStreamLocal(missing), "No such file or directory",
			"connect to " + missing + " port -2 failed: No such file or directory"},
	} {
		_, err := r.client.OpenChannel(c.kind, c.extra, newWatcher())
		var refused *connection.OpenError
		if !errors.As(err, &refused) || refused.Reason != msg.OpenConnectFailed || refused.Text != c.text {
			t.Errorf("%s: %+v", c.line, err)
		}
		r.log.expect(t, "error: "+c.line)
	}
	for err, want := range map[error]string{
		os.ErrDeadlineExceeded: "Connection timed out", errTooMany: "Too many open files", errors.New("odd"): "odd",
	} {
		if got := reason(err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
}

// TestThreat15Malformed: requests that are none are refused and leave nothing.
func TestThreat15Malformed(t *testing.T) {
	r := newRig(t, everything())
	long := strings.Repeat("x", maxHost+1)
	for _, b := range [][]byte{
		nil, {0}, {255, 255, 255, 255}, directTCP("127.0.0.1", maxPort+1), directTCP(long, 1), directTCP("a\x00b", 1),
		append(directTCP("127.0.0.1", 1), 0), forwardedTCP("127.0.0.1", 1, "o", maxPort+1), forwardedTCP("127.0.0.1", 1, long, 1),
	} {
		for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com"} {
			_, err := r.client.OpenChannel(kind, b, newWatcher())
			var refused *connection.OpenError
			if !errors.As(err, &refused) || refused.Reason != msg.OpenAdministrativelyProhibited {
				t.Errorf("%s %.50q: %+v", kind, b, err)
			}
		}
		for _, name := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com"} {
			if _, ok := r.request(name, b); ok {
				t.Errorf("%s %.50q is accepted", name, b)
			}
		}
	}
}

// TestShortIPv4: the forms of getaddrinfo(3) that people use.
func TestShortIPv4(t *testing.T) {
	for s, want := range map[string]string{
		"127.1": "127.0.0.1", "127.0.1": "127.0.0.1", "1": "0.0.0.1", "10.65535": "10.0.255.255", "192.168.1": "192.168.0.1",
		"2130706433": "127.0.0.1", "127.0.0.1": "", "127.16777216": "", "256.1": "", "a": "", "": "", "1.": "", "01.1": "", "+1": "", "-1": "",
	} {
		got, ok := shortIPv4(s)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
	r := newRig(t, everything())
	l := target(t, "tcp")
	ch, err := r.client.OpenChannel("direct-tcpip", directTCP("127.1", l.Addr().(*net.TCPAddr).Port), newWatcher())
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l).Close()
	text(t, ch)
}

// FuzzDirectTCP, FuzzDirectStreamLocal, FuzzListen and FuzzListenPath: what is
// accepted is within the bounds, and means the same when it is written again.
func FuzzDirectTCP(f *testing.F) {
	f.Add(directTCP("127.0.0.1", 22))
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDirectTCP(b)
		if err == nil && string(forwardedTCP(d.host, d.port, d.originator, d.originatorPort)) != string(b) {
			t.Errorf("%q is %+v", b, d)
		}
		if len(d.host) > maxHost || d.port > maxPort || strings.ContainsRune(d.host, 0) {
			t.Errorf("%q is %+v", b, d)
		}
	})
}

func FuzzDirectStreamLocal(f *testing.F) {
	f.Add(directStreamLocal("/tmp/s"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDirectStreamLocal(b)
		if err == nil && (len(d.host) > maxPath || d.host == "" || strings.ContainsRune(d.host, 0)) {
			t.Errorf("%q is %+v", b, d)
		}
	})
}

func FuzzListen(f *testing.F) {
	f.Add(listenPayload("", 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		address, port, err := parseListen(b)
		if err == nil && string(listenPayload(address, port)) != string(b) {
			t.Errorf("%q is %q %d", b, address, port)
		}
	})
}

func FuzzListenPath(f *testing.F) {
	f.Add(wire.AppendText(nil, "/tmp/s"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, err := parseListenPath(b)
		if err == nil && (string(wire.AppendText(nil, name)) != string(b) || name == "") {
			t.Errorf("%q is %q", b, name)
		}
	})
}
