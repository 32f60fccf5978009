package interop

import (
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

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

// matched gives log lines to fail2ban's own filter for sshd and returns how many of them
// it holds against somebody. mode is the filter's.
func matched(t *testing.T, mode string, lines []string) int {
	t.Helper()
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&text, "Nov 23 08:00:00 host sshd[4242]: %s\n", l)
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(harness.Program(t, "fail2ban-regex"), path, "sshd[mode="+mode+"]").CombinedOutput()
	found := regexp.MustCompile(`Lines: .* (\d+) matched`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("fail2ban-regex: %s", out)
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}

// TestFail2ban: what people are locked out for is in the log in the words that fail2ban
// looks for, and what they are not is not.
func TestFail2ban(t *testing.T) {
	harness.NeedRoot(t)
	harness.Program(t, "fail2ban-regex")
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "MaxAuthTries 3\nDenyUsers nanoother\nLoginGraceTime 600"})
	try := func(user string, kex []string, methods ...ssh.AuthMethod) {
		c, err := ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
			Config: ssh.Config{KeyExchanges: kex}, User: user, Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			_ = c.Close()
		}
	}
	say := func(text string) {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, text)
		if text == "" {
			return
		}
		_, _ = io.Copy(io.Discard, c)
	}
	guess := func() ssh.AuthMethod { return ssh.RetryableAuthMethod(ssh.Password("wrong"), 10) }
	key := ssh.PublicKeys(harness.UserKey(t, "ed25519", "").Signer())
	stranger := ssh.PublicKeys(harness.UserKey(t, "ed25519", "-stranger").Signer())
	for _, c := range []struct {
		what, mode string
		provoke    func()
		line       string // that ends it
		matches    bool
	}{
		{"a login", "aggressive", func() { try(s.Account.Name, nil, key) }, "Connection closed by|Disconnected from", false},
		{"a wrong password", "normal", func() { try(s.Account.Name, nil, ssh.Password("wrong")) }, "authenticating user", true},
		{"an unknown user", "normal", func() { try("nosuchuser", nil, ssh.Password("wrong")) }, "invalid user nosuchuser 127", true},
		{"a denied user", "normal", func() { try("nanoother", nil, key) }, "invalid user nanoother 127", true},
		{"too many tries", "normal", func() { try(s.Account.Name, nil, guess()) }, "Disconnecting authenticating user", true},
		{"a foreign key", "aggressive", func() { try(s.Account.Name, nil, stranger) }, "authenticating user", true},
		{"old key exchanges", "aggressive", func() { try(s.Account.Name, []string{"diffie-hellman-group14-sha1"}) }, "Unable to negotiate", true},
		{"another protocol", "aggressive", func() { say("GET / HTTP/1.0\r\n\r\n") }, "banner exchange", true},
		{"an old protocol", "aggressive", func() { say("SSH-1.5-x\r\n") }, "banner exchange", false}, // nor of sshd's lines
		{"nothing at all", "ddos", func() { say("") }, "Connection closed by|Connection reset by|Did not receive|banner exchange", true},
	} {
		mark := s.Log.Len()
		c.provoke()
		s.Log.Wait(t, mark, c.line)
		lines := s.Log.Lines(mark)
		if n := matched(t, c.mode, lines); (n > 0) != c.matches {
			t.Errorf("%s: %d matches in mode %s:\n%s", c.what, n, c.mode, strings.Join(lines, "\n"))
		}
	}
}
