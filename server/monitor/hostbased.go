package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

const hostbased = "hostbased"

// Hostbased is a try by the key of the client's machine (RFC 4252 section 9): user and
// host are the client's names for whom and where it is. What the signature
// must cover is put together here, so that a gate in foreign hands gains nothing by
// what it says.
func (c *Connection) Hostbased(algorithm string, blob []byte, host, user string, signature []byte) (ok, partial bool) {
	c.must(ipc.Hostbased)
	key, usable := c.usableHostKey(algorithm, blob)
	if !usable || control(host) || control(user) {
		c.tries++
		return false, false
	}
	allowed := !c.revoked(key) && c.hostAllowed(key, host, user)
	err := key.Verify(algorithm, c.hostbasedData(algorithm, blob, host, user), signature)
	if !allowed || !c.valid {
		c.refuseHost(key, host, user)
		return false, false
	}
	if err != nil {
		c.log.Debug("signature of %s does not verify: %v", c.describe(key), err)
	}
	ok, partial = c.finish(try{
		method: hostbased, right: err == nil, key: c.describe(key), info: keyText(key), rights: auth.Everything(),
	})
	if partial {
		c.usedKeys = append(c.usedKeys, bytes.Clone(certified(key).Blob()))
	}
	return ok, partial
}

// hostAllowed asks the files about the client's machine. Users that may not log in
// get the same work, of which nothing is logged.
func (c *Connection) hostAllowed(key sshkey.PublicKey, host, user string) bool {
	files := c.shared.HostFiles
	if files == nil {
		files = &auth.SystemHostFiles
	}
	return auth.AuthorizedHost(&auth.HostQuery{
		Account: c.account, Key: key, ClientUser: user, ClientHost: host, Host: c.hostName(), Addr: c.peer.RemoteHost,
		NameFromPacket:      c.cfg.HostbasedUsesNameFromPacketOnly,
		IgnoreRhosts:        c.cfg.IgnoreRhosts != config.IgnoreRhostsNo,
		IgnoreShosts:        c.cfg.IgnoreRhosts == config.IgnoreRhostsYes,
		IgnoreUserKnownHost: c.cfg.IgnoreUserKnownHosts,
		Strict:              c.cfg.StrictModes, Files: files, Now: time.Now(), Log: c.authLog(), Name: c.nameKey,
	})
}

// hostbasedData is what the client must sign: the session is that of this side.
func (c *Connection) hostbasedData(algorithm string, blob []byte, host, user string) []byte {
	const userauthRequest = 50
	b := append(wire.AppendString(nil, c.sessionID), userauthRequest)
	b = wire.AppendText(wire.AppendText(wire.AppendText(b, c.signedName), service), hostbased)
	b = wire.AppendString(wire.AppendText(b, algorithm), blob)
	return wire.AppendText(wire.AppendText(b, host), user)
}

// refuseHost counts and logs a machine, or a user of it, that is not trusted. Only
// this line says who the client claims to be, as in sshd.
func (c *Connection) refuseHost(key sshkey.PublicKey, host, user string) {
	if c.valid {
		client := fmt.Sprintf("client user \"%.100s\", client host \"%.100s\"", user, strings.TrimSuffix(host, "."))
		c.log.Auth(log.Attempt{
			Outcome: log.Failed, Method: hostbased, Peer: c.LogPeer(), Key: c.describe(key) + ", " + client,
			Failures: c.failures, MaxTries: c.cfg.MaxAuthTries,
		})
	}
	c.tries++
}

// usableHostKey reads a host key, or a host's certificate, and applies what concerns
// all of them. The lines are sshd's.
func (c *Connection) usableHostKey(algorithm string, blob []byte) (key sshkey.PublicKey, usable bool) {
	l := c.log.WithPreauth()
	if sshkey.TypeName(algorithm) == "unknown" {
		l.Info("userauth_hostbased: unsupported public key algorithm: %.100s", algorithm)
		return nil, false
	}
	plain, key, err := parseKey(algorithm, blob)
	switch {
	case errors.Is(err, sshkey.ErrUnknownType):
		l.Error("userauth_hostbased: cannot decode key: %.100s", algorithm)
		return nil, false
	case errors.Is(err, sshkey.ErrCASignature):
		l.Error("userauth_hostbased: key_from_blob: incorrect signature")
		return nil, false
	case err != nil:
		l.Error("userauth_hostbased: key_from_blob: invalid format")
		return nil, false
	}
	own := certified(key)
	switch {
	case keyType(algorithm) != key.Type():
		l.Error("userauth_hostbased: key type mismatch for decoded key (received %s, expected %.100s)", key.Type(), algorithm)
	case !slices.Contains(c.cfg.HostbasedAcceptedAlgorithms, algorithm):
		l.Info("userauth_hostbased: signature algorithm %.100s not in HostbasedAcceptedAlgorithms", algorithm)
	case own.Type() == sshkey.TypeRSA && own.Bits() < c.cfg.RequiredRSASize:
		l.Info("refusing %s key: Invalid key length", sshkey.TypeName(key.Type()))
	case !c.acceptedHostCA(key):
		// is logged
	case foreignApplication(own, plain):
		l.Error("refusing %s key: it was not made for SSH", sshkey.TypeName(key.Type()))
	case slices.ContainsFunc(c.usedKeys, func(b []byte) bool { return bytes.Equal(b, own.Blob()) }):
		l.Info("refusing previously-used %s key", sshkey.TypeName(key.Type()))
	case !slices.Contains(c.methods(), hostbased):
		l.Debug("hostbased is not a method to try now")
	default:
		return key, true
	}
	return nil, false
}

// acceptedHostCA applies CASignatureAlgorithms to a certificate.
func (c *Connection) acceptedHostCA(key sshkey.PublicKey) bool {
	cert, ok := key.(*sshkey.Certificate)
	if !ok {
		return true
	}
	err := auth.CheckCASignature(cert, c.cfg.CASignatureAlgorithms)
	if err != nil {
		c.log.WithPreauth().Info("userauth_hostbased: %v", err)
	}
	return err == nil
}

// control reports a control byte, which no name has: names go into ExposeAuthInfo's
// file, where a newline would be another method.
func control(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}
