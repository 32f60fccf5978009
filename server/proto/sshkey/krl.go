package sshkey

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/wire"
)

// KRLMagic is what a key revocation list in binary form begins with.
const KRLMagic = "SSHKRL\n\x00"

const krlFormat = 1

// Sections of a list, and of its sections about certificates (OpenSSH's
// PROTOCOL.krl).
const (
	krlCertificates = 1
	krlExplicitKey  = 2
	krlSHA1         = 3
	krlSignature    = 4
	krlSHA256       = 5
	krlExtension    = 255

	krlSerialList    = 0x20
	krlSerialRange   = 0x21
	krlSerialBitmap  = 0x22
	krlKeyID         = 0x23
	krlCertExtension = 0x39
)

// maxKRLBitmap is the longest bitmap of serial numbers in bytes. OpenSSH reads
// them as numbers, of which it takes none with more than 16384 bits.
const maxKRLBitmap = 2048

var (
	// ErrKRLMagic means that data is no key revocation list in binary form.
	ErrKRLMagic = errors.New("sshkey: no key revocation list")
	// ErrKRLFeature means that a list demands what this package does not know.
	ErrKRLFeature = errors.New("sshkey: key revocation list with an unsupported critical extension")
)

// KRL is a key revocation list (OpenSSH's PROTOCOL.krl, ssh-keygen -k). It may be
// used by many goroutines. Its memory is a small multiple of the list's size,
// whatever the list says, and a lookup's time the logarithm of it.
type KRL struct {
	Version   uint64
	Generated uint64 // seconds since 1970
	Comment   string

	keys         [][]byte // blobs of revoked keys
	sha1, sha256 [][]byte // hashes of blobs
	certificates map[string]*revokedCertificates
}

// revokedCertificates are those of one CA, or of any under the empty name.
type revokedCertificates struct {
	serials serialSet
	keyIDs  [][]byte
}

// ParseKRL reads a list. It belongs to the caller afterwards. Signatures of lists
// are passed over, as by OpenSSH, which never made any. The error wraps
// ErrKRLMagic, ErrKRLFeature, ErrMalformed or ErrUnknownType (of a CA's key).
func ParseKRL(data []byte) (*KRL, error) {
	if !bytes.HasPrefix(data, []byte(KRLMagic)) {
		return nil, ErrKRLMagic
	}
	r := wire.NewReader(bytes.Clone(data[len(KRLMagic):]))
	if format := r.Uint32(); r.Err() == nil && format != krlFormat {
		return nil, badFormat("key revocation list of format %d", format)
	}
	k := &KRL{certificates: map[string]*revokedCertificates{}}
	k.Version, k.Generated = r.Uint64(), r.Uint64()
	r.Uint64() // flags: none is defined
	r.String() // reserved
	comment, err := cstring(r)
	k.Comment = string(comment)
	for err == nil && r.Len() > 0 {
		kind := r.Byte()
		section := wire.NewReader(r.String())
		if err = r.Err(); err != nil {
			break
		}
		if kind == krlSignature { // the section was the key; the signature follows
			r.String()
			continue
		}
		err = k.section(kind, section)
	}
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return nil, krlError(err)
	}
	k.sort()
	return k, nil
}

// krlError marks errors of the reader.
func krlError(err error) error {
	for _, known := range []error{ErrKRLFeature, ErrMalformed, ErrUnknownType, ErrKeyLength} {
		if errors.Is(err, known) {
			return err
		}
	}
	return malformed(err)
}

func (k *KRL) section(kind byte, r *wire.Reader) (err error) {
	switch kind {
	case krlCertificates:
		err = k.certificateSections(r)
	case krlExplicitKey:
		k.keys, err = blobs(k.keys, r, 0)
	case krlSHA1:
		k.sha1, err = blobs(k.sha1, r, libcrypto.DigestSize("sha1"))
	case krlSHA256:
		k.sha256, err = blobs(k.sha256, r, libcrypto.DigestSize("sha256"))
	case krlExtension:
		err = extension(r)
	default:
		return badFormat("section %d in a key revocation list", kind)
	}
	if err != nil {
		return err
	}
	return r.End()
}

// blobs reads strings up to the end, all of a size unless that is 0.
func blobs(list [][]byte, r *wire.Reader, size int) ([][]byte, error) {
	for r.Len() > 0 {
		blob := r.String()
		if err := r.Err(); err != nil {
			return nil, err
		}
		if size != 0 && len(blob) != size {
			return nil, badFormat("hash of %d bytes in a key revocation list", len(blob))
		}
		list = append(list, blob)
	}
	return list, nil
}

// extension reads an extension. None is known, so a critical one is an error.
func extension(r *wire.Reader) error {
	name, err := cstring(r)
	critical := r.Byte() != 0
	r.String()
	if err == nil {
		err = r.Err()
	}
	if err == nil && critical {
		err = fmt.Errorf("%w %.64q", ErrKRLFeature, name)
	}
	return err
}

// cstring reads a string that C could hold: a zero may stand at its end only, and
// does not count.
func cstring(r *wire.Reader) ([]byte, error) {
	text := bytes.TrimSuffix(r.String(), []byte{0})
	if err := r.Err(); err != nil {
		return nil, err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, badFormat("zero byte in a text")
	}
	return text, nil
}

// certificateSections reads what is revoked of one CA, or of all.
func (k *KRL) certificateSections(r *wire.Reader) error {
	ca := r.String()
	r.String() // reserved
	if err := r.Err(); err != nil {
		return err
	}
	if len(ca) > 0 {
		if _, err := ParsePublic(ca); err != nil {
			return fmt.Errorf("sshkey: CA of a key revocation list: %w", err)
		}
	}
	c := k.certificates[string(ca)]
	if c == nil {
		c = &revokedCertificates{}
		k.certificates[string(ca)] = c
	}
	for r.Len() > 0 {
		kind := r.Byte()
		section := wire.NewReader(r.String())
		if err := r.Err(); err != nil {
			return err
		}
		if err := c.section(kind, section); err != nil {
			return err
		}
		if err := section.End(); err != nil {
			return err
		}
	}
	return nil
}

func (c *revokedCertificates) section(kind byte, r *wire.Reader) error {
	switch kind {
	case krlSerialList:
		for r.Len() > 0 && r.Err() == nil {
			if serial := r.Uint64(); r.Err() == nil {
				if err := c.serials.add(serial, serial); err != nil {
					return err
				}
			}
		}
		return r.Err()
	case krlSerialRange:
		first, last := r.Uint64(), r.Uint64()
		if err := r.Err(); err != nil {
			return err
		}
		return c.serials.add(first, last)
	case krlSerialBitmap:
		offset, bitmap := r.Uint64(), r.String()
		if err := r.Err(); err != nil {
			return err
		}
		return c.serials.addBitmap(offset, bitmap)
	case krlKeyID:
		for r.Len() > 0 {
			id, err := cstring(r)
			if err != nil {
				return err
			}
			c.keyIDs = append(c.keyIDs, id)
		}
		return nil
	case krlCertExtension:
		return extension(r)
	}
	return badFormat("section %d about certificates in a key revocation list", kind)
}

// sort prepares for lookups.
func (k *KRL) sort() {
	for _, list := range [][][]byte{k.keys, k.sha1, k.sha256} {
		slices.SortFunc(list, bytes.Compare)
	}
	for _, c := range k.certificates {
		slices.SortFunc(c.keyIDs, bytes.Compare)
		c.serials.sort()
	}
}

func contains(sorted [][]byte, b []byte) bool {
	_, found := slices.BinarySearchFunc(sorted, b, bytes.Compare)
	return found
}

// Revoked tells whether a key is revoked. Of a certificate that is so if the list
// has the key in it, the certificate itself by serial number or key id, or the
// key of its CA.
func (k *KRL) Revoked(key PublicKey) bool {
	c, ok := key.(*Certificate)
	if !ok {
		return k.revokedKey(key)
	}
	return k.revokedKey(c.Key) || k.revokedKey(c.CA) ||
		k.certificates[string(c.CA.Blob())].revoked(c) || k.certificates[""].revoked(c)
}

// revokedKey looks for a key that is no certificate.
func (k *KRL) revokedKey(key PublicKey) bool {
	blob := key.Blob()
	if contains(k.keys, blob) {
		return true
	}
	hashed := func(name string, list [][]byte) bool {
		if len(list) == 0 {
			return false
		}
		sum, err := libcrypto.Digest(name, nil, blob)
		return err != nil || contains(list, sum) // what cannot be checked is not let in
	}
	return hashed("sha1", k.sha1) || hashed("sha256", k.sha256)
}

func (c *revokedCertificates) revoked(cert *Certificate) bool {
	if c == nil {
		return false
	}
	// Serial 0 stands for none: a CA that does not count gives it to all.
	return contains(c.keyIDs, []byte(strings.TrimSuffix(cert.KeyID, "\x00"))) ||
		cert.Serial != 0 && c.serials.contains(cert.Serial)
}
