package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Mode says who a server belongs to.
type Mode int

// The modes. AsUser servers let in the one account that they belong to.
const (
	AsUser Mode = iota
	AsRoot
)

func (m Mode) String() string { return [...]string{"user", "root"}[m] }

// EachMode runs a test as root, where that is possible, and as an ordinary user.
func EachMode(t *testing.T, test func(t *testing.T, m Mode)) {
	for _, m := range []Mode{AsUser, AsRoot} {
		t.Run(m.String(), func(t *testing.T) {
			if m == AsRoot {
				NeedRoot(t)
			}
			test(t, m)
		})
	}
}

// NeedRoot skips a test where servers cannot be started as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if !HasRoot() {
		t.Skip("needs root and a mount namespace")
	}
}

// Options say how to start a server. The zero value is a server that belongs to an
// ordinary user, with an Ed25519 host key, that accepts UserKey("ed25519", "").
type Options struct {
	Mode       Mode
	Config     string   // lines that come before the harness's own: the first value of a keyword counts
	Match      string   // lines at the very end
	HostKeys   []string // types; default ed25519
	Authorized []string // lines of authorized_keys; nil: the default user key
	Args       []string // more arguments
	NoConfig   bool     // no configuration file: just Args, -p and an empty home
	Tag        string   // build tag of the server
	Program    string   // another copy of the server
	Env        []string
}

// Server is a running server.
type Server struct {
	Account    Account // who to log in as
	Mode       Mode
	Dir        string // its folder; everything below belongs to it
	ConfigFile string
	KeysFile   string // its authorized_keys
	Port       int
	Log        *Log
	HostKeys   []*Key

	t      testing.TB
	cmd    *exec.Cmd
	marker string
	exited chan struct{}
	code   int
	once   sync.Once
}

var serverCount atomic.Int32

// portCount makes ports differ within this process; the start differs between
// processes. They are below the range that the kernel picks from for clients.
var portCount atomic.Int32

// FreePort returns a loopback TCP port that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 12000 + (os.Getpid()*131+int(portCount.Add(1)))%19000
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// Prepare makes a server's folder, keys and configuration without starting it.
func Prepare(t testing.TB, o Options) *Server {
	t.Helper()
	id := serverCount.Add(1)
	s := &Server{
		Account: current(t), Mode: o.Mode, Dir: filepath.Join(base, fmt.Sprintf("server%d", id)),
		marker: fmt.Sprintf("NANO_TEST_SERVER=%d.%d", os.Getpid(), id),
		Port:   FreePort(t), Log: &Log{grown: make(chan struct{})}, t: t,
	}
	s.ConfigFile, s.KeysFile = filepath.Join(s.Dir, "config"), filepath.Join(s.Dir, "authorized_keys")
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.chown(s.Dir)
	if o.NoConfig {
		return s
	}
	if o.HostKeys == nil {
		o.HostKeys = []string{"ed25519"}
	}
	for _, keyType := range o.HostKeys {
		k := HostKey(t, keyType)
		s.HostKeys = append(s.HostKeys, k)
		s.WriteFile("host_"+keyType, string(k.PEM), 0o600)
	}
	if o.Authorized == nil {
		o.Authorized = []string{UserKey(t, "ed25519", "").Line}
	}
	// Readable: a server of root's opens it with the account's identity.
	s.WriteFile("authorized_keys", strings.Join(o.Authorized, "\n")+"\n", 0o644)
	s.Configure(o)
	return s
}

// Configure writes the configuration file.
func (s *Server) Configure(o Options) {
	s.t.Helper()
	var b strings.Builder
	b.WriteString(o.Config + "\n")
	fmt.Fprintf(&b, "Port %d\nListenAddress 127.0.0.1\nAuthorizedKeysFile %s\n", s.Port, s.KeysFile)
	for _, k := range s.HostKeys {
		fmt.Fprintf(&b, "HostKey %s\n", filepath.Join(s.Dir, "host_"+k.Type))
	}
	if !private {
		b.WriteString("StrictModes no\n") // the folder is below /tmp
	}
	switch {
	case PeerIsSSHD():
		b.WriteString("PidFile none\n")
	case !strings.Contains(o.Config, "PerSourcePenalties"):
		// All clients of a test have one address; some of them misbehave.
		b.WriteString("PerSourcePenalties no\n")
	}
	b.WriteString(o.Match + "\n")
	s.WriteFile("config", b.String(), 0o644)
}

// WriteFile writes a file into the server's folder; it belongs to the server.
func (s *Server) WriteFile(name, text string, mode os.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.Dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // in spite of the umask, and if it was there
		s.t.Fatal(err)
	}
	s.chown(path)
	return path
}

func (s *Server) chown(path string) {
	s.t.Helper()
	if s.Mode == AsUser && private {
		if err := os.Chown(path, s.Account.UID, s.Account.GID); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Command returns the server program with arguments, with the identity and
// environment that the server has.
func (s *Server) Command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	home, name := "/root", "root"
	if s.Mode == AsUser {
		home, name = s.Account.Home, s.Account.Name
		if private {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: uint32(s.Account.UID), Gid: uint32(s.Account.GID)},
			}
		}
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "USER=" + name, "LOGNAME=" + name,
		"LANG=C", "TMPDIR=/tmp", s.marker}
	cmd.Dir = "/"
	return cmd
}

// Start starts a server and waits until it listens. The end of the test stops it
// and checks that nothing is left.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	for attempt := 1; ; attempt++ {
		s := Prepare(t, o)
		args := []string{"-D", "-e"}
		if o.NoConfig {
			args = []string{"-p", strconv.Itoa(s.Port)}
		} else {
			args = append(args, "-f", s.ConfigFile)
		}
		err := s.start(o, append(args, o.Args...))
		if err == nil {
			t.Cleanup(s.Stop)
			return s
		}
		// Somebody else may have taken the port since FreePort looked.
		if attempt == 3 || !strings.Contains(s.Log.String(), "ddress already in use") {
			t.Fatalf("the server does not start: %v\n%s", err, s.Log)
		}
	}
}

func (s *Server) start(o Options, args []string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	program := o.Program
	if program == "" {
		program = Binary(s.t, o.Tag)
	}
	s.cmd = s.Command(program, args...)
	s.cmd.Env = append(s.cmd.Env, o.Env...)
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		_ = r.Close()
		return err
	}
	go s.Log.collect(r)
	s.exited = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		s.code = s.cmd.ProcessState.ExitCode()
		close(s.exited)
	}()
	up := Within(20*time.Second, func() bool { return s.Exited() || Listening(s.Port) })
	switch {
	case s.Exited():
		return fmt.Errorf("exit status %d", s.code)
	case !up:
		_ = s.cmd.Process.Kill()
		return errors.New("does not listen after 20 s")
	}
	return nil
}

// Addr returns host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// PID returns the number of the server's first process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Exited reports whether the first process has ended.
func (s *Server) Exited() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// Signal sends a signal to the first process.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal %v to the server: %v", sig, err)
	}
}

// Processes returns the server's processes and all their descendants.
func (s *Server) Processes() []Process {
	list := Descendants(s.PID())
	if p, err := readProcess(s.PID()); err == nil {
		list = append(list, p)
	}
	return list
}

// RSS returns the resident memory in kB of the server's own processes: those that
// run the server program.
func (s *Server) RSS() int64 {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.PID()))
	if err != nil {
		return 0
	}
	var sum int64
	for _, p := range s.Processes() {
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID)); exe == own {
			sum += StatusKB(p.PID, "VmRSS")
		}
	}
	return sum
}

// CPU returns how much processor time the server's living processes and their
// ended children have used. It counts in steps of 10 ms.
func (s *Server) CPU() time.Duration {
	var ticks int64
	for _, p := range s.Processes() {
		ticks += p.Ticks
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// Wait waits for the end of the first process and returns its exit status, -1
// after a signal.
func (s *Server) Wait(limit time.Duration) (int, error) {
	select {
	case <-s.exited:
		return s.code, nil
	case <-time.After(limit):
		return 0, fmt.Errorf("the server still runs after %v", limit)
	}
}

// Stop ends the server with SIGTERM and checks that no process and no listening
// socket is left. More than one call does nothing.
func (s *Server) Stop() {
	s.once.Do(s.stop)
}

func (s *Server) stop() {
	s.t.Helper()
	tree := s.Processes()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if _, err := s.Wait(10 * time.Second); err != nil {
		s.t.Errorf("SIGTERM: %v", err)
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // a Go program prints its goroutines
		if _, err := s.Wait(5 * time.Second); err != nil {
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	}
	s.checkNothingLeft(tree)
	if s.t.Failed() {
		lines := s.Log.Lines(0)
		s.t.Logf("the server's log (end):\n%s", strings.Join(lines[max(0, len(lines)-80):], "\n"))
	}
}

// accountTitle is what ps(1) shows of a user's process.
var accountTitle = regexp.MustCompile(`^\d+ "sshd: \S+ \[\d+ sessions?\]`)

func (s *Server) checkNothingLeft(tree []Process) {
	s.t.Helper()
	left := func() []Process {
		var list []Process
		for _, p := range append(tree, marked(s.marker)...) {
			if !p.Gone() {
				list = append(list, p)
			}
		}
		return list
	}
	if s.Mode == AsRoot {
		// Sessions survive SIGTERM, as sshd's: they are to go with their process.
		for _, p := range left() {
			if accountTitle.MatchString(p.String()) {
				_ = syscall.Kill(p.PID, syscall.SIGTERM)
			}
		}
	}
	if !Within(5*time.Second, func() bool { return PeerIsSSHD() || len(left()) == 0 }) {
		s.t.Errorf("processes are left after SIGTERM: %v", left())
	}
	for _, p := range left() {
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
	if !Within(5*time.Second, func() bool { return !Listening(s.Port) }) {
		s.t.Errorf("somebody still listens on port %d after SIGTERM", s.Port)
	}
}

// RunResult is the outcome of a server program that ended by itself.
type RunResult struct {
	Code           int
	Stdout, Stderr string
}

// Run runs the server program with arguments until it ends, at most 20 s.
func (s *Server) Run(args ...string) RunResult {
	s.t.Helper()
	var stdout, stderr strings.Builder
	cmd := s.Command(Binary(s.t, ""), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	limit := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	_ = cmd.Wait()
	return RunResult{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
