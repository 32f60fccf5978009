package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nano_ssh_server/tests/harness"
)

// kind is a server program that can be measured.
type kind struct {
	name    string
	program string
	files   []string // what the size of an installation counts; missing ones do not count
	// arguments makes what a start needs in a folder and returns the command line.
	arguments func(k *kind, p *place, dir string, port int) ([]string, error)
}

// findKinds returns the servers to measure, the reference first, and says what is
// left out.
func findKinds(o *options, p *place) ([]*kind, error) {
	nano, err := filepath.Abs(o.nano)
	if err != nil {
		return nil, err
	}
	all := []*kind{
		{"sshd", find("sshd"), []string{"/usr/lib/openssh/sshd-session", "/usr/lib/openssh/sshd-auth", sftpServer()}, openSSHArguments},
		{"nano", nano, nil, openSSHArguments},
		{"dropbear", find("dropbear"), []string{sftpServer()}, dropbearArguments},
		{"tinysshd", find("tinysshd"), []string{sftpServer()}, tinysshArguments},
	}
	var chosen []*kind
	for _, k := range all {
		wanted := strings.Contains(","+o.servers+",", ","+k.name+",")
		if o.servers != "" && !wanted {
			continue
		}
		var reason string
		if _, err := os.Stat(k.program); err != nil {
			reason = "not installed"
			if k.name == "nano" {
				return nil, fmt.Errorf("%w: build it first or give its path with -nano", err)
			}
		} else if !p.private && (k.name == "dropbear" || k.name == "tinysshd") {
			reason = "reads only ~/.ssh/authorized_keys: needs root for an account of its own"
		}
		if reason != "" {
			fmt.Fprintf(os.Stderr, "nanobench: without %s: %s\n", k.name, reason)
			continue
		}
		chosen = append(chosen, k)
	}
	if len(chosen) == 0 {
		return nil, errors.New("no server to measure")
	}
	return chosen, nil
}

// find looks for a program where daemons are, too.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", name)
}

func sftpServer() string { return "/usr/lib/openssh/sftp-server" }

// openSSHArguments are those of sshd and of ours: the same configuration.
func openSSHArguments(k *kind, p *place, dir string, port int) ([]string, error) {
	subsystem := sftpServer() // as Debian configures it
	if k.name == "nano" {
		subsystem = "internal-sftp"
	}
	lines := []string{
		"Port " + strconv.Itoa(port), "ListenAddress 127.0.0.1", "HostKey " + p.hostKey,
		"AuthorizedKeysFile " + filepath.Join(p.base, "authorized_keys"), "PidFile none",
		"MaxStartups 20000", "LoginGraceTime 600", "PermitRootLogin yes", "UseDNS no",
		"PrintMotd no", "LogLevel ERROR", "Subsystem sftp " + subsystem, "MaxSessions 1000",
	}
	if p.private {
		lines[3] = "AuthorizedKeysFile .ssh/authorized_keys"
	} else {
		lines = append(lines, "StrictModes no") // the folder is below /tmp
	}
	config := filepath.Join(dir, "config")
	write := func() error { return os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o644) }
	if err := write(); err != nil {
		return nil, err
	}
	// All clients have one address; an sshd before 9.8 knows no penalties.
	if exec.Command(k.program, "-t", "-f", config, "-o", "PerSourcePenalties=no").Run() == nil {
		lines = append(lines, "PerSourcePenalties no")
	}
	return []string{"-D", "-e", "-f", config}, write()
}

func dropbearArguments(k *kind, _ *place, dir string, port int) ([]string, error) {
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("dropbearkey", "-t", "ed25519", "-f", key).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("dropbearkey: %w\n%s", err, out)
	}
	return []string{"-F", "-E", "-m", "-s", "-r", key, "-P", filepath.Join(dir, "pid"),
		"-p", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}, nil
}

// tinysshArguments start this program, which stands in for inetd.
func tinysshArguments(k *kind, _ *place, dir string, port int) ([]string, error) {
	keys := filepath.Join(dir, "keys")
	maker := k.program + "-makekey"
	if _, err := os.Stat(maker); err != nil {
		maker = find("tinysshd-makekey")
	}
	if out, err := exec.Command(maker, keys).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", maker, err, out)
	}
	return []string{"inetd", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		k.program, "-x", "sftp=" + sftpServer(), keys}, nil
}

// server is a running server. There is one at a time.
type server struct {
	*kind
	bench  *bench
	addr   string
	port   int
	dir    string
	cmd    *exec.Cmd
	group  group
	log    *os.File
	banner time.Duration // from the start to the first byte of the identification
}

// start starts a server and waits for its identification.
func (b *bench) start(k *kind) (*server, error) {
	dir, err := os.MkdirTemp(b.place.base, k.name+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{kind: k, bench: b, addr: l.Addr().String(), port: l.Addr().(*net.TCPAddr).Port, dir: dir}
	_ = l.Close()
	args, err := k.arguments(k, b.place, dir, s.port)
	if err != nil {
		return nil, err
	}
	program := k.program
	if args[0] == "inetd" {
		program = b.place.helper
	}
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), "LANG=C")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if s.group = newGroup(); s.group.dir != nil {
		s.cmd.SysProcAttr.UseCgroupFD, s.cmd.SysProcAttr.CgroupFD = true, int(s.group.dir.Fd())
	}
	b.grouped = s.group.dir != nil
	b.running = s
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		b.stopAll()
		return nil, err
	}
	if err := s.waitBanner(begin); err != nil {
		text, _ := os.ReadFile(s.log.Name())
		b.stopAll()
		return nil, fmt.Errorf("%s does not start: %w\n%.500s", k.name, err, text)
	}
	return s, nil
}

// waitBanner connects until somebody says "SSH-".
func (s *server) waitBanner(begin time.Time) error {
	const limit = 10 * time.Second // for a start that takes milliseconds
	for {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			_ = c.SetDeadline(begin.Add(limit))
			hello := make([]byte, 4)
			_, err = io.ReadFull(c, hello)
			s.banner = time.Since(begin)
			_ = c.Close()
			if err == nil && string(hello) == "SSH-" {
				return nil
			}
			err = fmt.Errorf("%q instead of an identification: %w", hello, errors.Join(err, errors.New("not SSH")))
		}
		if time.Since(begin) > limit {
			return err
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// stopAll ends the server that runs, and whatever is left of it: everything below
// this process is the server's, since nothing else is started meanwhile that is not
// waited for.
func (b *bench) stopAll() {
	s := b.running
	if s == nil {
		return
	}
	b.running = nil
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() { _ = s.cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(3 * time.Second):
			_ = s.cmd.Process.Kill()
			<-done
		}
		harness.Within(5*time.Second, func() bool {
			left := harness.Descendants(os.Getpid())
			for _, p := range left {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
			reap()
			return len(left) == 0
		})
	}
	if s.log != nil {
		_ = s.log.Close()
	}
	s.group.remove()
	_ = os.RemoveAll(s.dir)
}

// reap takes in processes that have lost their parent and ended.
func reap() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || pid <= 0 {
			return
		}
	}
}
