package auth

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// with returns Everything, changed by f.
func with(f func(p *Permissions)) *Permissions {
	p := Everything()
	f(p)
	return p
}

func TestParseOptions(t *testing.T) {
	nothing := func(p *Permissions) {
		p.Restricted = true
		p.PortForwarding, p.AgentForwarding, p.X11Forwarding, p.PTY, p.UserRC = false, false, false, false, false
	}
	for text, want := range map[string]*Permissions{
		"":                    Everything(),
		",":                   nil,
		"pty,,no-pty":         with(func(p *Permissions) { p.PTY = false }),
		"restrict":            with(nothing),
		"RESTRICT":            with(nothing),
		"pty,restrict":        with(nothing),
		"restrict,pty":        with(func(p *Permissions) { nothing(p); p.PTY = true }),
		"no-pty":              with(func(p *Permissions) { p.PTY = false }),
		"No-X11-Forwarding":   with(func(p *Permissions) { p.X11Forwarding = false }),
		"no-agent-forwarding": with(func(p *Permissions) { p.AgentForwarding = false }),
		"no-port-forwarding":  with(func(p *Permissions) { p.PortForwarding = false }),
		"no-user-rc":          with(func(p *Permissions) { p.UserRC = false }),
		"restrict,port-forwarding,agent-forwarding,x11-forwarding,user-rc": with(func(p *Permissions) { p.Restricted, p.PTY = true, false }),
		"no-touch-required,verify-required":                                with(func(p *Permissions) { p.NoTouchRequired, p.VerifyRequired = true, true }),
		"no-touch-required,touch-required":                                 Everything(),
		"verify-required,no-verify-required":                               Everything(),
		`cert-authority,principals="a,b"`:                                  with(func(p *Permissions) { p.CertAuthority, p.HasPrincipals, p.Principals = true, true, "a,b" }),
		`command="echo \"a, b\" # \\x"`:                                    with(func(p *Permissions) { p.HasForceCommand, p.ForceCommand = true, `echo "a, b" # \\x` }),
		`command=""`:                                                       with(func(p *Permissions) { p.HasForceCommand = true }),
		`from="!192.0.2.1,192.0.2.0/24",no-pty`:                            with(func(p *Permissions) { p.HasFrom, p.From, p.PTY = true, "!192.0.2.1,192.0.2.0/24", false }),
		`environment="A=1",environment="B=x=y",environment="A=2"`:          with(func(p *Permissions) { p.Environment = []string{"A=1", "B=x=y"} }),
		`environment="LONG=1",environment="LON=2"`:                         with(func(p *Permissions) { p.Environment = []string{"LONG=1", "LON=2"} }),
		`permitopen="192.0.2.1:80",permitopen="[::1]:*"`:                   with(func(p *Permissions) { p.PermitOpen = []Permit{{"192.0.2.1", 80}, {"::1", 0}} }),
		`permitlisten="8080",permitlisten="localhost:1",permitlisten="*"`:  with(func(p *Permissions) { p.PermitListen = []Permit{{"*", 8080}, {"localhost", 1}, {"*", 0}} }),
		`tunnel="0"`:   with(func(p *Permissions) { p.Tunnel = 0 }),
		`tunnel="Any"`: with(func(p *Permissions) { p.Tunnel = TunnelAny }),
		`expiry-time="20300102Z",expiry-time="20290102030405UTC"`: with(func(p *Permissions) {
			p.ValidBefore = time.Date(2029, 1, 2, 3, 4, 5, 0, time.UTC)
		}),
	} {
		got, err := ParseOptions(text)
		if want == nil {
			if err == nil {
				t.Errorf("%s: %+v", text, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseOptionsErrors(t *testing.T) {
	for text, want := range map[string]string{
		"unknown":                           "unknown key option",
		"ptyx":                              "unknown key option",
		"no-restrict":                       "unknown key option",
		"no-cert-authority":                 "unknown key option",
		"no-no-pty":                         "unknown key option",
		`pty="yes"`:                         "unknown key option",
		`unknown="x"`:                       "unknown key option",
		"command":                           "unknown key option",
		`="x"`:                              "unknown key option",
		"pty,":                              "unexpected end-of-options",
		"command=x":                         "missing start quote",
		`command="x`:                        "missing end quote",
		`command="x\"`:                      "missing end quote",
		`command="x"y`:                      "unknown key option",
		"command=\"a\x00b\"":                "unknown key option",
		`command="x",command="x"`:           `multiple "command" clauses`,
		`from="x",from="x"`:                 `multiple "from" clauses`,
		`principals="x",principals=""`:      `multiple "principals" clauses`,
		`environment="A"`:                   "invalid environment string",
		`environment="=x"`:                  "invalid environment string",
		`environment="A B=x"`:               "invalid environment string",
		`expiry-time="tomorrow"`:            "invalid expires time",
		`expiry-time="2026"`:                "invalid expires time",
		`permitopen="80"`:                   "invalid permission port",
		`permitopen="host"`:                 "invalid permission port",
		`permitopen="host:"`:                "invalid permission port",
		`permitopen="host:0"`:               "invalid permission port",
		`permitopen="host:65536"`:           "invalid permission port",
		`permitopen="host:-1"`:              "invalid permission port",
		`permitopen="[::1"`:                 "invalid permission hostname",
		`permitopen="[::1]80"`:              "invalid permission hostname",
		`permitlisten="[::1]"`:              "invalid permission port",
		`permitlisten="x"`:                  "invalid permission port",
		`tunnel="-1"`:                       "invalid tun device",
		`tunnel="2147483647"`:               "invalid tun device",
		`tunnel=""`:                         "invalid tun device",
		manyOptions(`environment="E%d=x"`):  "too many environment strings",
		manyOptions(`permitopen="h:%d"`):    "too many permission directives",
		manyOptions(`permitlisten="%d"`):    "too many permission directives",
		`permitopen="` + longHost + `:80"`:  "invalid permission hostname",
		`permitopen="a b:80"`:               "invalid permission hostname",
		"restrict pty":                      "unknown key option",
		`from="a" pty`:                      "unknown key option",
		"no-pty\n":                          "unknown key option",
		`expiry-time="20260101",exiry="20"`: "unknown key option",
	} {
		if got, err := ParseOptions(text); err == nil || err.Error() != want {
			t.Errorf("%.100s: %+v %v, want %q", text, got, err, want)
		}
	}
}

var longHost = strings.Repeat("h", maxHostLen)

func manyOptions(format string) string {
	var all []string
	for i := range maxPermits + 1 {
		all = append(all, fmt.Sprintf(format, i+1))
	}
	return strings.Join(all, ",")
}

func TestParseTime(t *testing.T) {
	local := time.Local
	defer func() { time.Local = local }()
	time.Local = time.FixedZone("test", 2*60*60)
	for text, want := range map[string]time.Time{
		"20260102":          time.Date(2026, 1, 1, 22, 0, 0, 0, time.UTC),
		"20260102Z":         time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"202601020304z":     time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		"20260102030405":    time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		"20260102030405utc": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	} {
		if got, err := ParseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Z", "UTC", "2026010", "20261301", "20260230", "202601022500", "2026-1-2", "+2026010", "19690101Z", "20260102ZZ", "20260102 Z"} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestMerge(t *testing.T) {
	line := with(func(p *Permissions) {
		p.CertAuthority, p.HasPrincipals, p.Principals = true, true, "x"
		p.AgentForwarding, p.NoTouchRequired = false, true
		p.ValidBefore = time.Unix(2000, 0)
		p.PermitOpen = []Permit{{"a", 1}}
		p.HasFrom, p.From = true, "192.0.2.1"
	})
	certificate := CertificateDefaults()
	certificate.PTY, certificate.AgentForwarding, certificate.VerifyRequired = true, true, true
	certificate.HasForceCommand, certificate.ForceCommand = true, "true"
	certificate.SourceAddress = "192.0.2.0/24"
	certificate.ValidBefore = time.Unix(1000, 0)
	got, err := Merge(line, certificate)
	want := &Permissions{
		PTY: true, HasForceCommand: true, ForceCommand: "true", PermitOpen: []Permit{{"a", 1}}, Tunnel: TunnelUnset,
		ValidBefore: time.Unix(1000, 0), HasFrom: true, From: "192.0.2.1", SourceAddress: "192.0.2.0/24", VerifyRequired: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v\nwant %+v", got, err, want)
	}
	line.HasForceCommand, line.ForceCommand = true, "true"
	if got, err := Merge(line, certificate); err != nil || got.ForceCommand != "true" {
		t.Errorf("the same command twice: %v", err)
	}
	line.ForceCommand = "false"
	if _, err := Merge(line, certificate); !errors.Is(err, ErrForceCommands) {
		t.Errorf("different commands: %v", err)
	}
	certificate.HasForceCommand = false
	if got, err := Merge(line, certificate); err != nil || got.ForceCommand != "false" {
		t.Errorf("the line's command: %+v %v", got, err)
	}
	// The later end of a certificate must not extend that of the line.
	certificate.ValidBefore = time.Unix(3000, 0)
	if got, _ := Merge(line, certificate); !got.ValidBefore.Equal(time.Unix(2000, 0)) {
		t.Errorf("ends %v", got.ValidBefore)
	}
}

func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{"", "restrict,pty", `command="a\"b",from="!*,10.0.0.0/8"`, `permitopen="[::1]:*",permitlisten="80"`,
		`environment="A=b",tunnel="any",expiry-time="20300101Z"`, "no-", "=", `"`, `\"`, ",,,", `principals="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseOptions(text)
		if err != nil {
			return
		}
		for _, e := range p.Environment {
			if name, _, ok := strings.Cut(e, "="); !ok || name == "" || strings.ContainsAny(name, " \x00") {
				t.Errorf("%q gives %q", text, e)
			}
		}
		if slices.ContainsFunc(p.PermitOpen, func(p Permit) bool { return strings.ContainsAny(p.Host, " \x00") }) {
			t.Errorf("%q gives %v", text, p.PermitOpen)
		}
		// Restrictions must survive whatever stands behind them.
		if r, err := ParseOptions("no-pty," + text); err == nil && r.PTY && !strings.Contains(strings.ToLower(text), "pty") {
			t.Errorf("%q gives the terminal back", text)
		}
	})
}
