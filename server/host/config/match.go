package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nano_ssh_server/server/proto/algo"
)

// MatchInfo is what the Match criteria look at. Before the user is known
// (listener, gate) only the addresses are set.
type MatchInfo struct {
	User        string          // as the client named it
	Groups      func() []string // names of the user's groups; nil: no such user
	InvalidUser bool            // no such account
	Host        string          // resolved name of the peer, or its address
	Addr        string          // peer address; "UNKNOWN" if there is none
	LocalAddr   string
	LocalPort   int
	RDomain     string
	Version     string // of this server, for example "nano_ssh_server_1.0"
	// LocalUser, SessionType and Command serve criteria of ssh_config(5) that
	// sshd lacks: the account the server runs as, and for a session that
	// asks for its program shell, exec or subsystem, and the command line or
	// the subsystem's name that it asks for.
	LocalUser   string
	SessionType string
	Command     string

	given uint // in a test: the fields that the specification names
}

// Fields that a -C specification may leave out; their criteria then do not match.
const (
	givenUser uint = 1 << iota
	givenHost
	givenAddr
	givenLocalAddr
	givenLocalPort
	givenRDomain
	givenTest // made by NewTestInfo
)

// has reports whether the value of a field is known.
func (m *MatchInfo) has(field uint) bool {
	return m.given&givenTest == 0 || m.given&field != 0
}

// NewTestInfo returns the connection of -T: nothing is known of it, and nothing
// but `all` matches, until AddSpec says more.
func NewTestInfo() *MatchInfo { return &MatchInfo{given: givenTest} }

// AddSpec adds one -C specification: user=, host=, addr=, laddr=, lport=,
// rdomain= and invalid-user, separated by commas, in any order. The error is
// sshd's line; sshd exits with status 1 then.
func (m *MatchInfo) AddSpec(spec string) error {
	m.given |= givenTest
	for _, part := range strings.Split(spec, ",") {
		name, value, found := strings.Cut(part, "=")
		switch {
		case part == "":
		case part == "invalid-user":
			m.InvalidUser = true
		case !found:
			return &detail{"Invalid test mode specification " + part}
		case name == "user":
			m.User, m.given = value, m.given|givenUser
		case name == "host":
			m.Host, m.given = value, m.given|givenHost
		case name == "addr":
			m.Addr, m.given = value, m.given|givenAddr
		case name == "laddr":
			m.LocalAddr, m.given = value, m.given|givenLocalAddr
		case name == "rdomain":
			m.RDomain, m.given = value, m.given|givenRDomain
		case name == "lport":
			port, ok := parsePort(value)
			if !ok {
				return &detail{fmt.Sprintf("Invalid port '%s' in test mode specification %s", value, part)}
			}
			m.LocalPort, m.given = port, m.given|givenLocalPort
		default:
			return &detail{"Invalid test mode specification " + part}
		}
	}
	return nil
}

// ParseConnectionSpec returns a test connection with one -C specification.
func ParseConnectionSpec(spec string) (*MatchInfo, error) {
	m := NewTestInfo()
	if err := m.AddSpec(spec); err != nil {
		return nil, err
	}
	return m, nil
}

// condition is a Match line.
type condition struct {
	outer    *condition // the Match that an included file stands below
	criteria []criterion
}

// criterion is one pair of a Match line.
type criterion struct {
	kind    *matchKind
	pattern string
}

// matchKind is one row of the table of criteria.
type matchKind struct {
	name     string // in lower case
	noValue  bool
	session  bool                       // it looks at what a session is for
	check    func(pattern string) error // at load; nil: any pattern will do
	evaluate func(m *MatchInfo, pattern string) bool
}

var matchKinds = []matchKind{
	{name: "all", noValue: true, evaluate: func(*MatchInfo, string) bool { return true }},
	{name: "invalid-user", noValue: true, evaluate: func(m *MatchInfo, _ string) bool { return m.InvalidUser }},
	{name: "user", evaluate: func(m *MatchInfo, p string) bool {
		return m.has(givenUser) && matchList(m.User, p)
	}},
	{name: "group", evaluate: matchGroup},
	{name: "host", evaluate: func(m *MatchInfo, p string) bool {
		return m.has(givenHost) && MatchHost(m.Host, p) == 1
	}},
	{name: "address", check: checkAddress("address"), evaluate: func(m *MatchInfo, p string) bool {
		return m.has(givenAddr) && MatchAddress(m.Addr, p) == 1
	}},
	{name: "localaddress", check: checkAddress("localaddress"), evaluate: func(m *MatchInfo, p string) bool {
		return m.has(givenLocalAddr) && MatchAddress(m.LocalAddr, p) == 1
	}},
	{name: "localport", check: checkLocalPort, evaluate: func(m *MatchInfo, p string) bool {
		port, _ := localPort(p)
		return m.has(givenLocalPort) && m.LocalPort == port
	}},
	{name: "rdomain", evaluate: func(m *MatchInfo, p string) bool {
		return m.has(givenRDomain) && matchList(m.RDomain, p)
	}},
	{name: "version", evaluate: func(m *MatchInfo, p string) bool { return matchList(m.Version, p) }},
	{name: "localuser", evaluate: func(m *MatchInfo, p string) bool { return matchList(m.LocalUser, p) }},
	{name: "sessiontype", session: true, check: checkSessionType, evaluate: func(m *MatchInfo, p string) bool {
		return m.SessionType != "" && matchList(m.SessionType, p)
	}},
	{name: "command", session: true, check: checkCommand, evaluate: func(m *MatchInfo, p string) bool {
		return m.SessionType != "" && matchList(m.Command, p)
	}},
}

// MatchPattern reports whether a name matches one pattern of sshd_config(5), of * and ?.
func MatchPattern(s, pattern string) bool { return algo.MatchPattern(s, pattern) }

func matchList(s, patterns string) bool { return algo.MatchPatternList(s, patterns) == 1 }

func matchGroup(m *MatchInfo, patterns string) bool {
	if m.Groups == nil {
		return false
	}
	matched := false
	for _, group := range m.Groups() {
		switch algo.MatchPatternList(group, patterns) {
		case -1:
			return false // a negated pattern of any group decides
		case 1:
			matched = true
		}
	}
	return matched
}

func checkAddress(name string) func(string) error {
	return func(patterns string) error {
		if MatchAddress("", patterns) == AddressInvalid {
			return &detail{fmt.Sprintf("Invalid Match %s argument '%s'", name, patterns)}
		}
		return nil
	}
}

func localPort(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}

func checkLocalPort(s string) error {
	if _, ok := localPort(s); !ok {
		return &detail{fmt.Sprintf("Invalid LocalPort '%s' on Match line", s)}
	}
	return nil
}

// sessionTypes are what a session may be for; `none` is ssh -N, which opens no session.
var sessionTypes = []string{"shell", "exec", "subsystem", "none"}

// checkSessionType refuses a name that no session has: the block would be passed over
// in silence.
func checkSessionType(patterns string) error {
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern = strings.TrimPrefix(pattern, "!")
		if !slices.ContainsFunc(sessionTypes, func(s string) bool { return MatchPattern(s, pattern) }) {
			return &detail{fmt.Sprintf("Invalid Match sessiontype argument '%s'", patterns)}
		}
	}
	return nil
}

// checkCommand refuses a pattern that is too long to match anything.
func checkCommand(patterns string) error {
	for pattern := range strings.SplitSeq(patterns, ",") {
		if len(pattern) >= algo.MaxPattern {
			return &detail{"Too long Match command argument"}
		}
	}
	return nil
}

// match reads a Match line; it rules the lines up to the next one.
func (ld *loader) match(l *line) {
	if l.file == commandLineName {
		ld.problem(&detail{"Match directive not supported as a command-line option"})
		return
	}
	cond, err := parseCondition(l.rest())
	if err != nil {
		ld.problem(l.problem(err.Error() + "\n" + l.errorf("Bad Match condition").Error()))
		// What follows is still checked, as lines of a block.
		cond = &condition{}
	}
	// The Match that rules at the start of this file stays around it.
	cond.outer = ld.outer
	ld.when = cond
	ld.global = ld.outerGlobal && len(cond.criteria) == 1 && cond.criteria[0].kind.name == "all"
}

// parseCondition reads the criteria of a Match line. Criterion and pattern are
// two words, or one with '=' between them.
func parseCondition(words []string) (*condition, error) {
	c := &condition{}
	for len(words) > 0 {
		name, pattern, joined := strings.Cut(words[0], "=")
		words = words[1:]
		if joined && pattern != "" {
			words = append([]string{pattern}, words...)
		} else if !joined && len(words) > 0 && strings.HasPrefix(words[0], "=") {
			if words[0] == "=" {
				words = words[1:]
			} else {
				words = append([]string{words[0][1:]}, words[1:]...)
			}
		}
		kind := findKind(name)
		if kind != nil && kind.noValue {
			if kind.name == "all" && (len(c.criteria) > 0 || len(words) > 0) {
				return nil, &detail{"'all' cannot be combined with other Match attributes"}
			}
			c.criteria = append(c.criteria, criterion{kind, ""})
			continue
		}
		if len(words) == 0 || words[0] == "" {
			return nil, &detail{"Missing Match criteria for " + name}
		}
		if kind == nil {
			return nil, &detail{"Unsupported Match attribute " + name}
		}
		if kind.check != nil {
			if err := kind.check(words[0]); err != nil {
				return nil, err
			}
		}
		c.criteria = append(c.criteria, criterion{kind, words[0]})
		words = words[1:]
	}
	if len(c.criteria) == 0 {
		return nil, &detail{"One or more attributes required for Match"}
	}
	return c, nil
}

func findKind(name string) *matchKind {
	for i := range matchKinds {
		if strings.EqualFold(matchKinds[i].name, name) {
			return &matchKinds[i]
		}
	}
	return nil
}

// holds evaluates a condition and those around it.
func (c *condition) holds(m *MatchInfo) bool {
	if c.outer != nil && !c.outer.holds(m) {
		return false
	}
	for _, cr := range c.criteria {
		if !cr.kind.evaluate(m, cr.pattern) {
			return false
		}
	}
	return true
}

// Resolve returns the configuration of one connection: the values of the Match
// blocks that hold replace the global ones; of several values for one keyword
// the first counts, lists grow.
func (f *File) Resolve(m *MatchInfo) (*Config, error) {
	c, _, err := f.resolve(m)
	return c, err
}

// ResolveOrigins is Resolve, and says with it where the value of a keyword was given, or
// began to be, as FILE:LINE; "" for a default.
func (f *File) ResolveOrigins(m *MatchInfo) (c *Config, origin func(keyword string) string, err error) {
	c, places, err := f.resolve(m)
	return c, func(keyword string) string {
		if row := lookup(strings.ToLower(keyword)); row != nil && places[row.key] != "" {
			return places[row.key]
		}
		return f.Origin(keyword)
	}, err
}

func (f *File) resolve(m *MatchInfo) (*Config, map[*keyword]string, error) {
	c := f.base
	places, err := c.apply(f.entries, m)
	if err != nil {
		return nil, nil, err
	}
	return &c, places, nil
}

// apply stores the values of the entries whose Match holds, and returns where each
// keyword got its first one.
func (c *Config) apply(entries []entry, m *MatchInfo) (places map[*keyword]string, err error) {
	global := c.Subsystem
	places = map[*keyword]string{}
	var last *condition
	holds := false
	for i := range entries {
		e := &entries[i]
		if e.when != last {
			last, holds = e.when, e.when.holds(m)
		}
		set := places[e.key] != ""
		if !holds || set && !e.key.list {
			continue
		}
		if !set {
			if e.key.clear != nil {
				e.key.clear(c)
			}
			places[e.key] = fmt.Sprintf("%s:%d", e.line.file, e.line.number)
		}
		l := e.line
		if err := e.key.set(&l, c); err != nil {
			return nil, err
		}
	}
	c.Subsystem = mergeSubsystems(c.Subsystem, global)
	return places, nil
}

// mergeSubsystems adds to a Match block's subsystems the global ones of other names.
func mergeSubsystems(own, global []Subsystem) []Subsystem {
	merged := slices.Clip(own)
	for _, g := range global {
		if !slices.ContainsFunc(own, func(s Subsystem) bool { return s.Name == g.Name }) {
			merged = append(merged, g)
		}
	}
	return merged
}
