package threats

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// TestThreat02 sends messages that only a server may send.
func TestThreat02(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 100"})
	lies := map[string][]byte{
		"USERAUTH_SUCCESS": {raw.UserauthSuccess}, "USERAUTH_FAILURE": raw.Msg(raw.UserauthFailure, "password", false),
		"SERVICE_ACCEPT": raw.Msg(raw.ServiceAccept, "ssh-connection"), "PK_OK": raw.Msg(raw.UserauthPKOK, "ssh-ed25519", "x"),
		"BANNER": raw.Msg(raw.UserauthBanner, "x", ""), "KEX_REPLY": raw.Msg(raw.KexECDHReply, "a", "b", "c"),
	}
	for name, lie := range lies {
		for phase, reach := range phases {
			t.Run(name+" "+phase, func(t *testing.T) {
				t.Parallel()
				c := reach(t, s)
				send(c, lie, raw.OpenRequest("session", 0, 1<<20, 1<<15))
				if harness.PeerIsSSHD() {
					// It answers with UNIMPLEMENTED or ends; a session is what must not open.
					c.Timeout = time.Second
				}
				numbers, _, err := c.ReadUntilEnd()
				if err != nil && peerIsOurs() {
					t.Errorf("the connection does not end: %v", err)
				}
				if slices.Contains(numbers, raw.ChannelConfirmation) && phase != "logged in" {
					t.Error("a session opened")
				}
			})
		}
	}
	t.Cleanup(func() { mustBeWell(t, s) })
}

// phases are ways to bring a connection to where something can go wrong.
var phases = map[string]func(testing.TB, *harness.Server) *raw.Conn{
	"encrypted":      func(t testing.TB, s *harness.Server) *raw.Conn { return encrypted(t, s, nil) },
	"authenticating": authenticating,
	"logged in":      loggedIn,
}

// TestThreat03 asks for sessions before it has logged in.
func TestThreat03(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 100"})
	mark := t.TempDir() + "/executed"
	ch := &raw.Channel{}
	requests := map[string][][]byte{
		"open":           {raw.OpenRequest("session", 0, 1<<20, 1<<15)},
		"request":        {ch.Request("exec", true, "touch "+mark)},
		"open, exec":     {raw.OpenRequest("session", 0, 1<<20, 1<<15), ch.Request("exec", true, "touch "+mark)},
		"global request": {raw.Msg(raw.GlobalRequest, "tcpip-forward", true, "127.0.0.1", 0)},
		"data":           {ch.Data([]byte("x"))},
	}
	for name, packets := range requests {
		for phase, reach := range phases {
			if phase == "logged in" {
				continue
			}
			t.Run(name+" "+phase, func(t *testing.T) {
				t.Parallel()
				c := reach(t, s)
				send(c, packets...)
				if harness.PeerIsSSHD() {
					c.Timeout = time.Second
				}
				numbers, _, err := c.ReadUntilEnd()
				if err != nil && peerIsOurs() {
					t.Errorf("the connection does not end: %v", err)
				}
				for _, n := range numbers {
					if n >= 80 && n < 128 {
						t.Errorf("message %d before the login", n)
					}
				}
			})
		}
	}
	t.Run("service", func(t *testing.T) {
		t.Parallel()
		c := encrypted(t, s, nil)
		send(c, raw.Msg(raw.ServiceRequest, "ssh-connection"), raw.OpenRequest("session", 0, 1<<20, 1<<15))
		if numbers := mustEnd(t, c, "the service ssh-connection before a login"); slices.Contains(numbers, raw.ChannelConfirmation) {
			t.Error("a session opened")
		}
	})
	t.Cleanup(func() {
		mustBeWell(t, s)
		if r := harness.Within(0, func() bool { return fileExists(mark) }); r {
			t.Error("a command ran before the login")
		}
	})
}

// TestThreat08 compares what existing and unknown users are told.
func TestThreat08(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		users := []string{"nosuchuser", "another-unknown-user-with-a-long-name", "user\nwith newline", strings.Repeat("x", 300)}
		if m == harness.AsRoot {
			users = append(users, "nanoother", "nanolocked", "nanonoshell", "root", "daemon")
		} else if peerIsOurs() {
			users = append(users, "root", "daemon")
		}
		banner := ""
		if peerIsOurs() {
			banner = "Banner /etc/passwd\n"
		}
		s := harness.Start(t, harness.Options{Mode: m, Config: banner + "MaxStartups 100\nDenyUsers nanoother\nPasswordAuthentication yes"})
		known := conversation(t, s, s.Account.Name)
		if len(known) < 5 {
			t.Fatalf("a short conversation: %q", known)
		}
		for _, user := range users {
			if other := conversation(t, s, user); !slices.Equal(known, other) {
				t.Errorf("%.40q is told other things than %s:\n%q\n%q", user, s.Account.Name, other, known)
			}
		}
		mustBeWell(t, s)
		for _, line := range s.Log.Lines(0) {
			if peerIsOurs() && strings.HasPrefix(line, "with newline") {
				t.Errorf("a user name made a line of its own in the log: %q", line)
				break
			}
		}
	})
}

// conversation tries everything with keys and passwords that are wrong, and writes
// down each answer, until the server has had enough.
func conversation(t *testing.T, s *harness.Server, user string) []string {
	t.Helper()
	c := authenticating(t, s)
	defer c.Close()
	stranger := harness.UserKey(t, "ed25519", "-stranger").Private
	signed, err := raw.KeyLogin{User: user, Key: stranger}.Request(c)
	if err != nil {
		t.Fatal(err)
	}
	requests := [][]byte{
		raw.NoneRequest(user),
		raw.Msg(raw.UserauthRequest, user, "ssh-connection", "publickey", false, "ssh-ed25519", raw.Blob(stranger)),
		raw.Msg(raw.UserauthRequest, user, "ssh-connection", "publickey", false, "no-such-algorithm", "no key"),
		signed,
		raw.PasswordRequest(user, "wrong"),
		raw.PasswordRequest(user, ""),
		raw.PasswordRequest(user, strings.Repeat("long", 300)),
		raw.Msg(raw.UserauthRequest, user, "ssh-connection", "no-such-method"),
	}
	var said []string
	for len(said) < 50 {
		if len(requests) > 0 {
			send(c, requests[0])
			requests = requests[1:]
		} else {
			send(c, raw.PasswordRequest(user, "wrong"))
		}
		for {
			p, err := c.Read()
			if err != nil {
				return append(said, strings.ReplaceAll(err.Error(), user, "USER"))
			}
			if p[0] == raw.ExtInfo {
				continue
			}
			said = append(said, fmt.Sprintf("%d %q", p[0], p[1:]))
			if p[0] == raw.UserauthFailure || p[0] == raw.UserauthSuccess {
				break
			}
		}
	}
	return said
}

// TestThreat08Work compares the work that the server does for passwords of
// existing and of unknown users: a decoy hash costs as much as a real one.
func TestThreat08Work(t *testing.T) {
	harness.NeedRoot(t)
	harness.SkipPeer(t, "its processes end with the connection, and their work is not seen")
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "MaxAuthTries 30"})
	work := func(user string) time.Duration {
		c := authenticating(t, s)
		defer c.Close()
		if r, err := c.AuthNone(user); err != nil || r.Success { // looks the user up
			t.Fatalf("%v %v", r, err)
		}
		before := s.CPU()
		for range 8 {
			if r, err := c.AuthPassword(user, "wrong"); err != nil || r.Success {
				t.Fatalf("%v %v", r, err)
			}
		}
		return s.CPU() - before
	}
	known, unknown, locked := work("nanohash-y"), work("nosuchuser"), work("nanolocked")
	t.Logf("8 passwords cost %v for an existing user, %v for an unknown one, %v for a locked one", known, unknown, locked)
	for _, other := range []time.Duration{unknown, locked} {
		if other < known/3 || known < other/3 {
			t.Errorf("the work differs: %v and %v", known, other)
		}
	}
}

// TestThreat09 sends passwords that would cost minutes to hash.
func TestThreat09(t *testing.T) {
	t.Parallel()
	for _, m := range []harness.Mode{harness.AsUser, harness.AsRoot} {
		t.Run(m.String(), func(t *testing.T) {
			if m == harness.AsRoot {
				harness.NeedRoot(t)
			}
			s := harness.Start(t, harness.Options{Mode: m, Config: "MaxAuthTries 20\nPasswordAuthentication yes"})
			user := s.Account.Name
			if m == harness.AsRoot {
				user = "nanohash-6" // its hash goes over the password 5000 times
			}
			c := authenticating(t, s)
			before := s.CPU()
			for _, size := range []int{1025, 30_000, 200_000, 250_000, 200_000, 250_000} {
				r, err := c.AuthPassword(user, strings.Repeat("p", size))
				if err != nil || r.Success {
					t.Fatalf("%d bytes: %v %v", size, r, err)
				}
			}
			if used := s.CPU() - before; used > 2*time.Second {
				t.Errorf("six long passwords cost %v", used)
			}
			mustBeWell(t, s)
		})
	}
}

// TestThreat27 uses SHA-1 signatures and signatures of another algorithm than
// announced.
func TestThreat27(t *testing.T) {
	t.Parallel()
	rsaKey, edKey := harness.UserKey(t, "rsa", ""), harness.UserKey(t, "ed25519", "")
	lines := []string{rsaKey.Line, edKey.Line}
	s := harness.Start(t, harness.Options{Authorized: lines, HostKeys: []string{"ed25519", "rsa"}, Config: "MaxAuthTries 20\nMaxStartups 100"})
	user := s.Account.Name
	good := []raw.KeyLogin{
		{User: user, Key: rsaKey.Private, Algorithm: "rsa-sha2-256"},
		{User: user, Key: rsaKey.Private, Algorithm: "rsa-sha2-512"},
		{User: user, Key: edKey.Private},
	}
	for _, l := range good {
		c := authenticating(t, s)
		if r, err := c.AuthKey(l); err != nil || !r.Success {
			t.Errorf("%s: %v %v", l.Algorithm, r, err)
		}
	}
	bad := map[string]raw.KeyLogin{
		"ssh-rsa":                      {Key: rsaKey.Private, Algorithm: "ssh-rsa"},
		"SHA-1 announced as 256":       {Key: rsaKey.Private, Algorithm: "rsa-sha2-256", SignAs: "ssh-rsa"},
		"SHA-1 named 256":              {Key: rsaKey.Private, Algorithm: "rsa-sha2-256", SignAs: "ssh-rsa", SigName: "rsa-sha2-256"},
		"256 announced as 512":         {Key: rsaKey.Private, Algorithm: "rsa-sha2-512", SignAs: "rsa-sha2-256"},
		"512 announced as 256":         {Key: rsaKey.Private, Algorithm: "rsa-sha2-256", SignAs: "rsa-sha2-512"},
		"512 named 256":                {Key: rsaKey.Private, Algorithm: "rsa-sha2-256", SignAs: "rsa-sha2-512", SigName: "rsa-sha2-256"},
		"SHA-1 announced as ssh-rsa":   {Key: rsaKey.Private, Algorithm: "ssh-rsa", SignAs: "rsa-sha2-256", SigName: "ssh-rsa"},
		"RSA announced as ed25519":     {Key: rsaKey.Private, Algorithm: "ssh-ed25519", SignAs: "rsa-sha2-256"},
		"ed25519 announced as RSA":     {Key: edKey.Private, Algorithm: "rsa-sha2-256", SignAs: "ssh-ed25519"},
		"ed25519 named RSA":            {Key: edKey.Private, Algorithm: "ssh-ed25519", SigName: "rsa-sha2-256"},
		"over another session":         {Key: edKey.Private, SessionID: make([]byte, 32)},
		"over another user":            {Key: edKey.Private, SignUser: "somebody"},
		"with somebody else's key":     {Key: harness.UserKey(t, "ed25519", "-stranger").Private, Blob: raw.Blob(edKey.Private)},
		"a key that is not authorized": {Key: harness.UserKey(t, "ed25519", "-stranger").Private},
	}
	for name, l := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l.User = user
			c := authenticating(t, s)
			if r, err := c.AuthKey(l); err == nil && r.Success {
				t.Error("accepted")
			} else if err != nil && !ended(err) {
				t.Error(err)
			}
		})
	}
	t.Run("query", func(t *testing.T) {
		t.Parallel()
		c := authenticating(t, s)
		if r, err := c.AuthQuery(user, "ssh-rsa", raw.Blob(rsaKey.Private)); err != nil || r.PKOK {
			t.Errorf("ssh-rsa: %+v %v", r, err)
		}
		if r, err := c.AuthQuery(user, "rsa-sha2-256", raw.Blob(rsaKey.Private)); err != nil || !r.PKOK {
			t.Errorf("rsa-sha2-256: %+v %v", r, err)
		}
		// A query gives no right: a signature must follow.
		if r, err := c.AuthNone(user); err != nil || r.Success {
			t.Errorf("none after a query: %+v %v", r, err)
		}
	})
	t.Run("host key", func(t *testing.T) {
		t.Parallel()
		c := connect(t, s)
		k := raw.DefaultKexInit()
		k.HostKey = []string{"ssh-rsa"}
		if err := c.Handshake(k); err == nil {
			t.Error("the server signs with ssh-rsa")
		}
		if c.Server != nil && slices.Contains(c.Server.HostKey, "ssh-rsa") {
			t.Errorf("the server offers ssh-rsa: %v", c.Server.HostKey)
		}
	})
	t.Run("announced", func(t *testing.T) {
		t.Parallel()
		c := encrypted(t, s, nil)
		p, err := c.Expect(raw.ExtInfo)
		if err != nil {
			t.Fatal(err)
		}
		f := raw.NewFields(p[1:])
		for range f.Uint32() {
			if name, value := f.Text(), f.Text(); name == "server-sig-algs" {
				list := strings.Split(value, ",")
				if slices.Contains(list, "ssh-rsa") && peerIsOurs() || !slices.Contains(list, "rsa-sha2-512") || !slices.Contains(list, "ssh-ed25519") {
					t.Errorf("server-sig-algs: %v", list)
				}
				return
			}
		}
		t.Error("no server-sig-algs")
	})
	t.Cleanup(func() { mustBeWell(t, s) })
}
