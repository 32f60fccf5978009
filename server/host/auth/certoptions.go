package auth

import (
	"errors"
	"net/netip"
	"strings"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// extensions are those of OpenSSH's PROTOCOL.certkeys. They hold no data.
var extensions = map[string]func(*Permissions){
	"permit-X11-forwarding":   func(p *Permissions) { p.X11Forwarding = true },
	"permit-agent-forwarding": func(p *Permissions) { p.AgentForwarding = true },
	"permit-port-forwarding":  func(p *Permissions) { p.PortForwarding = true },
	"permit-pty":              func(p *Permissions) { p.PTY = true },
	"permit-user-rc":          func(p *Permissions) { p.UserRC = true },
	"no-touch-required":       func(p *Permissions) { p.NoTouchRequired = true },
}

// options are what a user certificate's options let its holder do. An extension
// that is unknown grants nothing; a critical option that is unknown, or anything
// malformed, makes the certificate useless (ErrCertificateOptions).
func (in *CertificateRequest) options() (*Permissions, error) {
	c, p := in.Certificate, CertificateDefaults()
	if c.Kind != sshkey.UserCertificate {
		return nil, ErrCertificateOptions
	}
	for i := range c.CriticalOptions {
		if !in.critical(p, &c.CriticalOptions[i]) {
			return nil, ErrCertificateOptions
		}
	}
	for _, e := range c.Extensions {
		set := extensions[e.Name]
		switch {
		case set == nil:
			in.Log.printf(Info, "Certificate extension \"%s\" is not supported", e.Name)
		case len(e.Data) > 0:
			in.Log.printf(Error, "Certificate option \"%s\" corrupt (extra data)", e.Name)
			return nil, ErrCertificateOptions
		default:
			set(p)
		}
	}
	return p, nil
}

// critical applies one critical option. That each comes once only is
// ParseCertificate's matter.
func (in *CertificateRequest) critical(p *Permissions, o *sshkey.CertificateOption) bool {
	switch o.Name {
	case "force-command":
		text, err := optionText(o)
		if err != nil {
			in.Log.printf(Error, "Unable to parse \"%s\" section: %v", o.Name, err)
			return false
		}
		p.HasForceCommand, p.ForceCommand = true, text
	case "source-address":
		text, err := optionText(o)
		if err != nil {
			in.Log.printf(Error, "Unable to parse \"%s\" section: %v", o.Name, err)
			return false
		}
		if _, err := user.MatchCIDRList(netip.Addr{}, text); err != nil {
			in.Log.printf(Error, "Certificate source-address contents invalid")
			return false
		}
		p.SourceAddress = text
	case "verify-required":
		if len(o.Data) > 0 {
			in.Log.printf(Error, "Certificate option \"%s\" corrupt (extra data)", o.Name)
			return false
		}
		p.VerifyRequired = true
	default:
		in.Log.printf(Error, "Certificate critical option \"%s\" is not supported", o.Name)
		return false
	}
	return true
}

// optionText is the text of an option, which C could hold: a zero stands at its end
// at most, and does not count.
func optionText(o *sshkey.CertificateOption) (string, error) {
	text, err := o.Text()
	text = strings.TrimSuffix(text, "\x00")
	if err != nil || strings.IndexByte(text, 0) >= 0 {
		return "", errors.New("invalid format")
	}
	return text, nil
}
