package user

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"nano_ssh_server/server/proto/algo"
)

// ErrAddressList means that a list of addresses holds something that is neither
// an address, a network nor a pattern, or a network whose mask does not fit it.
var ErrAddressList = errors.New("invalid address list")

// A Match is the answer of a list in which "!" excludes.
type Match int

// The answers, with OpenSSH's numbers.
const (
	Excluded Match = -1 // a "!" entry matches
	NoMatch  Match = 0
	Matches  Match = 1
)

// ParsePeerAddress reads the textual address of a peer. An IPv4 address that
// arrived on an IPv6 socket (::ffff:a.b.c.d) counts as the IPv4 address that it
// is, so that rules for either form apply to it.
func ParsePeerAddress(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a.Unmap(), err == nil
}

// MatchAddressList compares an address with a comma-separated list of addresses,
// CIDR networks and wildcard patterns, each with an optional "!" before it
// (sshd_config(5), Match Address; addr_match_list in OpenSSH). A "!" that matches
// ends the search. The invalid Addr matches nothing but has the list checked.
// The error wraps ErrAddressList: an empty entry, or a network with bits set
// beyond its mask ("Inconsistent mask length").
func MatchAddressList(addr netip.Addr, list string) (Match, error) {
	result := NoMatch
	text := ""
	if addr.IsValid() {
		addr = addr.Unmap()
		text = addr.WithZone("").String()
	}
	for entry := range strings.SplitSeq(list, ",") {
		pattern, negated := strings.CutPrefix(entry, "!")
		if pattern == "" {
			return NoMatch, fmt.Errorf("%w: empty entry in %q", ErrAddressList, list)
		}
		network, isNetwork, err := parseNetwork(pattern)
		if err != nil {
			return NoMatch, err
		}
		var hit bool
		switch {
		case !addr.IsValid():
		case isNetwork:
			hit = containsAddress(network, addr)
		default:
			hit = algo.MatchPattern(text, pattern)
		}
		if hit && negated {
			return Excluded, nil
		}
		if hit {
			result = Matches
		}
	}
	return result, nil
}

// MatchCIDRList is MatchAddressList for lists that may hold addresses and
// networks only, without "!" or wildcards: a certificate's source-address
// (addr_match_cidr_list in OpenSSH).
func MatchCIDRList(addr netip.Addr, list string) (bool, error) {
	found := false
	for entry := range strings.SplitSeq(list, ",") {
		if entry == "" || strings.Trim(entry, "0123456789abcdefABCDEF.:/") != "" {
			return false, fmt.Errorf("%w: %q", ErrAddressList, list)
		}
		network, ok, err := parseNetwork(entry)
		if err == nil && !ok {
			err = fmt.Errorf("%w: invalid network %q", ErrAddressList, entry)
		}
		if err != nil {
			return false, err
		}
		found = found || addr.IsValid() && containsAddress(network, addr.Unmap())
	}
	return found, nil
}

// parseNetwork reads an address or address/bits. ok is false for text that is
// neither, which may be a pattern; a bad mask is an error.
func parseNetwork(text string) (network netip.Prefix, ok bool, err error) {
	address, mask, hasMask := strings.Cut(text, "/")
	a, perr := netip.ParseAddr(address)
	if perr != nil {
		return netip.Prefix{}, false, nil
	}
	if !hasMask {
		return netip.PrefixFrom(a.WithZone(""), a.BitLen()), true, nil
	}
	bits, aerr := strconv.Atoi(mask)
	if aerr != nil || bits < 0 || bits > 128 || mask[0] == '+' {
		return netip.Prefix{}, false, nil
	}
	network = netip.PrefixFrom(a.WithZone(""), bits)
	if !network.IsValid() || network.Masked() != network {
		return netip.Prefix{}, false, fmt.Errorf("%w: Inconsistent mask length for network %q", ErrAddressList, text)
	}
	return network, true, nil
}

// containsAddress also lets ::ffff:a.b.c.d/96+n stand for a.b.c.d/n.
func containsAddress(network netip.Prefix, addr netip.Addr) bool {
	if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(a.Unmap(), network.Bits()-96)
	}
	return network.Contains(addr.WithZone(""))
}

// A Peer is where a connection comes from.
type Peer struct {
	Addr netip.Addr
	// Host is the verified host name with UseDNS, else empty: the address then
	// stands for it, as in sshd.
	Host string
}

// Name is the host name, or the address in text.
func (p Peer) Name() string {
	if p.Host != "" {
		return p.Host
	}
	if !p.Addr.IsValid() {
		return "UNKNOWN"
	}
	return p.Addr.Unmap().String()
}

// MatchHostAndAddress compares a peer with a list that may hold host name
// patterns, addresses, networks and "!" (match_host_and_ip in OpenSSH): true if
// the name or the address matches and neither is excluded.
func MatchHostAndAddress(peer Peer, list string) (bool, error) {
	byAddress, err := MatchAddressList(peer.Addr, list)
	if err != nil || byAddress == Excluded {
		return false, err
	}
	byName := Match(algo.MatchPatternList(strings.ToLower(peer.Name()), strings.ToLower(list)))
	if byName == Excluded {
		return false, nil
	}
	return byName == Matches || byAddress == Matches, nil
}

// MatchUser compares a name and a peer with one pattern of AllowUsers or
// DenyUsers: user, user@host, user@address or user@network (match_user in
// OpenSSH). The part after "@" may be a list.
func MatchUser(name string, peer Peer, pattern string) (bool, error) {
	userPattern, hosts, hasHost := strings.Cut(pattern, "@")
	if !hasHost {
		return algo.MatchPattern(name, pattern), nil
	}
	if !algo.MatchPattern(name, userPattern) {
		return false, nil
	}
	return MatchHostAndAddress(peer, hosts)
}
