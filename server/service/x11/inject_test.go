package x11

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/wire"
	"nano_ssh_server/server/service/session"
)

// FuzzHost: a host's name that is taken leaves DISPLAY one word and xauth's line one
// line, whatever the name.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"host", "host.example.org", "a b", "a\nadd :0 . 00", "-q", "a;id", "$(id)", "", "ä", "a\x00", "::1", "%s"} {
		f.Add(s, uint32(0))
	}
	f.Fuzz(func(t *testing.T, host string, screen uint32) {
		if !oneWord(host) {
			return
		}
		display, auth := names(host, 10, screen)
		if want := host + ":10." + strconv.FormatUint(uint64(screen), 10); display != want || auth != want {
			t.Fatalf("%q, %q", display, auth)
		}
		for _, s := range []string{display, auth} {
			if strings.Fields(s)[0] != s || strings.ContainsAny(s, "\"'`$\\;&|<>()*?[]#~=%\x00\r\n-") && !strings.Contains(host, "-") || s[0] == '-' {
				t.Fatalf("%q", s)
			}
		}
	})
}

func TestThreat19Host(t *testing.T) {
	for host, want := range map[string]bool{
		"host": true, "a.b-c_d.example.org": true, "192.0.2.1": true, strings.Repeat("a", maxHost): true,
		"": false, "a b": false, "a\tb": false, "a\n": false, "a\nadd x": false, "a;b": false, "`id`": false, "$HOME": false,
		"a/b": false, "a:0": false, "-q": false, "a\x00": false, "\xff": false, strings.Repeat("a", maxHost+1): false,
	} {
		if oneWord(host) != want {
			t.Errorf("%.20q: not %v", host, want)
		}
	}
}

// serve serves sessions with forwarding of X11 and returns the client's end.
func serve(t *testing.T, p *Policy) *connection.Mux {
	t.Helper()
	if _, err := os.Stat("/etc/ssh/sshrc"); err == nil {
		t.Skip("this machine has an sshrc, which is run in place of xauth")
	}
	a, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	a.Home, a.Shell = p.Account.Home, "/bin/sh"
	forwarder := &forwarder{}
	s := session.NewServer(&session.Policy{
		Account: a, Forwarder: forwarder, XAuthLocation: p.XAuthLocation, Log: p.Log,
		RemoteAddr: "192.0.2.7", RemotePort: "50000", LocalAddr: "192.0.2.1", LocalPort: "22", MaxSessions: 10,
	}, session.Local{Account: a})
	server, client := pairServing(t, map[string]func(*connection.NewChannel){"session": s.Open})
	forwarder.Forwarder = New(server, p)
	t.Cleanup(func() { server.Close(); s.Close(); forwarder.Close() })
	return client
}

// forwarder is a session.Forwarder with X11 only.
type forwarder struct{ *Forwarder }

func (f *forwarder) X11(r session.X11Request) (*session.X11, error) { return f.Open(r) }
func (f *forwarder) Agent() (string, error)                         { return "", errDisabled }

// x11Payload is the payload of x11-req.
func x11Payload(protocol, cookie string, screen uint32) []byte {
	b := wire.AppendText(wire.AppendBool(nil, false), protocol)
	return wire.AppendUint32(wire.AppendText(b, cookie), screen)
}

// TestThreat19Session: what reaches xauth by way of a session is one display, one
// protocol name and one cookie, and nothing else reaches it.
func TestThreat19Session(t *testing.T) {
	p := testPolicy(t)
	trace := filepath.Join(p.Account.Home, "trace")
	script := "#!/bin/sh\n{ printf '%s\\n' \"$#\" \"$@\"; cat; } >" + trace + "\n"
	if err := os.WriteFile(p.XAuthLocation, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	client := serve(t, p)
	open := func() *connection.Channel {
		ch, err := client.OpenChannel("session", nil, patient{newQuiet()})
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	ch := open()
	for _, evil := range []string{"a b", "a\nadd :0 . 00", "a;id", "$(id)", "`id`", "'", "", "a\x00", "a%s", "ä", "a\r"} {
		for _, payload := range [][]byte{x11Payload(evil, "00", 0), x11Payload("MIT-MAGIC-COOKIE-1", evil, 0)} {
			if ok, err := ch.SendRequest("x11-req", true, payload); ok || err != nil {
				t.Errorf("%q: %v, %v", evil, ok, err)
			}
		}
	}
	closed(t, basePort+p.DisplayOffset)
	if ok, err := ch.SendRequest("x11-req", true, x11Payload(request.Protocol, request.Cookie, 3)); !ok || err != nil {
		t.Fatalf("%v, %v: %s", ok, err, p.logged().text())
	}
	if ok, err := ch.SendRequest("exec", true, wire.AppendText(nil, `echo "$DISPLAY"`)); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	var out strings.Builder
	_, _ = ch.WriteTo(&out)
	_ = ch.Close()
	<-ch.Done()
	display, found := strings.CutPrefix(strings.TrimSpace(out.String()), "localhost:")
	if !found || !strings.HasSuffix(display, ".3") {
		t.Fatalf("output %q, log %s", out.String(), p.logged().text())
	}
	got, err := os.ReadFile(trace)
	want := "2\n-q\n-\nremove unix:" + display + "\nadd unix:" + display + " " + request.Protocol + " " + request.Cookie + "\n"
	if err != nil || string(got) != want {
		t.Errorf("xauth got %q, %v, expected %q", got, err, want)
	}
	number, _, _ := strings.Cut(display, ".")
	n, _ := strconv.Atoi(number)
	closed(t, basePort+n) // with the session
}
