package hostkey

import (
	"fmt"
	"slices"

	"nano_ssh_server/server/proto/sshkey"
)

// A Set is the host keys of a server. After the last Add it is safe for concurrent
// use.
type Set struct {
	keys []sshkey.PrivateKey
}

// Add appends a key. Of several keys of one type the first is used to sign, as in
// sshd; all are announced (hostkeys-00@openssh.com).
func (s *Set) Add(key sshkey.PrivateKey) { s.keys = append(s.keys, key) }

// Len is the number of keys.
func (s *Set) Len() int { return len(s.keys) }

// Algorithms are those of the configured signature algorithms, in their order, for
// which there is a key.
func (s *Set) Algorithms(configured []string) []string {
	var usable []string
	for _, name := range configured {
		if s.key(name) != nil && !slices.Contains(usable, name) {
			usable = append(usable, name)
		}
	}
	return usable
}

// PublicKey is the public key blob (RFC 4253 section 6.6) that goes with a
// signature algorithm, nil if there is no such key.
func (s *Set) PublicKey(algorithm string) []byte {
	key := s.key(algorithm)
	if key == nil {
		return nil
	}
	return key.Public().Blob()
}

// Sign signs data and returns the signature as it travels: name and bytes.
func (s *Set) Sign(algorithm string, data []byte) ([]byte, error) {
	key := s.key(algorithm)
	if key == nil {
		return nil, fmt.Errorf("hostkey: no key for algorithm %q", algorithm)
	}
	return key.Sign(algorithm, data)
}

// SignWith signs with the key of a public key blob, one of Blobs: the proof of
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

// Blobs are the public keys of all keys, in their order.
func (s *Set) Blobs() [][]byte {
	blobs := make([][]byte, len(s.keys))
	for i, key := range s.keys {
		blobs[i] = key.Public().Blob()
	}
	return blobs
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
	s.keys = nil
}

// key is the first key that signs with the algorithm.
func (s *Set) key(algorithm string) sshkey.PrivateKey {
	for _, key := range s.keys {
		if slices.Contains(key.Algorithms(), algorithm) {
			return key
		}
	}
	return nil
}
