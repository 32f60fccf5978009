package interop

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

// down and up move n bytes each way and compare their digests.
func down(t *testing.T, c *client, n int64, options ...string) {
	t.Helper()
	cmd := c.cmd(options, fmt.Sprintf("%s produce %d", helper(t), n))
	h := sha256.New()
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = h, &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("download: %v: %s", err, stderr.String())
	}
	if got, want := fmt.Sprintf("%x", h.Sum(nil)), digest(stream(n)); got != want {
		t.Errorf("download of %d bytes: digest %s, expected %s", n, got, want)
	}
	t.Logf("down %d MiB in %v", n>>20, time.Since(start).Round(time.Millisecond))
}

func up(t *testing.T, c *client, n int64, options ...string) {
	t.Helper()
	start := time.Now()
	r := finish(t, c.cmd(options, helper(t)+" digest"), stream(n))
	if want := fmt.Sprintf("%s %d\n", digest(stream(n)), n); r.Stdout != want || r.Code != 0 {
		t.Errorf("upload of %d bytes: exit %d, digest %q, expected %q; %s", n, r.Code, r.Stdout, want, r.Stderr)
	}
	t.Logf("up %d MiB in %v", n>>20, time.Since(start).Round(time.Millisecond))
}

// both sends n bytes through cat and back: traffic both ways at once.
func both(t *testing.T, c *client, n int64, options ...string) string {
	t.Helper()
	cmd := c.cmd(options, "cat")
	h := sha256.New()
	var stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stream(n), h, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("through cat: %v: %s", err, stderr.String())
	}
	if got, want := fmt.Sprintf("%x", h.Sum(nil)), digest(stream(n)); got != want {
		t.Errorf("through cat and back, %d bytes: digest %s, expected %s", n, got, want)
	}
	return stderr.String()
}

// TestBulk moves 1 GiB both ways with the two ciphers that matter most, less with
// the others.
func TestBulk(t *testing.T) {
	t.Parallel()
	size := int64(1 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: offerAll()})
		c := openssh(t, s)
		for _, cipher := range allCiphers {
			n := size
			if m == harness.AsUser || cipher != "chacha20-poly1305@openssh.com" && cipher != "aes128-gcm@openssh.com" {
				n = size >> 4
			}
			t.Run(cipher, func(t *testing.T) {
				down(t, c, n, "-c", cipher)
				up(t, c, n, "-c", cipher)
			})
		}
		if m == harness.AsUser && !harness.HasRoot() { // the whole amount once in every case
			down(t, c, size)
			up(t, c, size)
		}
	})
}

// TestRekey rekeys each MiB under traffic both ways: on the client's initiative,
// on the server's, and on both.
func TestRekey(t *testing.T) {
	t.Parallel()
	const size = 48 << 20
	for _, by := range []string{"client", "server", "both"} {
		for _, cipher := range []string{"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes128-ctr"} {
			t.Run(by+" "+cipher, func(t *testing.T) {
				t.Parallel()
				config, options := offerAll(), []string{"-v", "-o", "LogLevel=DEBUG1", "-c", cipher}
				if by != "client" {
					config += "\nRekeyLimit 1M"
				}
				if by != "server" {
					options = append(options, "-o", "RekeyLimit=1M")
				}
				s := harness.Start(t, harness.Options{Config: config})
				stderr := both(t, openssh(t, s), size, options...)
				if n := strings.Count(stderr, "SSH2_MSG_NEWKEYS sent"); n < size>>20/2 {
					t.Errorf("%d key exchanges for %d MiB both ways", n, size>>20)
				}
			})
		}
	}
}

// TestSmallRekeyLimit: a limit that authentication alone exceeds waits until the
// connection is in the hands of the user's process.
func TestSmallRekeyLimit(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "RekeyLimit 16"})
		both(t, openssh(t, s), 64<<10, "-o", "LogLevel=DEBUG1")
	})
}

// TestRekeyByTime lets the server rekey an idle connection.
func TestRekeyByTime(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "RekeyLimit default 1"})
	c := openssh(t, s)
	r, w := io.Pipe()
	defer w.Close()
	cmd := c.cmd([]string{"-v", "-o", "LogLevel=DEBUG1"}, "cat")
	cmd.Stdin = r
	seen := make(chan struct{})
	cmd.Stderr = &watcher{what: "SSH2_MSG_NEWKEYS sent", times: 3, seen: seen}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(200 * time.Millisecond) // sshd looks at the clock when there is traffic
	defer tick.Stop()
	for end := time.After(20 * time.Second); ; {
		select {
		case <-seen:
			_ = w.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			return
		case <-tick.C:
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		case <-end:
			_ = cmd.Process.Kill()
			t.Fatal("no second rekeying after 20 s")
		}
	}
}

// watcher is a writer that closes seen when a text has come a number of times.
type watcher struct {
	what  string
	times int
	seen  chan struct{}
	text  strings.Builder
	done  bool
}

func (w *watcher) Write(p []byte) (int, error) {
	w.text.Write(p)
	if !w.done && strings.Count(w.text.String(), w.what) >= w.times {
		w.done = true
		close(w.seen)
	}
	return len(p), nil
}

// TestCompression moves what shrinks and what does not.
func TestCompression(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "RekeyLimit 8M"})
	c := openssh(t, s, "-C")
	down(t, c, 16<<20)
	up(t, c, 16<<20)
	both(t, c, 16<<20)
	if r := finish(t, c.cmd(nil, "cat | cat"), io.LimitReader(zeros{}, 32<<20)); len(r.Stdout) != 32<<20 {
		t.Errorf("%d bytes of zeros came back", len(r.Stdout))
	}
}

// TestInteractiveBesideBulk sends keystrokes beside a download on one connection:
// they must not queue behind it.
func TestInteractiveBesideBulk(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: offerAll()})
	config := gossh(t, s)
	config.Ciphers = []string{"aes128-gcm@openssh.com"}
	c := godial(t, s, config)
	bulk, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	flood, err := bulk.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bulk.Start("cat /dev/zero"); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, flood) }()
	keys, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, err1 := keys.StdinPipe()
	out, err2 := keys.StdoutPipe()
	if err1 != nil || err2 != nil || keys.Start("cat") != nil {
		t.Fatal("cat does not start")
	}
	start := time.Now()
	withLimit(t, 30*time.Second, "50 keystrokes beside a download", func() {
		echo := make([]byte, 1)
		for i := range 50 {
			if _, err := in.Write([]byte{byte('a' + i%26)}); err != nil {
				t.Error(err)
				return
			}
			if _, err := io.ReadFull(out, echo); err != nil || echo[0] != byte('a'+i%26) {
				t.Errorf("keystroke %d: %q %v", i, echo, err)
				return
			}
		}
	})
	t.Logf("%v for each keystroke", time.Since(start)/50)
	_ = bulk.Close()
}
