package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// Why a certificate lets nobody in, beside what sshkey's Check finds, in sshd's
// words.
const (
	ErrCertificateOptions   = sshkey.CertificateError("Invalid certificate options")
	ErrRefusedByCertificate = sshkey.CertificateError("Refused by certificate options")
	ErrRefusedByPrincipals  = sshkey.CertificateError("Refused by certificate principals options")
	ErrAuthorizedPrincipal  = sshkey.CertificateError("Certificate does not contain an authorized principal")
)

// ErrUnknownCA means that nothing names the CA of a certificate.
var ErrUnknownCA = errors.New("auth: the certificate's CA is not trusted")

// A CertificateRequest asks whether a certificate lets its holder log in as an
// account. Fields from Files on are the configuration's, where "" and "none" mean
// that a keyword is not set.
//
// The request's makers check beforehand that the certified key signs under an
// accepted algorithm, that it is long enough, and that nothing of the certificate
// is revoked; and afterwards the signature of the login by the certified key.
type CertificateRequest struct {
	Certificate *sshkey.Certificate // ParseCertificate checked the CA's signature
	Account     *user.Account
	Peer        user.Peer
	Now         time.Time
	Log         Log // may be nil

	Files                 []string // AuthorizedKeysFile
	Strict                bool     // StrictModes
	TrustedUserCAKeys     string
	CASignatureAlgorithms []string // names, no patterns
	PrincipalsFile        string   // AuthorizedPrincipalsFile, with tokens
	PrincipalsCommand     string   // AuthorizedPrincipalsCommand, with tokens
	PrincipalsCommandUser string   // AuthorizedPrincipalsCommandUser, with tokens
	Connection            string   // what %C stands for, as in KeysCommand

	// Lookup finds the account of PrincipalsCommandUser.
	Lookup func(name string) (*user.Account, error)
	// Fingerprint is that of FingerprintHash; nil means sshkey.FingerprintSHA256.
	Fingerprint func(blob []byte) string
}

// A CertificateGrant is the answer that lets in.
type CertificateGrant struct {
	Permissions Permissions
	// Accepted is sshd's line, to be logged at the level Verbose.
	Accepted string
}

// AuthorizeCertificate decides about a certificate as sshd does: first by the lines
// marked cert-authority in the files of AuthorizedKeysFile, then by
// TrustedUserCAKeys. The grant is nil if it lets nobody in; the error then is the
// last reason and has been logged, unless it is ErrUnknownCA, which is nothing to
// tell. ctx bounds AuthorizedPrincipalsCommand.
//
// AuthorizedKeysCommand is the callers': they pass its output to FindCA.
func AuthorizeCertificate(ctx context.Context, in *CertificateRequest) (*CertificateGrant, error) {
	if err := CheckCASignature(in.Certificate, in.CASignatureAlgorithms); err != nil {
		in.Log.printf(Info, "userauth_pubkey: %v", err)
		return nil, err
	}
	grant, err := in.byLines(func(q *Query) { Authorized(q, in.Files) })
	if grant != nil {
		return grant, nil
	}
	grant, trustedErr := in.byTrustedCA(ctx)
	if grant != nil || !errors.Is(trustedErr, ErrUnknownCA) {
		return grant, trustedErr
	}
	return nil, err
}

// FindCA is AuthorizeCertificate by a text in the format of authorized_keys alone:
// the output of AuthorizedKeysCommand. name is for log lines.
func (in *CertificateRequest) FindCA(r io.Reader, name string) (*CertificateGrant, error) {
	if err := CheckCASignature(in.Certificate, in.CASignatureAlgorithms); err != nil {
		return nil, err
	}
	var readErr error
	grant, err := in.byLines(func(q *Query) { _, readErr = Find(r, name, q) })
	if grant == nil && readErr != nil {
		err = readErr
	}
	return grant, err
}

// CheckCASignature applies CASignatureAlgorithms. The error is sshd's line without
// its "userauth_pubkey: ".
func CheckCASignature(c *sshkey.Certificate, algorithms []string) error {
	if slices.Contains(algorithms, c.SignatureAlgorithm) {
		return nil
	}
	return fmt.Errorf("certificate signature algorithm %s: signature algorithm not supported", c.SignatureAlgorithm)
}

// query asks for the lines that name the certificate's CA.
func (in *CertificateRequest) query() *Query {
	return &Query{
		Account: in.Account, Blob: in.Certificate.CA.Blob(), CA: true, Peer: in.Peer, Now: in.Now,
		Strict: in.Strict, Log: in.Log,
	}
}

// byLines lets find look at authorized_keys lines. One that names the CA but does
// not let this certificate in is logged, and the next one may.
func (in *CertificateRequest) byLines(find func(*Query)) (grant *CertificateGrant, last error) {
	c, q := in.Certificate, in.query()
	last = ErrUnknownCA
	ca, fingerprint := sshkey.TypeName(c.CA.Type()), sshkey.FingerprintSHA256(c.CA.Blob())
	q.further = func(e *Entry) bool {
		permissions, err := in.byLine(q, e)
		if err != nil {
			last = err
			in.Log.printf(Error, "Refusing certificate ID \"%s\" serial=%d signed by %s CA %s via %s: %v",
				c.KeyID, c.Serial, ca, fingerprint, e.place(), err)
			return false
		}
		grant = &CertificateGrant{*permissions, fmt.Sprintf("Accepted certificate ID \"%s\" (serial %d) signed by CA %s %s found at %s",
			c.KeyID, c.Serial, ca, fingerprint, e.place())}
		return true
	}
	find(q)
	if grant != nil {
		return grant, nil
	}
	return nil, last
}

// byLine applies one line that names the CA.
func (in *CertificateRequest) byLine(q *Query, e *Entry) (*Permissions, error) {
	c, line := in.Certificate, &e.Permissions
	options, err := in.options()
	if err != nil {
		return nil, err
	}
	if !q.conditionsHold(options, false, e.place()) {
		return nil, ErrRefusedByCertificate
	}
	merged, err := Merge(line, options)
	if err != nil {
		return nil, err
	}
	// The line's principals stand in the place of the account's name.
	name := in.Account.Name
	if line.HasPrincipals {
		if !listedPrincipal(line.Principals, c) {
			return nil, ErrAuthorizedPrincipal
		}
		name = ""
	}
	return merged, c.Check(sshkey.UserCertificate, name, in.Now)
}

// listedPrincipal compares a comma-separated list with a certificate's principals,
// which are whole names, also where they hold a comma. As in sshd, an empty name
// ends the list.
func listedPrincipal(list string, c *sshkey.Certificate) bool {
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			return false
		}
		if slices.Contains(c.Principals, name) {
			return true
		}
	}
	return false
}

// byTrustedCA applies TrustedUserCAKeys.
func (in *CertificateRequest) byTrustedCA(ctx context.Context) (*CertificateGrant, error) {
	c := in.Certificate
	if !isSet(in.TrustedUserCAKeys) {
		return nil, ErrUnknownCA
	}
	ca, fingerprint := sshkey.TypeName(c.CA.Type()), in.fingerprint(c.CA)
	if err := listedIn(in.TrustedUserCAKeys, c.CA); err != nil {
		in.Log.printf(Debug2, "user_cert_trusted_ca: CA %s %s is not listed in %s: %v", ca, fingerprint, in.TrustedUserCAKeys, err)
		return nil, ErrUnknownCA
	}
	permissions, err := in.trusted(ctx)
	if err != nil {
		in.Log.printf(Error, "%v", err)
		return nil, err
	}
	return &CertificateGrant{*permissions, fmt.Sprintf("Accepted certificate ID \"%s\" (serial %d) signed by %s CA %s via %s",
		c.KeyID, c.Serial, ca, fingerprint, in.TrustedUserCAKeys)}, nil
}

// trusted decides about a certificate whose CA is trusted.
func (in *CertificateRequest) trusted(ctx context.Context) (*Permissions, error) {
	name := in.Account.Name
	principals, used := in.principals(ctx)
	if used {
		if principals == nil {
			return nil, ErrAuthorizedPrincipal
		}
		name = ""
	}
	if err := in.Certificate.Check(sshkey.UserCertificate, name, in.Now); err != nil {
		return nil, err
	}
	options, err := in.options()
	if err != nil {
		return nil, err
	}
	q := in.query()
	if !q.conditionsHold(options, false, "cert") {
		return nil, ErrRefusedByCertificate
	}
	if !used {
		return options, nil
	}
	if !q.conditionsHold(principals, false, "principals") {
		return nil, ErrRefusedByPrincipals
	}
	return Merge(principals, options)
}

func (in *CertificateRequest) fingerprint(key sshkey.PublicKey) string {
	if in.Fingerprint == nil {
		return sshkey.FingerprintSHA256(key.Blob())
	}
	return in.Fingerprint(key.Blob())
}

// isSet reports whether the configuration gives a file or command.
func isSet(value string) bool { return value != "" && !strings.EqualFold(value, "none") }
