package scp

import (
	"errors"
	"fmt"
	"strings"
)

const usage = "usage: scp -t [-dprv] target\n       scp -f [-prv] source ...\n" +
	"This is the remote half of scp, which the scp of another host starts."

const (
	// ignoredFlags are options of scp that mean nothing to its remote half.
	ignoredFlags = "12346ABCOqRsT"
	// ignoredValues are those of them that take a value.
	ignoredValues = "cDFiJlMoPSX"
)

var errNoRole = errors.New("neither -t nor -f")

// parseOptions reads a command line as getopt does: options may stand together,
// the first argument that is none ends them, and so does "--".
func parseOptions(args []string) (options, error) {
	var o options
	rest := args[min(1, len(args)):]
	for len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
		letters := rest[0][1:]
		rest = rest[1:]
		if letters == "-" {
			break
		}
		for i := 0; i < len(letters); i++ {
			if strings.IndexByte(ignoredValues, letters[i]) < 0 {
				if err := o.set(letters[i]); err != nil {
					return o, err
				}
				continue
			}
			if i+1 == len(letters) {
				if len(rest) == 0 {
					return o, fmt.Errorf("option requires an argument -- %c", letters[i])
				}
				rest = rest[1:]
			}
			break // the rest of the word is the value
		}
	}
	o.paths = rest
	if !o.sink && !o.source {
		return o, errNoRole
	}
	return o, nil
}

// set notes an option without a value.
func (o *options) set(letter byte) error {
	switch letter {
	case 't':
		o.sink = true
	case 'f':
		o.source = true
	case 'r':
		o.recursive = true
	case 'p':
		o.preserve = true
	case 'd':
		o.directory = true
	case 'v':
		o.verbose = true
	default:
		if strings.IndexByte(ignoredFlags, letter) < 0 {
			return fmt.Errorf("unknown option -- %q", letter)
		}
	}
	return nil
}
