package monitor

import (
	"bytes"
	"errors"

	"nano_ssh_server/server/proto/wire"
)

var errForeignData = errors.New("monitor: the signed data is not of this connection")

// ownData reports whether data is what a client of this connection must sign to
// log its user in by this key (RFC 4252 section 7; OpenSSH's PROTOCOL for the
// host-bound form). A gate in foreign hands could otherwise have the monitor accept a
// signature that was made for another session or purpose.
func (c *Connection) ownData(data []byte, algorithm string, blob []byte) bool {
	const userauthRequest = 50
	b := wire.AppendString(nil, c.sessionID)
	b = wire.AppendText(wire.AppendText(append(b, userauthRequest), c.signedName), service)
	rest, ok := bytes.CutPrefix(data, b)
	if !ok {
		return false
	}
	key := wire.AppendString(wire.AppendText(wire.AppendBool(nil, true), algorithm), blob)
	plain := append(wire.AppendText(nil, "publickey"), key...)
	bound := append(wire.AppendText(nil, "publickey-hostbound-v00@openssh.com"), key...)
	bound = wire.AppendString(bound, c.hostKey)
	return bytes.Equal(rest, plain) || bytes.Equal(rest, bound)
}
