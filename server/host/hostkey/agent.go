package hostkey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

// Messages of the agent protocol (draft-ietf-sshm-ssh-agent section 5.1) and flags of
// a request to sign (section 4.6.1).
const (
	agentSignRequest  = 13
	agentSignResponse = 14

	agentRSA256 = 2
	agentRSA512 = 4
)

const (
	// agentTime is how long an agent may take for a signature.
	agentTime = 10 * time.Second
	// maxAgentAnswer bounds an answer in bytes: a signature of a 16384 bit RSA key
	// has 2 KiB, one of ML-DSA 2.4.
	maxAgentAnswer = 16 << 10
)

var errAgent = errors.New("agent refused operation")

// agentKey is a host key whose private half is with an agent (HostKeyAgent). Each
// signature makes its own connection, so that an agent may be started anew.
type agentKey struct {
	public sshkey.PublicKey
	socket string
}

func (k *agentKey) Public() sshkey.PublicKey { return k.public }

// Algorithms implements sshkey.PrivateKey.
func (k *agentKey) Algorithms() []string {
	if t := k.public.Type(); t != sshkey.TypeRSA {
		return []string{t}
	}
	return []string{sshkey.AlgorithmRSA512, sshkey.AlgorithmRSA256, sshkey.TypeRSA}
}

// Sign implements sshkey.PrivateKey. What comes back must be a signature of the data.
func (k *agentKey) Sign(algorithm string, data []byte) ([]byte, error) {
	flags := map[string]uint32{sshkey.AlgorithmRSA256: agentRSA256, sshkey.AlgorithmRSA512: agentRSA512}[algorithm]
	b := wire.AppendString([]byte{agentSignRequest}, k.public.Blob())
	b = wire.AppendUint32(wire.AppendString(b, data), flags)
	answer, err := askAgent(k.socket, b)
	if err != nil {
		return nil, fmt.Errorf("agent %q: %w", k.socket, err)
	}
	r := wire.NewReader(answer)
	kind, signature := r.Byte(), r.String()
	if kind != agentSignResponse || r.End() != nil {
		return nil, fmt.Errorf("agent %q: %w", k.socket, errAgent)
	}
	if err := k.public.Verify(algorithm, data, signature); err != nil {
		return nil, fmt.Errorf("agent %q: %w", k.socket, err)
	}
	return signature, nil
}

// Wipe implements sshkey.PrivateKey: there is no secret here.
func (k *agentKey) Wipe() {}

// askAgent sends one request and reads its answer.
func askAgent(socket string, request []byte) ([]byte, error) {
	c, err := net.DialTimeout("unix", socket, agentTime)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(agentTime))
	if _, err := c.Write(wire.AppendString(nil, request)); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxAgentAnswer {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	answer := make([]byte, n)
	_, err = io.ReadFull(c, answer)
	return answer, err
}

// agentThere reports why an agent cannot be reached.
func agentThere(socket string) error {
	c, err := net.DialTimeout("unix", socket, agentTime)
	if err == nil {
		err = c.Close()
	}
	return err
}
