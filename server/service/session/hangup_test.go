package session

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// marks returns the content of a file in the home, empty while there is none.
func marks(p *Policy) string {
	b, _ := os.ReadFile(filepath.Join(p.Account.Home, "marks"))
	return string(b)
}

// TestThreat32Hangup: when the client goes, its programs are told, as a group,
// with and without a terminal.
func TestThreat32Hangup(t *testing.T) {
	for _, withPTY := range []bool{false, true} {
		for name, c := range map[string]struct{ mode, command string }{
			"leader":  {"on", "exec $HELPER"},
			"group":   {"on", "$HELPER; exit 1"},
			"quiet":   {"quiet", "exec $HELPER"},
			"stopped": {"stop", "exec $HELPER"},
		} {
			t.Run(name+map[bool]string{true: " on a terminal"}[withPTY], func(t *testing.T) {
				p := helperPolicy(t, c.mode)
				cl := newClient(t, testServer(t, p))
				if withPTY {
					cl.pty()
				}
				cl.exec(c.command)
				cl.output("ready")
				if name == "stopped" {
					eventually(t, "the stop", func() bool {
						b, _ := os.ReadFile("/proc/" + strconv.Itoa(cl.pid()) + "/stat")
						return strings.Contains(string(b), ") T ")
					})
				}
				cl.hangup()
				eventually(t, "SIGHUP", func() bool { return strings.Contains(marks(p), "hangup") })
				cl.gone()
				p.logged().expect(t, "verbose: Close session: user "+p.Account.Name+" from 192.0.2.7 port 50000 id 0")
			})
		}
	}
}

// TestHangupIgnored: who ignores the signal goes on, and is reaped in the end.
func TestHangupIgnored(t *testing.T) {
	p := testPolicy(t)
	s := testServer(t, p)
	c := newClient(t, s)
	c.exec("trap '' HUP; echo ready; while [ ! -e stop ]; do sleep 0.02; done; echo survived >>marks")
	c.output("ready")
	c.hangup()
	if s.Active() != 1 {
		t.Error("the number is free while the program lives")
	}
	if err := os.WriteFile(filepath.Join(p.Account.Home, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.gone()
	if marks(p) != "survived\n" {
		t.Errorf("marks %q", marks(p))
	}
}

// TestServerClose ends what runs and admits nobody any more.
func TestServerClose(t *testing.T) {
	p := testPolicy(t)
	s := testServer(t, p)
	var all []*client
	for i := range 20 {
		c := newClient(t, s)
		if i%2 == 0 {
			c.pty()
		}
		c.exec("echo ready; sleep 100")
		all = append(all, c)
	}
	idle := newClient(t, s)
	for _, c := range all {
		c.output("ready")
	}
	s.Close()
	for _, c := range all {
		c.gone()
	}
	if s.admit() != nil {
		t.Error("a session after Close")
	}
	idle.hangup()
	if s.Active() != 0 {
		t.Errorf("%d sessions left", s.Active())
	}
}

// TestHangupAnyTime closes channels at every stage; nothing may be left over.
func TestHangupAnyTime(t *testing.T) {
	p := testPolicy(t)
	s := testServer(t, p)
	if err := os.MkdirAll(p.Account.Home+"/.ssh", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Account.Home+"/.ssh/rc", []byte("sleep 0.01\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		c := newClient(t, s)
		if i%3 == 0 {
			c.pty()
		}
		if i%5 != 4 {
			go c.request("exec", text("echo a; sleep 100"))
		}
		if i%2 == 0 {
			go c.write(strings.Repeat("x", i))
		}
		for range i * 100 {
			_ = strconv.Itoa(i)
		}
		c.hangup()
		c.gone()
	}
}

func TestSignals(t *testing.T) {
	p := helperPolicy(t, "on")
	c := newClient(t, testServer(t, p))
	if c.request("signal", text("TERM")) {
		t.Error("a signal before the start")
	}
	c.exec("exec $HELPER")
	c.output("ready")
	for _, bad := range []string{"", "WINCH", "STOP", "SIGTERM", "term", "9", "INFO@openssh.com", "TERM\x00"} {
		if c.request("signal", text(bad)) {
			t.Errorf("%q is accepted", bad)
		}
	}
	c.must("signal", text("USR1"))
	c.output("got user-defined-signal-1")
	c.must("signal", text("INT"))
	c.output("got interrupt")
	c.must("signal", text("TERM"))
	if got := c.wait(); !strings.Contains(got.events, "exit-status 3") {
		t.Errorf("%q", got)
	}
	c.gone()
	if c.request("signal", text("TERM")) {
		t.Error("a signal after the end")
	}
	for name := range signals {
		c := newClient(t, c.x.server)
		c.exec("ulimit -c 0; echo ready; exec sleep 100")
		c.output("ready")
		eventually(t, "sleep", func() bool {
			b, _ := os.ReadFile("/proc/" + strconv.Itoa(c.pid()) + "/comm")
			return string(b) == "sleep\n"
		})
		c.must("signal", text(name))
		if got := c.wait(); !strings.Contains(got.events, "exit-signal "+name) {
			t.Errorf("%s: %s", name, got.events)
		}
	}
}

// TestSignalsRefused: the user did not choose these programs.
func TestSignalsRefused(t *testing.T) {
	p := testPolicy(t)
	p.Subsystems = map[string]string{"wait": "echo ready; read x"}
	s := testServer(t, p)
	c := newClient(t, s)
	c.must("subsystem", text("wait"))
	c.output("ready")
	if c.request("signal", text("KILL")) {
		t.Error("a subsystem can be killed")
	}
	c.eof()
	c.wait()
	p.ForceCommand = "echo ready; read x"
	c = newClient(t, s)
	c.exec("true")
	c.output("ready")
	if c.request("signal", text("KILL")) {
		t.Error("a forced command can be killed")
	}
	c.eof()
	c.wait()
	p.logged().expect(t, "error: session_signal_req: refusing to send signal KILL to forced-command session")
	p.logged().expect(t, "error: session_signal_req: refusing to send signal KILL to subsystem session")
}
