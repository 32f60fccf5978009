package monitor

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strconv"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/host/auth"
)

// group is a candidate for diffie-hellman-group-exchange.
type group struct {
	bits int
	p, g []byte
}

// maxModuliLine holds a modulus of 16384 bits in hexadecimal and the other fields.
const maxModuliLine = 8 << 10

var errNoGroup = errors.New("monitor: no suitable Diffie-Hellman group")

// Moduli chooses a group of moduli(5): of the size nearest to n bits from
// above, within min and max, one at random (RFC 4419 section 3). Without a usable
// file it falls back to the groups of RFC 3526 and RFC 8268.
func Moduli(path string) func(min, n, max uint32) (p, g []byte, err error) {
	return func(least, n, most uint32) ([]byte, []byte, error) {
		if p, g, ok := fromFile(path, int(least), int(n), int(most)); ok {
			return p, g, nil
		}
		for _, f := range []struct {
			bits uint32
			name string
		}{{2048, "group14"}, {4096, "group16"}, {8192, "group18"}} {
			if f.bits >= least && f.bits <= most && (f.bits >= n || f.bits == 8192) {
				return libcrypto.Group(f.name)
			}
		}
		return nil, nil, errNoGroup
	}
}

// fromFile reads the file once for each exchange: it is used rarely, and may change.
func fromFile(path string, least, n, most int) (p, g []byte, ok bool) {
	f, err := auth.OpenList(path)
	if err != nil {
		return nil, nil, false
	}
	defer f.Close()
	var best group
	seen := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 2<<10), maxModuliLine)
	for lines.Scan() {
		c, ok := parseModuli(lines.Bytes())
		if !ok || c.bits < least || c.bits > most {
			continue
		}
		better := best.bits == 0 || c.bits >= n && (c.bits < best.bits || best.bits < n) || c.bits < n && c.bits > best.bits && best.bits < n
		switch {
		case c.bits == best.bits:
			if seen++; rand.IntN(seen) == 0 {
				best = c
			}
		case better:
			best, seen = c, 1
		}
	}
	return best.p, best.g, best.bits != 0
}

// parseModuli reads one line of moduli(5): only safe primes that were tested
// and not found composite count.
func parseModuli(line []byte) (group, bool) {
	f := bytes.Fields(line)
	if len(f) != 7 || f[0][0] == '#' || string(f[1]) != "2" {
		return group{}, false
	}
	tests, err := strconv.Atoi(string(f[2]))
	if err != nil || tests&1 != 0 || tests&^1 == 0 {
		return group{}, false
	}
	bits, err := strconv.Atoi(string(f[4]))
	if err != nil {
		return group{}, false
	}
	g, err := strconv.ParseUint(string(f[5]), 16, 8)
	if err != nil || g < 2 {
		return group{}, false
	}
	p, err := hex.DecodeString(string(f[6]))
	if err != nil || len(p) < 128 || p[0] == 0 || 8*len(p) != bits+1 {
		return group{}, false
	}
	return group{bits + 1, p, []byte{byte(g)}}, true
}
