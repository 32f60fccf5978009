package monitor

import (
	"context"
	"fmt"
	"io"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/proto/sshkey"
)

// commandTimeout bounds the programs of AuthorizedKeysCommand and
// AuthorizedPrincipalsCommand: half of the default LoginGraceTime, after which
// nobody waits for them any more. They hold one of the gate's places for requests.
const commandTimeout = 60 * time.Second

var levels = [...]log.Level{auth.Error: log.Error, auth.Info: log.Info, auth.Verbose: log.Verbose, auth.Debug: log.Debug1, auth.Debug2: log.Debug2}

// find looks a key or certificate up among what lets the user in, and returns what
// it permits, nil if it may not log in. Users who may not log in get the same work on
// a decoy, of which nothing is logged.
func (c *Connection) find(key sshkey.PublicKey) *auth.Permissions {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	if c.revoked(key) {
		return nil
	}
	var rights *auth.Permissions
	var accepted string
	if cert, ok := key.(*sshkey.Certificate); ok {
		rights, accepted = c.findCertificate(ctx, cert)
	} else {
		rights, accepted = c.findKey(ctx, key)
	}
	if rights == nil || !c.valid {
		return nil
	}
	c.log.Verbose("%s", accepted)
	return rights
}

// findKey asks the files of AuthorizedKeysFile, then AuthorizedKeysCommand.
func (c *Connection) findKey(ctx context.Context, key sshkey.PublicKey) (rights *auth.Permissions, accepted string) {
	q := &auth.Query{
		Account: c.account, Blob: key.Blob(), Peer: c.userPeer(), Now: time.Now(), Strict: c.cfg.StrictModes, Log: c.authLog(),
	}
	entry := auth.Authorized(q, c.cfg.AuthorizedKeysFile)
	if entry == nil {
		counts := c.keysCommand(key).Run(ctx, func(r io.Reader, name string) (err error) {
			entry, err = auth.Find(r, name, q)
			return err
		})
		if !counts || entry == nil {
			return nil, ""
		}
	}
	return &entry.Permissions, fmt.Sprintf("Accepted key %s found at %.200s:%d", c.nameKey(key), entry.File, entry.Line)
}

// findCertificate asks the cert-authority lines of AuthorizedKeysFile, then
// TrustedUserCAKeys, then the cert-authority lines of AuthorizedKeysCommand.
func (c *Connection) findCertificate(ctx context.Context, cert *sshkey.Certificate) (rights *auth.Permissions, accepted string) {
	in := c.certificateRequest(cert)
	grant, err := auth.AuthorizeCertificate(ctx, in)
	if grant == nil {
		counts := c.keysCommand(cert).Run(ctx, func(r io.Reader, name string) error {
			grant, err = in.FindCA(r, name)
			return nil // what it has against the certificate is logged; the program is not to blame
		})
		if !counts || grant == nil {
			if c.valid && err != nil {
				c.log.Debug("certificate refused: %v", err)
			}
			return nil, ""
		}
	}
	return &grant.Permissions, grant.Accepted
}

func (c *Connection) certificateRequest(cert *sshkey.Certificate) *auth.CertificateRequest {
	return &auth.CertificateRequest{
		Certificate: cert, Account: c.account, Peer: c.userPeer(), Now: time.Now(), Log: c.authLog(),
		Files: c.cfg.AuthorizedKeysFile, Strict: c.cfg.StrictModes,
		TrustedUserCAKeys: c.cfg.TrustedUserCAKeys, CASignatureAlgorithms: c.cfg.CASignatureAlgorithms,
		PrincipalsFile: c.cfg.AuthorizedPrincipalsFile, PrincipalsCommand: c.cfg.AuthorizedPrincipalsCommand,
		PrincipalsCommandUser: c.cfg.AuthorizedPrincipalsCommandUser,
		Connection:            c.endpoints(), Lookup: c.shared.Users.Lookup, Fingerprint: c.fingerprint,
	}
}

func (c *Connection) keysCommand(key sshkey.PublicKey) *auth.KeysCommand {
	return &auth.KeysCommand{
		Line: c.cfg.AuthorizedKeysCommand, User: c.cfg.AuthorizedKeysCommandUser, Account: c.account, Key: key,
		Connection: c.endpoints(), Lookup: c.shared.Users.Lookup, Fingerprint: c.fingerprint, Log: c.authLog(),
	}
}

// acceptedCA applies CASignatureAlgorithms to a certificate. Plain keys have no CA.
func (c *Connection) acceptedCA(key sshkey.PublicKey) bool {
	cert, ok := key.(*sshkey.Certificate)
	if !ok {
		return true
	}
	err := auth.CheckCASignature(cert, c.cfg.CASignatureAlgorithms)
	if err != nil {
		c.log.WithPreauth().Info("userauth_pubkey: %v", err)
	}
	return err == nil
}

// maxTold is how many lines one search may log: a user's file can be made so that there
// is something to say about each of its lines.
const maxTold = 32

// authLog is where package auth tells what it finds in one search; nil for a decoy.
func (c *Connection) authLog() auth.Log {
	if !c.valid {
		return nil
	}
	told := 0
	return func(level auth.Level, format string, args ...any) {
		if levels[level] > c.log.Level() {
			return
		}
		if told++; told <= maxTold {
			c.log.Log(levels[level], format, args...)
		} else if told == maxTold+1 {
			c.log.Info("More about this search for a key of %s is not logged", c.account.Name)
		}
	}
}

// endpoints are both ends of the connection, as the token %C and SSH_CONNECTION
// have them.
func (c *Connection) endpoints() string {
	return fmt.Sprintf("%s %d %s %d", c.peer.RemoteHost, c.peer.RemotePort, c.peer.LocalHost, c.peer.LocalPort)
}
