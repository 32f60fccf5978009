package privsep

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

const (
	floodRate    = 500 // connections a second
	floodSeconds = 4
	floodLogins  = 10
	// mostPerConnection bounds what a connection that never authenticates costs, in
	// KiB of all processes together: two times what is measured for one that is open.
	mostPerConnection = 64
)

// memory is the proportional set size of the server's processes in KiB.
func memory(t *testing.T, s *harness.Server) (sum int64) {
	t.Helper()
	for _, p := range s.Processes() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
		if err != nil {
			continue // it has ended
		}
		for l := range strings.Lines(string(text)) {
			var kb int64
			if n, _ := fmt.Sscanf(l, "Pss: %d kB", &kb); n == 1 {
				sum += kb
			}
		}
	}
	return sum
}

// descriptors counts those of a process.
func descriptors(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list)
}

// loginFrom logs alice in from an address.
func loginFrom(t *testing.T, s *harness.Server, address string) (time.Duration, error) {
	begin := time.Now()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
	n, err := d.Dial("tcp", s.Addr())
	if err != nil {
		return 0, err
	}
	defer n.Close()
	_ = n.SetDeadline(time.Now().Add(patience))
	c, channels, requests, err := ssh.NewClientConn(n, "", &ssh.ClientConfig{
		User: alice, Auth: []ssh.AuthMethod{ssh.PublicKeys(harness.UserKey(t, "ed25519", "").Signer())},
		HostKeyCallback: ssh.FixedHostKey(s.HostKeys[0].Public),
	})
	if err != nil {
		return 0, err
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	output(t, client, "true")
	return time.Since(begin), nil
}

// flood opens connections from an address at a rate, without a word, and closes each
// when the next ones have come. It returns what waits for its end.
func flood(s *harness.Server, address string) (wait func() (opened int)) {
	var all sync.WaitGroup
	opened := 0
	all.Go(func() {
		tick := time.NewTicker(time.Second / floodRate)
		defer tick.Stop()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
		var open []net.Conn
		for range floodRate * floodSeconds {
			<-tick.C // what makes it a rate
			c, err := d.Dial("tcp", s.Addr())
			if err != nil {
				continue
			}
			opened++
			if open = append(open, c); len(open) > floodRate/2 {
				_ = open[0].Close()
				open = open[1:]
			}
		}
		for _, c := range open {
			_ = c.Close()
		}
	})
	return func() int { all.Wait(); return opened }
}

// TestFlood: five hundred connections a second that never authenticate keep nobody
// out, cost little, and leave nothing.
func TestFlood(t *testing.T) {
	s := start(t, "")
	if _, err := loginFrom(t, s, "127.0.0.2"); err != nil {
		t.Fatal(err)
	}
	idle := descriptors(one(t, s, gate))
	before, files := memory(t, s), descriptors(s.PID())
	wait := flood(s, "127.0.0.3")
	slowest, most := time.Duration(0), int64(0)
	for range floodLogins {
		took, err := loginFrom(t, s, "127.0.0.2")
		if err != nil {
			t.Fatal(err)
		}
		slowest, most = max(slowest, took), max(most, memory(t, s))
	}
	opened := wait()
	t.Logf("%d connections; the slowest of %d logins took %v; memory grew by %d KiB from %d", opened, floodLogins, slowest, most-before, before)
	if opened < floodRate {
		t.Errorf("only %d connections", opened)
	}
	if limit := int64(floodRate) * mostPerConnection; most-before > limit {
		t.Errorf("memory grew by %d KiB, more than %d", most-before, limit)
	}
	harness.Eventually(t, patience, "the listener's descriptors as before", func() bool { return descriptors(s.PID()) <= files+4 })
	state := ""
	defer func() {
		if t.Failed() {
			t.Log("gates: ", state, ", idle: ", idle)
		}
	}()
	harness.Eventually(t, patience, "no connection in the gates", func() bool {
		// Worn ones are gone, the last perhaps among them.
		gates := titled(s, gate)
		state = fmt.Sprint(gates)
		for _, pid := range gates {
			n := descriptors(pid)
			if state += fmt.Sprint(" ", n); n > idle+4 {
				return false
			}
		}
		return len(gates) <= 1
	})
}

// TestFloodPenalty: with penalties the flooding address is refused, the other is not.
func TestFloodPenalty(t *testing.T) {
	s := start(t, "PerSourcePenalties yes")
	mark := s.Log.Len()
	wait := flood(s, "127.0.0.3")
	s.Log.Wait(t, mark, `drop connection #\d+ from \[127\.0\.0\.3\]:\d+ on .* penalty: connections without attempting authentication`)
	for range floodLogins {
		if _, err := loginFrom(t, s, "127.0.0.2"); err != nil {
			t.Fatal(err)
		}
	}
	wait()
	if _, err := loginFrom(t, s, "127.0.0.3"); err == nil {
		t.Error("the flooding address is let in")
	}
	if dropped := s.Log.Find(mark, `drop connection .* from \[127\.0\.0\.2\]`); len(dropped) > 0 {
		t.Errorf("%q", dropped[0])
	}
}
