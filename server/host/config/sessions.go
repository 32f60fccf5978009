package config

import (
	"fmt"
	"strconv"
	"strings"
)

// The keywords of what a user may do that have a form of their own.

func subsystemKeyword() keyword {
	return keyword{
		name: "Subsystem", where: inSession, list: true,
		set: func(l *line, c *Config) error {
			name := l.next()
			if name == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			command := l.rest()
			if len(command) == 0 || command[0] == "" {
				return l.errorf("Missing subsystem command.")
			}
			for _, s := range c.Subsystem {
				if s.Name == name {
					l.debug(fmt.Sprintf("Subsystem '%s' already defined.", name))
					return nil
				}
			}
			c.Subsystem = append(c.Subsystem, Subsystem{name, joinWords(command)})
			return nil
		},
		clear:  func(c *Config) { c.Subsystem = nil },
		preset: func(c *Config, p *Profile) { c.Subsystem = p.Subsystem },
		dump: func(d *dumper, c *Config) {
			for _, s := range c.Subsystem {
				d.line(quoteWord(s.Name) + " " + s.Command)
			}
		},
	}
}

func tunnelKeyword() keyword {
	names := []choice[Tunnel]{
		{"yes", TunnelYes}, {"no", TunnelNo}, {"point-to-point", TunnelPointToPoint}, {"ethernet", TunnelEthernet},
	}
	k := named("PermitTunnel", inMatch, TunnelNo, names, func(c *Config) *Tunnel { return &c.PermitTunnel })
	k.set = func(l *line, c *Config) error {
		arg := l.next()
		if arg == "" {
			return l.errorf("%s missing argument.", l.keyword)
		}
		for _, n := range names {
			if n.name == arg { // in this keyword sshd minds the case
				c.PermitTunnel = n.value
				return nil
			}
		}
		return l.errorf("bad %s argument %s", l.keyword, arg)
	}
	return k
}

// permitKeyword is PermitOpen, or PermitListen, where a port may stand alone.
func permitKeyword(name string, listen bool, field func(*Config) *[]string) keyword {
	return keyword{
		name: name, where: inMatch,
		set: func(l *line, c *Config) error {
			arg := l.next()
			switch arg {
			case "":
				return l.errorf("%s missing argument.", l.keyword)
			case "any":
				*field(c) = nil
				return nil
			case "none":
				*field(c) = []string{"none"}
				return nil
			}
			var list []string
			for _, arg := range append([]string{arg}, l.rest()...) {
				if listen && (arg == "*" || strings.TrimLeft(arg, "0123456789") == "") {
					arg = "*:" + arg
				}
				_, port, hasPort, ok := splitHostPort(arg)
				if !ok {
					return l.errorf("%s missing host", l.keyword)
				}
				if _, number := parsePort(port); !hasPort || port != "*" && !number {
					return l.errorf("%s bad port number", l.keyword)
				}
				list = append(list, arg)
			}
			*field(c) = list
			return nil
		},
		preset: func(*Config, *Profile) {},
		dump: func(d *dumper, c *Config) {
			if len(*field(c)) == 0 {
				d.line("any")
			} else {
				d.line(joinWords(*field(c)))
			}
		},
	}
}

func userEnvironmentKeyword() keyword {
	return keyword{
		name: "PermitUserEnvironment",
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			c.PermitUserEnvironment, c.PermitUserEnvironmentPatterns = true, ""
			switch arg { // in any other case it is a pattern, as in sshd
			case "yes":
			case "no":
				c.PermitUserEnvironment = false
			default:
				c.PermitUserEnvironmentPatterns = arg
			}
			return nil
		},
		preset: func(*Config, *Profile) {},
		dump: func(d *dumper, c *Config) {
			switch {
			case !c.PermitUserEnvironment:
				d.line("no")
			case c.PermitUserEnvironmentPatterns == "":
				d.line("yes")
			default:
				d.line(quoteWord(c.PermitUserEnvironmentPatterns))
			}
		},
	}
}

func agentSocketKeyword() keyword {
	field := func(c *Config) *string { return &c.AgentSocketPath }
	k := word("AgentSocketPath", inMatch, "%s missing argument.", field)
	k.set = func(l *line, c *Config) error {
		arg := l.next()
		if arg == "" {
			return l.errorf("%s missing argument.", l.keyword)
		}
		kind, path, _ := strings.Cut(arg, ":")
		if path == "" || kind != "user" && (kind != "shared" || path[0] != '/') {
			return l.errorf("Invalid %s.", l.keyword)
		}
		*field(c) = arg
		return nil
	}
	k.preset = func(c *Config, _ *Profile) { *field(c) = "user:.ssh/agent" }
	return k
}

func pubkeyOptionsKeyword() keyword {
	const queries = 6 // max-pk-ok's default
	return keyword{
		name: "PubkeyAuthOptions", where: inMatch,
		set: func(l *line, c *Config) error {
			o := PubkeyAuthOptions{MaxPKOK: queries}
			args := l.rest()
			l.unset = len(args) == 0
			for _, arg := range args {
				name, value, _ := strings.Cut(arg, ":")
				n, wrong := parseInteger(value)
				switch {
				case strings.EqualFold(arg, "none"):
				case strings.EqualFold(arg, "touch-required"):
					o.TouchRequired = true
				case strings.EqualFold(arg, "verify-required"):
					o.VerifyRequired = true
				case strings.EqualFold(name, "max-pk-ok") && wrong == "":
					o.MaxPKOK = n
				default:
					return l.countf("unsupported %s option %s", l.keyword, arg)
				}
			}
			c.PubkeyAuthOptions = o
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.PubkeyAuthOptions.MaxPKOK = queries },
		dump: func(d *dumper, c *Config) {
			var list []string
			o := c.PubkeyAuthOptions
			if o.TouchRequired {
				list = append(list, "touch-required")
			}
			if o.VerifyRequired {
				list = append(list, "verify-required")
			}
			if o.MaxPKOK != queries {
				list = append(list, "max-pk-ok:"+strconv.Itoa(o.MaxPKOK))
			}
			if len(list) == 0 {
				list = []string{"none"}
			}
			d.line(strings.Join(list, " "))
		},
	}
}

func rdomainKeyword() keyword {
	return keyword{
		name: "RDomain", where: inMatch,
		set: func(l *line, _ *Config) error {
			return l.errorf("setting RDomain not supported on this platform.")
		},
		preset: func(*Config, *Profile) {},
	}
}
