package monitor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

const fromPacket = "HostbasedAuthentication yes\nHostbasedUsesNameFromPacketOnly yes\nLogLevel VERBOSE\nMaxAuthTries 100\n"

// newHostWorld is a machine that trusts the host client.example, with its key.
func newHostWorld(t testing.TB, configuration string) (w *world, machine sshkey.PrivateKey) {
	t.Helper()
	w, machine = newWorld(t, configuration), newKey(t)
	w.shared.HostFiles = &auth.HostFiles{
		Equiv: []string{w.write("hosts.equiv", "client.example\n"), filepath.Join(w.dir, "shosts.equiv")},
		Known: []string{w.write("ssh_known_hosts", "client.example "+string(sshkey.MarshalAuthorized(machine.Public(), ""))), filepath.Join(w.dir, "ssh_known_hosts2")},
	}
	return w, machine
}

// hostSigned is the data of RFC 4252 section 9, built independently.
func hostSigned(sessionID []byte, user, algorithm string, blob []byte, host, clientUser string) []byte {
	b := append(wire.AppendString(nil, sessionID), 50)
	for _, s := range []string{user, service, "hostbased", algorithm, string(blob), host, clientUser} {
		b = wire.AppendText(b, s)
	}
	return b
}

// from tries a host's key with a good signature.
func (w *world) from(c *Connection, user string, key sshkey.PrivateKey, host, clientUser string) (ok, partial bool) {
	w.t.Helper()
	blob := key.Public().Blob()
	signature, err := key.Sign("ssh-ed25519", hostSigned(testHash, user, "ssh-ed25519", blob, host, clientUser))
	must(w.t, err)
	return c.Hostbased("ssh-ed25519", blob, host, clientUser, signature)
}

func TestHostbased(t *testing.T) {
	w, machine := newHostWorld(t, fromPacket)
	c := w.start("alice")
	if ok, _ := w.from(c, "alice", machine, "client.example.", "alice"); !ok {
		t.Fatal("refused")
	}
	key := fingerprint(machine)
	kind, print, _ := strings.Cut(key, " ")
	w.wantLog("VERBOSE Accepted "+kind+" public key "+print+" from alice@client.example",
		"INFO Accepted hostbased for alice from 192.0.2.7 port 1234 ssh2: "+key)
	g := c.Grant()
	text := strings.TrimSpace(string(sshkey.MarshalAuthorized(machine.Public(), "")))
	if g.Method != "hostbased" || !slices.Equal(g.Methods, []string{"hostbased " + text}) || !g.Permissions.PTY {
		t.Errorf("%+v", g)
	}
	for name, try := range map[string]func(c *Connection) (ok, partial bool){
		"of another host": func(c *Connection) (ok, partial bool) { return w.from(c, "alice", w.other, "client.example", "alice") },
		"of another user": func(c *Connection) (ok, partial bool) { return w.from(c, "alice", machine, "client.example", "bob") },
		"of another name": func(c *Connection) (ok, partial bool) { return w.from(c, "alice", machine, "x.example", "alice") },
		"signed for root": func(c *Connection) (ok, partial bool) { return w.from(c, "root", machine, "client.example", "alice") },
		"with a line break": func(c *Connection) (ok, partial bool) {
			return w.from(c, "alice", machine, "client.example", "alice\nx")
		},
		"of no key": func(c *Connection) (ok, partial bool) {
			return c.Hostbased("ssh-ed25519", nil, "client.example", "alice", nil)
		},
		"of publickey's data": func(c *Connection) (ok, partial bool) {
			blob := machine.Public().Blob()
			s, err := machine.Sign("ssh-ed25519", toSign(testHash, "alice", service, "publickey", "ssh-ed25519", blob, nil))
			must(t, err)
			return c.Hostbased("ssh-ed25519", blob, "client.example", "alice", s)
		},
		"of another session": func(c *Connection) (ok, partial bool) {
			blob := machine.Public().Blob()
			s, err := machine.Sign("ssh-ed25519", hostSigned(make([]byte, 32), "alice", "ssh-ed25519", blob, "client.example", "alice"))
			must(t, err)
			return c.Hostbased("ssh-ed25519", blob, "client.example", "alice", s)
		},
	} {
		c := w.start("alice")
		if ok, partial := try(c); ok || partial || c.Grant() != nil {
			t.Errorf("%s: let in", name)
		}
	}
	for _, name := range []string{"nosuch", "locked", "root"} { // root is not in hosts.equiv's reach
		c := w.start(name)
		if ok, _ := w.from(c, name, machine, "client.example", name); ok {
			t.Errorf("%s: let in", name)
		}
	}
}

func TestHostbasedPolicy(t *testing.T) {
	for configuration, good := range map[string]bool{
		"": true,
		"HostbasedAcceptedAlgorithms rsa-sha2-512\n":            false,
		"Match User alice\nHostbasedAuthentication no\n":        false,
		"Match User bob\nHostbasedAuthentication no\n":          true,
		"AuthenticationMethods publickey\n":                     false,
		"AuthenticationMethods hostbased\n":                     true,
		"IgnoreRhosts yes\nIgnoreUserKnownHosts yes\n":          true, // the machine's files count
		"AuthenticationMethods publickey,hostbased hostbased\n": true,
	} {
		w, machine := newHostWorld(t, fromPacket+configuration)
		c := w.start("alice")
		if ok, _ := w.from(c, "alice", machine, "client.example", "alice"); ok != good {
			t.Errorf("%q: %v", configuration, ok)
		}
	}
	// The key of RevokedKeys.
	w, machine := newHostWorld(t, fromPacket)
	path := w.write("revoked", string(sshkey.MarshalAuthorized(machine.Public(), "")))
	w.shared.File = w.parse(fromPacket + "RevokedKeys " + path)
	if ok, _ := w.from(w.start("alice"), "alice", machine, "client.example", "alice"); ok {
		t.Error("a revoked key lets in")
	}
	// Off: not announced, and not served to a gate that asks all the same.
	w, machine = newHostWorld(t, "")
	c := w.start("alice")
	if ok, _ := w.from(c, "alice", machine, "client.example", "alice"); ok || slices.Contains(c.Methods(), "hostbased") {
		t.Error("the default is yes")
	}
}

// TestHostbasedTwice: one key does not stand for two methods.
func TestHostbasedTwice(t *testing.T) {
	w, machine := newHostWorld(t, fromPacket+"AuthenticationMethods hostbased,publickey")
	w.authorize("alice", string(sshkey.MarshalAuthorized(machine.Public(), ""))+string(sshkey.MarshalAuthorized(w.alice.Public(), "")))
	c := w.start("alice")
	if ok, partial := w.from(c, "alice", machine, "client.example", "alice"); ok || !partial {
		t.Fatal(ok, partial)
	}
	if ok, _ := w.login(c, "alice", machine); ok {
		t.Error("the same key twice")
	}
	if ok, _ := w.login(c, "alice", w.alice); !ok {
		t.Error("refused")
	}
	if got := c.Grant().Methods; len(got) != 2 || !strings.HasPrefix(got[0], "hostbased ssh-ed25519 ") || !strings.HasPrefix(got[1], "publickey ") {
		t.Error(got)
	}
}

// TestHostbasedTable: without a user, or too often, the asker is ended.
func TestHostbasedTable(t *testing.T) {
	w, _ := newHostWorld(t, "HostbasedAuthentication yes\nMaxAuthTries 2")
	ask := func(c *Connection) (err error) {
		defer func() {
			if v, ok := recover().(*Unpermitted); ok {
				err = v
			}
		}()
		c.Hostbased("x", nil, "", "", nil)
		return nil
	}
	if !IsOffence(ask(w.connect())) {
		t.Error("allowed before a user is named")
	}
	c := w.start("alice")
	for range 2 {
		must(t, ask(c))
	}
	if !IsOffence(ask(c)) {
		t.Error("allowed after MaxAuthTries")
	}
	if _, err := w.start("alice").Handle(Account, &ipc.Frame{Method: ipc.Hostbased}); !IsOffence(err) {
		t.Error("allowed to an account process")
	}
}

// resolver names 192.0.2.7, or does not answer before the context ends.
type resolver struct {
	name  string
	asked int
}

func (r *resolver) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	r.asked++
	if r.name == "" {
		return nil, errors.New("no such host")
	}
	if _, limited := ctx.Deadline(); !limited {
		return nil, errors.New("asked without a limit")
	}
	return []string{r.name + "."}, nil
}

func (r *resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	r.asked++
	return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
}

// TestUseDNS looks at who uses the peer's name, and that without UseDNS nobody asks.
func TestUseDNS(t *testing.T) {
	rules := map[string]string{
		"AllowUsers":  "AllowUsers alice@client.example\n",
		"Match Host":  "PubkeyAuthentication no\nMatch Host *.example\nPubkeyAuthentication yes\n",
		"DenyUsers":   "DenyUsers alice@192.0.2.8\n",
		"both":        "AllowUsers alice@*.example\nAllowUsers alice@192.0.2.8\n",
		"by address":  "AllowUsers alice@192.0.2.7\n",
		"Match Addr":  "PubkeyAuthentication no\nMatch Address 192.0.2.7\nPubkeyAuthentication yes\n",
		"from= below": "",
	}
	addressOnly := []string{"DenyUsers", "by address", "Match Addr"}
	for _, dns := range []string{"yes", "no"} {
		for name, rule := range rules {
			w := newWorld(t, "UseDNS "+dns+"\n"+rule)
			r := &resolver{name: "Client.Example"}
			w.shared.Resolver = r
			if rule == "" {
				w.authorize("alice", `from="client.example" `+string(sshkey.MarshalAuthorized(w.alice.Public(), "")))
			}
			c := w.connect()
			if r.asked != 0 {
				t.Error("asked before a user was named")
			}
			c.Start("alice", "", service)
			want := dns == "yes" || slices.Contains(addressOnly, name)
			if ok, _ := w.login(c, "alice", w.alice); ok != want {
				t.Errorf("UseDNS %s, %s: %v", dns, name, ok)
			}
			if asked := r.asked > 0; asked != (dns == "yes") || r.asked > 2 {
				t.Errorf("UseDNS %s, %s: asked %d times", dns, name, r.asked)
			}
			if e := c.entry("pts/1", 1); e.Host != map[string]string{"yes": "client.example"}[dns] {
				t.Errorf("UseDNS %s: the record has %q", dns, e.Host)
			}
		}
	}
}

// TestUseDNSHostbased: the name is this side's.
func TestUseDNSHostbased(t *testing.T) {
	for name, want := range map[string]bool{"client.example": true, "other.example": false, "": false} {
		w, machine := newHostWorld(t, "HostbasedAuthentication yes\nUseDNS yes\n")
		w.shared.Resolver = &resolver{name: name}
		if ok, _ := w.from(w.start("alice"), "alice", machine, "client.example.", "alice"); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
	}
	w, machine := newHostWorld(t, "HostbasedAuthentication yes\nUseDNS yes\n")
	w.shared.Resolver = &resolver{}
	must(t, os.WriteFile(w.shared.HostFiles.Equiv[0], []byte("192.0.2.7\n"), 0o644))
	w.from(w.start("alice"), "alice", machine, "client.example.", "alice")
	if got := w.log.take(); !slices.Contains(got, "INFO userauth_hostbased mismatch: client sends client.example, but we resolve 192.0.2.7 to 192.0.2.7") {
		t.Error(got)
	}
}

// FuzzHostbased asks with anything: only the request that was signed may log in.
func FuzzHostbased(f *testing.F) {
	w, machine := newHostWorld(f, fromPacket)
	blob := machine.Public().Blob()
	for _, host := range []string{"client.example", "client.example.", "other.example", "*"} {
		signature, err := machine.Sign("ssh-ed25519", hostSigned(testHash, "alice", "ssh-ed25519", blob, host, "alice"))
		must(f, err)
		f.Add("ssh-ed25519", blob, host, "alice", signature)
		f.Add("ssh-ed25519", blob, host, "root", signature)
		f.Add("rsa-sha2-256", blob[:20], host, "alice", signature[:20])
	}
	f.Fuzz(func(t *testing.T, algorithm string, b []byte, host, user string, signature []byte) {
		w.t = t
		c := w.start("alice")
		ok, _ := c.Hostbased(algorithm, b, host, user, signature)
		right := algorithm == "ssh-ed25519" && string(b) == string(blob) && user == "alice" && strings.TrimSuffix(host, ".") == "client.example"
		if ok && !right || ok != (c.Grant() != nil) {
			t.Fatalf("let in: %q %q %q %q", algorithm, b, host, user)
		}
		w.log.take()
	})
}

// slow is a name service that answers the first question when it is told to.
type slow struct {
	resolver
	waiting, answer chan struct{}
	asked           atomic.Bool
}

func (r *slow) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	if r.asked.CompareAndSwap(false, true) {
		close(r.waiting)
		<-r.answer
	}
	return []string{"client.example."}, ctx.Err()
}

// TestUseDNSWaits: a connection that waits for its name keeps nobody else.
func TestUseDNSWaits(t *testing.T) {
	w := newWorld(t, "UseDNS yes\nAllowUsers alice@client.example")
	r := &slow{waiting: make(chan struct{}), answer: make(chan struct{})}
	w.shared.Resolver = r
	first, second, done := w.connect(), w.connect(), make(chan struct{})
	go func() {
		defer close(done)
		first.Start("alice", "", service)
	}()
	<-r.waiting
	second.Start("alice", "", service)
	if ok, _ := w.login(second, "alice", w.alice); !ok {
		t.Error("refused, while another waits")
	}
	if peer := first.LogPeer(); peer.Started {
		t.Error("the first did not wait")
	}
	close(r.answer)
	<-done
	if ok, _ := w.login(first, "alice", w.alice); !ok {
		t.Error("refused after the wait")
	}
}
