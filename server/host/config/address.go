package config

import (
	"net/netip"
	"strconv"
	"strings"

	"nano_ssh_server/server/proto/algo"
)

// Results of MatchAddress.
const (
	AddressNegated = -1 // a negated pattern matches
	AddressInvalid = -2 // a pattern is empty, or a CIDR one has bits of the host set
)

// MatchAddress compares an address with a list of patterns separated by commas:
// CIDR networks, addresses, wildcards; '!' negates. It returns 1 for a match, 0
// for none, AddressNegated or AddressInvalid. A text that is no address, as
// "UNKNOWN", matches nothing; "" only checks the list.
func MatchAddress(address, list string) int {
	addr, err := netip.ParseAddr(address)
	if err != nil && address != "" {
		return 0
	}
	addr = addr.Unmap()
	result := 0
	for _, pattern := range strings.Split(list, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if pattern == "" {
			return AddressInvalid
		}
		matched := false
		network, kind := parseNetwork(pattern)
		switch kind {
		case networkInconsistent:
			return AddressInvalid
		case networkOK:
			matched = addr.IsValid() && network.Contains(addr.WithZone(""))
		case networkNone:
			matched = addr.IsValid() && algo.MatchPattern(address, pattern)
		}
		if matched && negated {
			return AddressNegated
		}
		if matched {
			result = 1
		}
	}
	return result
}

type networkKind int

const (
	networkOK networkKind = iota
	networkNone
	networkInconsistent
)

// parseNetwork reads ADDRESS or ADDRESS/BITS.
func parseNetwork(s string) (netip.Prefix, networkKind) {
	text, bits, hasBits := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, networkNone
	}
	addr = addr.WithZone("").Unmap()
	n := addr.BitLen()
	if hasBits {
		v, err := strconv.ParseUint(bits, 10, 8)
		if err != nil || v > 128 {
			return netip.Prefix{}, networkNone
		}
		if n = int(v); n > addr.BitLen() {
			return netip.Prefix{}, networkInconsistent
		}
	}
	p := netip.PrefixFrom(addr, n)
	if p.Masked() != p {
		return netip.Prefix{}, networkInconsistent
	}
	return p, networkOK
}

// MatchHost compares a host name, in any case, with a list of patterns: 1, 0,
// or -1 if a negated pattern matches.
func MatchHost(host, list string) int {
	return algo.MatchPatternList(strings.ToLower(host), strings.ToLower(list))
}

// validUserPattern checks one pattern of AllowUsers or DenyUsers.
func validUserPattern(pattern string) bool {
	at := strings.LastIndexByte(pattern, '@')
	return pattern != "" && (at < 0 || MatchAddress("", pattern[at+1:]) != AddressInvalid)
}
