// Package cipher encrypts and authenticates SSH packets (RFC 4253 section 6) in
// place, one direction of one set of keys a value.
//
// The transport calls it: with the size of the first bytes it learns a packet's
// length, reads the rest, opens it; or it lays out a packet and seals it. The
// package knows nothing of compression, padding contents or sequence numbers'
// progress, and apart from one case in CBC no limit on a packet's length: the
// transport checks that before it reads on. No input from a peer makes it panic.
package cipher

import (
	"encoding/binary"
	"errors"
	"fmt"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/algo"
)

// Cipher is one direction of one set of keys. It is not safe for concurrent use.
//
// A packet is four length bytes, as many bytes as they say (padding length,
// payload, padding: the body), and TagSize bytes.
type Cipher interface {
	// BlockSize is what packets are padded to a multiple of, in bytes: 8 or 16.
	BlockSize() int
	// TagSize is the number of bytes after the body.
	TagSize() int
	// LengthClear tells whether the length bytes stand outside of what is
	// padded: then the body is a multiple of BlockSize, otherwise length bytes
	// and body together are.
	LengthClear() bool
	// FirstBytes is how many bytes of a packet are needed to know its length: 4,
	// or one block.
	FirstBytes() int
	// Length returns the number of bytes of the body. It is called once for
	// each packet, with its first FirstBytes bytes in the place where Open finds
	// them afterwards: some modes decrypt them there. Nothing is authenticated yet.
	Length(seq uint32, first []byte) (uint32, error)
	// Open checks and decrypts a whole packet; afterwards packet[4:4+length]
	// is the body. seq is the packet's sequence number. A wrong tag is ErrMAC (maybe
	// as a *DiscardError), and the packet's contents are worthless then.
	Open(seq uint32, packet []byte) error
	// Seal encrypts a packet whose length bytes and body are filled in, and
	// writes its tag.
	Seal(seq uint32, packet []byte) error
	// IV returns what New needs as its iv to go on with the next packet
	// elsewhere. Between Length and Open of one packet it means nothing.
	IV() []byte
	// Free wipes the keys. It may be called twice.
	Free()
}

// Direction says what a Cipher is for.
type Direction bool

// A Cipher of direction Open receives, one of direction Seal sends.
const (
	Open Direction = false
	Seal Direction = true
)

// ErrMAC means that a packet's authentication tag is wrong.
var ErrMAC = errors.New("cipher: wrong message authentication code")

var (
	errUnknown = errors.New("cipher: unknown algorithm")
	errLengths = errors.New("cipher: key or IV has the wrong length")
	errShort   = errors.New("cipher: too few bytes for a packet")
)

// New makes a cipher of the given names (RFC 4253 section 6.3 and 6.4, OpenSSH's
// PROTOCOL sections 1.5 and 1.6). Keys are as long as KeyLengths says; they are
// copied into the library's memory, and the caller wipes its own. macName is
// ignored, and macKey empty, if the cipher authenticates by itself.
func New(d Direction, cipherName, macName string, key, iv, macKey []byte) (Cipher, error) {
	sizes, ok := algo.CipherInfo(cipherName)
	if !ok {
		return nil, fmt.Errorf("%w %q", errUnknown, cipherName)
	}
	if len(key) != sizes.KeyLen || len(iv) != sizes.IVLen {
		return nil, errLengths
	}
	switch {
	case cipherName == "chacha20-poly1305@openssh.com":
		return newChaChaPoly(key)
	case sizes.AEAD:
		return newGCM(d, key, iv)
	}
	macSizes, ok := algo.MACInfo(macName)
	if !ok {
		return nil, fmt.Errorf("%w %q", errUnknown, macName)
	}
	mac, err := newMAC(macName, macKey)
	if err != nil {
		return nil, err
	}
	var c Cipher
	if cipherName[len(cipherName)-4:] == "-ctr" {
		c, err = newCTR(key, iv, mac, macSizes)
	} else {
		c, err = newCBC(d, cipherName, key, iv, mac, macSizes)
	}
	if err != nil {
		mac.Free()
		return nil, err
	}
	return c, nil
}

// KeyLengths returns the sizes in bytes of the keys and the initial IV that New
// takes. mac is 0 if the cipher authenticates by itself; all are 0 for an
// unknown cipher.
func KeyLengths(cipherName, macName string) (key, iv, mac int) {
	sizes, ok := algo.CipherInfo(cipherName)
	if ok && !sizes.AEAD {
		macSizes, _ := algo.MACInfo(macName)
		mac = macSizes.KeyLen
	}
	return sizes.KeyLen, sizes.IVLen, mac
}

// tagError turns the library's word for a wrong tag into this package's.
func tagError(err error) error {
	if err == libcrypto.ErrAuth {
		return ErrMAC
	}
	return err
}

// Plain is the cipher before the first NEWKEYS: none.
func Plain() Cipher { return plain{} }

type plain struct{}

func (plain) BlockSize() int    { return 8 }
func (plain) TagSize() int      { return 0 }
func (plain) LengthClear() bool { return false }
func (plain) FirstBytes() int   { return 4 }
func (plain) IV() []byte        { return nil }
func (plain) Free()             {}

func (plain) Length(_ uint32, first []byte) (uint32, error) { return clearLength(first) }
func (plain) Open(_ uint32, packet []byte) error            { return atLeast(packet, 4) }
func (plain) Seal(_ uint32, packet []byte) error            { return atLeast(packet, 4) }

// clearLength reads a length that is not encrypted.
func clearLength(first []byte) (uint32, error) {
	if len(first) < 4 {
		return 0, errShort
	}
	return binary.BigEndian.Uint32(first), nil
}

func atLeast(packet []byte, n int) error {
	if len(packet) < n {
		return errShort
	}
	return nil
}
