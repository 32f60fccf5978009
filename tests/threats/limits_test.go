package threats

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

const patience = 30 * time.Second

// dialFrom makes a connection from one of loopback's addresses.
func dialFrom(t *testing.T, s *harness.Server, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
	c, err := d.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// logIn logs in over a connection, with a key unless methods say otherwise.
func logIn(t *testing.T, s *harness.Server, c net.Conn, methods ...ssh.AuthMethod) error {
	t.Helper()
	if methods == nil {
		methods = []ssh.AuthMethod{ssh.PublicKeys(harness.UserKey(t, "ed25519", "").Signer())}
	}
	conn, channels, requests, err := ssh.NewClientConn(c, "", &ssh.ClientConfig{
		User: s.Account.Name, Auth: methods, HostKeyCallback: ssh.FixedHostKey(s.HostKeys[0].Public),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	go func() {
		for n := range channels {
			_ = n.Reject(ssh.Prohibited, "")
		}
	}()
	_, _, err = conn.SendRequest("keepalive@openssh.com", true, nil)
	return err
}

// refused reports that the server closed a new connection without its identification.
func refused(c net.Conn) bool {
	b := make([]byte, 4)
	_, err := io.ReadFull(c, b)
	return err != nil || string(b) != "SSH-"
}

// TestThreat07: the time for a login ends many connections at the same moment, in any
// state, and the server goes on.
func TestThreat07(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "LoginGraceTime 2\nMaxStartups 200"})
		mark := s.Log.Len()
		var waiting []net.Conn
		for i := range 60 {
			c := dialFrom(t, s, "127.0.0.1")
			switch i % 3 {
			case 1:
				_, _ = io.WriteString(c, "SSH-2.0-slow\r\n")
			case 2:
				go func() { // it stops in the middle of its authentication
					_ = logIn(t, s, c, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
						_, _ = io.Copy(io.Discard, neverEnds{s})
						return nil, errors.New("over")
					}))
				}()
				continue
			}
			waiting = append(waiting, c)
		}
		for _, c := range waiting {
			if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatal("the connection goes on: ", err)
			}
		}
		harness.Eventually(t, patience, "a line for each", func() bool {
			return s.Log.Count(mark, `Timeout before authentication for 127\.0\.0\.1`) == 60
		})
		if err := logIn(t, s, dialFrom(t, s, "127.0.0.1")); err != nil {
			t.Error(err)
		}
	})
}

// neverEnds gives nothing as long as the server has not said that time is over for all.
type neverEnds struct{ s *harness.Server }

func (n neverEnds) Read([]byte) (int, error) {
	harness.Within(patience, func() bool { return n.s.Exited() || n.s.Log.Count(0, "Timeout before authentication") == 60 })
	return 0, io.EOF
}

// TestThreat11: exchanges with finite-field Diffie-Hellman are off unless they are named,
// whoever makes the server do exchanges without logging in is refused after a while, and
// one connection has few of them.
func TestThreat11(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	only := func(s *harness.Server, from, kex string) error {
		_, _, _, err := ssh.NewClientConn(dialFrom(t, s, from), "", &ssh.ClientConfig{
			Config: ssh.Config{KeyExchanges: []string{kex}}, User: "nobody-at-all",
			HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return errEnough },
		})
		return err
	}
	for _, kex := range []string{
		"diffie-hellman-group14-sha1", "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512",
		"diffie-hellman-group-exchange-sha1", "diffie-hellman-group-exchange-sha256",
	} {
		if err := only(s, "127.0.0.1", kex); err == nil || !strings.Contains(err.Error(), "no common algorithm") {
			t.Errorf("%s: %v", kex, err)
		}
	}
	// One connection has a few exchanges before it logs in, and as many as it likes after.
	for phase, early := range map[string]bool{"encrypted": true, "authenticating": true, "logged in": false} {
		c := phases[phase](t, s)
		exchanges := 0
		for exchanges < 100 && c.Exchange(raw.DefaultKexInit()) == nil {
			exchanges++
		}
		if early && (exchanges < 1 || exchanges > 20) || !early && exchanges != 100 {
			t.Errorf("%s: %d key exchanges", phase, exchanges)
		}
		_ = c.Close()
	}
	s.Log.Wait(t, 0, `too many key exchanges before authentication`)
	s = harness.Start(t, harness.Options{Config: "KexAlgorithms +diffie-hellman-group16-sha512\nPerSourcePenalties noauth:100s min:300s max:1000s"})
	exchanges := 0
	for ; exchanges < 20; exchanges++ {
		if err := only(s, "127.0.0.5", "diffie-hellman-group16-sha512"); !errors.Is(err, errEnough) {
			break
		}
	}
	s.Log.Wait(t, 0, `drop connection .* from \[127\.0\.0\.5\].* penalty: connections without attempting authentication`)
	if exchanges == 0 || exchanges == 20 {
		t.Errorf("%d exchanges", exchanges)
	}
	if err := logIn(t, s, dialFrom(t, s, "127.0.0.6")); err != nil {
		t.Error("another address: ", err)
	}
}

var errEnough = errors.New("that is enough")

// TestThreat30: a source that guesses is cut off by MaxAuthTries, then kept out by a
// penalty; one that only connects is held to PerSourceMaxStartups.
func TestThreat30(t *testing.T) {
	s := harness.Start(t, harness.Options{
		Mode:   harness.AsRoot,
		Config: "MaxAuthTries 3\nPerSourceMaxStartups 4\nPerSourcePenalties authfail:500s min:400s max:1000s\nLoginGraceTime 600",
	})
	tries := 0
	guess := ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
		tries++
		return fmt.Sprint("guess ", tries), nil
	}), 100)
	if err := logIn(t, s, dialFrom(t, s, "127.0.0.7"), guess); err == nil || tries > 4 {
		t.Errorf("%d guesses: %v", tries, err)
	}
	s.Log.Wait(t, 0, `srclimit_penalise: .*127\.0\.0\.7`)
	if !refused(dialFrom(t, s, "127.0.0.7")) {
		t.Error("the source of the guesses is let in again")
	}
	if err := logIn(t, s, dialFrom(t, s, "127.0.0.8")); err != nil {
		t.Error("another source: ", err)
	}
	var open []net.Conn
	for range 4 {
		c := dialFrom(t, s, "127.0.0.9")
		if refused(c) {
			t.Fatal("refused too early")
		}
		open = append(open, c)
	}
	if !refused(dialFrom(t, s, "127.0.0.9")) {
		t.Error("a fifth connection of one source that has not logged in")
	}
	for _, c := range open {
		_ = c.Close()
	}
	harness.Eventually(t, patience, "room for the source again", func() bool { return !refused(dialFrom(t, s, "127.0.0.9")) })
}
