package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

func number64(n int64) string { return strconv.FormatInt(n, 10) }

func readFull(r io.Reader, p []byte) (int, error) { return io.ReadFull(r, p) }

func loginRows() []row {
	each := []metric{{"CPU", "ms", false}, {"wall", "ms", false}}
	return []row{
		{name: "login", about: "connect, log in, run the shell's `:`; the user has another session", metrics: each,
			measure: (*server).loginAgain},
		{name: "login-first", about: "the same, by users who have no session", metrics: each,
			measure: (*server).loginFirst},
		{name: "ssh-true", about: "`ssh host true` by OpenSSH's client, median",
			metrics: []metric{{"wall", "ms", false}}, measure: (*server).sshTrue},
		{name: "start", times: 3, about: "exec to the first byte of the identification; memory after it",
			metrics: []metric{{"to banner", "ms", false}, {"memory", "KiB PSS", false}, {"processes", "count", false}},
			measure: (*server).atRest},
	}
}

// loginAgain logs in one after another beside a session that is open.
func (s *server) loginAgain() ([]float64, error) {
	count := 40
	if s.bench.quick {
		count = 15
	}
	c, err := s.dial(clientOptions{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	session, err := c.NewSession()
	if err != nil {
		return nil, err
	}
	if err := session.Shell(); err != nil {
		return nil, err
	}
	return s.logins(count, func(int) string { return "" })
}

func (s *server) loginFirst() ([]float64, error) {
	if !s.bench.place.private {
		return nil, skip("needs several accounts, and so root")
	}
	count := len(s.bench.place.users)
	if s.bench.quick {
		count = 10
	}
	return s.logins(count, func(i int) string { return s.bench.place.users[i] })
}

func (s *server) logins(count int, user func(int) string) ([]float64, error) {
	before := s.settled()
	begin := time.Now()
	for i := range count {
		if err := s.login(user(i)); err != nil {
			return nil, err
		}
	}
	took := time.Since(begin)
	used := s.settled() - before
	ms := 1e3 / float64(count)
	return []float64{used.Seconds() * ms, took.Seconds() * ms}, nil
}

func (s *server) sshTrue() ([]float64, error) {
	if err := programHere("ssh"); err != nil {
		return nil, err
	}
	count := 9
	if s.bench.quick {
		count = 4
	}
	// The user's first login is another row's.
	c, err := s.dial(clientOptions{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var times []time.Duration
	for range count {
		begin := time.Now()
		if out, err := exec.Command("/usr/bin/ssh", append(s.sshCommand(), "true")...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh: %w: %s", err, out)
		}
		times = append(times, time.Since(begin))
	}
	return []float64{quantile(times, 0.5).Seconds() * 1e3}, nil
}

func (s *server) atRest() ([]float64, error) {
	s.settled()
	kib, count, err := s.memory()
	if hidden := skip(""); errors.As(err, &hidden) || err == nil && count == 0 {
		return []float64{s.banner.Seconds() * 1e3, math.NaN(), math.NaN()}, nil // inetd is not a server's
	}
	if err != nil {
		return nil, err
	}
	return []float64{s.banner.Seconds() * 1e3, kib, float64(count)}, nil
}

func memoryRows() []row {
	each := []metric{{"memory", "KiB PSS each", false}}
	return []row{
		{name: "idle", about: "logged in, no session", times: 2, metrics: each,
			measure: func(s *server) ([]float64, error) { return s.held(s.logInOnly) }},
		{name: "idle-pty", about: "logged in, a shell on a terminal (the shell itself does not count)", times: 2, metrics: each,
			measure: func(s *server) ([]float64, error) { return s.held(s.logInShell) }},
		{name: "idle-unknown", about: "connected, identifications exchanged, then nothing", times: 2, metrics: each,
			measure: func(s *server) ([]float64, error) { return s.held(s.sayHello) }},
	}
}

// held measures what many connections take that stay.
func (s *server) held(open func() (io.Closer, error)) ([]float64, error) {
	count := 200
	if s.bench.quick {
		count = 20
	}
	// The first one may start a process that all others share; it is not what each
	// costs, and is measured with the login and the start.
	first, err := open()
	if err != nil {
		return nil, err
	}
	defer first.Close()
	s.settled()
	before, _, err := s.memory()
	if err != nil {
		return nil, err
	}
	for range count {
		c, err := open()
		if err != nil {
			return nil, err
		}
		defer c.Close()
	}
	s.settled()
	after, _, err := s.memory()
	return []float64{(after - before) / float64(count)}, err
}

func (s *server) logInOnly() (io.Closer, error) { return s.dial(clientOptions{}) }

func (s *server) logInShell() (io.Closer, error) {
	c, err := s.dial(clientOptions{})
	if err != nil {
		return nil, err
	}
	if _, _, err := onTerminal(c, ""); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// onTerminal starts a program on a terminal; without a command a shell, and then it
// waits for its prompt.
func onTerminal(c *ssh.Client, command string) (io.Writer, io.Reader, error) {
	session, err := c.NewSession()
	if err != nil {
		return nil, nil, err
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		return nil, nil, noTerminal(err)
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if command != "" {
		return in, out, session.Start(command)
	}
	if err := session.Shell(); err != nil {
		return nil, nil, err
	}
	_, err = readFull(out, make([]byte, 1)) // the prompt: all is started
	return in, out, err
}

// noTerminal explains what sshd does as an ordinary user: it ends when it cannot give
// the terminal to its user.
func noTerminal(err error) error {
	if errors.Is(err, io.EOF) && os.Geteuid() != 0 {
		return skip("gives no terminal as an ordinary user")
	}
	return err
}

// sayHello is a client that never goes on.
func (s *server) sayHello() (io.Closer, error) {
	c, err := net.DialTimeout("tcp", s.addr, clientLimit)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(clientLimit))
	if _, err = c.Write([]byte("SSH-2.0-nanobench\r\n")); err == nil {
		_, err = readFull(c, make([]byte, 200)) // the identification and a part of KEXINIT
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
