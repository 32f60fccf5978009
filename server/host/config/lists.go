package config

import (
	"fmt"
	"slices"
	"strings"

	"nano_ssh_server/server/proto/algo"
)

// The keywords of lists that have a form of their own.

// algorithms is a keyword of a list of algorithms.
func algorithms(name string, where scope, family *algo.Family, field func(*Config) *[]string) keyword {
	return keyword{
		name: name, where: where,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" && family.Wildcards {
				return l.errorf("Missing argument.")
			}
			if arg == "" {
				return l.errorf("%s missing argument.", l.keyword)
			}
			names, err := family.Expand(arg, l.profile.algorithms(family))
			if err != nil {
				text := l.errorf("%s", err.Error()).Error()
				if family == algo.Kex {
					text = unsupportedKex(arg) + text
				}
				return l.problem(text)
			}
			*field(c) = names
			return nil
		},
		preset: func(c *Config, p *Profile) { *field(c) = slices.Clone(p.algorithms(family)) },
		dump:   func(d *dumper, c *Config) { d.line(strings.Join(*field(c), ",")) },
	}
}

// unsupportedKex is the line by which sshd names the first unknown key exchange.
func unsupportedKex(list string) string {
	for name := range strings.SplitSeq(strings.TrimLeft(list, "+^-"), ",") {
		if !slices.Contains(algo.Kex.All, name) {
			return "Unsupported KEX algorithm \"" + name + "\"\n"
		}
	}
	return ""
}

// oneLine is a keyword of any number of words of which one line counts.
func oneLine(name string, check func(l *line, word string) error, field func(*Config) *[]string) keyword {
	return keyword{
		name: name, where: inMatch,
		set: func(l *line, c *Config) error {
			list := l.rest()
			l.unset = len(list) == 0
			for _, w := range list {
				if err := check(l, w); err != nil {
					return err
				}
			}
			*field(c) = list
			return nil
		},
		preset: func(*Config, *Profile) {},
	}
}

func noEmptyWord(l *line, w string) error {
	if w == "" {
		return l.countf("keyword %s empty argument", l.keyword)
	}
	return nil
}

func logVerboseKeyword() keyword {
	field := func(c *Config) *[]string { return &c.LogVerbose }
	k := oneLine("LogVerbose", noEmptyWord, field)
	store := k.set
	k.set = func(l *line, c *Config) error {
		if err := store(l, c); err != nil {
			return err
		}
		list := *field(c)
		if slices.ContainsFunc(list, func(w string) bool { return strings.EqualFold(w, "none") }) {
			if len(list) > 1 {
				return l.countf(`keyword %s "none" argument must appear alone.`, l.keyword)
			}
			*field(c) = nil
		}
		return nil
	}
	k.dump = func(d *dumper, c *Config) {
		if len(*field(c)) > 0 {
			d.line(joinWords(*field(c)))
		}
	}
	return k
}

func authorizedKeysKeyword() keyword {
	field := func(c *Config) *[]string { return &c.AuthorizedKeysFile }
	k := oneLine("AuthorizedKeysFile", noEmptyWord, field)
	store := k.set
	k.set = func(l *line, c *Config) error {
		if err := store(l, c); err != nil {
			return err
		}
		list := *field(c)
		*field(c) = nil
		for _, w := range list {
			if !strings.EqualFold(w, "none") {
				*field(c) = append(*field(c), w)
			}
		}
		return nil
	}
	k.preset = func(c *Config, _ *Profile) {
		c.AuthorizedKeysFile = []string{".ssh/authorized_keys", ".ssh/authorized_keys2"}
	}
	k.dump = func(d *dumper, c *Config) {
		if len(*field(c)) == 0 {
			d.line("none")
		} else {
			d.line(joinWords(*field(c)))
		}
	}
	return k
}

func checkUserPattern(l *line, w string) error {
	if !validUserPattern(w) {
		return l.errorf(`invalid %s pattern: "%s"`, l.keyword, w)
	}
	return nil
}

func checkGroupPattern(l *line, w string) error {
	if w == "" {
		return l.errorf("empty %s pattern", l.keyword)
	}
	return nil
}

func checkEnvName(l *line, w string) error {
	if w == "" || strings.Contains(w, "=") {
		return l.errorf("Invalid environment name.")
	}
	return nil
}

func setEnvKeyword() keyword {
	field := func(c *Config) *[]string { return &c.SetEnv }
	k := oneLine("SetEnv", func(l *line, w string) error {
		if strings.IndexByte(w, '=') < 1 {
			return l.errorf("Invalid environment.")
		}
		return nil
	}, field)
	k.where = inSession
	store := k.set
	k.set = func(l *line, c *Config) error {
		if err := store(l, c); err != nil {
			return err
		}
		var kept []string
		for _, w := range *field(c) {
			name, _, _ := strings.Cut(w, "=")
			if slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(k, name+"=") }) {
				l.debug(fmt.Sprintf(`ignoring duplicate env name "%.64s"`, name))
				continue
			}
			kept = append(kept, w)
		}
		*field(c) = kept
		return nil
	}
	k.dump = func(d *dumper, c *Config) {
		if len(*field(c)) > 0 {
			d.line(joinWords(*field(c)))
		}
	}
	return k
}

func methodsKeyword() keyword {
	field := func(c *Config) *[]string { return &c.AuthenticationMethods }
	k := oneLine("AuthenticationMethods", func(l *line, w string) error {
		if w == "any" {
			return nil
		}
		if err := checkMethodList(w); err != nil {
			text := l.errorf("invalid %s method list.", l.keyword).Error()
			return l.problem(err.Error() + "\n" + text)
		}
		return nil
	}, field)
	store := k.set
	k.set = func(l *line, c *Config) error {
		if err := store(l, c); err != nil {
			return err
		}
		if l.unset {
			return l.errorf("no %s specified", l.keyword)
		}
		if list := *field(c); slices.Contains(list, "any") {
			if len(list) > 1 {
				return l.errorf(`"any" must appear alone in %s`, l.keyword)
			}
			*field(c) = nil
		}
		return nil
	}
	k.dump = func(d *dumper, c *Config) {
		if len(*field(c)) == 0 {
			d.line("any")
		} else {
			d.line(joinWords(*field(c)))
		}
	}
	return k
}
