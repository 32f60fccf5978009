// Package x11 forwards X11 (RFC 4254 section 6.3): programs of a session find a
// display in DISPLAY, and each connection to it becomes a channel "x11" to the client.
//
// The account role makes one Forwarder for each connection, in a process that runs as
// the user. It opens displays; the session runs xauth(1) or the user's rc file with the
// cookie (server/service/session/rc.go). The package knows nothing of the X protocol:
// the cookie that programs show is checked and replaced by the client.
package x11

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/proto/wire"
	"nano_ssh_server/server/service/agent/relay"
	"nano_ssh_server/server/service/session"
)

// channelType is RFC 4254's name (section 6.3.2).
const channelType = "x11"

const (
	// maxConnections bounds the programs on one display at a time: what an X server
	// takes by default. The next ones wait.
	maxConnections = 256
	// maxHost is where sshd cuts the host's name in DISPLAY, in bytes.
	maxHost = 400
)

// Policy is what a login may do.
type Policy struct {
	// Permit is X11Forwarding and not DisableForwarding; PermitKey is what the key's
	// options leave of it.
	Permit, PermitKey bool
	DisplayOffset     int    // X11DisplayOffset
	UseLocalhost      bool   // X11UseLocalhost
	XAuthLocation     string // without that program there is no forwarding
	Account           *user.Account
	Log               session.Logger
}

// reason is why a display is refused: sshd's words, where it has them.
type reason string

func (r reason) Error() string { return string(r) }

const (
	errKey      reason = "X11 forwarding disabled by key options."
	errDisabled reason = "X11 forwarding disabled in server configuration file."
	errNoXAuth  reason = "No xauth program; cannot forward X11."
	errNoPort   reason = "x11_create_display_inet failed."
	errOther    reason = "X11 forwarding disabled: this process does not run as the user"
	errClosed   reason = "X11 forwarding disabled: the connection has ended"
	errHost     reason = "X11 forwarding disabled: the host's name is no word for xauth"
)

// Forwarder opens the displays of one connection. Its methods may be called from any
// goroutine.
type Forwarder struct {
	mux    *connection.Mux
	policy *Policy

	mu     sync.Mutex
	closed bool
	relays []*relay.Relay
}

// New returns a Forwarder without displays.
func New(mux *connection.Mux, p *Policy) *Forwarder { return &Forwarder{mux: mux, policy: p} }

// Open opens a display for a session. The display's Close ends its listening; programs
// that are connected stay so, as with sshd, until they or the whole connection end.
// The error is for the log.
func (f *Forwarder) Open(r session.X11Request) (*session.X11, error) {
	if err := f.permitted(); err != nil {
		return nil, err
	}
	host := ""
	if !f.policy.UseLocalhost {
		var err error
		if host, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("gethostname: %w", err)
		}
		if !oneWord(host) {
			return nil, errHost
		}
	}
	number, listeners, err := listen(f.policy, families(f.policy.UseLocalhost))
	if err != nil {
		f.policy.Log.Errorf("%v", err)
		return nil, errNoPort
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		closeAll(listeners)
		return nil, errClosed
	}
	display := relay.Serve(&relay.Config{
		Mux: f.mux, Kind: channelType, Limit: maxConnections, Single: r.SingleConnection,
		Admit: f.admit, AcceptError: "accept", Log: f.policy.Log,
	}, listeners...)
	f.relays = append(slices.DeleteFunc(f.relays, (*relay.Relay).Idle), display)
	x := &session.X11{Close: display.Stop}
	x.Display, x.AuthDisplay = names(host, number, r.Screen)
	return x, nil
}

func (f *Forwarder) permitted() error {
	p := f.policy
	switch {
	case !p.PermitKey:
		return errKey
	case !p.Permit:
		return errDisabled
	case uint32(os.Geteuid()) != p.Account.UID:
		return errOther // THREATS row 18
	case p.XAuthLocation == "":
		return errNoXAuth
	}
	if _, err := os.Stat(p.XAuthLocation); err != nil {
		return errNoXAuth
	}
	return nil
}

// Close closes all displays and all connections to them.
func (f *Forwarder) Close() {
	f.mu.Lock()
	f.closed = true
	all := f.relays
	f.relays = nil
	f.mu.Unlock()
	for _, r := range all {
		r.Close()
	}
}

// admit makes the type specific data of the channel: where the program is (RFC 4254
// section 6.3.2). It lets everybody in: that a display is on the loopback, and the
// cookie, which the client checks, are what protects it.
func (f *Forwarder) admit(c relay.Local) (extra []byte, ok bool) {
	f.policy.Log.Debugf(1, "X11 connection requested.")
	from, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil, false
	}
	extra = wire.AppendText(nil, from.IP.String())
	return wire.AppendUint32(extra, uint32(from.Port)), true
}

// names returns what DISPLAY says and what xauth(1) calls the display. They differ for
// displays of this host, which programs reach by TCP while their cookie is filed under
// the local kind. host is empty for these.
func names(host string, number int, screen uint32) (display, authDisplay string) {
	where := fmt.Sprintf(":%d.%d", number, screen)
	if host == "" {
		return "localhost" + where, "unix" + where
	}
	return host + where, host + where
}

// oneWord reports whether a host's name can stand in a line for xauth, which takes
// commands one a line, and in a shell's variable (THREATS row 19).
func oneWord(host string) bool {
	if host == "" || len(host) > maxHost {
		return false
	}
	for i := 0; i < len(host); i++ {
		c := host[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte("._-", c) < 0 {
			return false
		}
	}
	return host[0] != '-'
}
