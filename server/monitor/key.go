package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/sshkey"
)

// KeyAcceptable reports whether a signature by this key would let the user in.
func (c *Connection) KeyAcceptable(algorithm string, blob []byte) bool {
	c.must(ipc.KeyAcceptable)
	key, usable := c.usableKey(algorithm, blob)
	if !usable {
		c.tries++
		return false
	}
	entry := c.find(key)
	if entry == nil {
		c.refuseKey(key)
		return false
	}
	c.log.Auth(log.Attempt{
		Outcome: log.Postponed, Method: "publickey", Peer: c.LogPeer(), Key: "",
		Failures: c.tries, MaxTries: c.cfg.MaxAuthTries,
	})
	return true
}

// KeySigned verifies a signature over the data of RFC 4252 section 7, which must
// be of this connection, and lets the user in if the key may.
func (c *Connection) KeySigned(algorithm string, blob, data, signature []byte) (ok, partial bool) {
	c.must(ipc.KeySigned)
	key, usable := c.usableKey(algorithm, blob)
	if !usable {
		c.tries++
		return false, false
	}
	entry := c.find(key)
	details, err := c.verifyKey(key, algorithm, data, signature)
	if entry == nil {
		c.refuseKey(key)
		return false, false
	}
	t := try{method: "publickey", key: c.describe(key), info: keyText(key), rights: &entry.Permissions}
	if err != nil {
		c.log.Debug("signature of %s does not verify: %v", t.key, err)
		return c.finish(t)
	}
	if details != nil {
		t.key += fmt.Sprintf(", signature count = %d", details.Counter)
	}
	t.right = details == nil || c.touched(key, details, &entry.Permissions)
	if ok, partial = c.finish(t); partial {
		c.usedKeys = append(c.usedKeys, bytes.Clone(blob))
	}
	return ok, partial
}

// refuseKey counts and logs a key that is not authorized. As sshd, which does not
// look for keys of users that may not log in, it has no line for those.
func (c *Connection) refuseKey(key sshkey.PublicKey) {
	if c.valid {
		c.log.Auth(log.Attempt{
			Outcome: log.Failed, Method: "publickey", Peer: c.LogPeer(), Key: c.describe(key),
			Failures: c.failures, MaxTries: c.cfg.MaxAuthTries,
		})
	}
	c.tries++
}

// usableKey reads a key and applies what concerns all keys. The lines are sshd's.
func (c *Connection) usableKey(algorithm string, blob []byte) (key sshkey.PublicKey, usable bool) {
	l := c.log.WithPreauth()
	if sshkey.TypeName(algorithm) == "unknown" {
		l.Verbose("userauth_pubkey: unsupported public key algorithm: %.100s", algorithm)
		return nil, false
	}
	key, err := sshkey.ParsePublic(blob)
	switch {
	case errors.Is(err, sshkey.ErrUnknownType):
		l.Error("userauth_pubkey: cannot decode key: %.100s", algorithm)
	case err != nil:
		l.Error("userauth_pubkey: parse key: invalid format")
	case keyType(algorithm) != key.Type():
		l.Error("userauth_pubkey: key type mismatch for decoded key (received %s, expected %.100s)", key.Type(), algorithm)
	case slices.ContainsFunc(c.usedKeys, func(b []byte) bool { return bytes.Equal(b, blob) }):
		l.Info("refusing previously-used %s key", sshkey.TypeName(key.Type()))
	case !slices.Contains(c.cfg.PubkeyAcceptedAlgorithms, algorithm):
		l.Info("userauth_pubkey: signature algorithm %.100s not in PubkeyAcceptedAlgorithms", algorithm)
	case key.Type() == sshkey.TypeRSA && key.Bits() < c.cfg.RequiredRSASize:
		l.Info("refusing RSA key: Invalid key length")
	case foreignApplication(key, algorithm):
		l.Error("refusing %s key: it was not made for SSH", sshkey.TypeName(key.Type()))
	case !slices.Contains(c.methods(), "publickey"):
		l.Debug("publickey is not a method to try now")
	default:
		return key, true
	}
	return nil, false
}

// foreignApplication reports a security key that belongs to another relying party
// than SSH: an authenticator signs for that one on its own terms (THREATS row 26).
// Only WebAuthn signatures, whose party is always a web site's, may name another.
func foreignApplication(key sshkey.PublicKey, algorithm string) bool {
	sk, ok := key.(*sshkey.SecurityKey)
	return ok && algorithm != sshkey.AlgorithmWebAuthn && !strings.HasPrefix(sk.Application(), "ssh:")
}

// find looks a key up among the user's. Users who may not log in get the same work
// on a decoy.
func (c *Connection) find(key sshkey.PublicKey) *auth.Entry {
	revoked := c.revoked(key)
	entry := auth.Authorized(&auth.Query{
		Account: c.account, Blob: key.Blob(), Peer: c.userPeer(), Now: time.Now(), Strict: c.cfg.StrictModes,
		Log: func(level auth.Level, format string, args ...any) {
			c.log.Log(levels[level], format, args...)
		},
	}, c.cfg.AuthorizedKeysFile)
	if entry == nil || revoked || !c.valid {
		return nil
	}
	c.log.AcceptedKey(c.describe(key), entry.File, entry.Line)
	return entry
}

// verifyKey verifies the signature, over data that this side knows to be of this
// connection: what the gate says is not believed. details are a security key's.
func (c *Connection) verifyKey(key sshkey.PublicKey, algorithm string, data, signature []byte) (details *sshkey.SecurityKeySignature, err error) {
	if !c.ownData(data, algorithm, key.Blob()) {
		return nil, errForeignData
	}
	sk, ok := key.(*sshkey.SecurityKey)
	if !ok {
		return nil, key.Verify(algorithm, data, signature)
	}
	s, err := sk.VerifySecurityKey(algorithm, data, signature)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// touched applies what configuration and key options ask of a security key's
// signature (THREATS row 26).
func (c *Connection) touched(key sshkey.PublicKey, s *sshkey.SecurityKeySignature, p *auth.Permissions) bool {
	missing := ""
	switch {
	case s.Flags&sshkey.FlagUserPresent == 0 && (c.cfg.PubkeyAuthOptions.TouchRequired || !p.NoTouchRequired):
		missing = "user presence (authenticator touch) requirement not met "
	case s.Flags&sshkey.FlagUserVerified == 0 && (c.cfg.PubkeyAuthOptions.VerifyRequired || p.VerifyRequired):
		missing = "user verification requirement not met "
	default:
		return true
	}
	c.log.Error("public key %s signature for %s from %.128s port %d rejected: %s",
		c.describe(key), c.name, c.peer.RemoteHost, c.peer.RemotePort, missing)
	return false
}

// keyType is the type of key that signs under an algorithm (RFC 8332 section 3).
func keyType(algorithm string) string {
	switch algorithm {
	case sshkey.AlgorithmRSA256, sshkey.AlgorithmRSA512:
		return sshkey.TypeRSA
	case sshkey.AlgorithmWebAuthn:
		return sshkey.TypeSKECDSA
	}
	return algorithm
}

var levels = [...]log.Level{auth.Error: log.Error, auth.Info: log.Info, auth.Verbose: log.Verbose, auth.Debug: log.Debug1, auth.Debug2: log.Debug2}

// describe is a key in log lines: type and fingerprint.
func (c *Connection) describe(key sshkey.PublicKey) string {
	fingerprint := sshkey.FingerprintSHA256
	if strings.EqualFold(c.cfg.FingerprintHash, "MD5") {
		fingerprint = sshkey.FingerprintMD5
	}
	return sshkey.TypeName(key.Type()) + " " + fingerprint(key.Blob())
}

// keyText is a key as ExposeAuthInfo shows it: type and base64.
func keyText(key sshkey.PublicKey) string {
	return strings.TrimSpace(string(sshkey.MarshalAuthorized(key, "")))
}
