package threats

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// TestThreat04 offers a key that may do everything around a login with one that is
// bound to a command: the session has the rights of the key that signed.
func TestThreat04(t *testing.T) {
	t.Parallel()
	free, bound := harness.UserKey(t, "ed25519", ""), harness.UserKey(t, "ed25519", "-bound")
	stranger := harness.UserKey(t, "ed25519", "-stranger")
	authorized := []string{free.Line, `command="echo bound",no-pty ` + bound.Line}
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Authorized: authorized, Config: "MaxAuthTries 20"})
		user := s.Account.Name
		offer := func(t *testing.T, c *raw.Conn, k *harness.Key, want bool) {
			t.Helper()
			if r, err := c.AuthQuery(user, "ssh-ed25519", raw.Blob(k.Private)); err != nil || r.PKOK != want {
				t.Fatalf("offer: %+v, %v", r, err)
			}
		}
		check := func(t *testing.T, c *raw.Conn, k *harness.Key, want string) {
			t.Helper()
			if r, err := c.AuthKey(raw.KeyLogin{User: user, Key: k.Private}); err != nil || !r.Success {
				t.Fatalf("%+v, %v", r, err)
			}
			if r, err := c.Run(0, "echo free"); err != nil || string(r.Stdout) != want {
				t.Errorf("%+v, %v, expected %q", r, err, want)
			}
		}
		for name, offers := range map[string][]*harness.Key{
			"nothing": nil, "the other first": {free}, "the other last": {bound, free}, "the other around": {free, bound, free},
			"many": slices.Repeat([]*harness.Key{free}, 10),
		} {
			t.Run(name, func(t *testing.T) {
				c := authenticating(t, s)
				for _, k := range offers {
					offer(t, c, k, true)
				}
				check(t, c, bound, "bound\n")
			})
		}
		t.Run("the other way round", func(t *testing.T) {
			c := authenticating(t, s)
			offer(t, c, free, true)
			offer(t, c, bound, true)
			check(t, c, free, "free\n")
		})
		t.Run("a failure between", func(t *testing.T) {
			c := authenticating(t, s)
			// Under the name of the free key, by a key that is nobody's.
			l := raw.KeyLogin{User: user, Key: stranger.Private, Blob: raw.Blob(free.Private)}
			if r, err := c.AuthKey(l); err != nil || r.Success {
				t.Fatalf("%+v, %v", r, err)
			}
			offer(t, c, stranger, false)
			check(t, c, bound, "bound\n")
		})
	})
}

// TestThreat18 looks at whom the sockets belong to that root's server makes, and
// connects to one that only root may connect to (CVE-2016-10010).
func TestThreat18(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot})
	c := loggedIn(t, s)
	dir, err := os.MkdirTemp(harness.SharedDir(), "sockets")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, s.Account.UID, s.Account.GID); err != nil {
		t.Fatal(err)
	}
	owned := func(what, path string) {
		t.Helper()
		st, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if sys := st.Sys().(*syscall.Stat_t); int(sys.Uid) != s.Account.UID || int(sys.Gid) != s.Account.GID || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v of %d:%d", what, st.Mode(), sys.Uid, sys.Gid)
		}
	}
	ask := func(name string, fields ...any) bool {
		t.Helper()
		send(c, raw.Msg(raw.GlobalRequest, append([]any{name, true}, fields...)...))
		p, err := c.Expect(raw.RequestSuccess, raw.RequestFailure)
		if err != nil {
			t.Fatal(err)
		}
		return p[0] == raw.RequestSuccess
	}
	remote := filepath.Join(dir, "remote")
	if !ask("streamlocal-forward@openssh.com", remote) {
		t.Fatal("refused")
	}
	owned("a forwarded socket", remote)
	port := harness.FreePort(t)
	if !ask("tcpip-forward", "127.0.0.1", uint32(port)) {
		t.Fatal("refused")
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(string(table), fmt.Sprintf(" 0100007F:%04X 00000000:0000 0A ", port))
	if i < 0 {
		t.Fatal("nobody listens")
	}
	if fields := strings.Fields(string(table)[i:]); fields[6] != fmt.Sprint(s.Account.UID) {
		t.Errorf("the forwarded port belongs to %s", fields[6])
	}
	for what, request := range map[string]func() bool{
		"a socket in root's folder": func() bool { return ask("streamlocal-forward@openssh.com", "/root/threat18") },
		"a port that is root's":     func() bool { return ask("tcpip-forward", "127.0.0.1", uint32(79)) },
	} {
		// Some machines let everybody have low ports.
		if low, _ := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); what == "a port that is root's" && strings.TrimSpace(string(low)) == "0" {
			continue
		}
		if request() {
			t.Errorf("%s is made", what)
		}
	}
	roots, err := net.Listen("unix", filepath.Join(harness.SharedDir(), "roots"))
	if err != nil {
		t.Fatal(err)
	}
	defer roots.Close()
	if err := os.Chmod(roots.Addr().String(), 0o600); err != nil {
		t.Fatal(err)
	}
	send(c, raw.OpenRequest("direct-streamlocal@openssh.com", 7, 1<<20, 32<<10, roots.Addr().String(), "", uint32(0)))
	if ch, err := c.Opened(); err == nil {
		t.Errorf("connected to a socket of root's: %+v", ch)
	}
	ch, err := c.OpenSession(1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	send(c, ch.Request("auth-agent-req@openssh.com", true))
	if _, err := c.Expect(raw.ChannelSuccess); err != nil {
		t.Fatal(err)
	}
	if err := c.Exec(ch, `echo "$SSH_AUTH_SOCK"; cat`); err != nil {
		t.Fatal(err)
	}
	path := ""
	for !strings.HasSuffix(path, "\n") {
		p, err := c.Expect(raw.ChannelData, raw.ChannelWindowAdjust)
		if err != nil {
			t.Fatal(err)
		}
		if p[0] == raw.ChannelData {
			path += string(p[9:])
		}
	}
	owned("the agent's socket", strings.TrimSpace(path))
	owned("its folder", filepath.Dir(strings.TrimSpace(path)))
}

// TestThreat20 sends variables that change the loader or the shell, by the client and
// by a key's line, where the configuration allows every name (CVE-2014-2532,
// CVE-2015-8325).
func TestThreat20(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "it leaves names to the configuration")
	names := []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "BASH_ENV", "ENV", "IFS", "SHELLOPTS", "PS4", "BASH_FUNC_ls%%"}
	options := `environment="NANO_LINE=harmless"`
	for _, name := range names {
		if !strings.Contains(name, "%") { // no name for a line's option
			options += `,environment="` + name + `=threat20"`
		}
	}
	line := options + " " + harness.UserKey(t, "ed25519", "").Line
	for _, all := range []bool{true, false} {
		config := "AcceptEnv NANO_* LAN?\nPermitUserEnvironment no"
		if all {
			config = "AcceptEnv *\nPermitUserEnvironment yes"
		}
		harness.EachMode(t, func(t *testing.T, m harness.Mode) {
			s := harness.Start(t, harness.Options{Mode: m, Config: config, Authorized: []string{line}})
			c, ch := session(t, s)
			for _, name := range names {
				send(c, ch.Request("env", false, name, "threat20"))
			}
			send(c, ch.Request("env", false, "LC_ALL", "() { :; }; echo threat20"), ch.Request("env", false, "A=LD_PRELOAD", "threat20"),
				ch.Request("env", false, "NANO_CLIENT", "harmless"), ch.Request("env", false, "LANGUAGE", "exact"))
			if err := c.Exec(ch, "env"); err != nil {
				t.Fatal(err)
			}
			r, err := c.Collect(ch)
			if err != nil {
				t.Fatal(err)
			}
			out := "\n" + string(r.Stdout)
			for text, want := range map[string]bool{"threat20": false, "\nNANO_CLIENT=harmless\n": true, "\nNANO_LINE=harmless\n": all, "\nLANGUAGE=": all} {
				if strings.Contains(out, text) != want {
					t.Errorf("AcceptEnv * is %v, %q is there: %v\n%s", all, text, !want, out)
				}
			}
		})
	}
}
