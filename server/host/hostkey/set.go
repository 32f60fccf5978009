package hostkey

import (
	"fmt"
	"slices"

	"nano_ssh_server/server/proto/sshkey"
)

// A Set is the host keys of a server. After the last Add it is safe for concurrent
// use.
type Set struct {
	keys         []sshkey.PrivateKey
	certificates []*sshkey.Certificate // of the key of the same number; nil: none
}

// Add appends a key. Of several keys of one type the first is used to sign, as in
// sshd; all are announced (hostkeys-00@openssh.com).
func (s *Set) Add(key sshkey.PrivateKey) {
	s.keys = append(s.keys, key)
	s.certificates = append(s.certificates, nil)
}

// addCertificate reports whether there is a key that the certificate is for.
func (s *Set) addCertificate(c *sshkey.Certificate) bool {
	i := slices.IndexFunc(s.keys, func(k sshkey.PrivateKey) bool { return sshkey.Equal(k.Public(), c.Key) })
	if i >= 0 {
		s.certificates[i] = c
	}
	return i >= 0
}

// Len is the number of keys.
func (s *Set) Len() int { return len(s.keys) }

// Algorithms are those of the configured signature algorithms, in their order, for
// which there is a key.
func (s *Set) Algorithms(configured []string) []string {
	var usable []string
	for _, name := range configured {
		if s.find(name) >= 0 && !slices.Contains(usable, name) {
			usable = append(usable, name)
		}
	}
	return usable
}

// PublicKey is the public key blob (RFC 4253 section 6.6) that goes with a
// signature algorithm, or the certificate; nil if there is no such key.
func (s *Set) PublicKey(algorithm string) []byte {
	i := s.find(algorithm)
	if i < 0 {
		return nil
	}
	if _, isCert := sshkey.PlainType(algorithm); isCert {
		return s.certificates[i].Blob()
	}
	return s.keys[i].Public().Blob()
}

// Sign signs data and returns the signature as it travels: name and bytes. A
// certificate's key signs under its plain name.
func (s *Set) Sign(algorithm string, data []byte) ([]byte, error) {
	i := s.find(algorithm)
	if i < 0 {
		return nil, fmt.Errorf("hostkey: no key for algorithm %q", algorithm)
	}
	plain, _ := sshkey.PlainType(algorithm)
	return s.keys[i].Sign(plain, data)
}

// SignWith signs with the key of a public key blob, one of Announced: the proof of
// hostkeys-prove-00@openssh.com.
func (s *Set) SignWith(blob []byte, algorithm string, data []byte) ([]byte, error) {
	for _, key := range s.keys {
		if slices.Equal(key.Public().Blob(), blob) {
			if !slices.Contains(key.Algorithms(), algorithm) {
				break
			}
			return key.Sign(algorithm, data)
		}
	}
	return nil, fmt.Errorf("hostkey: no such key for algorithm %q", algorithm)
}

// Announcement is a public host key, and the algorithm that proves it.
type Announcement struct {
	Algorithm string
	Blob      []byte
}

// Announced are all keys, each once, in their order, each with the best of its
// algorithms. Certificates are not among them (OpenSSH PROTOCOL 2.5).
func (s *Set) Announced() []Announcement {
	var list []Announcement
	for _, key := range s.keys {
		blob := key.Public().Blob()
		if !slices.ContainsFunc(list, func(a Announcement) bool { return slices.Equal(a.Blob, blob) }) {
			list = append(list, Announcement{key.Algorithms()[0], blob})
		}
	}
	return list
}

// Public are the public keys, in their order: for fingerprints.
func (s *Set) Public() []sshkey.PublicKey {
	keys := make([]sshkey.PublicKey, len(s.keys))
	for i, key := range s.keys {
		keys[i] = key.Public()
	}
	return keys
}

// Wipe clears the private keys from memory. The set is empty afterwards.
func (s *Set) Wipe() {
	for _, key := range s.keys {
		key.Wipe()
	}
	s.keys, s.certificates = nil, nil
}

// find is the number of the first key that signs with the algorithm, and has a
// certificate if the algorithm's name says so; -1 if there is none.
func (s *Set) find(algorithm string) int {
	plain, isCert := sshkey.PlainType(algorithm)
	for i, key := range s.keys {
		if slices.Contains(key.Algorithms(), plain) && (!isCert || s.certificates[i] != nil) {
			return i
		}
	}
	return -1
}
