package config

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// keyword is one row of the table.
type keyword struct {
	name  string // as sshd_config(5) writes it; the dump is in lower case
	where scope  // it may stand
	list  bool   // every line adds values; of other keywords the first line wins

	// set takes the arguments from l, checks them and stores them in c.
	set func(l *line, c *Config) error
	// preset stores the default.
	preset func(c *Config, p *Profile)
	// clear forgets what the global section stored, before the first line of
	// a Match block adds to a list.
	clear func(c *Config)
	// dump writes the lines of -T; nil: not dumped.
	dump func(d *dumper, c *Config)
}

// scope is where a keyword may stand.
type scope uint8

const (
	globalOnly scope = iota
	inMatch          // also in a Match block
	inSession        // even in one that looks at what a session is for
)

// dumper collects the lines of -T.
type dumper struct {
	bytes.Buffer
	name string
}

func (d *dumper) line(value string) {
	d.WriteString(d.name)
	d.WriteByte(' ')
	d.WriteString(value)
	d.WriteByte('\n')
}

// choice is one name of a value.
type choice[T comparable] struct {
	name  string
	value T
}

// named is a keyword whose value is one of a few names, in any case. The first
// name of a value is the one that is dumped.
func named[T comparable](name string, where scope, preset T, names []choice[T], field func(*Config) *T) keyword {
	return keyword{
		name: name, where: where,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("missing argument.")
			}
			for _, n := range names {
				if strings.EqualFold(n.name, arg) {
					*field(c) = n.value
					return nil
				}
			}
			return l.errorf(`unsupported option "%s".`, arg)
		},
		preset: func(c *Config, _ *Profile) { *field(c) = preset },
		dump: func(d *dumper, c *Config) {
			for _, n := range names {
				if n.value == *field(c) {
					d.line(n.name)
					return
				}
			}
		},
	}
}

var yesNo = []choice[bool]{{"yes", true}, {"no", false}}

// onOff is a keyword of yes or no.
func onOff(name string, where scope, preset bool, field func(*Config) *bool) keyword {
	return named(name, where, preset, yesNo, field)
}

// parseInteger reads a number from 0 to 2^31-1; the error is the last word of
// sshd's line.
func parseInteger(s string) (int, string) {
	if s == "" {
		return 0, "missing"
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, "invalid"
	case n < 0:
		return 0, "too small"
	case err != nil || n > math.MaxInt32:
		return 0, "too large"
	}
	return int(n), ""
}

// number is a keyword of one number from 0 to 2^31-1.
func number(name string, where scope, preset int, field func(*Config) *int) keyword {
	return keyword{
		name: name, where: where,
		set: func(l *line, c *Config) error {
			n, wrong := parseInteger(l.next())
			if wrong != "" {
				return l.errorf("%s integer value %s.", l.keyword, wrong)
			}
			*field(c) = n
			return nil
		},
		preset: func(c *Config, _ *Profile) { *field(c) = preset },
		dump:   func(d *dumper, c *Config) { d.line(strconv.Itoa(*field(c))) },
	}
}

// duration is a keyword of one time. If none is true, 0 is written `none`.
func duration(name string, where scope, preset time.Duration, none bool, field func(*Config) *time.Duration) keyword {
	return keyword{
		name: name, where: where,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("missing time value.")
			}
			t, ok := ParseTime(arg)
			if none && strings.EqualFold(arg, "none") {
				t, ok = 0, true
			}
			if !ok {
				return l.errorf("invalid time value.")
			}
			*field(c) = t
			return nil
		},
		preset: func(c *Config, _ *Profile) { *field(c) = preset },
		dump: func(d *dumper, c *Config) {
			if t := *field(c); none && t == 0 {
				d.line("none")
			} else {
				d.line(seconds(t))
			}
		},
	}
}

// word is a keyword of one word, stored as it is; "" and `none` are the same.
// missing is the text for no argument, with %s for the keyword.
func word(name string, where scope, missing string, field func(*Config) *string) keyword {
	return keyword{
		name: name, where: where,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("%s", strings.ReplaceAll(missing, "%s", l.keyword))
			}
			*field(c) = noneIsEmpty(arg)
			return nil
		},
		preset: func(*Config, *Profile) {},
		dump:   func(d *dumper, c *Config) { d.line(emptyIsNone(*field(c))) },
	}
}

// file is a keyword of one file name, made absolute.
func file(name string, where scope, preset func(*Profile) string, field func(*Config) *string) keyword {
	k := word(name, where, "missing file name.", field)
	store := k.set
	k.set = func(l *line, c *Config) error {
		if err := store(l, c); err != nil || *field(c) == "" {
			return err
		}
		path, err := absolute(*field(c))
		*field(c) = path
		return err
	}
	if preset != nil {
		k.preset = func(c *Config, p *Profile) { *field(c) = preset(p) }
	}
	return k
}

// files is a list keyword of file names, one a line. An entry `none` adds nothing.
func files(name string, preset func(*Profile) []string, field func(*Config) *[]string) keyword {
	return keyword{
		name: name, list: true,
		set: func(l *line, c *Config) error {
			arg := l.next()
			if arg == "" {
				return l.errorf("missing file name.")
			}
			path, err := absolute(arg)
			if err == nil && path != "none" {
				*field(c) = append(*field(c), path)
			}
			return err
		},
		clear:  func(c *Config) { *field(c) = nil },
		preset: func(c *Config, p *Profile) { *field(c) = preset(p) },
		dump: func(d *dumper, c *Config) {
			for _, path := range *field(c) {
				d.line(quoteWord(path))
			}
		},
	}
}

// commandLine is a keyword whose value is the rest of the line as it stands,
// comment characters and quotes included.
func commandLine(name string, where scope, program bool, field func(*Config) *string) keyword {
	return keyword{
		name: name, where: where,
		set: func(l *line, c *Config) error {
			text := l.remainder()
			if program && !strings.HasPrefix(text, "/") && !strings.EqualFold(text, "none") {
				return l.errorf("%s must be an absolute path", l.keyword)
			}
			if strings.EqualFold(text, "none") {
				text = ""
			}
			*field(c) = text
			return nil
		},
		preset: func(*Config, *Profile) {},
		dump: func(d *dumper, c *Config) {
			if text := *field(c); text == "" {
				d.line("none")
			} else {
				d.line(text)
			}
		},
	}
}

// words is a list keyword of any number of words; check looks at each.
func words(name string, where scope, check func(l *line, word string) error, field func(*Config) *[]string) keyword {
	return keyword{
		name: name, where: where, list: true,
		set: func(l *line, c *Config) error {
			for _, w := range l.rest() {
				if err := check(l, w); err != nil {
					return err
				}
				*field(c) = append(*field(c), w)
			}
			return nil
		},
		clear:  func(c *Config) { *field(c) = nil },
		preset: func(*Config, *Profile) {},
		dump: func(d *dumper, c *Config) {
			for _, w := range *field(c) {
				d.line(quoteWord(w))
			}
		},
	}
}

// oldKeyword is accepted and does nothing; word is `Deprecated` or
// `Unsupported`, and empty for those that sshd accepts without a message.
func oldKeyword(word, name string, where scope) keyword {
	return keyword{
		name: name, where: where, list: true,
		set: func(l *line, _ *Config) error {
			l.remainder()
			if word != "" {
				l.notice(fmt.Sprintf("%s option %s", word, l.keyword))
			}
			return nil
		},
		preset: func(*Config, *Profile) {},
	}
}

func noneIsEmpty(s string) string {
	if strings.EqualFold(s, "none") {
		return ""
	}
	return s
}

func emptyIsNone(s string) string {
	if s == "" {
		return "none"
	}
	return quoteWord(s)
}
