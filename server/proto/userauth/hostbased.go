package userauth

import (
	"bytes"

	"nano_ssh_server/server/proto/wire"
)

// HostbasedRequest is a hostbased request behind the method's name (RFC 4252
// section 9). All of it is the client's word. The slices alias the packet.
type HostbasedRequest struct {
	Algorithm string
	Blob      []byte // the client's host key, or its certificate
	Host      string // the client's name of its own machine
	User      string // the user's name there
	Signature []byte
}

// maxClientName is how long a client's host or user name may be, in bytes: a host name
// has at most 255 and a dot.
const maxClientName = 1024

// parseHostbased reads a request. ok is false if it is malformed, fits if a name in
// it is longer than anything that could be right.
func parseHostbased(r *wire.Reader) (q HostbasedRequest, fits, ok bool) {
	algorithm := r.String()
	q.Blob = r.String()
	host, user := r.String(), r.String()
	q.Signature = r.String()
	if r.End() != nil {
		return HostbasedRequest{}, false, false
	}
	for _, name := range [][]byte{algorithm, host, user} {
		if bytes.IndexByte(name, 0) >= 0 { // C would cut the name short
			return HostbasedRequest{}, false, false
		}
	}
	if len(algorithm) > maxAlgorithm || len(host) > maxClientName || len(user) > maxClientName {
		return HostbasedRequest{}, false, true
	}
	q.Algorithm, q.Host, q.User = string(algorithm), string(host), string(user)
	return q, true, true
}

// hostbased is RFC 4252 section 9. What the client signed is put together by the
// Decider, from these fields and what it knows itself.
func (s *server) hostbased(r *wire.Reader, method string) (outcome, error) {
	q, fits, ok := parseHostbased(r)
	if !ok {
		return outcome{}, protocolError("malformed hostbased request")
	}
	if !fits {
		s.d.Failed(method)
		return outcome{}, nil
	}
	return outcome{Verdict: s.d.Hostbased(&q)}, nil
}
