// Package gate is the role that talks to a peer nobody knows yet: version
// exchange, key exchange and user authentication.
//
// It decides nothing by itself: the monitor signs with the host keys and says
// who may log in. When a user is in, the gate exports the transport's state for
// the account role and is done with the connection.
package gate

import (
	"errors"
	"io"
	"runtime/debug"
	"time"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/userauth"
)

// Monitor is what the gate asks of the privileged side.
type Monitor interface {
	transport.Signer
	Start(user, style, service string) (banner string)
	Methods() []string
	None() (ok, partial bool)
	Password(password []byte) (ok, partial bool)
	Interactive(response []byte) (ok, partial bool)
	KeyAcceptable(algorithm string, blob []byte) bool
	KeySigned(algorithm string, blob, data, signature []byte) (ok, partial bool)
	Hostbased(algorithm string, blob []byte, host, user string, signature []byte) (ok, partial bool)
	Failed(method string)
	MinimumTime(user string) time.Duration
	MaxAuthTries() int

	Log() *log.Logger
	LogPeer() log.Peer
}

// Config is what the gate needs for one connection.
type Config struct {
	Transport *transport.Config // its Signer is the Monitor
	Monitor   Monitor
}

// ErrBug ends a connection in which our own code panicked.
var ErrBug = errors.New("internal error")

// Authenticate runs a connection up to its authentication and returns the state
// with which the account role goes on. On an error the stream is closed and the
// reason is in the log.
func Authenticate(stream io.ReadWriteCloser, cfg *Config) (state *transport.State, err error) {
	conn := transport.New(stream, cfg.Transport)
	defer func() {
		if v := recover(); v != nil {
			cfg.Monitor.Log().Bug(v, debug.Stack())
			err = ErrBug
		}
		if err != nil {
			conn.Free()
		}
	}()
	if err := conn.Handshake(); err != nil {
		cfg.logEnd(err)
		return nil, err
	}
	if err := cfg.authenticate(conn); err != nil {
		cfg.logEnd(err)
		return nil, err
	}
	if state, err = conn.Export(); err != nil {
		cfg.Monitor.Log().Error("%v", err)
	}
	return state, err
}

func (c *Config) authenticate(conn *transport.Conn) error {
	auth := &userauth.Config{MaxAuthTries: c.Monitor.MaxAuthTries, MinimumTime: c.Monitor.MinimumTime}
	_, err := userauth.Serve(conn, decider{c.Monitor}, auth)
	var offence *transport.PeerError
	if errors.As(err, &offence) {
		conn.Disconnect(offence.Reason, offence.Text)
	}
	return err
}

// decider gives the monitor's plain answers the shape that userauth wants.
type decider struct{ Monitor }

func (d decider) None() userauth.Verdict { return verdict(d.Monitor.None()) }

func (d decider) Password(p []byte) userauth.Verdict { return verdict(d.Monitor.Password(p)) }

func (d decider) Interactive(response []byte) userauth.Verdict {
	return verdict(d.Monitor.Interactive(response))
}

func (d decider) KeySigned(algorithm string, blob, data, signature []byte) userauth.Verdict {
	return verdict(d.Monitor.KeySigned(algorithm, blob, data, signature))
}

func (d decider) Hostbased(q *userauth.HostbasedRequest) userauth.Verdict {
	return verdict(d.Monitor.Hostbased(q.Algorithm, q.Blob, q.Host, q.User, q.Signature))
}

func verdict(ok, partial bool) userauth.Verdict { return userauth.Verdict{OK: ok, Partial: partial} }
