package listener

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/server/host/hostkey"
)

// The tests run the listener in processes of its own: this test's binary, told by
// the environment to be a server of a name. What it serves is no SSH: the peer sends
// words, one a line, and talk does what they say.
const asServer = "LISTENER_TEST_AS"

func TestMain(m *testing.M) {
	// A role's process is this binary too: it must not run the tests again.
	if name := os.Args[0]; name == GateName || name == AccountName || name == KeeperName {
		os.Exit(1)
	}
	if name := os.Getenv(asServer); name != "" {
		args := append([]string{name}, os.Args[1:]...)
		os.Args[0] = name
		os.Exit(Run(args, talk, func(string) {}, func(int) {}))
	}
	os.Exit(m.Run())
}

func talk(s *Session) error {
	fmt.Fprintf(s.Stream, "hello %s\n", s.Place.RemoteHost)
	for lines := bufio.NewScanner(s.Stream); lines.Scan(); {
		switch word := lines.Text(); word {
		case "login":
			s.Authenticated()
		case "bye":
			return nil
		case "fail":
			return errors.New("told to")
		case "panic":
			panic("told to")
		default:
			fmt.Fprintln(s.Stream, word)
			continue
		}
		fmt.Fprintln(s.Stream, "ok")
	}
	return io.EOF
}

// output gathers what a process writes, and can be waited on.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a server under test.
type process struct {
	*exec.Cmd
	t      *testing.T
	out    output // stdout and stderr
	ended  chan struct{}
	status int
}

// program prepares a server of a name.
func program(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("/proc/self/exe", args...), t: t, ended: make(chan struct{})}
	p.Env = append(os.Environ(), asServer+"="+name)
	p.Stdout, p.Stderr = &p.out, &p.out
	return p
}

// begin starts it; the test's end ends it.
func (p *process) begin() *process {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = p.Wait()
		p.status = p.ProcessState.ExitCode()
		close(p.ended)
	}()
	p.t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
	})
	return p
}

// wait returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Fatalf("the server goes on:\n%s", &p.out)
	}
	return p.status
}

// says waits for a text among its output.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, "the line "+text, func() bool { return strings.Contains(p.out.String(), text) }, &p.out)
}

func eventually(t *testing.T, what string, f func() bool, detail fmt.Stringer) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for %s:\n%s", what, detail)
		}
	}
}

// run runs a server that ends by itself.
func run(t *testing.T, name string, args ...string) (status int, out string) {
	t.Helper()
	p := program(t, name, args...).begin()
	status = p.wait()
	return status, strings.ReplaceAll(p.out.String(), "\r\n", "\n")
}

// site is a folder with a host key and a configuration.
type site struct {
	dir, key, config string
	port             int
}

func newSite(t *testing.T, lines ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	private, path, _, err := hostkey.LoadOrCreate(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	private.Wipe()
	s.key, s.config, s.port = path, filepath.Join(s.dir, "config"), freePort(t)
	s.write(t, lines...)
	return s
}

// write writes the configuration.
func (s *site) write(t *testing.T, lines ...string) {
	t.Helper()
	text := fmt.Sprintf("PrivilegeSeparation no\nHostKey %s\nListenAddress 127.0.0.1:%d\nPidFile %s\n%s\n", s.key, s.port, s.pid(), strings.Join(lines, "\n"))
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *site) pid() string { return filepath.Join(s.dir, "pid") }

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serve starts a server on the site and waits until it listens.
func (s *site) serve(t *testing.T, args ...string) *process {
	t.Helper()
	p := program(t, asSSHD, append([]string{"-D", "-e", "-f", s.config}, args...)...).begin()
	p.says(fmt.Sprintf("Server listening on 127.0.0.1 port %d.", s.port))
	return p
}

// peer is a client.
type peer struct {
	net.Conn
	t     *testing.T
	lines *bufio.Scanner
}

func (s *site) dial(t *testing.T) *peer {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return &peer{c, t, bufio.NewScanner(c)}
}

// line reads a line, "" at the end.
func (p *peer) line() string {
	p.lines.Scan()
	return p.lines.Text()
}

func (p *peer) want(line string) {
	p.t.Helper()
	if got := p.line(); got != line {
		p.t.Errorf("got %q, want %q", got, line)
	}
}

func (p *peer) say(word, answer string) {
	p.t.Helper()
	if _, err := io.WriteString(p, word+"\n"); err != nil {
		p.t.Error(err)
	}
	p.want(answer)
}

func (p *process) signal(sig syscall.Signal) { _ = p.Process.Signal(sig) }
