package config

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"nano_ssh_server/server/host/log"
)

// The keywords of one value that has a form of its own.

func portKeyword() keyword {
	return keyword{
		name: "Port", list: true,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("missing port number.")
			}
			port, ok := parsePort(arg)
			if !ok {
				return l.errorf("Badly formatted port number.")
			}
			c.Port = append(c.Port, port)
			return nil
		},
		clear:  func(c *Config) { c.Port = nil },
		preset: func(c *Config, p *Profile) { c.Port = []int{p.Port} },
		dump: func(d *dumper, c *Config) {
			for _, port := range c.Port {
				d.line(strconv.Itoa(port))
			}
		},
	}
}

func listenKeyword() keyword {
	return keyword{
		name: "ListenAddress", list: true,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("missing address")
			}
			a := ListenAddress{Host: arg}
			if strings.HasPrefix(arg, "[") || strings.Count(arg, ":") < 2 {
				host, port, hasPort, ok := splitHostPort(arg)
				if !ok {
					return l.errorf("bad address:port usage")
				}
				a.Host = host
				if hasPort {
					if a.Port, ok = parsePort(port); !ok {
						return l.errorf("bad port number")
					}
				}
			}
			if more := l.rest(); len(more) > 0 {
				if len(more) < 2 || more[0] != "rdomain" {
					return l.errorf("bad ListenAddress syntax")
				}
				// A routing domain is a network device that sockets are bound to.
				if _, err := net.InterfaceByName(more[1]); err != nil || len(more) > 2 {
					return l.errorf("bad routing domain")
				}
				a.RDomain = more[1]
			}
			c.ListenAddress = append(c.ListenAddress, a)
			return nil
		},
		clear:  func(c *Config) { c.ListenAddress = nil },
		preset: func(*Config, *Profile) {},
		dump:   dumpListen,
	}
}

func maskKeyword() keyword {
	return keyword{
		name: "StreamLocalBindMask", where: inMatch,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			mask, err := strconv.ParseUint(arg, 8, 32)
			if err != nil || mask > 0o777 {
				return l.errorf("Invalid %s.", l.keyword)
			}
			c.StreamLocalBindMask = uint32(mask)
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.StreamLocalBindMask = 0o177 },
		dump:   func(d *dumper, c *Config) { d.line("0" + strconv.FormatUint(uint64(c.StreamLocalBindMask), 8)) },
	}
}

var forwardNames = []choice[Forwarding]{
	{"yes", ForwardAll}, {"all", ForwardAll}, {"no", ForwardNone},
	{"remote", ForwardRemote}, {"local", ForwardLocal},
}

func fingerprintKeyword() keyword {
	known := []string{"MD5", "SHA1", "SHA256", "SHA384", "SHA512"}
	return keyword{
		name: "FingerprintHash",
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			i := slices.IndexFunc(known, func(name string) bool { return strings.EqualFold(name, arg) })
			if i < 0 {
				return l.errorf(`Invalid %s algorithm "%s".`, l.keyword, arg)
			}
			c.FingerprintHash = known[i]
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.FingerprintHash = "SHA256" },
		dump:   func(d *dumper, c *Config) { d.line(c.FingerprintHash) },
	}
}

func securityKeyKeyword() keyword {
	const internal = "internal"
	k := file("SecurityKeyProvider", globalOnly, func(*Profile) string { return internal },
		func(c *Config) *string { return &c.SecurityKeyProvider })
	asFile := k.set
	k.set = func(l *line, c *Config) error {
		switch {
		case len(l.words) > 0 && strings.EqualFold(l.words[0], internal):
			l.next()
			c.SecurityKeyProvider = internal
			return nil
		case len(l.words) == 0 || l.words[0] == "":
			return l.errorf("%s missing argument.", l.keyword)
		}
		return asFile(l, c)
	}
	return k
}

func agentKeyword() keyword {
	const variable = "SSH_AUTH_SOCK"
	k := file("HostKeyAgent", globalOnly, nil, func(c *Config) *string { return &c.HostKeyAgent })
	asFile := k.set
	k.set = func(l *line, c *Config) error {
		switch {
		case len(l.words) > 0 && l.words[0] == variable:
			l.next()
			c.HostKeyAgent = variable
			return nil
		case len(l.words) == 0 || l.words[0] == "":
			return l.errorf("missing socket name.")
		}
		return asFile(l, c)
	}
	return k
}

// optionalFile is a file that is dumped only if it was given.
func optionalFile(name string, field func(*Config) *string) keyword {
	k := file(name, globalOnly, nil, field)
	always := k.dump
	k.dump = func(d *dumper, c *Config) {
		if *field(c) != "" {
			always(d, c)
		}
	}
	return k
}

func exemptKeyword() keyword {
	field := func(c *Config) *string { return &c.PerSourcePenaltyExemptList }
	k := word("PerSourcePenaltyExemptList", globalOnly, "%s missing argument.", field)
	store := k.set
	k.set = func(l *line, c *Config) error {
		if err := store(l, c); err != nil {
			return err
		}
		if list := *field(c); list != "" && MatchAddress("", list) == AddressInvalid {
			return l.errorf(`invalid %s list: "%s"`, l.keyword, list)
		}
		return nil
	}
	return k
}

func levelKeyword() keyword {
	return keyword{
		name: "LogLevel", where: inMatch,
		set: func(l *line, c *Config) error {
			if len(l.words) == 0 {
				return l.errorf("unsupported log level '<NONE>'")
			}
			arg := l.next()
			level, ok := log.ParseLevel(arg)
			if !ok {
				return l.errorf("unsupported log level '%s'", arg)
			}
			c.LogLevel = level
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.LogLevel = log.Info },
		dump:   func(d *dumper, c *Config) { d.line(c.LogLevel.String()) },
	}
}

func facilityKeyword() keyword {
	return keyword{
		name: "SyslogFacility",
		set: func(l *line, c *Config) error {
			if len(l.words) == 0 {
				return l.errorf("unsupported log facility '<NONE>'")
			}
			arg := l.next()
			facility, ok := log.ParseFacility(arg)
			if !ok {
				return l.errorf("unsupported log facility '%s'", arg)
			}
			c.SyslogFacility = facility
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.SyslogFacility = log.FacilityAuth },
		dump:   func(d *dumper, c *Config) { d.line(c.SyslogFacility.String()) },
	}
}
