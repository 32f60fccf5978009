package config

import (
	"strconv"
	"strings"
	"time"
)

// penaltyField is one duration of PerSourcePenalties.
type penaltyField struct {
	name  string
	field func(*Penalties) *time.Duration
}

var penaltyFields = []penaltyField{
	{"crash", func(p *Penalties) *time.Duration { return &p.Crash }},
	{"authfail", func(p *Penalties) *time.Duration { return &p.AuthFail }},
	{"invaliduser", func(p *Penalties) *time.Duration { return &p.InvalidUser }},
	{"noauth", func(p *Penalties) *time.Duration { return &p.NoAuth }},
	{"grace-exceeded", func(p *Penalties) *time.Duration { return &p.GraceExceeded }},
	{"refuseconnection", func(p *Penalties) *time.Duration { return &p.RefuseConnection }},
	{"max", func(p *Penalties) *time.Duration { return &p.Max }},
	{"min", func(p *Penalties) *time.Duration { return &p.Min }},
}

func penaltiesKeyword() keyword {
	return keyword{
		name: "PerSourcePenalties",
		set: func(l *line, c *Config) error {
			p := defaultPenalties()
			args := l.rest()
			l.unset = len(args) == 0
			for _, arg := range args {
				if (arg == "yes" || arg == "no") && len(args) > 1 {
					return l.errorf(`keyword %s "%s" argument must appear alone.`, l.keyword, arg)
				}
				if arg != "yes" && arg != "no" && !p.set(arg) {
					return l.errorf("unsupported %s keyword %s", l.keyword, arg)
				}
				p.Enabled = arg != "no"
			}
			if !p.overflow6Written {
				p.Overflow6Permissive = p.OverflowPermissive
			}
			p.overflow6Written = false
			c.PerSourcePenalties = p
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.PerSourcePenalties = defaultPenalties() },
		dump:   func(d *dumper, c *Config) { d.line(c.PerSourcePenalties.String()) },
	}
}

// set stores one NAME:VALUE.
func (p *Penalties) set(arg string) bool {
	name, value, _ := strings.Cut(arg, ":")
	for _, f := range penaltyFields {
		if f.name == name {
			t, ok := ParseTime(value)
			*f.field(p) = t
			return ok
		}
	}
	switch name {
	case "max-sources4", "max-sources6":
		n, wrong := parseInteger(value)
		if wrong != "" || n < 1 {
			return false
		}
		if name == "max-sources4" {
			p.MaxSources4 = n
		} else {
			p.MaxSources6 = n
		}
		return true
	case "overflow", "overflow6":
		permissive := value == "permissive"
		if name == "overflow" {
			p.OverflowPermissive = permissive
		} else {
			p.Overflow6Permissive, p.overflow6Written = permissive, true
		}
		return permissive || value == "deny-all"
	}
	return false
}

// String writes the penalties as -T does.
func (p Penalties) String() string {
	if !p.Enabled {
		return "no"
	}
	mode := func(permissive bool) string {
		if permissive {
			return "permissive"
		}
		return "deny-all"
	}
	var list []string
	for _, f := range penaltyFields {
		list = append(list, f.name+":"+seconds(*f.field(&p)))
	}
	list = append(list,
		"max-sources4:"+strconv.Itoa(p.MaxSources4), "max-sources6:"+strconv.Itoa(p.MaxSources6),
		"overflow:"+mode(p.OverflowPermissive), "overflow6:"+mode(p.Overflow6Permissive))
	return strings.Join(list, " ")
}

// defaultPenalties are OpenSSH 10's.
func defaultPenalties() Penalties {
	return Penalties{
		Enabled: true, Crash: 90 * time.Second, AuthFail: 5 * time.Second,
		InvalidUser: 5 * time.Second, NoAuth: time.Second,
		GraceExceeded: 10 * time.Second, RefuseConnection: 10 * time.Second,
		Max: 10 * time.Minute, Min: 15 * time.Second,
		MaxSources4: 65536, MaxSources6: 65536,
		OverflowPermissive: true, Overflow6Permissive: true,
	}
}
