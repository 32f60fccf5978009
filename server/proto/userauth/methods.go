package userauth

import (
	"slices"

	"nano_ssh_server/server/proto/wire"
)

// method is a row of the table of authentication methods.
type method struct {
	name  string // as announced and asked of the Decider
	alias string // another name for requests, or ""
	// request takes the rest of a USERAUTH_REQUEST that named the method, or its
	// alias. An error ends the connection.
	request func(s *server, r *wire.Reader, name string) (outcome, error)
	// answer takes a USERAUTH_INFO_RESPONSE after request postponed; nil for a
	// method that asks nothing back (RFC 4256 section 3.4).
	answer func(s *server, r *wire.Reader) (outcome, error)
}

// methods is the one table of authentication methods. What a client may try is
// what is here and in the Decider's list.
var methods = []method{
	{name: "none", request: (*server).none},
	{name: "publickey", alias: hostBound, request: (*server).publicKey},
	{name: "password", request: (*server).password},
	{name: "keyboard-interactive", request: (*server).interactive, answer: (*server).interactiveAnswer},
	{name: "hostbased", request: (*server).hostbased},
}

// hostBound is publickey with the server's host key in the signed data
// (OpenSSH's PROTOCOL, section 3.1).
const hostBound = "publickey-hostbound-v00@openssh.com"

// maxPassword is the longest password in bytes that is worth a look (THREATS row
// 09: hashing longer ones burnt CPU).
const maxPassword = 1024

// none is RFC 4252 section 5.2. As in sshd it can be tried once.
func (s *server) none(r *wire.Reader, _ string) (outcome, error) {
	if r.End() != nil {
		return outcome{}, protocolError("malformed none request")
	}
	s.noneUsed = true
	return outcome{Verdict: s.d.None()}, nil
}

// password is RFC 4252 section 8. A request to change it is refused as in sshd.
func (s *server) password(r *wire.Reader, _ string) (outcome, error) {
	change, password := r.Bool(), r.String()
	defer clear(password)
	if change {
		defer clear(r.String())
	}
	if r.End() != nil || slices.Contains(password, 0) {
		return outcome{}, protocolError("malformed password request")
	}
	if change {
		s.d.Failed("password")
		return outcome{}, nil
	}
	return outcome{Verdict: s.d.Password(password[:min(len(password), maxPassword+1)])}, nil
}
