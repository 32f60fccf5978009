package forward

import "nano_ssh_server/server/proto/wire"

// Names of the requests by which a client learns a server's other host keys
// (OpenSSH PROTOCOL section 2.5).
const (
	HostKeysRequest      = "hostkeys-00@openssh.com"
	HostKeysProveRequest = "hostkeys-prove-00@openssh.com"
)

// maxProofs bounds the keys of one hostkeys-prove-00@openssh.com: each costs a
// signature. A server has a handful, and a client asks for each once.
const maxProofs = 64

// HostKeysAnnouncement is the payload of hostkeys-00@openssh.com: all public host
// keys, in the order of the configuration. The request wants no reply.
func HostKeysAnnouncement(blobs [][]byte) []byte {
	var b []byte
	for _, blob := range blobs {
		b = wire.AppendString(b, blob)
	}
	return b
}

// HostKeysProve answers hostkeys-prove-00@openssh.com: the client names public host
// keys and gets, in that order, a signature of each. sign signs data with the key of
// that blob and fails if it is none of this server's; what it does with an RSA key is
// the caller's business (rsa-sha2-512 or -256, whichever the client knows: never
// ssh-rsa). The reply belongs to REQUEST_SUCCESS; ok is false if one key fails.
func HostKeysProve(payload, sessionID []byte, sign func(blob, data []byte) (signature []byte, err error)) (reply []byte, ok bool) {
	blobs, ok := parseProve(payload)
	if !ok {
		return nil, false
	}
	for _, blob := range blobs {
		data := wire.AppendText(nil, HostKeysProveRequest)
		data = wire.AppendString(data, sessionID)
		data = wire.AppendString(data, blob)
		signature, err := sign(blob, data)
		if err != nil {
			return nil, false
		}
		reply = wire.AppendString(reply, signature)
	}
	return reply, true
}

// parseProve returns the keys, none of them twice: one request must not cost more
// signatures than the server has keys.
func parseProve(payload []byte) (blobs [][]byte, ok bool) {
	seen := map[string]bool{}
	r := wire.NewReader(payload)
	for r.Len() > 0 {
		blob := r.String()
		if r.Err() != nil || len(blobs) == maxProofs || seen[string(blob)] {
			return nil, false
		}
		seen[string(blob)] = true
		blobs = append(blobs, blob)
	}
	return blobs, true
}
