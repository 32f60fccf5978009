package userauth

import (
	"bytes"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// keyRequest is a publickey request behind the method's name (RFC 4252 section
// 7). The slices alias the packet.
type keyRequest struct {
	method    string // "publickey" or hostBound: it is part of what is signed
	signed    bool   // else it asks whether a signature would be accepted
	algorithm string
	blob      []byte
	hostKey   []byte // with hostBound
	signature []byte // if signed
}

// maxAlgorithm is far longer than any algorithm's name, in bytes.
const maxAlgorithm = 256

func parseKeyRequest(r *wire.Reader, method string) (q keyRequest, ok bool) {
	q.method = method
	q.signed = r.Bool()
	algorithm := r.String()
	q.blob = r.String()
	if method == hostBound {
		q.hostKey = r.String()
	}
	if q.signed {
		q.signature = r.String()
	}
	if r.End() != nil || len(algorithm) > maxAlgorithm || bytes.IndexByte(algorithm, 0) >= 0 {
		return keyRequest{}, false
	}
	q.algorithm = string(algorithm)
	return q, true
}

// publicKey is RFC 4252 section 7, with and without a signature. The host-bound
// form also names the host key that the client saw; if that is not the one this
// connection began with, somebody passes the signature on, and the connection ends.
func (s *server) publicKey(r *wire.Reader, method string) (outcome, error) {
	q, ok := parseKeyRequest(r, method)
	if !ok {
		return outcome{}, protocolError("malformed publickey request")
	}
	if method == hostBound && !bytes.Equal(q.hostKey, s.t.HostKey()) {
		return outcome{}, protocolError("publickey request contained wrong host key")
	}
	if q.signed {
		data := s.signedData(&q)
		return outcome{Verdict: s.d.KeySigned(q.algorithm, q.blob, data, q.signature)}, nil
	}
	if !s.d.KeyAcceptable(q.algorithm, q.blob) {
		return outcome{}, nil
	}
	b := wire.AppendText([]byte{msg.UserauthPKOK}, q.algorithm)
	return outcome{postponed: true}, s.t.Send(wire.AppendString(b, q.blob))
}

// signedData is what the client's signature must cover. User and service are
// those of the first request, as in sshd.
func (s *server) signedData(q *keyRequest) []byte {
	b := wire.AppendString(nil, s.t.SessionID())
	b = append(b, msg.UserauthRequest)
	b = wire.AppendText(wire.AppendText(wire.AppendText(b, s.user), s.service), q.method)
	b = wire.AppendText(wire.AppendBool(b, true), q.algorithm)
	b = wire.AppendString(b, q.blob)
	if q.method == hostBound {
		b = wire.AppendString(b, q.hostKey)
	}
	return b
}
