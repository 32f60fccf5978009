package source

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
)

// lines keeps what was logged, with its level.
type lines []string

func (l *lines) Write(level log.Level, _ int, text string) { *l = append(*l, level.String()+" "+text) }

// start is when the clock of the tests begins.
var start = time.Unix(1000000, 0)

// after is a time of that clock, in seconds.
func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// defaults are those of sshd_config.
func defaults() Config {
	return Config{
		MaxStartups: 100, PerSourceMaxStartups: config.NoLimit, NetBlockSize: config.NetBlockSize{IPv4: 32, IPv6: 128},
		Penalties: config.Penalties{
			Enabled: true, Crash: 90 * time.Second, AuthFail: 5 * time.Second, InvalidUser: 6 * time.Second, NoAuth: time.Second,
			GraceExceeded: 10 * time.Second, RefuseConnection: 11 * time.Second, Max: 10 * time.Minute, Min: 15 * time.Second,
			MaxSources4: 65536, MaxSources6: 65536, OverflowPermissive: true, Overflow6Permissive: true,
		},
	}
}

// site is a Table with its log.
type site struct {
	*Table
	t   *testing.T
	log *lines
}

func open(t *testing.T, c Config) *site {
	l := &lines{}
	return &site{Table: New(c, log.New(l, log.Verbose)), t: t, log: l}
}

// expect enters from an address, and leaves again.
func (s *site) expect(addr string, at float64, want Refusal) {
	s.t.Helper()
	p, got := s.Enter(netip.MustParseAddr(addr), after(at))
	if got != want {
		s.t.Errorf("%s after %vs: %q, want %q", addr, at, got, want)
	}
	s.Leave(p)
}

func (s *site) penalise(addr string, at float64, c Class) {
	s.Penalise(netip.MustParseAddr(addr), c, after(at))
}

func (s *site) logged(want ...string) {
	s.t.Helper()
	if !slices.Equal(*s.log, want) {
		s.t.Errorf("log:\n%q\nwant\n%q", *s.log, want)
	}
}

func TestClasses(t *testing.T) {
	for class, want := range map[Class]struct {
		cost   float64
		reason Refusal
	}{
		Crash: {90, "penalty: caused crash"}, AuthFail: {5, "penalty: failed authentication"},
		InvalidUser: {6, "penalty: attempted authentication by invalid user"}, NoAuth: {1, "penalty: connections without attempting authentication"},
		GraceExceeded: {10, "penalty: exceeded LoginGraceTime"}, RefuseConnection: {11, "penalty: connection prohibited by RefuseConnection"},
	} {
		c := defaults()
		c.Penalties.Min = 0
		s := open(t, c)
		s.penalise("192.0.2.1", 0, class)
		s.expect("192.0.2.1", want.cost, want.reason)
		s.expect("192.0.2.1", want.cost+0.001, Admitted)
		s.logged(fmt.Sprintf("INFO srclimit_penalise: ipv4: new 192.0.2.1/32 active penalty of %.3f seconds for %s", want.cost, want.reason))
		if !want.reason.Penalty() || PastMaxStartups.Penalty() || Admitted.Penalty() || !TooManySources.Penalty() {
			t.Error("Penalty")
		}
	}
	s := open(t, defaults())
	s.penalise("192.0.2.1", 0, NoClass)
	s.penalise("192.0.2.1", 0, Class(200))
	s.Penalise(netip.Addr{}, Crash, start)
	if n4, n6 := s.Penalised(start); n4+n6 != 0 || Class(200).Refusal() != Admitted || NoClass.Refusal() != Admitted {
		t.Error("a penalty for nothing")
	}
	s.logged()
}

// TestAccumulate: below `min` nothing happens, above it the source is refused until
// the penalty is over, and no penalty grows beyond `max`.
func TestAccumulate(t *testing.T) {
	c := defaults()
	c.Penalties.Max = 30 * time.Second
	s := open(t, c)
	const who, reason = "192.0.2.1", "penalty: failed authentication"
	for i := range 3 {
		s.penalise(who, float64(i), AuthFail) // 5, 9, 13 seconds left
		s.expect(who, float64(i), Admitted)
	}
	s.penalise(who, 2.5, AuthFail) // until 20
	s.expect(who, 2.5, reason)
	s.expect("192.0.2.2", 2.5, Admitted)
	s.expect(who, 20, reason) // active until it is over, though less than `min` is left
	for range 20 {
		s.penalise(who, 10, AuthFail)
	}
	s.penalise(who, 10, NoAuth) // the last class is the reason
	s.expect(who, 40, "penalty: connections without attempting authentication")
	s.expect(who, 40.001, Admitted)
	s.penalise(who, 41, AuthFail) // begins anew
	s.expect(who, 41, Admitted)
	s.logged("VERBOSE srclimit_penalise: ipv4: new 192.0.2.1/32 deferred penalty of 5.000 seconds for "+reason,
		"INFO srclimit_penalise: 192.0.2.1/32: activating ipv4 penalty of 17.500 seconds for "+reason,
		"VERBOSE srclimit_penalise: ipv4: new 192.0.2.1/32 deferred penalty of 5.000 seconds for "+reason)
}

func TestBlocks(t *testing.T) {
	c := defaults()
	c.NetBlockSize = config.NetBlockSize{IPv4: 24, IPv6: 64}
	s := open(t, c)
	s.penalise("::ffff:192.0.2.1", 0, Crash)
	s.penalise("2001:db8::1%eth0", 0, Crash)
	for addr, want := range map[string]Refusal{
		"192.0.2.200": Crash.Refusal(), "::ffff:192.0.2.200": Crash.Refusal(), "192.0.3.1": Admitted, "::192.0.2.1": Admitted,
		"2001:db8::ffff:0:0:1": Crash.Refusal(), "2001:db8::2%eth1": Crash.Refusal(), "2001:db8:0:1::1": Admitted,
	} {
		s.expect(addr, 1, want)
	}
	if n4, n6 := s.Penalised(start); n4 != 1 || n6 != 1 {
		t.Errorf("%d and %d", n4, n6)
	}
	s.logged("INFO srclimit_penalise: ipv4: new 192.0.2.1/24 active penalty of 90.000 seconds for penalty: caused crash",
		"INFO srclimit_penalise: ipv6: new 2001:db8::1/64 active penalty of 90.000 seconds for penalty: caused crash")
	c.NetBlockSize = config.NetBlockSize{}
	s = open(t, c)
	s.penalise("192.0.2.1", 0, Crash)
	s.expect("10.0.0.1", 0, Crash.Refusal())
	s.expect("::1", 0, Admitted)
}

func TestDisabledAndExempt(t *testing.T) {
	c := defaults()
	c.Exempt = "192.0.2.0/24,!192.0.2.9,2001:db8::/32"
	s := open(t, c)
	for _, a := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::5", "192.0.2.9", "198.51.100.1"} {
		s.penalise(a, 0, Crash)
	}
	for a, want := range map[string]Refusal{"192.0.2.1": Admitted, "2001:db8::5": Admitted, "192.0.2.9": Crash.Refusal(), "198.51.100.1": Crash.Refusal()} {
		s.expect(a, 1, want)
	}
	c.Exempt += ",198.51.100.1"
	s.Configure(c) // forgives
	s.expect("198.51.100.1", 1, Admitted)
	c.Exempt = ""
	s.Configure(c)
	s.expect("198.51.100.1", 1, Crash.Refusal())
	c.Penalties.Enabled = false
	s.Configure(c)
	s.expect("198.51.100.1", 1, Admitted)
	s.penalise("198.51.100.1", 1, Crash)
	if n, _ := s.Penalised(start); n != 0 {
		t.Errorf("%d penalties while there are none", n)
	}
}

func TestOverflow(t *testing.T) {
	c := defaults()
	c.Penalties.MaxSources4, c.Penalties.MaxSources6, c.Penalties.Overflow6Permissive = 2, 2, false
	c.Exempt = "2001:db8::e"
	s := open(t, c)
	for i, class := range []Class{Crash, GraceExceeded, Crash} {
		s.penalise(fmt.Sprintf("192.0.2.%d", i), float64(i), class)
		s.penalise(fmt.Sprintf("2001:db8::%d", i), float64(i), class)
	}
	// Permissive: the one that would have expired first makes room.
	s.expect("192.0.2.0", 3, Crash.Refusal())
	s.expect("192.0.2.2", 3, Crash.Refusal())
	s.expect("192.0.2.3", 3, Admitted)
	// deny-all: nobody comes in, but who is exempt.
	s.expect("2001:db8::9", 3, TooManySources)
	s.expect("2001:db8::e", 3, Admitted)
	s.expect("2001:db8::9", 11.5, Admitted)
	s.expect("2001:db8::2", 11.5, Admitted)
	if got, want := (*s.log)[len(*s.log)-1], "VERBOSE srclimit_penalise: ipv6 penalty table full, cannot penalise 2001:db8::2/128 for penalty: caused crash"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if n4, n6 := s.Penalised(after(11.5)); n4 != 2 || n6 != 1 {
		t.Errorf("%d and %d", n4, n6)
	}
}

func TestStartups(t *testing.T) {
	c := defaults()
	c.PerSourceMaxStartups, c.MaxStartups, c.NetBlockSize.IPv4 = 2, 5, 24
	s := open(t, c)
	enter := func(addr string, want Refusal) Place {
		t.Helper()
		p, got := s.Enter(netip.MustParseAddr(addr), start)
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
		return p
	}
	a, b := enter("192.0.2.1", Admitted), enter("::ffff:192.0.2.77", Admitted)
	s.Leave(enter("192.0.2.2", PastMaxStartups)) // gives nothing back
	enter("192.0.2.2", PastMaxStartups)
	s.Leave(a)
	a = enter("192.0.2.2", Admitted)
	// Blocks change while connections are under way: they stay counted.
	c.NetBlockSize.IPv4 = 32
	s.Configure(c)
	d, e := enter("192.0.2.2", Admitted), enter("192.0.2.77", Admitted)
	enter("192.0.2.2", PastMaxStartups)
	f := enter("192.0.2.3", Admitted)
	enter("192.0.2.4", PastMaxStartups) // in all
	if p, r := s.Enter(netip.Addr{}, start); p != (Place{}) || r != Admitted {
		t.Error("a pipe is counted")
	}
	c.PerSourceMaxStartups, c.MaxStartups = config.NoLimit, 0
	s.Configure(c)
	g := enter("192.0.2.2", Admitted)
	for _, p := range []Place{a, b, d, e, f, g, {}} {
		s.Leave(p)
	}
	if len(s.live) != 0 || len(s.blocks) != 0 || s.total != 0 {
		t.Errorf("left: %v %v %d", s.live, s.blocks, s.total)
	}
	c.PerSourceMaxStartups = 0
	s.Configure(c)
	enter("192.0.2.2", PastMaxStartups)
}

func TestReload(t *testing.T) {
	c := defaults()
	s := open(t, c)
	s.penalise("192.0.2.1", 0, GraceExceeded) // deferred
	s.penalise("192.0.2.2", 0, Crash)
	s.penalise("192.0.2.3", 10, Crash)
	s.penalise("192.0.2.3", 10, AuthFail)
	s.penalise("2001:db8::1", 0, Crash)
	c.NetBlockSize.IPv4 = 24
	s.Configure(c)
	s.expect("192.0.2.200", 100, AuthFail.Refusal()) // the longest stays, whatever came in between
	s.expect("192.0.2.200", 105.5, Admitted)
	s.expect("2001:db8::1", 80, Crash.Refusal())
	c.NetBlockSize.IPv4 = 25
	s.penalise("192.0.2.1", 110, Crash)
	s.Configure(c)
	s.expect("192.0.2.1", 110, Admitted)
	c.Penalties.MaxSources6 = 1
	s.penalise("2001:db8::2", 60, GraceExceeded)
	s.Configure(c)
	s.expect("2001:db8::1", 61, Crash.Refusal())
	if _, n6 := s.Penalised(after(61)); n6 != 1 {
		t.Errorf("%d penalties of at most one", n6)
	}
}

func TestConfigOf(t *testing.T) {
	of := func(text string) Config {
		f, err := config.Parse("sshd_config", text, config.SshdProfile())
		if err != nil {
			t.Fatal(err)
		}
		return ConfigOf(f)
	}
	got := of("MaxStartups 1:2:3\nPerSourceMaxStartups 4\nPerSourceNetBlockSize 5:6\nPerSourcePenalties crash:7\nPerSourcePenaltyExemptList 192.0.2.8\n")
	if got.MaxStartups != 3 || got.PerSourceMaxStartups != 4 || got.NetBlockSize != (config.NetBlockSize{IPv4: 5, IPv6: 6}) ||
		got.Penalties.Crash != 7*time.Second || got.Exempt != "192.0.2.8" {
		t.Errorf("%+v", got)
	}
	// Loopback is exempt as long as nobody said anything about penalties.
	for text, want := range map[string]string{
		"": loopback, "PerSourcePenalties yes": "", "PerSourcePenaltyExemptList none": "", "PerSourcePenalties crash:7": "",
		"MaxStartups 5": loopback, "PerSourcePenaltyExemptList ::1": "::1",
	} {
		if got := of(text).Exempt; got != want {
			t.Errorf("%q exempts %q, want %q", text, got, want)
		}
	}
}

// TestConcurrent: many callers, and nothing is left of them (run with -race).
func TestConcurrent(t *testing.T) {
	c := defaults()
	c.MaxStartups, c.Penalties.MaxSources4 = 0, 50
	table := New(c, nil)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 500 {
				addr, now := netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(100))}), after(float64(i))
				p, refusal := table.Enter(addr, now)
				if i%100 == 0 {
					c := c
					c.NetBlockSize.IPv4 = 24 + r.IntN(9)
					table.Configure(c)
				}
				table.Penalise(addr, Class(r.IntN(7)), now)
				if refusal == Admitted {
					table.Leave(p)
				}
			}
		})
	}
	all.Wait()
	if n, _ := table.Penalised(start); n > 50 || len(table.live)+len(table.blocks)+table.total != 0 {
		t.Errorf("%d penalties; %v %v", n, table.live, table.blocks)
	}
}
