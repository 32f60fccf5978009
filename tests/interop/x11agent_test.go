package interop

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"nano_ssh_server/tests/harness"
)

// startAgent runs ssh-agent(1) with a key in it and returns its socket.
func startAgent(t *testing.T, key *harness.Key) (socket string) {
	t.Helper()
	harness.Program(t, "ssh-add")
	program := harness.Program(t, "ssh-agent")
	socket = filepath.Join(t.TempDir(), "agent")
	cmd := exec.Command(program, "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	harness.Eventually(t, 20*time.Second, "the agent", func() bool { _, err := os.Stat(socket); return err == nil })
	if out, err := addKeys(socket, key.Path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
	return socket
}

func addKeys(socket string, args ...string) *exec.Cmd {
	cmd := exec.Command("ssh-add", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SSH_AUTH_SOCK=" + socket, "HOME=/nonexistent"}
	return cmd
}

// agentPlace is a configuration that leaves nothing in the home of whoever runs the
// tests.
func agentPlace() string {
	if harness.HasRoot() || harness.PeerIsSSHD() {
		return ""
	}
	return "AgentSocketPath shared:/tmp"
}

// TestAgent uses a forwarded agent by OpenSSH's own programs.
func TestAgent(t *testing.T) {
	t.Parallel()
	key := harness.UserKey(t, "ecdsa256", "forwarded")
	local := startAgent(t, key)
	listed, err := addKeys(local, "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: agentPlace()})
		c := openssh(t, s, "-A", "-o", "IdentityAgent="+local)
		c.expect("ssh-add -l", strings.TrimSpace(string(listed)), 0)
		public := s.WriteFile("forwarded.pub", key.Line+"\n", 0o644)
		c.expect("ssh-add -T "+public+" && echo signed", "signed", 0) // the agent signs something
		cmd, socket := c.background(nil, `echo "$SSH_AUTH_SOCK"; cat`)
		st, err := os.Lstat(socket)
		if err != nil || st.Mode()&^0o155 != os.ModeSocket|0o600 || !harness.PeerIsSSHD() && st.Mode().Perm() != 0o600 {
			t.Fatalf("%q: %v, %v", socket, st, err) // 9.2 leaves it to the folder's mode
		}
		dir, err := os.Lstat(filepath.Dir(socket))
		if err != nil || dir.Mode() != os.ModeDir|0o700 {
			t.Errorf("its folder: %v, %v", dir, err)
		}
		place := s.Account.Home + "/.ssh/agent/s."
		if agentPlace() != "" {
			place = "/tmp/ssh-"
		}
		if !harness.PeerIsSSHD() && !strings.HasPrefix(socket, place) { // 9.2 has it elsewhere
			t.Errorf("SSH_AUTH_SOCK is %q", socket)
		}
		_ = cmd.Process.Kill()
		harness.Eventually(t, 20*time.Second, "the socket to go", func() bool { _, err := os.Lstat(socket); return os.IsNotExist(err) })
	})
}

// TestAgentShared: sessions of one connection share a socket, which goes with the
// connection and no earlier.
func TestAgentShared(t *testing.T) {
	t.Parallel()
	key := harness.UserKey(t, "ed25519", "")
	local := startAgent(t, key)
	s := harness.Start(t, harness.Options{Config: agentPlace()})
	conn := godial(t, s, gossh(t, s))
	if err := sshagent.ForwardToRemote(conn, local); err != nil {
		t.Fatal(err)
	}
	var sockets [2]string
	for i := range sockets {
		session, err := conn.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := sshagent.RequestAgentForwarding(session); err != nil && !harness.PeerIsSSHD() {
			t.Fatal(err) // sshd lets only the first one ask
		}
		out, err := session.Output(`ssh-add -l >&2 && echo "$SSH_AUTH_SOCK"`)
		if err != nil {
			t.Fatal(err)
		}
		sockets[i] = strings.TrimSpace(string(out))
	}
	if sockets[0] == "" || sockets[0] != sockets[1] {
		t.Errorf("sockets %q", sockets)
	}
	if _, err := os.Lstat(sockets[0]); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
	harness.Eventually(t, 20*time.Second, "the socket to go", func() bool { _, err := os.Lstat(sockets[0]); return os.IsNotExist(err) })
}

// TestAgentRefused: no configuration and no key that says no leaves a socket.
func TestAgentRefused(t *testing.T) {
	t.Parallel()
	key := harness.UserKey(t, "ed25519", "")
	local := startAgent(t, key)
	for name, o := range map[string]harness.Options{
		"AllowAgentForwarding": {Config: "AllowAgentForwarding no"},
		"DisableForwarding":    {Config: "DisableForwarding yes"},
		"key":                  {Authorized: []string{"no-agent-forwarding " + key.Line}},
		"restrict":             {Authorized: []string{"restrict " + key.Line}},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, o)
			openssh(t, s, "-A", "-o", "IdentityAgent="+local).expect(`echo "none:$SSH_AUTH_SOCK"`, "none:", 0)
		})
	}
}

// hello is a program that opens a display: it sends the first message of X11, with the
// cookie that xauth(1) has for DISPLAY, and prints what comes back.
func hello() error {
	display := os.Getenv("DISPLAY")
	out, err := exec.Command("xauth", "list", display).Output()
	if err != nil {
		return err
	}
	f := strings.Fields(string(out))
	if len(f) != 3 {
		return fmt.Errorf("xauth has %q for %s", out, display)
	}
	cookie, err := hex.DecodeString(f[2])
	if err != nil {
		return err
	}
	host, number, _ := strings.Cut(display, ":")
	number, _, _ = strings.Cut(number, ".")
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(6000+n)))
	if err != nil {
		return err
	}
	defer c.Close()
	b := []byte{'l', 0, 11, 0, 0, 0, byte(len(f[1])), 0, byte(len(cookie)), 0, 0, 0}
	b = append(append(b, f[1]...), make([]byte, -len(f[1])&3)...)
	if _, err := c.Write(append(b, cookie...)); err != nil {
		return err
	}
	// Both ways stay open: OpenSSH's client takes a program's EOF for the end of X11.
	_, err = io.Copy(os.Stdout, c)
	return err
}

func init() {
	if len(os.Args) == 2 && os.Args[1] == "hello-x11" {
		exit(hello())
	}
}

// startX11 is an X server that takes everybody and answers with the protocol that the
// program named. It returns what DISPLAY says of it.
func startX11(t *testing.T) (display string) {
	t.Helper()
	port := harness.FreePort(t)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 12+20+16)
				if _, err := io.ReadFull(c, b); err == nil {
					fmt.Fprintf(c, "welcome by %s\n", b[12:12+int(b[6])])
				}
			}()
		}
	}()
	return fmt.Sprintf("127.0.0.1:%d.0", port-6000)
}

// x11Config is a configuration with X11 forwarding that leaves nothing in the home of
// whoever runs the tests.
func x11Config(t *testing.T, lines string) string {
	lines = "X11Forwarding yes\nXAuthLocation " + harness.Program(t, "xauth") + "\n" + lines
	if !harness.HasRoot() {
		lines += "\nSetEnv XAUTHORITY=" + filepath.Join(t.TempDir(), "xauthority")
	}
	return lines
}

// TestX11 forwards a display with OpenSSH's client and the real xauth.
func TestX11(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"localhost": "X11DisplayOffset 40",
		"wildcard":  "X11DisplayOffset 60\nX11UseLocalhost no",
	} {
		t.Run(name, func(t *testing.T) {
			config := x11Config(t, lines)
			harness.EachMode(t, func(t *testing.T, m harness.Mode) {
				s := harness.Start(t, harness.Options{Mode: m, Config: config})
				c := openssh(t, s, "-Y")
				c.env = append(c.env, "DISPLAY="+startX11(t))
				c.expect(helper(t)+" hello-x11", "welcome by MIT-MAGIC-COOKIE-1", 0)
				cmd, display := c.background(nil, `echo "$DISPLAY"; cat`)
				pattern := regexp.MustCompile(`^localhost:(\d+)\.0$`)
				if name == "wildcard" {
					host, _ := os.Hostname()
					pattern = regexp.MustCompile(`^` + regexp.QuoteMeta(host) + `:(\d+)\.0$`)
				}
				match := pattern.FindStringSubmatch(display)
				if match == nil {
					t.Fatalf("DISPLAY is %q", display)
				}
				number, _ := strconv.Atoi(match[1])
				if !harness.Listening(6000 + number) {
					t.Errorf("nobody listens for %s", display)
				}
				_ = cmd.Process.Kill()
				harness.Eventually(t, 20*time.Second, "the display to go", func() bool { return !harness.Listening(6000 + number) })
			})
		})
	}
}

// TestX11Refused: the session goes on without a display.
func TestX11Refused(t *testing.T) {
	t.Parallel()
	key := harness.UserKey(t, "ed25519", "")
	for name, o := range map[string]harness.Options{
		"default":           {},
		"no xauth":          {Config: "X11Forwarding yes\nXAuthLocation /no/such/xauth"},
		"DisableForwarding": {Config: "DisableForwarding yes\nX11Forwarding yes"},
		"key":               {Config: "X11Forwarding yes", Authorized: []string{"no-X11-forwarding " + key.Line}},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, o)
			c := openssh(t, s, "-Y")
			c.env = append(c.env, "DISPLAY="+startX11(t))
			r := c.run(`echo "none:$DISPLAY"`)
			if r.Stdout != "none:\n" || r.Code != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestX11Single: a client that wants one connection gets one.
func TestX11Single(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: x11Config(t, "X11DisplayOffset 80")})
	conn := godial(t, s, gossh(t, s))
	opened := conn.HandleChannelOpen("x11")
	session, err := conn.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	ok, err := session.SendRequest("x11-req", true, ssh.Marshal(struct {
		Single           bool
		Protocol, Cookie string
		Screen           uint32
	}{true, "MIT-MAGIC-COOKIE-1", strings.Repeat("0", 32), 0}))
	if !ok || err != nil {
		t.Fatalf("x11-req: %v, %v", ok, err)
	}
	hold, _ := session.StdinPipe()
	out, _ := session.StdoutPipe()
	if err := session.Start(`echo "$DISPLAY"; cat`); err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	var number, screen int
	if _, err := fmt.Fscanf(out, "localhost:%d.%d\n", &number, &screen); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(6000+number)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := <-opened
	ch, requests, err := n.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	harness.Eventually(t, 20*time.Second, "the display to go", func() bool { return !harness.Listening(6000 + number) })
	_, _ = c.Write([]byte("still there"))
	b := make([]byte, 11)
	if _, err := io.ReadFull(ch, b); err != nil || string(b) != "still there" {
		t.Errorf("%q, %v", b, err)
	}
	_ = ch.Close()
	if all, err := io.ReadAll(c); len(all) != 0 || err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", all, err)
	}
}
