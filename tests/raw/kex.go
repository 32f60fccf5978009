package raw

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// KexInit is a KEXINIT message (RFC 4253 section 7.1).
type KexInit struct {
	Cookie   [16]byte
	Kex      []string
	HostKey  []string
	Cipher   [2][]string // client to server, server to client
	MAC      [2][]string
	Compress [2][]string
	Language [2][]string
	Guess    bool // first_kex_packet_follows
	Reserved uint32
}

// StrictMarker is what a client puts into its list of key exchange methods to ask
// for strict key exchange; ExtInfoMarker asks for EXT_INFO.
const (
	StrictMarker  = "kex-strict-c-v00@openssh.com"
	strictServer  = "kex-strict-s-v00@openssh.com"
	ExtInfoMarker = "ext-info-c"
)

// DefaultKexInit offers everything that this package can do, and strict key
// exchange.
func DefaultKexInit() *KexInit {
	ciphers := []string{"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes128-ctr"}
	macs := []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"}
	k := &KexInit{
		Kex:      []string{"curve25519-sha256", "ecdh-sha2-nistp256", ExtInfoMarker, StrictMarker},
		HostKey:  []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256", "rsa-sha2-512"},
		Cipher:   [2][]string{ciphers, ciphers},
		MAC:      [2][]string{macs, macs},
		Compress: [2][]string{{"none"}, {"none"}},
	}
	_, _ = rand.Read(k.Cookie[:])
	return k
}

// Without returns the message with one key exchange name taken away.
func (k *KexInit) Without(name string) *KexInit {
	k.Kex = slices.DeleteFunc(slices.Clone(k.Kex), func(s string) bool { return s == name })
	return k
}

// WithCipher returns the message with one cipher and MAC for both directions.
func (k *KexInit) WithCipher(cipher, mac string) *KexInit {
	k.Cipher = [2][]string{{cipher}, {cipher}}
	k.MAC = [2][]string{{mac}, {mac}}
	return k
}

// Marshal returns the message with its number.
func (k *KexInit) Marshal() []byte {
	return Msg(KexInitMsg, Raw(k.Cookie[:]), k.Kex, k.HostKey, k.Cipher[0], k.Cipher[1], k.MAC[0], k.MAC[1],
		k.Compress[0], k.Compress[1], k.Language[0], k.Language[1], k.Guess, k.Reserved)
}

// ParseKexInit reads a KEXINIT with its number.
func ParseKexInit(payload []byte) (*KexInit, error) {
	if len(payload) < 17 || payload[0] != KexInitMsg {
		return nil, errors.New("raw: not a KEXINIT")
	}
	k := &KexInit{}
	copy(k.Cookie[:], payload[1:])
	f := NewFields(payload[17:])
	for _, list := range []*[]string{&k.Kex, &k.HostKey, &k.Cipher[0], &k.Cipher[1], &k.MAC[0], &k.MAC[1],
		&k.Compress[0], &k.Compress[1], &k.Language[0], &k.Language[1]} {
		*list = f.List()
	}
	k.Guess, k.Reserved = f.Bool(), f.Uint32()
	if f.Failed() || len(f.Rest()) != 0 {
		return nil, errors.New("raw: malformed KEXINIT")
	}
	return k, nil
}

// Choice is what both sides agreed on.
type Choice struct {
	Kex, HostKey string
	Cipher, MAC  [2]string
}

// SendKexInit sends the message as it is and remembers it for the exchange hash.
func (c *Conn) SendKexInit(k *KexInit) error {
	c.clientInit = k.Marshal()
	return c.Send(c.clientInit)
}

// ReadKexInit reads the server's KEXINIT and works out what was agreed on.
// SendKexInit comes first.
func (c *Conn) ReadKexInit() error {
	p, err := c.Expect(KexInitMsg)
	if err != nil {
		return err
	}
	return c.UseKexInit(p)
}

// UseKexInit is ReadKexInit for a message that was read already.
func (c *Conn) UseKexInit(payload []byte) error {
	server, err := ParseKexInit(payload)
	if err != nil {
		return err
	}
	c.serverInit, c.Server = payload, server
	mine, err := ParseKexInit(c.clientInit)
	if err != nil {
		return err
	}
	if c.SessionID == nil {
		c.strict = slices.Contains(mine.Kex, StrictMarker) && slices.Contains(server.Kex, strictServer)
	}
	pick := func(what string, mine, theirs []string) (string, error) {
		for _, name := range mine {
			if slices.Contains(theirs, name) {
				return name, nil
			}
		}
		return "", fmt.Errorf("raw: nothing in common for %s: mine %v, server's %v", what, mine, theirs)
	}
	var failed error
	choose := func(what string, mine, theirs []string) string {
		name, err := pick(what, mine, theirs)
		failed = errors.Join(failed, err)
		return name
	}
	c.Chosen = Choice{
		Kex:     choose("key exchange", mine.Kex, server.Kex),
		HostKey: choose("host key", mine.HostKey, server.HostKey),
	}
	for d := range 2 {
		c.Chosen.Cipher[d] = choose("cipher", mine.Cipher[d], server.Cipher[d])
		if c.Chosen.Cipher[d] == "aes128-ctr" {
			c.Chosen.MAC[d] = choose("MAC", mine.MAC[d], server.MAC[d])
		}
	}
	return failed
}

// ephemeral is the client's key of one exchange.
type ephemeral struct {
	key *ecdh.PrivateKey
}

func curveFor(kex string) (ecdh.Curve, error) {
	switch kex {
	case "curve25519-sha256", "curve25519-sha256@libssh.org":
		return ecdh.X25519(), nil
	case "ecdh-sha2-nistp256":
		return ecdh.P256(), nil
	}
	return nil, fmt.Errorf("raw: key exchange %q is not spoken here", kex)
}

// Ephemeral makes the client's key of this exchange and returns its public part.
func (c *Conn) Ephemeral() ([]byte, error) {
	curve, err := curveFor(c.Chosen.Kex)
	if err != nil {
		return nil, err
	}
	key, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	c.private = &ephemeral{key}
	return key.PublicKey().Bytes(), nil
}

// SendKexECDHInit sends the client's part of the exchange.
func (c *Conn) SendKexECDHInit() error {
	public, err := c.Ephemeral()
	if err != nil {
		return err
	}
	return c.Send(Msg(KexECDHInit, public))
}

// ReadKexReply reads the server's part, checks its signature and has the secret
// and the exchange hash afterwards.
func (c *Conn) ReadKexReply() error {
	p, err := c.Expect(KexECDHReply)
	if err != nil {
		return err
	}
	f := NewFields(p[1:])
	hostKey, public, signature := f.Bytes(), f.Bytes(), f.Bytes()
	if f.Failed() || len(f.Rest()) != 0 {
		return errors.New("raw: malformed key exchange reply")
	}
	peer, err := c.private.key.Curve().NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("raw: the server's public key: %w", err)
	}
	shared, err := c.private.key.ECDH(peer)
	if err != nil {
		return fmt.Errorf("raw: the server's public key: %w", err)
	}
	c.secret = appendMpint(nil, shared)
	h := sha256.New()
	for _, part := range [][]byte{[]byte(c.ClientVersion), []byte(c.ServerVersion), c.clientInit, c.serverInit,
		hostKey, c.private.key.PublicKey().Bytes(), public} {
		h.Write(appendString(nil, part))
	}
	h.Write(c.secret)
	c.hash = h.Sum(nil)
	verify := VerifyHostKey
	if c.VerifyHost != nil {
		verify = c.VerifyHost
	}
	if err := verify(c.Chosen.HostKey, hostKey, c.hash, signature); err != nil {
		return err
	}
	if c.HostKey != nil && !bytes.Equal(c.HostKey, hostKey) && c.SessionID == nil {
		return errors.New("raw: the host key changed")
	}
	c.HostKey = hostKey
	if c.SessionID == nil {
		c.SessionID = c.hash
	}
	return nil
}

func (c *Conn) deriveKey(letter byte, n int) []byte {
	h := sha256.New()
	h.Write(c.secret)
	h.Write(c.hash)
	h.Write([]byte{letter})
	h.Write(c.SessionID)
	key := h.Sum(nil)
	for len(key) < n {
		h.Reset()
		h.Write(c.secret)
		h.Write(c.hash)
		h.Write(key)
		key = h.Sum(key)
	}
	return key[:n]
}

// SendNewKeys sends NEWKEYS and protects what follows with the new keys.
func (c *Conn) SendNewKeys() error {
	if err := c.Send([]byte{NewKeys}); err != nil {
		return err
	}
	prot, err := c.newProtection(c.Chosen.Cipher[0], c.Chosen.MAC[0], 'A')
	if err != nil {
		return err
	}
	c.out.prot = prot
	if c.strict {
		c.out.seq = 0
	}
	return nil
}

// ReadNewKeys reads NEWKEYS and takes the new keys for what follows.
func (c *Conn) ReadNewKeys() error {
	if _, err := c.Expect(NewKeys); err != nil {
		return err
	}
	prot, err := c.newProtection(c.Chosen.Cipher[1], c.Chosen.MAC[1], 'B')
	if err != nil {
		return err
	}
	c.in.prot = prot
	if c.strict {
		c.in.seq = 0
	}
	return nil
}

// Exchange runs one key exchange from the client's KEXINIT to both NEWKEYS: the
// first, or a rekeying that the client asks for while nothing else is under way.
func (c *Conn) Exchange(k *KexInit) error {
	for _, step := range []func() error{
		func() error { return c.SendKexInit(k) },
		c.ReadKexInit, c.SendKexECDHInit, c.ReadKexReply, c.SendNewKeys, c.ReadNewKeys,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Handshake exchanges versions and runs the first key exchange; k may be nil.
func (c *Conn) Handshake(k *KexInit) error {
	if k == nil {
		k = DefaultKexInit()
	}
	if err := c.Versions(); err != nil {
		return err
	}
	return c.Exchange(k)
}
