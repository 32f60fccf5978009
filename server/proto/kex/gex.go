package kex

import (
	"fmt"
	"math/bits"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/wire"
)

// Messages of the group exchange (RFC 4419 section 5). KEX_DH_GEX_REQUEST_OLD,
// which shares its number 30 with INIT of the other methods, is not served:
// OpenSSH does not either.
const (
	gexGroup   = 31
	gexInit    = 32
	gexReply   = 33
	gexRequest = 34
)

// Sizes of group that are served, in bits, as OpenSSH's: less is broken too
// cheaply (RFC 8270), more costs the server too much.
const (
	gexMin = 2048
	gexMax = 8192
)

// groupExchange is RFC 4419.
//
//	client                                  server
//	34 REQUEST  uint32 min, n, max  ----->
//	                                <-----  31 GROUP  mpint p, g
//	32 INIT     mpint e             ----->
//	                                <-----  33 REPLY  string host key, mpint f, string signature
type groupExchange struct {
	method method
	params *Params // nil when over
	p, g   []byte  // nil before REQUEST
	hashed []byte  // min, n, max, p, g as the exchange hash has them
}

// Step implements Exchange.
func (e *groupExchange) Step(payload []byte) (reply []byte, result *Result, err error) {
	want := byte(gexRequest)
	if e.p != nil {
		want = gexInit
	}
	if e.params == nil || len(payload) == 0 || payload[0] != want {
		e.params = nil
		return nil, nil, errUnexpected(payload)
	}
	r := wire.NewReader(payload[1:])
	if e.p == nil {
		if reply, err = e.request(r); err != nil {
			e.params = nil
		}
		return reply, nil, err
	}
	p := e.params
	e.params = nil
	client := r.String()
	if err := r.End(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	server, secret, err := dhStep(e.p, e.g, client)
	if err != nil {
		return nil, nil, err
	}
	return finish(e.method, p, gexReply, e.hashed, client, server, secret)
}

// request chooses the group.
func (e *groupExchange) request(r *wire.Reader) ([]byte, error) {
	least, best, most := r.Uint32(), r.Uint32(), r.Uint32()
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	if least > best || best > most || most < gexMin || least > gexMax {
		return nil, fmt.Errorf("%w: group sizes %d, %d, %d", ErrPeer, least, best, most)
	}
	p, g, err := e.choose(max(least, gexMin), min(max(best, gexMin), gexMax), min(most, gexMax))
	if err != nil {
		return nil, err
	}
	e.p, e.g = p, g
	numbers := wire.AppendMpint(wire.AppendMpint(nil, p), g)
	e.hashed = wire.AppendUint32(wire.AppendUint32(wire.AppendUint32(nil, least), best), most)
	e.hashed = append(e.hashed, numbers...)
	return append([]byte{gexGroup}, numbers...), nil
}

func (e *groupExchange) choose(least, best, most uint32) (p, g []byte, err error) {
	if e.params.Moduli != nil {
		if p, g, err = e.params.Moduli(least, best, most); err != nil {
			return nil, nil, fmt.Errorf("kex: no group for the group exchange: %w", err)
		}
	}
	if p == nil {
		p, g, err = FallbackGroup(most)
	}
	if n := bitLen(p); err == nil && (n < gexMin || n > gexMax) {
		err = fmt.Errorf("kex: group of %d bits for the group exchange", n)
	}
	return p, g, err
}

// Free implements Exchange.
func (e *groupExchange) Free() { e.params = nil }

// FallbackGroup returns the group, of those with fixed numbers in RFC 3526, that
// serves a group exchange when there is no file of moduli: the largest of 2048,
// 4096 and 8192 bits for a client that takes up to most bits, as OpenSSH has it.
func FallbackGroup(most uint32) (p, g []byte, err error) {
	switch {
	case most < 3072:
		return libcrypto.Group("group14")
	case most < 6144:
		return libcrypto.Group("group16")
	}
	return libcrypto.Group("group18")
}

// bitLen returns the number of bits of a big-endian number.
func bitLen(n []byte) int {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) == 0 {
		return 0
	}
	return 8*len(n) - bits.LeadingZeros8(n[0])
}
