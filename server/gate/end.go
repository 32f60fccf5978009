package gate

import (
	"errors"
	"fmt"
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
		if f := fault(offence); f != "" {
			l.Info("%s", offence.Text)
			l.ConnectionFault(p, f)
			return
		}
		l.Disconnecting(p, offence.Text)
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

// fault is sshd's text for a packet that cannot be what the peer sent; "" for
// other offences. After a length that cannot be, sshd goes on as after a wrong MAC,
// so as not to tell which it was.
func fault(offence *transport.PeerError) string {
	switch {
	case strings.HasPrefix(offence.Text, "Corrupted MAC"), strings.HasPrefix(offence.Text, "Bad packet length"):
		return "message authentication code incorrect"
	case strings.HasPrefix(offence.Text, "Corrupted padlen"):
		return "Connection corrupted"
	}
	return ""
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
	default:
		fault, detail := versionFault(strings.TrimSuffix(v.Line, "\r"))
		l.BannerExchange(p.Addr, p.Port, fault, detail)
	}
}

// tooLong is the length of a line from which on it is one of those that did not end
// where they had to (transport reads no more of it), in bytes.
const tooLong = 255

// versionFault is what sshd finds wrong with a line, in the order of its checks.
func versionFault(line string) (fault, detail string) {
	var major, minor int
	switch {
	case strings.ContainsAny(line, "\x00\r"):
		return log.FaultFormat, log.DetailCharacters
	case len(line) >= tooLong:
		return log.FaultFormat, log.DetailTooLong
	case !strings.HasPrefix(line, "SSH-"):
		return log.FaultFormat, log.DetailIdentifier(line)
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }):
		return log.FaultFormat, log.DetailCharacters
	}
	if n, _ := fmt.Sscanf(line, "SSH-%d.%d-", &major, &minor); n == 2 && major != 2 {
		return log.FaultVersion, log.DetailMajor(major)
	}
	return log.FaultFormat, log.DetailVersion(line)
}
