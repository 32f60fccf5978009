package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// incident is something that a log shows.
type incident struct {
	what    string
	provoke func()
	line    string // that ends it
}

// incidents are logins, and what people are locked out for.
func incidents(t *testing.T, s *harness.Server) []incident {
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
	return []incident{
		{"a login", func() { try(s.Account.Name, nil, key) }, "Connection closed by|Disconnected from"},
		{"a wrong password", func() { try(s.Account.Name, nil, ssh.Password("wrong")) }, "authenticating user"},
		{"an unknown user", func() { try("nosuchuser", nil, ssh.Password("wrong")) }, "invalid user nosuchuser 127"},
		{"a denied user", func() { try("nanoother", nil, key) }, "invalid user nanoother 127"},
		{"too many tries", func() { try(s.Account.Name, nil, guess()) }, "Disconnecting authenticating user"},
		{"a foreign key", func() { try(s.Account.Name, nil, stranger) }, "authenticating user"},
		{"old key exchanges", func() { try(s.Account.Name, []string{"diffie-hellman-group14-sha1"}) }, "Unable to negotiate"},
		{"another protocol", func() { say("GET / HTTP/1.0\r\n\r\n") }, "banner exchange"},
		{"an old protocol", func() { say("SSH-1.5-x\r\n") }, "banner exchange"},
		{"nothing at all", func() { say("") }, "Connection closed by|Connection reset by|Did not receive|banner exchange"},
	}
}

// filtered starts a server for incidents.
func filtered(t *testing.T) *harness.Server {
	harness.NeedRoot(t)
	return harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "MaxAuthTries 3\nDenyUsers nanoother\nLoginGraceTime 600"})
}

// TestFail2ban: what people are locked out for is in the log in the words that fail2ban
// looks for, and what they are not is not.
func TestFail2ban(t *testing.T) {
	harness.Program(t, "fail2ban-regex")
	s := filtered(t)
	modes := map[string]struct {
		mode    string
		matches bool
	}{
		"a login":           {"aggressive", false},
		"a wrong password":  {"normal", true},
		"an unknown user":   {"normal", true},
		"a denied user":     {"normal", true},
		"too many tries":    {"normal", true},
		"a foreign key":     {"aggressive", true},
		"old key exchanges": {"aggressive", true},
		"another protocol":  {"aggressive", true},
		"an old protocol":   {"aggressive", false}, // nor of sshd's lines
		"nothing at all":    {"ddos", true},
	}
	for _, c := range incidents(t, s) {
		mark := s.Log.Len()
		c.provoke()
		s.Log.Wait(t, mark, c.line)
		lines := s.Log.Lines(mark)
		if n := matched(t, modes[c.what].mode, lines); (n > 0) != modes[c.what].matches {
			t.Errorf("%s: %d matches in mode %s:\n%s", c.what, n, modes[c.what].mode, strings.Join(lines, "\n"))
		}
	}
}

// logwatchFilter is logwatch's own script for sshd. It reads messages without their
// headers.
const logwatchFilter = "/usr/share/logwatch/scripts/services/sshd"

// TestLogwatch: logwatch's daily report of the incidents is the one that it makes of
// sshd's lines about them.
func TestLogwatch(t *testing.T) {
	if _, err := os.Stat(logwatchFilter); err != nil {
		t.Skip("logwatch is not installed")
	}
	s := filtered(t)
	start := s.Log.Len()
	for _, c := range incidents(t, s) {
		mark := s.Log.Len()
		c.provoke()
		s.Log.Wait(t, mark, c.line)
	}
	// Syslog has a word before messages of some levels, stderr has not.
	errors := regexp.MustCompile(`(?m)^(Protocol major|kex_exchange_|maximum auth)`)
	lines := errors.ReplaceAllString(strings.Join(s.Log.Lines(start), "\n")+"\n", "error: $1")
	cmd := exec.Command("perl", "-I/usr/share/logwatch/lib", logwatchFilter)
	cmd.Env = append(os.Environ(), "LOGWATCH_DETAIL_LEVEL=10")
	cmd.Stdin = strings.NewReader(lines)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	report := regexp.MustCompile(`port \d+`).ReplaceAllString(string(out), "port N")
	report = strings.ReplaceAll(report, s.Account.Name, "ACCOUNT")
	// Some sections come in any order.
	sections := func(report string) []string {
		return slices.Sorted(slices.Values(strings.Split(strings.TrimSpace(report), "\n\n")))
	}
	if !slices.Equal(sections(report), sections(logwatchReport)) {
		t.Errorf("the report is\n%s\nexpected\n%s\nof\n%s", report, logwatchReport, lines)
	}
}

// logwatch does not know the last two of sshd either.
const logwatchReport = `
Negotiation failed:
   no matching key exchange method found
      127.0.0.1: 1 Time
        diffie-hellman-group14-sha1,ext-info-c,kex-strict-c-v00@openssh.com: 1 Time

Network Read Write Errors: 1

Disconnecting after too many authentication failures for user:
   ACCOUNT : 1 Time

Failed logins from:
   127.0.0.1: 4 Times
      ACCOUNT/password: 4 Times

Illegal users from:
   127.0.0.1: 2 Times
      nosuchuser: 2 Times

Login attempted when in DenyUsers list:
   nanoother : . 1 Time

Users logging in through sshd:
   ACCOUNT:
      127.0.0.1: 1 Time

**Unmatched Entries**
error: Protocol major versions differ: 2 vs. 1 : 1 Time
error: kex_exchange_identification: client sent invalid protocol identifier "GET / HTTP/1.0" : 1 Time
`
