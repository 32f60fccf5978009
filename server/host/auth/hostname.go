package auth

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Resolver asks the machine's name service; *net.Resolver is one.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// SystemResolver reads /etc/nsswitch.conf, /etc/hosts and /etc/resolv.conf and asks
// the servers there by itself. The C library's would hold a thread for each
// question, and a static binary has none that works.
var SystemResolver Resolver = &net.Resolver{PreferGo: true}

// HostName is the name of an address in lower case, if that name has this address
// in turn; else the address in text (UseDNS; sshd's remote_hostname). Who owns an
// address can give it any name, hence the second question. The context limits
// the time of both.
func HostName(ctx context.Context, r Resolver, addr netip.Addr, log Log) string {
	addr = addr.Unmap()
	text := addr.String()
	log.printf(Debug2, "Trying to reverse map address %.100s.", text)
	names, err := r.LookupAddr(ctx, text)
	if err != nil || len(names) == 0 {
		return text
	}
	name := strings.ToLower(strings.TrimSuffix(names[0], "."))
	switch {
	case name == "" || len(name) > maxHostName:
		return text
	case numericHost(name):
		log.printf(Info, "Nasty PTR record \"%s\" is set up for %s, ignoring", name, text)
		return text
	}
	back, err := r.LookupNetIP(ctx, "ip", absolute(name))
	if err != nil {
		log.printf(Info, "reverse mapping checking getaddrinfo for %.700s [%s] failed.", name, text)
		return text
	}
	for _, a := range back {
		if a.Unmap().WithZone("") == addr.WithZone("") {
			return name
		}
	}
	log.printf(Info, "Address %.100s maps to %.600s, but this does not map back to the address.", text, name)
	return text
}

// absolute puts a dot to a name, so that no domain of resolv.conf is put to it. A name
// of one word stays: net looks it up in /etc/hosts without a dot only.
func absolute(name string) string {
	if strings.Contains(name, ".") {
		return name + "."
	}
	return name
}

// maxHostName is RFC 1035's limit in bytes.
const maxHostName = 255

// numericHost reports a name that is an address in any form that inet_aton(3)
// reads: rules for addresses would take it for the peer's.
func numericHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return false
	}
	for _, part := range parts {
		if !number(part) {
			return false
		}
	}
	return true
}

// number reports digits with C's prefixes.
func number(s string) bool {
	base := 10
	if rest, ok := strings.CutPrefix(s, "0x"); ok {
		s, base = rest, 16
	}
	_, err := strconv.ParseUint(s, base, 64)
	return err == nil
}
