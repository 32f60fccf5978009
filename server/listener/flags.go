package listener

import (
	"fmt"
	"strings"
)

// options are the command line of sshd(8), parsed.
type options struct {
	ipv4, ipv6  bool
	debug       int // -d, up to three
	foreground  bool
	stderr      bool
	inetd       bool
	quiet       bool
	test        bool // -t
	dump        bool // -T
	dumpPlain   bool // -G
	origins     bool // -S: with -T and -G, our own
	version     bool
	configFile  string
	logFile     string
	hostKeys    []string
	certificate []string
	ports       []string
	overrides   []string // -o
	specs       []string // -C
	graceTime   string
	hostLen     string // -u
}

// usageError is a command line that sshd(8) does not know.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

const usage = `usage: %s [-46DdeGiqSTtV] [-C connection_spec] [-c host_cert_file]
            [-E log_file] [-f config_file] [-g login_grace_time]
            [-h host_key_file] [-o option] [-p port] [-u len]
`

// parseFlags reads the arguments as getopt(3) does: flags may be put together,
// and a value may follow its flag directly.
func parseFlags(args []string) (*options, error) {
	o := &options{}
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			args = args[1:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			break
		}
		args = args[1:]
		for i := 1; i < len(arg); i++ {
			flag := arg[i]
			if o.setSwitch(flag) {
				continue
			}
			if !strings.ContainsRune("bCcEfghkopu", rune(flag)) {
				return nil, &usageError{fmt.Sprintf("unknown option -- %c", flag)}
			}
			value := arg[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, &usageError{fmt.Sprintf("option requires an argument -- %c", flag)}
				}
				value, args = args[0], args[1:]
			}
			o.setValue(flag, value)
			break
		}
	}
	if len(args) > 0 {
		return nil, &usageError{fmt.Sprintf("extra argument %s.", args[0])}
	}
	return o, nil
}

// setSwitch handles the flags without a value.
func (o *options) setSwitch(flag byte) bool {
	switch flag {
	case '4':
		o.ipv4 = true
	case '6':
		o.ipv6 = true
	case 'D':
		o.foreground = true
	case 'd':
		o.debug = min(o.debug+1, 3)
	case 'e':
		o.stderr = true
	case 'G':
		o.dumpPlain = true
	case 'i':
		o.inetd = true
	case 'q':
		o.quiet = true
	case 'r', 'R': // OpenSSH's own re-execution: nothing here needs to be told
	case 'S':
		o.origins = true
	case 'T':
		o.dump = true
	case 't':
		o.test = true
	case 'V':
		o.version = true
	default:
		return false
	}
	return true
}

// setValue handles the flags with a value. -b and -k (protocol 1) are accepted and
// change nothing, as in OpenSSH.
func (o *options) setValue(flag byte, value string) {
	switch flag {
	case 'C':
		o.specs = append(o.specs, value)
	case 'c':
		o.certificate = append(o.certificate, value)
	case 'E':
		o.logFile = value
	case 'f':
		o.configFile = value
	case 'g':
		o.graceTime = value
	case 'h':
		o.hostKeys = append(o.hostKeys, value)
	case 'o':
		o.overrides = append(o.overrides, value)
	case 'u':
		o.hostLen = value
	case 'p':
		o.ports = append(o.ports, value)
	}
}
