package sftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
)

// pieces is a client whose requests come in pieces, as a channel yields them, and
// who keeps the replies.
type pieces struct {
	in  [][]byte
	out bytes.Buffer
}

func (p *pieces) Read([]byte) (int, error)    { panic("a channel is read by WriteTo") }
func (p *pieces) Write(b []byte) (int, error) { return p.out.Write(b) }

func (p *pieces) WriteTo(w io.Writer) (int64, error) {
	for _, b := range p.in {
		b = bytes.Clone(b)
		if _, err := w.Write(b); err != nil {
			return 0, err
		}
		for i := range b {
			b[i] = '!' // the channel uses its memory again
		}
	}
	return 0, nil
}

// cut cuts a stream into pieces of a size.
func cut(b []byte, size int) (out [][]byte) {
	for len(b) > 0 {
		n := min(size, len(b))
		out = append(out, b[:n])
		b = b[n:]
	}
	return out
}

// options are those of a test, in a directory.
func options(dir string) *Options {
	return &Options{StartDir: dir, Umask: -1, Account: &user.Account{Name: "alice", Home: dir, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}}
}

// serve runs a whole session and returns its replies.
func serve(t testing.TB, o *Options, in [][]byte) ([]reply, int) {
	t.Helper()
	p := &pieces{in: in}
	exit := Serve(context.Background(), p, o)
	return parse(t, p.out.Bytes()), exit
}

func parse(t testing.TB, out []byte) (all []reply) {
	t.Helper()
	for r := bytes.NewReader(out); r.Len() > 0; {
		x, err := readReply(r)
		if err != nil {
			t.Fatalf("after %d replies: %v", len(all), err)
		}
		all = append(all, x)
	}
	return all
}

// client talks to a server that runs in a goroutine, over pipes in memory.
type client struct {
	t      testing.TB
	stdin  *io.PipeWriter
	stdout *io.PipeReader
	cancel context.CancelFunc
	id     uint32
	exit   chan int
}

type pipes struct {
	io.Reader
	io.Writer
}

func dial(t testing.TB, o *Options) *client {
	t.Helper()
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{t: t, stdin: w1, stdout: r2, cancel: cancel, exit: make(chan int, 1)}
	go func() {
		c.exit <- Serve(ctx, pipes{r1, w2}, o)
		w2.Close()
	}()
	t.Cleanup(func() {
		cancel()
		w1.Close()
		r2.Close()
	})
	c.send(initFrame)
	if r := c.receive(); r.kind != fxpVersion || r.id != protocolVersion {
		t.Fatalf("%v", r)
	}
	return c
}

// guarded fails the test when f does not end.
func guarded(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(deadline):
		t.Fatalf("%s: not done after %v", what, deadline)
	}
}

func (c *client) send(b []byte) {
	c.t.Helper()
	guarded(c.t, "write", func() { _, _ = c.stdin.Write(b) })
}

func (c *client) receive() (r reply) {
	c.t.Helper()
	var err error
	guarded(c.t, "read", func() { r, err = readReply(c.stdout) })
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// do sends a request and returns its reply.
func (c *client) do(kind byte, fields ...[]byte) reply {
	c.t.Helper()
	c.id++
	c.send(frame(kind, append([][]byte{u32(c.id)}, fields...)...))
	r := c.receive()
	if r.id != c.id {
		c.t.Fatalf("reply to %d instead of %d: %v", r.id, c.id, r)
	}
	return r
}

func (c *client) extended(name string, fields ...[]byte) reply {
	c.t.Helper()
	return c.do(fxpExtended, append([][]byte{str(name)}, fields...)...)
}

// want sends a request that is answered by a status.
func (c *client) want(status int, kind byte, fields ...[]byte) {
	c.t.Helper()
	if r := c.do(kind, fields...); r.status() != status {
		c.t.Errorf("request %d %q: %v, expected status %d", kind, fields, r, status)
	}
}

// open returns a handle.
func (c *client) open(name string, flags uint32, attrs []byte) uint32 {
	c.t.Helper()
	r := c.do(fxpOpen, str(name), u32(flags), attrs)
	if r.kind != fxpHandle || len(r.body) != 8 {
		c.t.Fatalf("open %q: %v", name, r)
	}
	return binary.BigEndian.Uint32(r.body[4:])
}

// read returns the data of a READ, or the status.
func (c *client) read(h uint32, offset uint64, n uint32) (string, int) {
	c.t.Helper()
	r := c.do(fxpRead, hnd(h), u64(offset), u32(n))
	if r.kind != fxpData {
		return "", r.status()
	}
	return string(r.body[4:]), statusOK
}

// close ends the session and returns the exit status.
func (c *client) close() (exit int) {
	c.t.Helper()
	c.stdin.Close()
	guarded(c.t, "end", func() { exit = <-c.exit })
	return exit
}

// lines is a Logger that keeps its lines.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, level+log.Escape(fmt.Sprintf(format, args...)))
}

func (l *lines) Errorf(format string, args ...any)        { l.add("error: ", format, args...) }
func (l *lines) Infof(format string, args ...any)         { l.add("info: ", format, args...) }
func (l *lines) Verbosef(format string, args ...any)      { l.add("verbose: ", format, args...) }
func (l *lines) Debugf(_ int, format string, args ...any) { l.add("debug: ", format, args...) }
