package config

import (
	"fmt"
	"strconv"
	"strings"
)

// The keywords of limits that have a form of their own.

func channelTimeoutKeyword() keyword {
	return keyword{
		name: "ChannelTimeout", where: inMatch,
		set: func(l *line, c *Config) error {
			var list []ChannelTimeout
			args := l.rest()
			l.unset = len(args) == 0
			for _, arg := range args {
				if arg == "none" {
					continue
				}
				kind, text, found := strings.Cut(arg, "=")
				timeout, ok := ParseTime(text)
				if !found || kind == "" || !ok {
					return l.errorf("invalid channel timeout %s", arg)
				}
				list = append(list, ChannelTimeout{kind, timeout, text})
			}
			c.ChannelTimeout = list
			return nil
		},
		preset: func(*Config, *Profile) {},
		dump: func(d *dumper, c *Config) {
			list := []string{}
			for _, t := range c.ChannelTimeout {
				list = append(list, t.Type+"="+t.text)
			}
			if len(list) == 0 {
				list = []string{"none"}
			}
			d.line(joinWords(list))
		},
	}
}

// defaultMaxStartups lets thousands of connections that never authenticate wait
// without keeping a real user out (THREATS row 29): each costs 14 KiB here, where
// OpenSSH's 10:30:100 is for 1.4 MiB each.
var defaultMaxStartups = MaxStartups{3000, 30, 6000}

func startupsKeyword() keyword {
	return keyword{
		name: "MaxStartups",
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			parts := strings.Split(arg, ":")
			begin, wrong := parseInteger(parts[0])
			m := MaxStartups{begin, 30, begin}
			valid := wrong == "" && (len(parts) == 1 || len(parts) == 3)
			if valid && len(parts) == 3 {
				var wrong2, wrong3 string
				m.Rate, wrong2 = parseInteger(parts[1])
				m.Full, wrong3 = parseInteger(parts[2])
				valid = wrong2 == "" && wrong3 == ""
			}
			if !valid || m.Begin < 1 || m.Begin > m.Full || m.Rate < 1 || m.Rate > 100 {
				return l.errorf("Invalid %s spec.", l.keyword)
			}
			c.MaxStartups = m
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.MaxStartups = defaultMaxStartups },
		dump: func(d *dumper, c *Config) {
			d.line(fmt.Sprintf("%d:%d:%d", c.MaxStartups.Begin, c.MaxStartups.Rate, c.MaxStartups.Full))
		},
	}
}

func perSourceKeyword() keyword {
	return keyword{
		name: "PerSourceMaxStartups",
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			if arg == "none" {
				c.PerSourceMaxStartups = NoLimit
				return nil
			}
			n, wrong := parseInteger(arg)
			if wrong != "" {
				return l.errorf("%s integer value %s.", l.keyword, wrong)
			}
			c.PerSourceMaxStartups = n
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.PerSourceMaxStartups = NoLimit },
		dump: func(d *dumper, c *Config) {
			if c.PerSourceMaxStartups == NoLimit {
				d.line("none")
			} else {
				d.line(strconv.Itoa(c.PerSourceMaxStartups))
			}
		},
	}
}

func netBlockKeyword() keyword {
	return keyword{
		name: "PerSourceNetBlockSize",
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			v4, v6, both := strings.Cut(arg, ":")
			n4, wrong4 := parseInteger(v4)
			n6, wrong6 := 128, ""
			if both {
				n6, wrong6 = parseInteger(v6)
			}
			if wrong4 != "" || wrong6 != "" || n4 > 32 || n6 > 128 {
				return l.errorf("Invalid %s spec.", l.keyword)
			}
			c.PerSourceNetBlockSize = NetBlockSize{n4, n6}
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.PerSourceNetBlockSize = NetBlockSize{32, 128} },
		dump: func(d *dumper, c *Config) {
			d.line(fmt.Sprintf("%d:%d", c.PerSourceNetBlockSize.IPv4, c.PerSourceNetBlockSize.IPv6))
		},
	}
}

func qosKeyword() keyword {
	preset := IPQoS{Interactive: 0xb8, Bulk: ServiceClassNone} // ef
	return keyword{
		name: "IPQoS", where: inSession,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			first, old, ok := parseServiceClass(arg)
			if !ok {
				return l.errorf("Bad %s value: %s", l.keyword, arg)
			}
			q := IPQoS{first, first}
			if old {
				q = preset
			}
			if arg2 := l.next(); arg2 != "" {
				second, old2, ok := parseServiceClass(arg2)
				if !ok {
					return l.errorf("Bad %s value: %s", l.keyword, arg2)
				}
				old = old || old2
				if q.Bulk = second; old2 {
					q.Bulk = preset.Bulk
				}
			}
			if old {
				l.notice(fmt.Sprintf("Deprecated %s value ignored", l.keyword))
			}
			c.IPQoS = q
			return nil
		},
		preset: func(c *Config, _ *Profile) { c.IPQoS = preset },
		dump: func(d *dumper, c *Config) {
			d.line(formatServiceClass(c.IPQoS.Interactive) + " " + formatServiceClass(c.IPQoS.Bulk))
		},
	}
}

// minRekeyBytes is the least that RekeyLimit takes, as in sshd: less could not

// even carry the packets of a key exchange.
const minRekeyBytes = 16

func rekeyKeyword() keyword {
	return keyword{
		name: "RekeyLimit", where: inMatch,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			c.RekeyBytes, c.RekeyInterval = 0, 0
			if arg != "default" {
				n, wrong := parseSize(arg)
				if wrong != "" {
					return l.errorf("Bad %s number '%s': %s", l.keyword, arg, wrong)
				}
				if n != 0 && n < minRekeyBytes {
					return l.errorf("%s too small", l.keyword)
				}
				c.RekeyBytes = uint64(n)
			}
			if arg := l.next(); arg != "" && arg != "none" {
				t, ok := ParseTime(arg)
				if !ok {
					return l.errorf("invalid time value.")
				}
				c.RekeyInterval = t
			}
			return nil
		},
		preset: func(*Config, *Profile) {},
		dump: func(d *dumper, c *Config) {
			d.line(strconv.FormatUint(c.RekeyBytes, 10) + " " + seconds(c.RekeyInterval))
		},
	}
}
