package forward

import (
	"errors"

	"nano_ssh_server/server/proto/wire"
)

const (
	// maxHost bounds a host name of a client, in bytes: sshd's bound for those it
	// connects to (NI_MAXHOST), and more than DNS knows.
	maxHost = 1024
	// maxPath bounds the path of a socket, in bytes: what fits into sun_path with its
	// final zero.
	maxPath = 107
	// maxPort is the largest port there is.
	maxPort = 1<<16 - 1
)

var (
	errHost = errors.New("forward: host name too long or with a zero byte")
	errPath = errors.New("forward: path empty, too long or with a zero byte")
	errPort = errors.New("forward: no such port")
)

// direct is what the client says of a connection that it wants
// (RFC 4254 section 7.2; OpenSSH PROTOCOL section 2.4).
type direct struct {
	host           string // or the path of a socket
	port           int    // 0 for a socket
	originator     string
	originatorPort int
}

func parseDirectTCP(b []byte) (d direct, err error) {
	r := wire.NewReader(b)
	d.host, d.port = host(r), port(r)
	d.originator, d.originatorPort = host(r), port(r)
	return d, r.End()
}

// parseDirectStreamLocal reads a path and two reserved fields, which OpenSSH's
// client fills with an originator.
func parseDirectStreamLocal(b []byte) (d direct, err error) {
	r := wire.NewReader(b)
	d.host = path(r)
	d.originator, d.originatorPort = host(r), int(r.Uint32())
	return d, r.End()
}

// parseListen reads tcpip-forward and cancel-tcpip-forward (RFC 4254 section 7.1).
func parseListen(b []byte) (address string, number int, err error) {
	r := wire.NewReader(b)
	address, number = host(r), port(r)
	return address, number, r.End()
}

// parseListenPath reads streamlocal-forward@openssh.com and its cancellation
// (OpenSSH PROTOCOL section 2.4).
func parseListenPath(b []byte) (name string, err error) {
	r := wire.NewReader(b)
	name = path(r)
	return name, r.End()
}

func field(r *wire.Reader, limit int, wrong error) string {
	b := r.String()
	if len(b) > limit {
		r.Fail(wrong)
		return ""
	}
	for _, c := range b {
		if c == 0 {
			r.Fail(wrong)
			return ""
		}
	}
	return string(b)
}

func host(r *wire.Reader) string { return field(r, maxHost, errHost) }

func path(r *wire.Reader) string {
	name := field(r, maxPath, errPath)
	if name == "" {
		r.Fail(errPath)
	}
	return name
}

func port(r *wire.Reader) int {
	n := r.Uint32()
	if n > maxPort {
		r.Fail(errPort)
		return 0
	}
	return int(n)
}

// forwardedTCP is the payload of a forwarded-tcpip channel: where the connection
// came in, and from where (RFC 4254 section 7.2).
func forwardedTCP(address string, number int, originator string, originatorPort int) []byte {
	b := wire.AppendText(nil, address)
	b = wire.AppendUint32(b, uint32(number))
	b = wire.AppendText(b, originator)
	return wire.AppendUint32(b, uint32(originatorPort))
}

// forwardedStreamLocal is that of a forwarded-streamlocal@openssh.com channel: the
// path, and a reserved string.
func forwardedStreamLocal(name string) []byte {
	return wire.AppendText(wire.AppendText(nil, name), "")
}
