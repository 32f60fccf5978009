package sftp

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/user"
)

// The options of sftp-server(8) by whether they have a value. -c is what a shell is
// called with where this program is somebody's login shell: what follows is ignored.
const (
	plainFlags = "cehR"
	valueFlags = "dflPpQu"
)

// maxUmask is the largest umask that -u takes.
const maxUmask = 0o777

// errUsage is a command line that is no right one.
var errUsage = errors.New("usage")

// argument is an error in an option's value: what is said, and the exit status.
type argument struct {
	text string
	exit int
}

func (a *argument) Error() string { return a.text }

func fatal(format string, args ...any) error {
	return &argument{fmt.Sprintf(format, args...), exitFatal}
}

// ParseArgs reads the command line of sftp-server(8), the program's name in front.
// If there is nothing to serve it returns nil, the exit status, and what to print: on
// stdout if the status is 0 (the answer to -Q), else on stderr.
func ParseArgs(args []string, account *user.Account) (o *Options, exit int, text string) {
	p := &parser{account: account, options: &Options{
		Umask: -1, Level: log.Error, Facility: log.FacilityAuth, Account: account,
	}}
	err := p.parse(args[min(1, len(args)):])
	var wrong *argument
	switch {
	case errors.As(err, &wrong):
		return nil, wrong.exit, wrong.text + "\n"
	case err != nil:
		return nil, exitFailed, usage(programName(args))
	}
	return p.options, exitOK, ""
}

// programName is what the program calls itself.
func programName(args []string) string {
	if len(args) == 0 || args[0] == "" {
		return "sftp-server"
	}
	return filepath.Base(args[0])
}

func usage(name string) string {
	return fmt.Sprintf("usage: %s [-ehR] [-d start_directory] [-f log_facility] [-l log_level]\n"+
		"\t[-P denied_requests] [-p allowed_requests] [-u umask]\n"+
		"       %s -Q protocol_feature\n", name, name)
}

type parser struct {
	account *user.Account
	options *Options
}

// parse reads options as getopt(3) does: letters may stand together, the first
// argument that is none ends them, and so does "--".
func (p *parser) parse(rest []string) error {
	for len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
		letters := rest[0][1:]
		rest = rest[1:]
		if letters == "-" {
			return nil
		}
		for i := 0; i < len(letters); i++ {
			c := letters[i]
			if c == 'c' {
				return nil
			}
			if strings.IndexByte(plainFlags, c) >= 0 {
				if err := p.flag(c); err != nil {
					return err
				}
				continue
			}
			if strings.IndexByte(valueFlags, c) < 0 {
				return errUsage
			}
			value := letters[i+1:]
			if value == "" {
				if len(rest) == 0 {
					return errUsage
				}
				value, rest = rest[0], rest[1:]
			}
			if err := p.value(c, value); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func (p *parser) flag(c byte) error {
	switch c {
	case 'e':
		p.options.Stderr = true
	case 'R':
		p.options.ReadOnly = true
	case 'h':
		return errUsage
	}
	return nil
}

func (p *parser) value(c byte, value string) (err error) {
	o, ok := p.options, true
	switch c {
	case 'd':
		o.StartDir, err = p.directory(value)
	case 'f':
		if o.Facility, ok = log.ParseFacility(value); !ok {
			err = &argument{fmt.Sprintf("Invalid log facility \"%s\"", log.Escape(value)), exitFailed}
		}
	case 'l':
		if o.Level, ok = log.ParseLevel(value); !ok {
			err = &argument{fmt.Sprintf("Invalid log level \"%s\"", log.Escape(value)), exitFailed}
		}
	case 'p':
		o.Allow, err = requestList(o.Allow, value, "Permitted")
	case 'P':
		o.Deny, err = requestList(o.Deny, value, "Refused")
	case 'u':
		var mask uint64
		if mask, err = strconv.ParseUint(value, 8, 32); err != nil || mask > maxUmask {
			return fatal("Invalid umask \"%s\"", log.Escape(value))
		}
		o.Umask = int(mask)
	case 'Q':
		if !strings.EqualFold(value, "requests") {
			return &argument{"Invalid query type", exitFailed}
		}
		err = &argument{strings.Join(requestNames(), "\n"), exitOK}
	}
	return err
}

// requestList reads a list of requests, which may be given once.
func requestList(before []string, value, which string) ([]string, error) {
	if before != nil {
		return nil, fatal("%s requests already set", which)
	}
	return strings.Split(value, ","), nil
}

// directory expands -d: "~", then %d, %u and %%.
func (p *parser) directory(value string) (string, error) {
	if strings.HasPrefix(value, "~") {
		who, rest, slash := strings.Cut(value[1:], "/")
		a := p.account
		if who != "" {
			var err error
			if a, err = user.Lookup(who); err != nil {
				return "", fatal("tilde_expand_filename: No such user %s", log.Escape(who))
			}
		}
		value = a.Home
		if slash {
			value = strings.TrimSuffix(value, "/") + "/" + rest
		}
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			b.WriteByte(value[i])
			continue
		}
		i++
		switch {
		case i == len(value):
			return "", fatal("percent_expand: truncated format")
		case value[i] == '%':
			b.WriteByte('%')
		case value[i] == 'd':
			b.WriteString(p.account.Home)
		case value[i] == 'u':
			b.WriteString(p.account.Name)
		default:
			return "", fatal("percent_expand: unknown key %%%s", log.Escape(value[i:i+1]))
		}
	}
	return b.String(), nil
}
