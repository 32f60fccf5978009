package cipher

import "nano_ssh_server/cgo/libcrypto"

// chaChaPoly is chacha20-poly1305@openssh.com (OpenSSH's
// PROTOCOL.chacha20poly1305). The length is encrypted with a key of its own, so
// it stands outside of what is padded.
type chaChaPoly struct {
	lib *libcrypto.ChaCha20Poly1305
}

func newChaChaPoly(key []byte) (Cipher, error) {
	lib, err := libcrypto.NewChaCha20Poly1305((*[64]byte)(key))
	if err != nil {
		return nil, err
	}
	return &chaChaPoly{lib}, nil
}

func (c *chaChaPoly) BlockSize() int    { return 8 }
func (c *chaChaPoly) TagSize() int      { return libcrypto.TagSize }
func (c *chaChaPoly) LengthClear() bool { return true }
func (c *chaChaPoly) FirstBytes() int   { return 4 }
func (c *chaChaPoly) IV() []byte        { return nil } // the nonce is the sequence number
func (c *chaChaPoly) Free()             { c.lib.Free() }

func (c *chaChaPoly) Length(seq uint32, first []byte) (uint32, error) {
	if len(first) < 4 {
		return 0, errShort
	}
	return c.lib.Length(seq, first), nil
}

func (c *chaChaPoly) Open(seq uint32, packet []byte) error { return tagError(c.lib.Open(seq, packet)) }
func (c *chaChaPoly) Seal(seq uint32, packet []byte) error { return tagError(c.lib.Seal(seq, packet)) }

// gcm is aes128-gcm@openssh.com or aes256-gcm@openssh.com (RFC 5647, with the
// names and the negotiation of OpenSSH's PROTOCOL section 1.6).
type gcm struct {
	lib *libcrypto.GCM
}

func newGCM(d Direction, key, iv []byte) (Cipher, error) {
	lib, err := libcrypto.NewGCM(key, iv, d == Seal)
	if err != nil {
		return nil, err
	}
	return &gcm{lib}, nil
}

func (c *gcm) BlockSize() int    { return 16 }
func (c *gcm) TagSize() int      { return libcrypto.TagSize }
func (c *gcm) LengthClear() bool { return true }
func (c *gcm) FirstBytes() int   { return 4 }
func (c *gcm) Free()             { c.lib.Free() }

func (c *gcm) IV() []byte {
	iv := c.lib.State()
	return iv[:]
}

func (c *gcm) Length(_ uint32, first []byte) (uint32, error) { return clearLength(first) }
func (c *gcm) Open(_ uint32, packet []byte) error            { return tagError(c.lib.Open(packet)) }
func (c *gcm) Seal(_ uint32, packet []byte) error            { return tagError(c.lib.Seal(packet)) }
