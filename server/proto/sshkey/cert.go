package sshkey

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nano_ssh_server/server/proto/wire"
)

// CertificateKind says what a certificate is good for.
type CertificateKind uint32

// The kinds of OpenSSH's PROTOCOL.certkeys.
const (
	UserCertificate CertificateKind = 1
	HostCertificate CertificateKind = 2
)

// Bounds of what a certificate lists. OpenSSH has the first; the second keeps
// an attacker's certificate cheap.
const (
	maxPrincipals = 256
	maxOptions    = 256
)

// CertificateError is why a certificate is not good now, or not for this. The
// text is sshd's.
type CertificateError string

func (e CertificateError) Error() string { return string(e) }

// What Check finds.
const (
	ErrNotUserCertificate = CertificateError("Certificate invalid: not a user certificate")
	ErrNotHostCertificate = CertificateError("Certificate invalid: not a host certificate")
	ErrNotYetValid        = CertificateError("Certificate invalid: not yet valid")
	ErrExpired            = CertificateError("Certificate invalid: expired")
	ErrNoPrincipals       = CertificateError("Certificate lacks principal list")
	ErrPrincipal          = CertificateError("Certificate invalid: name is not a listed principal")
)

// What ParseCertificate finds beside ErrMalformed and the errors of ParsePublic.
var (
	// ErrCertificateKind means neither user nor host.
	ErrCertificateKind = errors.New("sshkey: certificate of unknown kind")
	// ErrNestedCA means that a certificate is signed by a certificate.
	ErrNestedCA = errors.New("sshkey: certificate signed by a certificate")
	// ErrCASignature means that the CA key did not sign the certificate.
	ErrCASignature = errors.New("sshkey: incorrect signature of a certificate")
)

// CertificateOption is a critical option or an extension.
type CertificateOption struct {
	Name string
	Data []byte // as it came: empty, or a string with its length in most
}

// Text returns the text in the data of an option that has one, such as
// force-command.
func (o *CertificateOption) Text() (string, error) {
	r := wire.NewReader(o.Data)
	text := r.Text()
	if err := r.End(); err != nil {
		return "", malformed(err)
	}
	return text, nil
}

// Certificate is a public key with what a CA says about it (OpenSSH's
// PROTOCOL.certkeys). Whether the CA is to be believed, and its signature algorithm
// to be accepted, is the callers' matter; they also call Check, and
// UnknownCritical. Everything in it is a stranger's text until the CA is known.
//
// It is a PublicKey whose type, algorithms and blob are those of the certificate.
type Certificate struct {
	Key                         PublicKey // the certified key, no certificate
	Serial                      uint64
	Kind                        CertificateKind
	KeyID                       string
	Principals                  []string
	ValidAfter, ValidBefore     uint64 // seconds since 1970; the latter excluded
	CriticalOptions, Extensions []CertificateOption
	CA                          PublicKey
	SignatureAlgorithm          string // that the CA signed with

	name string
	blob []byte
}

// ParseCertificate reads a certificate blob of any type of key that ParsePublic
// knows, and checks the CA's signature.
func ParseCertificate(blob []byte) (*Certificate, error) {
	blob = slices.Clone(blob)
	r := wire.NewReader(blob)
	c := &Certificate{name: r.Text(), blob: blob}
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	plain, isCert := PlainType(c.name)
	t, ok := keyTypes[plain]
	if !ok || !isCert {
		return nil, fmt.Errorf("%w %.64q", ErrUnknownType, c.name)
	}
	r.String() // nonce
	var err error
	if c.Key, err = t.parse(plain, r); err != nil {
		return nil, err
	}
	c.Serial, c.Kind, c.KeyID = r.Uint64(), CertificateKind(r.Uint32()), r.Text()
	principals := r.String()
	c.ValidAfter, c.ValidBefore = r.Uint64(), r.Uint64()
	critical, extensions := r.String(), r.String()
	r.String() // reserved
	ca := r.String()
	signed := blob[:len(blob)-r.Len()]
	signature := r.String()
	if err := r.End(); err != nil {
		return nil, malformed(err)
	}
	if c.Kind != UserCertificate && c.Kind != HostCertificate {
		return nil, fmt.Errorf("%w %d", ErrCertificateKind, c.Kind)
	}
	if c.Principals, err = parsePrincipals(principals); err != nil {
		return nil, err
	}
	if c.CriticalOptions, err = parseOptions(critical); err != nil {
		return nil, err
	}
	if c.Extensions, err = parseOptions(extensions); err != nil {
		return nil, err
	}
	if err := c.checkCA(ca, signed, signature); err != nil {
		return nil, err
	}
	return c, nil
}

func parsePrincipals(list []byte) (principals []string, err error) {
	r := wire.NewReader(list)
	for r.Len() > 0 && r.Err() == nil {
		if len(principals) == maxPrincipals {
			return nil, badFormat("certificate with more than %d principals", maxPrincipals)
		}
		principals = append(principals, r.Text())
	}
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	return principals, nil
}

// parseOptions reads names and data. Each name may come once only: of two
// force-commands one would be ignored.
func parseOptions(list []byte) (options []CertificateOption, err error) {
	r := wire.NewReader(list)
	for r.Len() > 0 && r.Err() == nil {
		o := CertificateOption{r.Text(), r.String()}
		if len(options) == maxOptions {
			return nil, badFormat("certificate with more than %d options", maxOptions)
		}
		if slices.ContainsFunc(options, func(other CertificateOption) bool { return other.Name == o.Name }) {
			return nil, badFormat("certificate option %.64q twice", o.Name)
		}
		options = append(options, o)
	}
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	return options, nil
}

// checkCA reads the CA's key, and checks its signature of all that comes before
// that. A security key must have been touched for it.
func (c *Certificate) checkCA(ca, signed, signature []byte) error {
	r := wire.NewReader(ca)
	if _, isCert := PlainType(r.Text()); isCert {
		return ErrNestedCA
	}
	var err error
	if c.CA, err = ParsePublic(ca); err != nil {
		return err
	}
	r = wire.NewReader(signature)
	c.SignatureAlgorithm = r.Text()
	if err := r.Err(); err != nil {
		return malformed(err)
	}
	if err := c.CA.Verify(c.SignatureAlgorithm, signed, signature); err != nil {
		return fmt.Errorf("%w: %w", ErrCASignature, err)
	}
	return nil
}

// Type implements PublicKey: for example "ssh-rsa-cert-v01@openssh.com".
func (c *Certificate) Type() string { return c.name }

// Blob implements PublicKey.
func (c *Certificate) Blob() []byte { return c.blob }

// Bits implements PublicKey.
func (c *Certificate) Bits() int { return c.Key.Bits() }

// Verify implements PublicKey: it checks a signature by the certified key.
// algorithm has the name of a certificate, the signature that of a key
// ("rsa-sha2-512-cert-v01@openssh.com" and "rsa-sha2-512").
func (c *Certificate) Verify(algorithm string, data, signature []byte) error {
	plain, ok := PlainType(algorithm)
	if !ok {
		return wrongAlgorithm(algorithm, c.name)
	}
	return c.Key.Verify(plain, data, signature)
}

// Check tells whether the certificate is good for a kind of use at a time, and
// names principal. An empty principal means that the caller compares
// Principals itself. A certificate without principals is good for nobody
// (THREATS row 25). The error is a CertificateError.
func (c *Certificate) Check(kind CertificateKind, principal string, now time.Time) error {
	seconds := uint64(max(0, now.Unix()))
	switch {
	case c.Kind != kind && kind == HostCertificate:
		return ErrNotHostCertificate
	case c.Kind != kind:
		return ErrNotUserCertificate
	case seconds < c.ValidAfter:
		return ErrNotYetValid
	case seconds >= c.ValidBefore:
		return ErrExpired
	case len(c.Principals) == 0:
		return ErrNoPrincipals
	case principal != "" && !slices.Contains(c.Principals, principal):
		return ErrPrincipal
	}
	return nil
}

// UnknownCritical returns the name of a critical option that is not in known,
// and whether there is one: then the certificate must be refused.
func (c *Certificate) UnknownCritical(known ...string) (string, bool) {
	for i := range c.CriticalOptions {
		if name := c.CriticalOptions[i].Name; !slices.Contains(known, name) {
			return name, true
		}
	}
	return "", false
}

// Critical returns the critical option of that name, or nil.
func (c *Certificate) Critical(name string) *CertificateOption {
	return findOption(c.CriticalOptions, name)
}

// Extension returns the extension of that name, or nil.
func (c *Certificate) Extension(name string) *CertificateOption {
	return findOption(c.Extensions, name)
}

func findOption(options []CertificateOption, name string) *CertificateOption {
	for i := range options {
		if options[i].Name == name {
			return &options[i]
		}
	}
	return nil
}

// CertificateType returns the type of a certificate for a key type or signature
// algorithm: "ssh-rsa-cert-v01@openssh.com" for "ssh-rsa".
func CertificateType(name string) string {
	return strings.TrimSuffix(name, "@openssh.com") + certSuffix
}
