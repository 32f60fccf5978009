package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// clientOptions are what one client wants. The zero value is the first user with
// the algorithms that most servers and clients share.
type clientOptions struct {
	user    string
	ciphers []string
	mac     string
	rekey   uint64
}

// clientLimit ends a client that waits for a server in vain.
const clientLimit = 60 * time.Second

// dial logs in.
func (s *server) dial(o clientOptions) (*ssh.Client, error) {
	if o.user == "" {
		o.user = s.bench.place.users[0]
	}
	config := &ssh.ClientConfig{
		User: o.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.bench.place.key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // a server that this program has started
		// All servers have one; dropbear 2022 ends at the wish for a type that it lacks.
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		Timeout:           clientLimit,
	}
	// One method for all, so that the same work is compared.
	config.KeyExchanges = []string{"curve25519-sha256", "curve25519-sha256@libssh.org"}
	config.Ciphers, config.RekeyThreshold = o.ciphers, o.rekey
	if o.mac != "" {
		config.MACs = []string{o.mac}
	}
	c, err := net.DialTimeout("tcp", s.addr, clientLimit)
	if err != nil {
		return nil, err
	}
	conn, channels, requests, err := ssh.NewClientConn(c, s.addr, config)
	if err != nil {
		_ = c.Close()
		if strings.Contains(err.Error(), "no common algorithm") {
			return nil, skip("lacks the algorithm")
		}
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// login is a whole one: connection, key exchange, authentication, a program, the end.
func (s *server) login(user string) error {
	c, err := s.dial(clientOptions{user: user})
	if err != nil {
		return err
	}
	defer c.Close()
	session, err := c.NewSession()
	if err != nil {
		return err
	}
	return session.Run(":") // the shell's own, so that there is no second program
}

// remote is this program, started by the server for the user.
type remote struct {
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	report  bytes.Buffer
}

func (s *server) remote(c *ssh.Client, command string) (*remote, error) {
	session, err := c.NewSession()
	if err != nil {
		return nil, err
	}
	r := &remote{session: session}
	session.Stderr = &r.report
	if r.in, err = session.StdinPipe(); err != nil {
		return nil, err
	}
	if r.out, err = session.StdoutPipe(); err != nil {
		return nil, err
	}
	return r, session.Start("exec " + s.bench.place.helper + " " + command)
}

// wait waits for the program's end and returns its own processor time.
func (r *remote) wait() (time.Duration, error) {
	if err := r.session.Wait(); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(r.report.String()), 10, 64)
	return time.Duration(n), err
}

// sshCommand is the command line of OpenSSH's client up to the host's name.
func (s *server) sshCommand() []string {
	p := s.bench.place
	return []string{"-F", "none", "-i", p.keyFile, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-p", strconv.Itoa(s.port), p.users[0] + "@127.0.0.1"}
}

// target is a TCP server in this process for forwarded connections.
type target struct {
	net.Listener
}

func newTarget(serve func(net.Conn)) (*target, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return &target{l}, nil
}

// atLeast fails a measurement whose data has not all come.
func atLeast(got, want int64) error {
	if got != want {
		return fmt.Errorf("%d bytes instead of %d", got, want)
	}
	return nil
}

// programHere reports a missing program as a reason to skip.
func programHere(name string) error {
	if _, err := os.Stat("/usr/bin/" + name); errors.Is(err, os.ErrNotExist) {
		return skip("no /usr/bin/" + name)
	}
	return nil
}
