package auth

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of one line's options, as in OpenSSH (SSH_AUTHOPT_ENV_MAX and
// SSH_AUTHOPT_PERMIT_MAX).
const (
	maxEnvironment = 1024
	maxPermits     = 4096
	maxHostLen     = 1025 // NI_MAXHOST
)

// Tunnel devices: a number from 0 up, or one of these.
const (
	TunnelUnset = -1
	TunnelAny   = 1<<31 - 1
)

// Permissions are what a key lets its holder do and under which conditions: the
// options of one authorized_keys line, those of a certificate, or both merged.
// It is what sessions and forwardings ask.
type Permissions struct {
	PortForwarding  bool
	AgentForwarding bool
	X11Forwarding   bool
	PTY             bool
	UserRC          bool
	Restricted      bool // "restrict" was given; already worked into the others

	// ForceCommand replaces whatever command, shell or subsystem is asked for. It
	// counts when HasForceCommand, also when it is empty.
	HasForceCommand bool
	ForceCommand    string

	Environment  []string  // NAME=value, each name once; needs PermitUserEnvironment
	PermitOpen   []Permit  // nil: any target
	PermitListen []Permit  // nil: any listening address
	Tunnel       int       // TunnelUnset, TunnelAny or a device number
	ValidBefore  time.Time // zero: no end

	From          string // pattern list of peers, "" for any
	HasFrom       bool
	SourceAddress string // a certificate's list of networks

	CertAuthority bool   // the key signs certificates and logs nobody in itself
	Principals    string // comma-separated, for CertAuthority
	HasPrincipals bool

	NoTouchRequired bool // security keys: signatures without user presence will do
	VerifyRequired  bool // security keys: the user must have been verified
}

// A Permit is one permitopen or permitlisten value.
type Permit struct {
	Host string // as written, brackets of an IPv6 address removed; may be a pattern
	Port uint16 // 0: any
}

// Everything are the permissions of a login without a key: by password.
func Everything() *Permissions {
	return &Permissions{
		PortForwarding: true, AgentForwarding: true, X11Forwarding: true,
		PTY: true, UserRC: true, Tunnel: TunnelUnset,
	}
}

// The errors of ParseOptions, in OpenSSH's words.
var (
	errUnknownOption = errors.New("unknown key option")
	errEndOfOptions  = errors.New("unexpected end-of-options")
	errStartQuote    = errors.New("missing start quote")
	errEndQuote      = errors.New("missing end quote")
	errExpiry        = errors.New("invalid expires time")
	errEnvironment   = errors.New("invalid environment string")
	errManyEnv       = errors.New("too many environment strings")
	errManyPermits   = errors.New("too many permission directives")
	errPermitHost    = errors.New("invalid permission hostname")
	errPermitPort    = errors.New("invalid permission port")
	errTunnel        = errors.New("invalid tun device")
)

// ParseOptions reads the options field of an authorized_keys line (sshd(8),
// AUTHORIZED_KEYS FILE FORMAT): names in any case, values in double quotes, \"
// for a quote in them, commas between. Options apply in their order, so "pty"
// after "restrict" gives the terminal back. The first thing that is not
// understood makes the whole field an error, in OpenSSH's words; a restriction
// that we do not know must never be ignored.
func ParseOptions(text string) (*Permissions, error) {
	p := Everything()
	for text != "" {
		end := strings.IndexAny(text, ",=")
		name, value, hasValue := text, "", false
		switch {
		case end < 0:
			text = ""
		case text[end] == ',':
			name, text = text[:end], text[end:]
		default:
			var err error
			hasValue = true
			name = text[:end]
			if value, text, err = unquote(text[end+1:]); err != nil {
				return nil, err
			}
		}
		if err := p.set(strings.ToLower(name), value, hasValue); err != nil {
			return nil, err
		}
		if text == "" {
			break
		}
		if text[0] != ',' {
			return nil, errUnknownOption
		}
		if text = text[1:]; text == "" {
			return nil, errEndOfOptions
		}
	}
	return p, nil
}

// unquote takes a quoted value from the front of text.
func unquote(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", errStartQuote
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:], nil
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '"':
			i++
		}
		b.WriteByte(text[i])
	}
	return "", "", errEndQuote
}

// flags are the options without a value; "no-" turns those marked off.
var flags = map[string]struct {
	negatable bool
	set       func(p *Permissions, on bool)
}{
	"restrict": {false, func(p *Permissions, _ bool) {
		p.Restricted = true
		p.PortForwarding, p.AgentForwarding, p.X11Forwarding, p.PTY, p.UserRC = false, false, false, false, false
	}},
	"cert-authority":   {false, func(p *Permissions, on bool) { p.CertAuthority = on }},
	"port-forwarding":  {true, func(p *Permissions, on bool) { p.PortForwarding = on }},
	"agent-forwarding": {true, func(p *Permissions, on bool) { p.AgentForwarding = on }},
	"x11-forwarding":   {true, func(p *Permissions, on bool) { p.X11Forwarding = on }},
	"pty":              {true, func(p *Permissions, on bool) { p.PTY = on }},
	"user-rc":          {true, func(p *Permissions, on bool) { p.UserRC = on }},
	"touch-required":   {true, func(p *Permissions, on bool) { p.NoTouchRequired = !on }},
	"verify-required":  {true, func(p *Permissions, on bool) { p.VerifyRequired = on }},
}

// set applies one option; name is in lower case.
func (p *Permissions) set(name, value string, hasValue bool) error {
	if hasValue {
		return p.setValue(name, value)
	}
	if name == "" { // OpenSSH takes ",," too
		return nil
	}
	if f, ok := flags[name]; ok {
		f.set(p, true)
		return nil
	}
	if positive, ok := strings.CutPrefix(name, "no-"); ok && flags[positive].negatable {
		flags[positive].set(p, false)
		return nil
	}
	return errUnknownOption
}

func (p *Permissions) setValue(name, value string) (err error) {
	if strings.IndexByte(value, 0) >= 0 {
		return errUnknownOption
	}
	once := func(has *bool, field *string) error {
		if *has {
			return errors.New(`multiple "` + name + `" clauses`)
		}
		*has, *field = true, value
		return nil
	}
	switch name {
	case "command":
		return once(&p.HasForceCommand, &p.ForceCommand)
	case "principals":
		return once(&p.HasPrincipals, &p.Principals)
	case "from":
		return once(&p.HasFrom, &p.From)
	case "expiry-time":
		t, err := ParseTime(value)
		if err != nil {
			return errExpiry
		}
		if p.ValidBefore.IsZero() || t.Before(p.ValidBefore) {
			p.ValidBefore = t
		}
		return nil
	case "environment":
		return p.addEnvironment(value)
	case "permitopen":
		p.PermitOpen, err = addPermit(p.PermitOpen, value, false)
		return err
	case "permitlisten":
		p.PermitListen, err = addPermit(p.PermitListen, value, true)
		return err
	case "tunnel":
		p.Tunnel, err = parseTunnel(value)
		return err
	}
	return errUnknownOption
}

// addEnvironment keeps the first value of each name.
func (p *Permissions) addEnvironment(setting string) error {
	name, _, ok := strings.Cut(setting, "=")
	if !ok || name == "" {
		return errEnvironment
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return errEnvironment
		}
	}
	if len(p.Environment) >= maxEnvironment {
		return errManyEnv
	}
	if !slices.ContainsFunc(p.Environment, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
		p.Environment = append(p.Environment, setting)
	}
	return nil
}

// addPermit reads host:port, [address]:port, or with barePort a port alone. The
// port is a number from 1, or "*".
func addPermit(permits []Permit, value string, barePort bool) ([]Permit, error) {
	if len(permits) >= maxPermits {
		return nil, errManyPermits
	}
	if barePort && !strings.Contains(value, ":") {
		value = "*:" + value
	}
	host, port := "", ""
	if strings.HasPrefix(value, "[") {
		end := strings.IndexByte(value, ']')
		if end < 0 || end+1 < len(value) && value[end+1] != ':' {
			return nil, errPermitHost
		}
		host, port = value[1:end], strings.TrimPrefix(value[end+1:], ":")
	} else {
		host, port, _ = strings.Cut(value, ":")
	}
	if len(host) >= maxHostLen || strings.ContainsAny(host, " \t/") {
		return nil, errPermitHost
	}
	if port == "*" {
		return append(permits, Permit{Host: host}), nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, errPermitPort
	}
	return append(permits, Permit{Host: host, Port: uint16(n)}), nil
}

// parseTunnel reads "any" or a device number.
func parseTunnel(value string) (int, error) {
	if strings.EqualFold(value, "any") {
		return TunnelAny, nil
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n >= TunnelAny-1 {
		return TunnelUnset, errTunnel
	}
	return int(n), nil
}

// ParseTime reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS in the machine's time
// zone, or in UTC with a "Z" or "UTC" at its end.
func ParseTime(text string) (time.Time, error) {
	zone := time.Local
	if upper := strings.ToUpper(text); len(text) > 3 && strings.HasSuffix(upper, "UTC") {
		zone, text = time.UTC, text[:len(text)-3]
	} else if len(text) > 1 && strings.HasSuffix(upper, "Z") {
		zone, text = time.UTC, text[:len(text)-1]
	}
	const layout = "20060102150405"
	if n := len(text); n != 8 && n != 12 && n != 14 {
		return time.Time{}, errExpiry
	}
	t, err := time.ParseInLocation(layout[:len(text)], text, zone)
	if err != nil || t.Unix() <= 0 {
		return time.Time{}, errExpiry
	}
	return t, nil
}
