// Package kex is the server's side of SSH key exchange: RFC 4253 section 8, RFC
// 4419, RFC 5656, RFC 8731, and the hybrids of draft-ietf-sshm-mlkem-hybrid-kex
// and draft-ietf-sshm-ntruprime-ssh.
//
// The transport calls it between KEXINIT and NEWKEYS with each message of numbers
// 30 to 49, sends what it answers, and derives keys from its result. It holds
// no key of the host: the transport's Sign does that. Malformed messages and
// bad public values are errors, never panics (THREATS rows 12 and 13).
package kex

import (
	"errors"
	"fmt"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/proto/kex/sntrup761"
	"nano_ssh_server/server/proto/wire"
)

var (
	// ErrPeer means that the peer broke the exchange: a public value that is not
	// valid, or a malformed or unexpected message. Other errors are our own.
	ErrPeer = errors.New("kex: peer's key exchange is not valid")
	// ErrUnknown means that there is no method of that name.
	ErrUnknown = errors.New("kex: unknown method")
)

// Params is what both sides know when an exchange begins. Versions are without
// CR and LF. KEXINIT payloads begin with the message number.
type Params struct {
	ClientVersion, ServerVersion string
	ClientKexInit, ServerKexInit []byte
	HostKeyAlgorithm             string
	HostKey                      []byte // public key blob (RFC 4253 section 6.6)
	// Sign returns the signature blob of an exchange hash, by the host key.
	Sign func(hash []byte) (signature []byte, err error)
	// Moduli chooses a group for the group exchange: a prime of min to max bits,
	// best n, and a generator, both big-endian. Nil, or a nil p, means
	// FallbackGroup.
	Moduli func(min, n, max uint32) (p, g []byte, err error)
}

// Result is a finished exchange.
type Result struct {
	Hash        []byte // exchange hash H
	Secret      []byte // K in its wire encoding, length included. The caller wipes it.
	HashName    string // for DeriveKey
	HostKeyBlob []byte
}

// String hides the secret.
func (r *Result) String() string { return fmt.Sprintf("{%s %x}", r.HashName, r.Hash) }

// Exchange is the server's side of one key exchange.
//
// Step takes one message. reply is what to send, if not nil; result is not nil
// when the exchange is complete. After an error or a result every further
// message is an error.
type Exchange interface {
	Step(payload []byte) (reply []byte, result *Result, err error)
	Free()
}

// A method is one row of the table of key exchanges. Either step or gex is set.
type method struct {
	hash string // name for libcrypto
	// encode appends the secret as the method's document wants it: as an mpint
	// or, for hybrids, as a string.
	encode func(b, secret []byte) []byte
	step   step
	gex    bool
}

var methods = map[string]method{
	"mlkem768x25519-sha256":              {"sha256", wire.AppendString, hybrid("sha256", sodium.MLKEM768PublicSize, mlkem768, x25519), false},
	"mlkem768nistp256-sha256":            {"sha256", wire.AppendString, hybrid("sha256", sodium.MLKEM768PublicSize, mlkem768, ecdh("nistp256")), false},
	"sntrup761x25519-sha512":             {"sha512", wire.AppendString, hybrid("sha512", sntrup761.PublicKeySize, streamlined, x25519), false},
	"sntrup761x25519-sha512@openssh.com": {"sha512", wire.AppendString, hybrid("sha512", sntrup761.PublicKeySize, streamlined, x25519), false},
	"curve25519-sha256":                  {"sha256", wire.AppendMpint, x25519, false},
	"curve25519-sha256@libssh.org":       {"sha256", wire.AppendMpint, x25519, false},
	"ecdh-sha2-nistp256":                 {"sha256", wire.AppendMpint, ecdh("nistp256"), false},
	"ecdh-sha2-nistp384":                 {"sha384", wire.AppendMpint, ecdh("nistp384"), false},
	"ecdh-sha2-nistp521":                 {"sha512", wire.AppendMpint, ecdh("nistp521"), false},

	"diffie-hellman-group1-sha1":    {"sha1", wire.AppendMpint, dh("group1"), false},
	"diffie-hellman-group14-sha1":   {"sha1", wire.AppendMpint, dh("group14"), false},
	"diffie-hellman-group14-sha256": {"sha256", wire.AppendMpint, dh("group14"), false},
	"diffie-hellman-group16-sha512": {"sha512", wire.AppendMpint, dh("group16"), false},
	"diffie-hellman-group18-sha512": {"sha512", wire.AppendMpint, dh("group18"), false},

	"diffie-hellman-group-exchange-sha1":   {"sha1", wire.AppendMpint, nil, true},
	"diffie-hellman-group-exchange-sha256": {"sha256", wire.AppendMpint, nil, true},
}

// New begins an exchange. p must not change until it is complete.
func New(name string, p *Params) (Exchange, error) {
	m, ok := methods[name]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknown, name)
	}
	if m.gex {
		return &groupExchange{method: m, params: p}, nil
	}
	return &oneStep{method: m, params: p}, nil
}

// HashName returns the name of a method's hash for DeriveKey, "" for an unknown
// method.
func HashName(name string) string { return methods[name].hash }

// oneStep is an exchange of two messages, which all methods but the group
// exchange share:
//
//	client                          server
//	30 INIT  string client  ----->
//	                        <-----  31 REPLY  string host key, string server, string signature
//
// RFC 4253 section 8 has mpints in the place of both values. An mpint is a string
// whose content is a number, so it is a matter of the step.
type oneStep struct {
	method method
	params *Params // nil when over
}

// Message numbers of RFC 4253 section 8, RFC 5656 section 7.1 and RFC 8731.
const (
	numberInit  = 30
	numberReply = 31
)

// Step implements Exchange.
func (e *oneStep) Step(payload []byte) ([]byte, *Result, error) {
	p := e.params
	e.params = nil
	r := wire.NewReader(payload)
	if p == nil || r.Byte() != numberInit {
		return nil, nil, errUnexpected(payload)
	}
	client := r.String()
	if err := r.End(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	server, secret, err := e.method.step(client)
	if err != nil {
		return nil, nil, err
	}
	return finish(e.method, p, numberReply, nil, client, server, secret)
}

// Free implements Exchange. An exchange keeps no secret between two steps.
func (e *oneStep) Free() { e.params = nil }

func errUnexpected(payload []byte) error {
	if len(payload) == 0 {
		return fmt.Errorf("%w: empty message", ErrPeer)
	}
	return fmt.Errorf("%w: unexpected message %d", ErrPeer, payload[0])
}

// finish computes the exchange hash (RFC 4253 section 8), has it signed and
// writes the reply. extra is what the group exchange hashes before the client's
// value. secret is wiped.
func finish(m method, p *Params, number byte, extra, client, server, secret []byte) ([]byte, *Result, error) {
	k := m.encode(make([]byte, 0, len(secret)+5), secret)
	sodium.Memzero(secret)
	size := 64 + len(p.ClientVersion) + len(p.ServerVersion) + len(p.ClientKexInit) + len(p.ServerKexInit) +
		len(p.HostKey) + len(extra) + len(client) + len(server)
	b := make([]byte, 0, size)
	b = wire.AppendText(b, p.ClientVersion)
	b = wire.AppendText(b, p.ServerVersion)
	b = wire.AppendString(b, p.ClientKexInit)
	b = wire.AppendString(b, p.ServerKexInit)
	b = wire.AppendString(b, p.HostKey)
	b = append(b, extra...)
	b = wire.AppendString(b, client)
	b = wire.AppendString(b, server)
	hash, err := libcrypto.Digest(m.hash, nil, b, k)
	if err != nil {
		sodium.Memzero(k)
		return nil, nil, err
	}
	signature, err := p.Sign(hash)
	if err != nil {
		sodium.Memzero(k)
		return nil, nil, fmt.Errorf("kex: signing the exchange hash: %w", err)
	}
	reply := make([]byte, 0, 13+len(p.HostKey)+len(server)+len(signature))
	reply = wire.AppendString(append(reply, number), p.HostKey)
	reply = wire.AppendString(wire.AppendString(reply, server), signature)
	return reply, &Result{Hash: hash, Secret: k, HashName: m.hash, HostKeyBlob: p.HostKey}, nil
}

// DeriveKey derives n bytes from the result of an exchange (RFC 4253 section
// 7.2). letter is 'A' to 'F'; sessionID is the hash of the connection's first
// exchange. The caller wipes the key. An unknown hash gives nil.
func DeriveKey(hashName string, secret, hash []byte, letter byte, sessionID []byte, n int) []byte {
	size := libcrypto.DigestSize(hashName)
	if size == 0 || n <= 0 {
		return nil
	}
	// Room for whole digests, so that nothing is copied and left behind.
	key := make([]byte, 0, (n+size-1)/size*size)
	key, err := libcrypto.Digest(hashName, key, secret, hash, []byte{letter}, sessionID)
	for err == nil && len(key) < n {
		key, err = libcrypto.Digest(hashName, key, secret, hash, key)
	}
	if err != nil {
		sodium.Memzero(key)
		return nil
	}
	sodium.Memzero(key[n:])
	return key[:n]
}
