package userauth

import (
	"slices"
	"strings"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// PasswordPrompt is the one question of keyboard-interactive, to be answered without
// an echo.
const PasswordPrompt = "Password: "

// device is the name of the one submethod (RFC 4256 section 3.1).
const device = "password"

// interactive is RFC 4256 section 3.1: it asks for the password, once for each
// request. As for sshd, a list of submethods without one of this server's is a
// failure; one that has it several times asks no more often (THREATS row 10).
func (s *server) interactive(r *wire.Reader, name string) (outcome, error) {
	r.String() // language tag, deprecated
	devices := r.String()
	if r.End() != nil || slices.Contains(devices, 0) {
		return outcome{}, protocolError("malformed keyboard-interactive request")
	}
	if len(devices) > 0 && !named(string(devices), device) {
		s.d.Failed(name)
		return outcome{}, nil
	}
	b := wire.AppendText([]byte{msg.UserauthInfoRequest}, "")             // name
	b = wire.AppendUint32(wire.AppendText(wire.AppendText(b, ""), ""), 1) // instruction, language tag, prompts
	return outcome{postponed: true}, s.t.Send(wire.AppendBool(wire.AppendText(b, PasswordPrompt), false))
}

func named(list, name string) bool {
	for entry := range strings.SplitSeq(list, ",") {
		if entry == name {
			return true
		}
	}
	return false
}

// interactiveAnswer is RFC 4256 section 3.4. As in sshd any other number of answers
// than was asked for ends the connection.
func (s *server) interactiveAnswer(r *wire.Reader) (outcome, error) {
	if n := r.Uint32(); r.Err() == nil && n != 1 {
		return outcome{}, protocolError("wrong number of replies")
	}
	response := r.String()
	defer clear(response)
	if r.End() != nil || slices.Contains(response, 0) {
		return outcome{}, protocolError("malformed keyboard-interactive response")
	}
	return outcome{Verdict: s.d.Interactive(response[:min(len(response), maxPassword+1)])}, nil
}
