package threats

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// TestThreat33 looks for data that is lost at the end of a session, and at the
// order in which it ends: data, EOF and exit-status, CLOSE.
func TestThreat33(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxSessions 100"})
	c := loggedIn(t, s)
	check := func(what string, r *raw.Result, err error, stdout, stderr string, status uint32) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if string(r.Stdout) != stdout || string(r.Stderr) != stderr {
			t.Errorf("%s: %d bytes of output and %d of error output, expected %d and %d", what,
				len(r.Stdout), len(r.Stderr), len(stdout), len(stderr))
		}
		if !r.HasStatus || r.Status != status {
			t.Errorf("%s: exit status %d (there: %v), expected %d", what, r.Status, r.HasStatus, status)
		}
		eof := slices.Index(r.Order, raw.ChannelEOF)
		for i, n := range r.Order {
			if eof >= 0 && i > eof && (n == raw.ChannelData || n == raw.ChannelExtended) {
				t.Errorf("%s: data after EOF: %v", what, r.Order)
			}
		}
		if eof < 0 || r.Order[len(r.Order)-1] != raw.ChannelClose {
			t.Errorf("%s: no EOF or no CLOSE at the end: %v", what, r.Order)
		}
	}
	// Short commands that end at once, many times: the races are here.
	for i := range uint32(60) {
		r, err := c.Run(i, fmt.Sprintf("echo out; echo err >&2; exit %d", i))
		check("short", r, err, "out\n", "err\n", i)
	}
	// More output than fits into pipes and windows, taken slowly, through a small window.
	var want strings.Builder
	for i := 1; i <= 20000; i++ {
		fmt.Fprintln(&want, i)
	}
	ch, err := c.OpenSession(100, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Exec(ch, "seq 1 20000; echo e >&2; exit 9"); err != nil {
		t.Fatal(err)
	}
	r, err := c.Collect(ch)
	check("through a small window", r, err, want.String(), "e\n", 9)
	// The client's EOF comes before the output.
	ch, err = c.OpenSession(101, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Exec(ch, "cat; seq 1 20000; exit 8"); err != nil {
		t.Fatal(err)
	}
	send(c, ch.Data([]byte("in\n")), ch.EOF())
	r, err = c.Collect(ch)
	check("half closed", r, err, "in\n"+want.String(), "", 8)
	// A child writes after the command has ended.
	r, err = c.Run(102, "(sleep 0.2; seq 1 20000) & exit 7")
	check("late output", r, err, want.String(), "", 7)
	mustBeWell(t, s)
}

// TestThreat33Close sends CLOSE as soon as both directions are at their end, as
// PuTTY and dropbear do: the exit status still comes.
func TestThreat33Close(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxSessions 100"})
	c := loggedIn(t, s)
	for i := range uint32(30) {
		ch, err := c.OpenSession(i, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		command := "echo out; exit 5"
		if i%3 == 0 { // the time between the end of output and the end of the command, made long
			command = "echo out; exec >&- 2>&-; sleep 0.2; exit 5"
		}
		send(c, ch.Request("exec", true, command), ch.EOF())
		status, closing, gotEOF := -1, false, false
		for !closing {
			p, err := c.Expect(raw.ChannelSuccess, raw.ChannelData, raw.ChannelEOF, raw.ChannelRequest, raw.ChannelClose, raw.ChannelWindowAdjust)
			if err != nil {
				t.Fatal(err)
			}
			switch p[0] {
			case raw.ChannelEOF:
				gotEOF = true
				send(c, ch.Close())
			case raw.ChannelRequest:
				f := raw.NewFields(p[5:])
				if name, _ := f.Text(), f.Bool(); name == "exit-status" {
					status = int(f.Uint32())
				}
			case raw.ChannelClose:
				closing = true
				if !gotEOF {
					send(c, ch.Close())
				}
			}
		}
		if status != 5 {
			t.Errorf("session %d, %q: exit status %d, expected 5", i, command, status)
		}
	}
	mustBeWell(t, s)
}

// TestThreat34Requests resets connections while they are being served: what their
// requests still do then takes no other connection of the user's down.
func TestThreat34Requests(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Config: "LogLevel DEBUG3\nAcceptEnv *\nMaxStartups 100\nX11Forwarding yes\nXAuthLocation /bin/true"})
		bystander, ch := session(t, s)
		if err := bystander.Exec(ch, "cat"); err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			c, ch := session(t, s)
			pty := ch.Request("pty-req", true, "xterm", uint32(80), uint32(24), uint32(0), uint32(0), "")
			requests := [][]byte{pty, ch.Request("x11-req", true, false, "MIT-MAGIC-COOKIE-1", "00", uint32(0)),
				ch.Request("auth-agent-req@openssh.com", true), ch.Request("env", true, "A", "b"), ch.Request("exec", true, "exit 1"),
				raw.OpenRequest("session", 1, 1<<20, 1<<15), raw.Msg(raw.GlobalRequest, "tcpip-forward", true, "127.0.0.1", uint32(0))}
			send(c, requests[:1+i%len(requests)]...)
			_ = c.Reset()
		}
		send(bystander, ch.Data([]byte("still here")), ch.EOF())
		if r, err := bystander.Collect(ch); err != nil || string(r.Stdout) != "still here" {
			t.Errorf("another session: %v %+v", err, r)
		}
		mustBeWell(t, s)
		if line := s.Log.Find(0, ` is ended: `); line != nil {
			t.Errorf("in the log: %s", line)
		}
	})
}

// TestThreat34 makes the server panic, in a build that has places for it.
func TestThreat34(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m, Tag: "nanotest"})
		bystander, ch := session(t, s)
		if err := bystander.Exec(ch, "cat"); err != nil {
			t.Fatal(err)
		}
		panics := map[string]func() *raw.Conn{
			"channel request": func() *raw.Conn {
				c, ch := session(t, s)
				send(c, ch.Request("panic@nanotest", true))
				return c
			},
			"method": func() *raw.Conn {
				c := authenticating(t, s)
				send(c, raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "panic@nanotest"))
				return c
			},
		}
		for name, provoke := range panics {
			mark := s.Log.Len()
			mustEnd(t, provoke(), "a panic in a "+name)
			s.Log.Wait(t, mark, `panic`)
			s.Log.Wait(t, mark, `goroutine \d+`) // the stack
			s.Log.Wait(t, mark, `\.go:\d+`)
			if s.Exited() {
				t.Fatal("the server is gone")
			}
		}
		send(bystander, ch.Data([]byte("still here")), ch.EOF())
		if r, err := bystander.Collect(ch); err != nil || !bytes.Equal(r.Stdout, []byte("still here")) {
			t.Errorf("another session: %v %+v", err, r)
		}
		c := loggedIn(t, s)
		if r, err := c.Run(0, "echo new"); err != nil || string(r.Stdout) != "new\n" {
			t.Errorf("a new session: %v %+v", err, r)
		}
	})
	t.Run("ordinary build", func(t *testing.T) {
		s := harness.Start(t, harness.Options{})
		c, ch := session(t, s)
		send(c, ch.Request("panic@nanotest", true))
		if p, err := c.Expect(raw.ChannelFailure); err != nil {
			t.Errorf("%v %v", p, err)
		}
		c = authenticating(t, s)
		send(c, raw.Msg(raw.UserauthRequest, s.Account.Name, "ssh-connection", "panic@nanotest"))
		if r, err := c.AuthAnswer(); err != nil || r.Success {
			t.Errorf("%v %v", r, err)
		}
		mustBeWell(t, s)
	})
}
