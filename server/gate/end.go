package gate

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/userauth"
)

// logEnd writes what sshd writes when a connection ends before its user is in.
func (c *Config) logEnd(err error) {
	p := c.Monitor.LogPeer()
	l := c.Monitor.Log().WithPreauth()
	var (
		version     *transport.VersionError
		negotiation *transport.NegotiationError
		offence     *transport.PeerError
		told        *transport.DisconnectError
	)
	switch {
	case ours(err):
		// The time limit, or the server's end, closed the stream: that is told
		// where it is decided.
	case errors.As(err, &version):
		c.logVersion(version, p)
	case errors.As(err, &negotiation):
		l.UnableToNegotiate(p.Addr, p.Port, negotiation.What, negotiation.Offer)
	case errors.Is(err, userauth.ErrTooManyFailures):
		l.MaxAuthTriesExceeded(p)
	case errors.As(err, &offence):
		if strings.HasPrefix(offence.Text, "Bad packet length") || strings.HasPrefix(offence.Text, "Corrupted") {
			l.Info("%s", offence.Text)
			l.ConnectionFault(p, fault(offence))
			return
		}
		l.Disconnecting(p, offence.Error())
	case errors.As(err, &told):
		l.ReceivedDisconnect(p, told.Reason, told.Text)
		l.Disconnected(p)
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		l.Reset(p)
	case gone(err):
		l.Closed(p)
	default:
		l.ConnectionFault(p, err.Error())
	}
}

// fault is sshd's text for a packet that cannot be what the peer sent.
func fault(offence *transport.PeerError) string {
	if strings.HasPrefix(offence.Text, "Corrupted MAC") {
		return "message authentication code incorrect"
	}
	return "message corrupted"
}

// gone reports an end of the peer's without a word.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// ours reports a stream that this side closed.
func ours(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, transport.ErrClosed)
}

// logVersion writes what sshd writes when a peer's first line is no identification.
func (c *Config) logVersion(v *transport.VersionError, p log.Peer) {
	l := c.Monitor.Log()
	switch {
	case errors.Is(v.Err, syscall.ECONNRESET):
		l.NoIdentification(p, true)
	case v.Err != nil:
		l.NoIdentification(p, false)
	case v.Mismatch:
		l.BannerExchange(p.Addr, p.Port, log.FaultVersion, log.DetailVersion(v.Line))
	default:
		l.BannerExchange(p.Addr, p.Port, log.FaultFormat, log.DetailIdentifier(v.Line))
	}
}
