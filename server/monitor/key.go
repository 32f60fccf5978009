package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	if c.find(key) == nil {
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
	rights := c.find(key)
	details, err := c.verifyKey(key, algorithm, data, signature)
	if rights == nil {
		c.refuseKey(key)
		return false, false
	}
	t := try{method: "publickey", key: c.describe(key), info: keyText(key), rights: rights}
	if err != nil {
		c.log.Debug("signature of %s does not verify: %v", t.key, err)
		return c.finish(t)
	}
	if details != nil {
		t.key += fmt.Sprintf(", signature count = %d", details.Counter)
	}
	t.right = details == nil || c.touched(key, details, rights)
	if ok, partial = c.finish(t); partial {
		c.usedKeys = append(c.usedKeys, bytes.Clone(certified(key).Blob()))
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

// usableKey reads a key, or a certificate, and applies what concerns all keys. The
// lines are sshd's.
func (c *Connection) usableKey(algorithm string, blob []byte) (key sshkey.PublicKey, usable bool) {
	l := c.log.WithPreauth()
	if sshkey.TypeName(algorithm) == "unknown" {
		l.Verbose("userauth_pubkey: unsupported public key algorithm: %.100s", algorithm)
		return nil, false
	}
	plain, key, err := parseKey(algorithm, blob)
	switch {
	case errors.Is(err, sshkey.ErrUnknownType):
		l.Error("userauth_pubkey: cannot decode key: %.100s", algorithm)
		return nil, false
	case errors.Is(err, sshkey.ErrCASignature):
		l.Error("userauth_pubkey: parse key: incorrect signature")
		return nil, false
	case err != nil:
		l.Error("userauth_pubkey: parse key: invalid format")
		return nil, false
	}
	own := certified(key)
	switch {
	case keyType(algorithm) != key.Type():
		l.Error("userauth_pubkey: key type mismatch for decoded key (received %s, expected %.100s)", key.Type(), algorithm)
	case slices.ContainsFunc(c.usedKeys, func(b []byte) bool { return bytes.Equal(b, own.Blob()) }):
		l.Info("refusing previously-used %s key", sshkey.TypeName(key.Type()))
	case !slices.Contains(c.cfg.PubkeyAcceptedAlgorithms, algorithm):
		l.Info("userauth_pubkey: signature algorithm %.100s not in PubkeyAcceptedAlgorithms", algorithm)
	case !c.acceptedCA(key):
		// is logged
	case own.Type() == sshkey.TypeRSA && own.Bits() < c.cfg.RequiredRSASize:
		l.Info("refusing %s key: Invalid key length", sshkey.TypeName(key.Type()))
	case foreignApplication(own, plain):
		l.Error("refusing %s key: it was not made for SSH", sshkey.TypeName(key.Type()))
	case !slices.Contains(c.methods(), "publickey"):
		l.Debug("publickey is not a method to try now")
	default:
		return key, true
	}
	return nil, false
}

// parseKey reads the blob that goes with an algorithm. plain is the algorithm of
// the signatures, which for a certificate has another name.
func parseKey(algorithm string, blob []byte) (plain string, key sshkey.PublicKey, err error) {
	plain, isCert := sshkey.PlainType(algorithm)
	if isCert {
		cert, err := sshkey.ParseCertificate(blob)
		if err != nil {
			return plain, nil, err
		}
		return plain, cert, nil
	}
	key, err = sshkey.ParsePublic(blob)
	return plain, key, err
}

// signatureAlgorithms are what server-sig-algs announces: as OpenSSH's clients look
// for it there, that of a certificate's signatures goes by its plain name.
func signatureAlgorithms(accepted []string) []string {
	var names []string
	for _, name := range accepted {
		if plain, _ := sshkey.PlainType(name); sshkey.Supported(plain) && !slices.Contains(names, plain) {
			names = append(names, plain)
		}
	}
	return names
}

// certified is the key that signs: that in a certificate, or the key itself.
func certified(key sshkey.PublicKey) sshkey.PublicKey {
	if cert, ok := key.(*sshkey.Certificate); ok {
		return cert.Key
	}
	return key
}

// foreignApplication reports a security key that belongs to another relying party
// than SSH: an authenticator signs for that one on its own terms (THREATS row 26).
// Only WebAuthn signatures, whose party is always a web site's, may name another.
func foreignApplication(key sshkey.PublicKey, algorithm string) bool {
	sk, ok := key.(*sshkey.SecurityKey)
	return ok && algorithm != sshkey.AlgorithmWebAuthn && !strings.HasPrefix(sk.Application(), "ssh:")
}

// verifyKey verifies the signature, over data that this side knows to be of this
// connection: what the gate says is not believed. details are a security key's.
func (c *Connection) verifyKey(key sshkey.PublicKey, algorithm string, data, signature []byte) (details *sshkey.SecurityKeySignature, err error) {
	if !c.ownData(data, algorithm, key.Blob()) {
		return nil, errForeignData
	}
	sk, ok := certified(key).(*sshkey.SecurityKey)
	if !ok {
		return nil, key.Verify(algorithm, data, signature)
	}
	plain, _ := sshkey.PlainType(algorithm)
	s, err := sk.VerifySecurityKey(plain, data, signature)
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
		c.nameKey(key), c.name, c.peer.RemoteHost, c.peer.RemotePort, missing)
	return false
}

// keyType is the type of key, or certificate, that signs under an algorithm
// (RFC 8332 section 3).
func keyType(algorithm string) string {
	plain, isCert := sshkey.PlainType(algorithm)
	switch plain {
	case sshkey.AlgorithmRSA256, sshkey.AlgorithmRSA512:
		plain = sshkey.TypeRSA
	case sshkey.AlgorithmWebAuthn:
		plain = sshkey.TypeSKECDSA
	}
	if isCert {
		return sshkey.CertificateType(plain)
	}
	return plain
}

// describe is a key in log lines: type and fingerprint, and what else there is to
// a certificate.
func (c *Connection) describe(key sshkey.PublicKey) string {
	text := c.nameKey(key)
	if cert, ok := key.(*sshkey.Certificate); ok {
		text += fmt.Sprintf(" ID %s (serial %d) CA %s", cert.KeyID, cert.Serial, c.nameKey(cert.CA))
	}
	return text
}

// nameKey is type and fingerprint.
func (c *Connection) nameKey(key sshkey.PublicKey) string {
	return sshkey.TypeName(key.Type()) + " " + c.fingerprint(certified(key).Blob())
}

// fingerprint is that of FingerprintHash.
func (c *Connection) fingerprint(blob []byte) string {
	return sshkey.Fingerprint(c.cfg.FingerprintHash, blob)
}

// keyText is a key as ExposeAuthInfo shows it: type and base64.
func keyText(key sshkey.PublicKey) string {
	return strings.TrimSpace(string(sshkey.MarshalAuthorized(key, "")))
}
