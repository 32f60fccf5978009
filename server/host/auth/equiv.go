package auth

import (
	"bytes"
	"io"
	"strings"
)

// Limits of hosts.equiv, .shosts and their kin. A larger file lets nobody in: the line
// at the limit would be cut, and so perhaps what it denies.
const (
	maxEquivFile  = 1 << 20 // bytes: 20,000 lines of a host and a user
	maxEquivField = 1023    // bytes of a name, as in sshd
)

// equivPeer is what a line of hosts.equiv(5) is compared with.
type equivPeer struct {
	Host, Addr string // of the client; either may be named
	ClientUser string
	ServerUser string // the account's name
}

// An equivAnswer is what a line, or a file, says of somebody.
type equivAnswer int

const (
	equivSilent equivAnswer = iota
	equivAllowed
	equivDenied
)

// readEquiv returns what the first line that concerns the peer says.
func readEquiv(r io.Reader, file string, p *equivPeer, log Log) equivAnswer {
	answer, number := equivSilent, 0
	limited := &io.LimitedReader{R: r, N: maxEquivFile + 1}
	err := eachLine(limited, func(line []byte, tooLong bool) bool {
		number++
		if tooLong { // it may have denied
			log.printf(Debug, "%s: line %d exceeds size limit", file, number)
			answer = equivDenied
			return false
		}
		answer = p.line(line)
		return answer == equivSilent
	})
	switch {
	case err != nil || limited.N <= 0:
		log.printf(Debug, "%s: cannot be read, or is too large: %v", file, err)
		return equivSilent
	case answer == equivDenied:
		log.printf(Debug, "Matched negative entry in %.100s.", file)
	}
	return answer
}

// line compares one line: host and perhaps user, each with "-" before it to deny,
// or "+", which says nothing. Names alone count: "+" for everybody is ignored, and
// so is a netgroup, since nothing here can resolve one; where a netgroup is denied,
// everybody is whom the rest of the line fits.
func (p *equivPeer) line(line []byte) equivAnswer {
	text := strings.TrimLeft(string(line), " \t")
	if text == "" || text[0] == '#' || strings.HasPrefix(text, "NO_PLUS") || bytes.IndexByte(line, 0) >= 0 {
		return equivSilent
	}
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
	if len(fields) == 0 || len(fields) > 2 || len(text) > 2*maxEquivField {
		return equivSilent
	}
	if len(fields) == 1 {
		fields = append(fields, p.ServerUser)
	}
	host, denied := sign(fields[0])
	name, userDenied := sign(fields[1])
	denied = denied || userDenied
	if host == "" || name == "" {
		return equivSilent
	}
	if host[0] == '@' {
		if !denied {
			return equivSilent
		}
	} else if !strings.EqualFold(host, p.Host) && host != p.Addr {
		return equivSilent
	}
	if name[0] == '@' {
		if !denied {
			return equivSilent
		}
	} else if name != p.ClientUser {
		return equivSilent
	}
	if denied {
		return equivDenied
	}
	return equivAllowed
}

// sign takes the sign from a name.
func sign(name string) (rest string, denied bool) {
	if rest, denied = strings.CutPrefix(name, "-"); denied {
		return rest, true
	}
	return strings.TrimPrefix(name, "+"), false
}
