package privsep

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/tests/harness"
)

const (
	killRounds     = 100
	roundsAServer  = 10 // the last of them kills the listener
	loadPerUser    = 2
	roundsIfShort  = 10
	killSeed       = "NANO_KILL_SEED" // to repeat a run
	mostOperations = 4                // that pass before the next kill
)

// TestKillRounds kills gates, account processes and listeners at random moments while
// two users log in, run commands and move data: nobody but those in the process that
// died notices.
func TestKillRounds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv(killSeed), 10, 64); err == nil {
		seed = given
	}
	t.Logf("%s=%d", killSeed, seed)
	r := rand.New(rand.NewPCG(seed, 1))
	rounds := killRounds
	if testing.Short() {
		rounds = roundsIfShort
	}
	well := int64(0)
	for range rounds / roundsAServer {
		well += killAround(t, r)
		if t.Failed() {
			return
		}
	}
	if t.Logf("%d clients of the load were not disturbed", well); well == 0 {
		t.Error("the load got nowhere")
	}
}

// killAround kills processes of one server and in the end its listener. It returns how
// many clients of the load did not notice.
func killAround(t *testing.T, r *rand.Rand) (well int64) {
	t.Helper()
	s := start(t, "MaxSessions 100")
	l := startLoad(t, s)
	defer l.stop()
	talks := map[string]*talk{}
	for _, name := range []string{alice, bob} {
		talks[name] = newTalk(t, s, name)
	}
	for round := range roundsAServer - 1 {
		l.pass(t, r.IntN(mostOperations))
		victim := []string{gate, account(alice), account(bob)}[r.IntN(3)]
		pids := titled(s, victim)
		if len(pids) == 0 {
			continue // it was just between two processes
		}
		kill(t, pids[r.IntN(len(pids))])
		for _, name := range []string{alice, bob} {
			if victim == account(name) {
				_ = talks[name].client.Close()
				talks[name] = newTalk(t, s, name)
				continue
			}
			talks[name].say(t, fmt.Sprint("round ", round))
		}
		harness.Eventually(t, patience, "a login", func() bool {
			c, err := dial(s, t, bob)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
	}
	l.stop()
	gates := titled(s, gate)
	kill(t, s.PID())
	for _, name := range []string{alice, bob} {
		talks[name].say(t, "the listener is dead")
		_ = talks[name].client.Close()
	}
	harness.Eventually(t, patience, "the end of the gates", func() bool {
		for _, pid := range gates {
			if harness.Running(pid) {
				return false
			}
		}
		return true
	})
	s.Stop() // it finds processes and sockets that are left
	return l.well.Load()
}

// talk is a session that is open all the time.
type talk struct {
	client *ssh.Client
	in     io.Writer
	out    *bufio.Reader
}

func newTalk(t *testing.T, s *harness.Server, name string) *talk {
	t.Helper()
	var k *talk
	harness.Eventually(t, patience, "a session of "+name, func() bool {
		c, err := dial(s, t, name)
		if err != nil {
			return false
		}
		x, err := c.NewSession()
		if err != nil {
			_ = c.Close()
			return false
		}
		in, _ := x.StdinPipe()
		out, _ := x.StdoutPipe()
		if err := x.Start("cat"); err != nil {
			_ = c.Close()
			return false
		}
		k = &talk{c, in, bufio.NewReader(out)}
		return true
	})
	t.Cleanup(func() { _ = k.client.Close() })
	return k
}

// say sends a line and waits for it to come back.
func (k *talk) say(t *testing.T, line string) {
	t.Helper()
	timer := time.AfterFunc(patience, func() { _ = k.client.Close() })
	defer timer.Stop()
	_, err := io.WriteString(k.in, line+"\n")
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if got, err := k.out.ReadString('\n'); err != nil || got != line+"\n" {
		t.Fatalf("%q came back as %q, %v", line, got, err)
	}
}

// load is clients that come, do something and go.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	count  atomic.Int64 // what was begun and has ended, well or not
	well   atomic.Int64
}

func startLoad(t *testing.T, s *harness.Server) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	harness.UserKey(t, "ed25519", "") // made here, not by many at once
	for _, name := range []string{alice, bob} {
		for range loadPerUser {
			l.done.Go(func() {
				for ctx.Err() == nil {
					if l.once(ctx, s, t, name) == nil {
						l.well.Add(1)
					}
					l.count.Add(1)
				}
			})
		}
	}
	return l
}

// once logs in, moves data through a command, and leaves. Its process may die under it.
func (l *load) once(ctx context.Context, s *harness.Server, t *testing.T, name string) error {
	c, err := dial(s, t, name)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	for range 3 {
		x, err := c.NewSession()
		if err != nil {
			return err
		}
		out, err := x.Output("head -c 200000 /dev/zero")
		if err == nil && len(out) != 200000 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pass waits until so many of the clients are done.
func (l *load) pass(t *testing.T, n int) {
	t.Helper()
	from := l.count.Load()
	harness.Eventually(t, patience, "the load", func() bool { return l.count.Load() >= from+int64(n) })
}

func (l *load) stop() {
	l.cancel()
	l.done.Wait()
}
