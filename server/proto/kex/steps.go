package kex

import (
	"errors"
	"fmt"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/kex/sntrup761"
)

// A step is one key encapsulation: the client's public value in; the server's
// public value and the shared secret out. Nobody but the caller holds the
// secret, who wipes it.
type step func(client []byte) (server, secret []byte, err error)

// dhSecretBits is the size of private exponents: twice the strength of the
// longest cipher key (RFC 4419 section 6.2), and nothing is gained by more.
const dhSecretBits = 512

// peerFault marks those errors of the libraries that a peer's value caused.
func peerFault(err error) error {
	if errors.Is(err, libcrypto.ErrPeerValue) || errors.Is(err, sodium.ErrLowOrder) || errors.Is(err, sodium.ErrMLKEMKey) {
		return fmt.Errorf("%w: %w", ErrPeer, err)
	}
	return err
}

func badLength(what string, n int) error {
	return fmt.Errorf("%w: %s of %d bytes", ErrPeer, what, n)
}

// x25519 is RFC 8731 section 3.
func x25519(client []byte) (server, secret []byte, err error) {
	if len(client) != 32 {
		return nil, nil, badLength("X25519 point", len(client))
	}
	var scalar, public [32]byte
	defer sodium.Memzero(scalar[:])
	sodium.Random(scalar[:])
	sodium.X25519Base(&public, &scalar)
	secret = make([]byte, 32)
	if err := sodium.X25519((*[32]byte)(secret), &scalar, (*[32]byte)(client)); err != nil {
		return nil, nil, peerFault(err)
	}
	return public[:], secret, nil
}

// ecdh is RFC 5656 section 4 with the named curve.
func ecdh(curve string) step {
	return func(client []byte) ([]byte, []byte, error) {
		key, err := libcrypto.GenerateECDH(curve)
		if err != nil {
			return nil, nil, err
		}
		defer key.Free()
		secret, err := key.Shared(client)
		if err != nil {
			return nil, nil, peerFault(err)
		}
		return key.Public(), secret, nil
	}
}

// mlkem768 is the post-quantum part of a hybrid.
func mlkem768(client []byte) (server, secret []byte, err error) {
	if len(client) != sodium.MLKEM768PublicSize {
		return nil, nil, badLength("ML-KEM-768 key", len(client))
	}
	server = make([]byte, sodium.MLKEM768CiphertextSize)
	secret = make([]byte, sodium.MLKEM768SecretSize)
	err = sodium.MLKEM768Encapsulate((*[sodium.MLKEM768CiphertextSize]byte)(server),
		(*[sodium.MLKEM768SecretSize]byte)(secret), (*[sodium.MLKEM768PublicSize]byte)(client))
	if err != nil {
		return nil, nil, peerFault(err)
	}
	return server, secret, nil
}

// streamlined is the post-quantum part of the older hybrid. Every key of the right
// length is a good one.
func streamlined(client []byte) (server, secret []byte, err error) {
	if len(client) != sntrup761.PublicKeySize {
		return nil, nil, badLength("sntrup761 key", len(client))
	}
	return sntrup761.Encapsulate(client, sodium.Random)
}

// hybrid puts a post-quantum step, whose client value has pqSize bytes, and a
// classical one together: values one behind the other, secret HASH(K_PQ || K_CL)
// (draft-ietf-sshm-mlkem-hybrid-kex section 2.4, with SHA-256;
// draft-ietf-sshm-ntruprime-ssh section 3, with SHA-512).
func hybrid(hash string, pqSize int, pq, classical step) step {
	return func(client []byte) ([]byte, []byte, error) {
		if len(client) < pqSize {
			return nil, nil, badLength("hybrid value", len(client))
		}
		pqServer, pqSecret, err := pq(client[:pqSize])
		if err != nil {
			return nil, nil, err
		}
		defer sodium.Memzero(pqSecret)
		server, classicalSecret, err := classical(client[pqSize:])
		if err != nil {
			return nil, nil, err
		}
		defer sodium.Memzero(classicalSecret)
		secret, err := libcrypto.Digest(hash, nil, pqSecret, classicalSecret)
		if err != nil {
			return nil, nil, err
		}
		return append(pqServer, server...), secret, nil
	}
}

// dh is RFC 4253 section 8 with a group of fixed numbers.
func dh(group string) step {
	return func(client []byte) ([]byte, []byte, error) {
		p, g, err := libcrypto.Group(group)
		if err != nil {
			return nil, nil, err
		}
		return dhStep(p, g, client)
	}
}

// dhStep computes with any group; client and server are contents of mpints.
func dhStep(p, g, client []byte) (server, secret []byte, err error) {
	if !positive(client) {
		return nil, nil, fmt.Errorf("%w: Diffie-Hellman value is not a positive integer", ErrPeer)
	}
	key, err := libcrypto.NewDH(p, g, dhSecretBits)
	if err != nil {
		return nil, nil, err
	}
	defer key.Free()
	secret, err = key.Shared(client)
	if err != nil {
		return nil, nil, peerFault(err)
	}
	server = key.Public()
	if len(server) > 0 && server[0]&0x80 != 0 {
		server = append([]byte{0}, server...)
	}
	return server, secret, nil
}

// positive tells whether content is that of an mpint greater than zero in the
// one form that RFC 4251 section 5 allows.
func positive(content []byte) bool {
	switch {
	case len(content) == 0 || content[0]&0x80 != 0:
		return false
	case content[0] == 0:
		return len(content) > 1 && content[1]&0x80 != 0
	}
	return true
}
