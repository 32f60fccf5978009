package config

import (
	"math"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time as sshd_config(5) writes it: numbers with the units s,
// m, h, d, w in either case, added up; no unit means seconds. ok is false for
// anything else, for a negative number and for more than 2^31-1 seconds.
func ParseTime(s string) (d time.Duration, ok bool) {
	var total int64
	rest := strings.TrimPrefix(s, "+")
	if rest == "" {
		return 0, false
	}
	for rest != "" {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil {
			return 0, false
		}
		rest = rest[digits:]
		unit := int64(1)
		if rest != "" {
			switch rest[0] {
			case 's', 'S':
			case 'm', 'M':
				unit = 60
			case 'h', 'H':
				unit = 3600
			case 'd', 'D':
				unit = 24 * 3600
			case 'w', 'W':
				unit = 7 * 24 * 3600
			default:
				return 0, false
			}
			rest = rest[1:]
		}
		// n < 2^31 and unit < 2^20: the product cannot overflow.
		if total += n * unit; total > math.MaxInt32 {
			return 0, false
		}
	}
	return time.Duration(total) * time.Second, true
}

// seconds writes a duration as -T does.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(d/time.Second), 10)
}

// parseSize reads a number of bytes with an optional fraction and an optional
// suffix B, K, M, G, T, P or E in either case. The second result is C's text of
// the error: "Invalid argument" or "Numerical result out of range".
func parseSize(s string) (int64, string) {
	const invalid, tooLarge = "Invalid argument", "Numerical result out of range"
	s = strings.TrimSpace(s)
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	whole, err := strconv.ParseInt("0"+s[:digits], 10, 64)
	if err != nil {
		return 0, tooLarge
	}
	s = s[digits:]
	fraction := 0.0
	seen := digits
	if strings.HasPrefix(s, ".") {
		n := len(s[1:]) - len(strings.TrimLeft(s[1:], "0123456789"))
		fraction, _ = strconv.ParseFloat("0."+s[1:1+n]+"0", 64)
		s, seen = s[1+n:], seen+n
	}
	if seen == 0 || len(s) > 1 {
		return 0, invalid
	}
	shift := 0
	if s != "" {
		// The position in the list gives the power of 1024.
		i := strings.IndexByte("BKMGTPE", s[0]&^0x20)
		if i < 0 {
			return 0, invalid
		}
		shift = 10 * i
	}
	if whole > math.MaxInt64>>shift {
		return 0, tooLarge
	}
	size := whole<<shift + int64(fraction*float64(int64(1)<<shift))
	if size < 0 {
		return 0, tooLarge
	}
	if negative {
		size = -size
	}
	return size, ""
}

// parsePort reads a port number or the name of a TCP service; 0 is refused.
func parsePort(s string) (int, bool) {
	if s == "" || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 16)
	if err == nil {
		return int(n), n != 0
	}
	if strings.TrimLeft(s, "+0123456789") == "" {
		return 0, false // a number, but too large
	}
	service, err := net.LookupPort("tcp", s)
	return service, err == nil && service > 0
}

// absolute makes a path absolute: "none" stays, ~ and ~user are home
// directories, anything else is relative to the working directory.
func absolute(path string) (string, error) {
	if strings.EqualFold(path, "none") {
		return "none", nil
	}
	if strings.HasPrefix(path, "~") {
		name, rest, _ := strings.Cut(path[1:], "/")
		account, err := lookupHome(name)
		if err != nil {
			return "", &detail{"tilde_expand: No such user " + name}
		}
		path = strings.TrimSuffix(account, "/") + "/" + rest
	}
	if strings.HasPrefix(path, "/") {
		return path, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(wd, "/") + "/" + path, nil
}

func lookupHome(name string) (string, error) {
	if name == "" {
		if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
			return u.HomeDir, nil
		}
		return os.UserHomeDir()
	}
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

// serviceClasses are the DSCP names of IPQoS with their value of the IP header's
// traffic class byte.
var serviceClasses = []choice[int]{
	{"af11", 0x28}, {"af12", 0x30}, {"af13", 0x38},
	{"af21", 0x48}, {"af22", 0x50}, {"af23", 0x58},
	{"af31", 0x68}, {"af32", 0x70}, {"af33", 0x78},
	{"af41", 0x88}, {"af42", 0x90}, {"af43", 0x98},
	{"cs0", 0x00}, {"cs1", 0x20}, {"cs2", 0x40}, {"cs3", 0x60},
	{"cs4", 0x80}, {"cs5", 0xa0}, {"cs6", 0xc0}, {"cs7", 0xe0},
	{"ef", 0xb8}, {"le", 0x04},
	{"none", ServiceClassNone},
}

// oldServiceTypes are the names of RFC 1349's type of service. OpenSSH ignores
// them since 10.1.
var oldServiceTypes = []string{"lowdelay", "throughput", "reliability"}

// parseServiceClass reads one value of IPQoS: a name or a number from 0 to 255
// in C's notation. old means a name that is ignored.
func parseServiceClass(s string) (value int, old, ok bool) {
	for _, c := range serviceClasses {
		if strings.EqualFold(c.name, s) {
			return c.value, false, true
		}
	}
	for _, name := range oldServiceTypes {
		if strings.EqualFold(name, s) {
			return 0, true, true
		}
	}
	n, err := parseC(s)
	return int(n), false, err == nil && n <= 255
}

func formatServiceClass(v int) string {
	for _, c := range serviceClasses {
		if c.value == v {
			return c.name
		}
	}
	const hex = "0123456789abcdef"
	return "0x" + string([]byte{hex[v>>4&15], hex[v&15]})
}

// parseC reads an unsigned number as strtoul(3) with base 0 does: 0x for
// hexadecimal, 0 for octal.
func parseC(s string) (uint64, error) {
	switch {
	case len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x':
		return strconv.ParseUint(s[2:], 16, 32)
	case len(s) > 1 && s[0] == '0':
		return strconv.ParseUint(s[1:], 8, 32)
	}
	return strconv.ParseUint(s, 10, 32)
}

// splitHostPort splits HOST:PORT, [HOST]:PORT and, if the port may be missing,
// HOST. An address with several colons and no brackets is all host.
func splitHostPort(s string) (host, port string, hasPort, ok bool) {
	if strings.HasPrefix(s, "[") {
		host, rest, found := strings.Cut(s[1:], "]")
		if !found {
			return "", "", false, false
		}
		if rest == "" {
			return host, "", false, true
		}
		if rest[0] != ':' {
			return "", "", false, false
		}
		return host, rest[1:], true, true
	}
	host, port, hasPort = strings.Cut(s, ":")
	return host, port, hasPort, true
}
