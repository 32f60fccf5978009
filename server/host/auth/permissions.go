package auth

import "errors"

// ErrForceCommands means that a certificate and the authorized_keys line of its CA
// force different commands.
var ErrForceCommands = errors.New("forced command options do not match")

// CertificateDefaults are the permissions of a certificate without extensions:
// none. Its extensions (permit-pty and so on) add to them, its critical options
// (force-command, source-address, verify-required) bind them.
func CertificateDefaults() *Permissions { return &Permissions{Tunnel: TunnelUnset} }

// Merge joins the options of the line that names a CA with those of a certificate
// it signed: what either forbids is forbidden, lists come from the line if it has
// any, the earlier end counts, and two forced commands must be the same
// (ErrForceCommands). CertAuthority and Principals have done their work before and
// are not carried over.
func Merge(line, certificate *Permissions) (*Permissions, error) {
	m := &Permissions{
		PortForwarding:  line.PortForwarding && certificate.PortForwarding,
		AgentForwarding: line.AgentForwarding && certificate.AgentForwarding,
		X11Forwarding:   line.X11Forwarding && certificate.X11Forwarding,
		PTY:             line.PTY && certificate.PTY,
		UserRC:          line.UserRC && certificate.UserRC,
		Restricted:      line.Restricted || certificate.Restricted,

		Environment:   line.Environment,
		PermitOpen:    line.PermitOpen,
		PermitListen:  line.PermitListen,
		Tunnel:        line.Tunnel,
		ValidBefore:   line.ValidBefore,
		From:          line.From,
		HasFrom:       line.HasFrom,
		SourceAddress: line.SourceAddress,

		// Touch may be left out only if both say so; verification is due if one does.
		NoTouchRequired: line.NoTouchRequired && certificate.NoTouchRequired,
		VerifyRequired:  line.VerifyRequired || certificate.VerifyRequired,
	}
	if m.Environment == nil {
		m.Environment = certificate.Environment
	}
	if m.PermitOpen == nil {
		m.PermitOpen = certificate.PermitOpen
	}
	if m.PermitListen == nil {
		m.PermitListen = certificate.PermitListen
	}
	if m.Tunnel == TunnelUnset {
		m.Tunnel = certificate.Tunnel
	}
	if !m.HasFrom {
		m.From, m.HasFrom = certificate.From, certificate.HasFrom
	}
	if m.SourceAddress == "" {
		m.SourceAddress = certificate.SourceAddress
	}
	if c := certificate.ValidBefore; !c.IsZero() && (m.ValidBefore.IsZero() || c.Before(m.ValidBefore)) {
		m.ValidBefore = c
	}
	switch {
	case line.HasForceCommand && certificate.HasForceCommand && line.ForceCommand != certificate.ForceCommand:
		return nil, ErrForceCommands
	case line.HasForceCommand:
		m.HasForceCommand, m.ForceCommand = true, line.ForceCommand
	case certificate.HasForceCommand:
		m.HasForceCommand, m.ForceCommand = true, certificate.ForceCommand
	}
	return m, nil
}
