package transport

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"nano_ssh_server/server/proto/cipher"
	"nano_ssh_server/server/proto/kex"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

const (
	strictServer = "kex-strict-s-v00@openssh.com"
	strictClient = "kex-strict-c-v00@openssh.com"
	extInfoC     = "ext-info-c" // RFC 8308 section 2.1
	// kexDeadline ends a connection whose rekeying does not come to an end. It
	// is long because what the peer had in flight comes first: a full window of
	// 2 MiB takes five minutes at 56 kbit/s. The first exchange has LoginGraceTime.
	kexDeadline = 10 * time.Minute
	// maxEarlyKex is how many exchanges a peer may have before it has logged in: each
	// costs this side a signature and more (THREATS row 11). Clients have one, but for
	// those that rekey after a few hundred bytes.
	maxEarlyKex = 16
)

// NegotiationError means that client and server have no algorithm in common.
// What is sshd's word for the kind; Offer is the client's list, as it came.
type NegotiationError struct {
	What, Offer string
}

func (e *NegotiationError) Error() string {
	return fmt.Sprintf("no matching %s found. Their offer: %q", e.What, e.Offer)
}

// exchange is the state of key exchange. mu guards what startKex touches, which
// any goroutine may call; the rest belongs to the goroutine of Receive.
type exchange struct {
	mu       sync.Mutex
	ourInit  []byte // sent, exchange not finished
	deadline *time.Timer

	firstDone  bool
	early      int    // exchanges before Begin
	peerInit   []byte // received, exchange not finished
	skipGuess  bool   // the next kex message is a wrong guess
	extInfo    bool
	agreed     agreed
	method     kex.Exchange
	pending    cipher.Cipher // for the peer's NEWKEYS
	pendingDir *DirectionState
}

// agreed holds the outcome of one negotiation.
type agreed struct {
	kex, hostKey            string
	cipherIn, cipherOut     string
	macIn, macOut           string
	compressIn, compressOut string
}

// startKex sends our KEXINIT unless an exchange is under way. Any goroutine may call it.
func (c *Conn) startKex() error {
	c.kx.mu.Lock()
	defer c.kx.mu.Unlock()
	if c.kx.ourInit != nil {
		return nil
	}
	if c.timer != nil {
		c.timer.Reset(c.cfg.RekeyInterval)
	}
	b := make([]byte, 17, 1536)
	b[0] = msg.KexInit
	c.cfg.Random(b[1:17])
	kexNames := c.cfg.KexAlgorithms
	if c.sessionID == nil {
		kexNames = append(slices.Clone(kexNames), strictServer)
	} else {
		c.kx.deadline = time.AfterFunc(kexDeadline, func() { c.guard(func() { c.Close() }) })
	}
	b = wire.AppendNameList(b, kexNames)
	b = wire.AppendNameList(b, c.cfg.HostKeyAlgorithms)
	for _, list := range [][]string{c.cfg.Ciphers, c.cfg.MACs, c.cfg.Compression} {
		b = wire.AppendNameList(b, list) // client to server
		b = wire.AppendNameList(b, list) // server to client
	}
	b = wire.AppendNameList(wire.AppendNameList(b, nil), nil) // languages
	b = wire.AppendUint32(wire.AppendBool(b, false), 0)
	c.kx.ourInit = b
	p := NewPacket(len(b))
	copy(p.Payload(), b)
	c.out.hold()
	return c.out.enqueue(p, urgent, false, false)
}

// Rekey starts a key exchange.
func (c *Conn) Rekey() error { return c.startKex() }

// rekeyIfDue starts a key exchange when the peer's key has served long enough. Before
// Begin there is none: the connection is about to change hands.
func (c *Conn) rekeyIfDue() error {
	if c.begun && c.due(c.in.bytes, c.in.packets, c.in.cipher) {
		return c.startKex()
	}
	return nil
}

func (o *outbound) rekeyDue() bool {
	return o.conn.begun && o.conn.due(o.bytes, o.packets, o.cipher)
}

// maxKeyPackets is after how many packets a key is replaced: half of what would
// repeat a sequence number (RFC 4344 section 3.1; THREATS row 28).
const maxKeyPackets = 1 << 31

// due says whether a key must be replaced. One packet is always let through, so
// that absurdly small limits still make progress.
func (c *Conn) due(bytes, packets uint64, k cipher.Cipher) bool {
	limit := c.cfg.RekeyBytes
	if limit == 0 {
		limit = 1 << 30 // RFC 4253 section 9, for small blocks
		if k.BlockSize() >= 16 {
			limit = 64 << 30 // 2^(block bits/4) blocks, RFC 4344 section 3.2
		}
	}
	return packets > 0 && (bytes >= limit || packets >= maxKeyPackets)
}

func (c *Conn) onKexInit(payload []byte) error {
	first := !c.kx.firstDone
	theirs, err := parseKexInit(payload)
	if err != nil {
		return &PeerError{Reason: msg.ReasonProtocolError, Text: "malformed KEXINIT", Err: err}
	}
	if first {
		c.strict = slices.Contains(theirs.kex, strictClient)
		c.kx.extInfo = slices.Contains(theirs.kex, extInfoC)
		if c.strict && c.in.seq != 1 {
			return peerError(msg.ReasonProtocolError, "strict KEX violation: KEXINIT was not the first packet")
		}
	}
	if !c.begun {
		if c.kx.early++; c.kx.early > maxEarlyKex {
			return peerError(msg.ReasonProtocolError, "too many key exchanges before authentication")
		}
	}
	c.kx.peerInit = slices.Clone(payload)
	if err := c.startKex(); err != nil {
		return err
	}
	if err := c.negotiate(theirs); err != nil {
		return err
	}
	a := &c.kx.agreed
	if c.cfg.Debug != nil {
		c.cfg.Debug("kex: algorithm: %s", a.kex)
		c.cfg.Debug("kex: host key algorithm: %s", a.hostKey)
		c.cfg.Debug("kex: client->server cipher: %s MAC: %s compression: %s", a.cipherIn, orImplicit(a.macIn), a.compressIn)
		c.cfg.Debug("kex: server->client cipher: %s MAC: %s compression: %s", a.cipherOut, orImplicit(a.macOut), a.compressOut)
	}
	c.kx.method, err = kex.New(a.kex, &kex.Params{
		ClientVersion: c.clientVersion, ServerVersion: c.cfg.Version,
		ClientKexInit: c.kx.peerInit, ServerKexInit: c.kx.ourInit,
		HostKeyAlgorithm: a.hostKey, HostKey: c.cfg.Signer.PublicKey(a.hostKey),
		Sign: func(hash []byte) ([]byte, error) {
			id := c.sessionID
			if id == nil {
				id = hash
			}
			return c.cfg.Signer.Sign(id, hash, a.hostKey)
		},
		Moduli: c.cfg.Moduli,
	})
	return err
}

func orImplicit(mac string) string {
	if mac == "" {
		return "<implicit>"
	}
	return mac
}

type kexInit struct {
	kex, hostKey        []string
	cipherIn, cipherOut []string
	macIn, macOut       []string
	compIn, compOut     []string
	guess               bool // first_kex_packet_follows
}

// parseKexInit reads a KEXINIT message (RFC 4253 section 7.1).
func parseKexInit(payload []byte) (*kexInit, error) {
	r := wire.NewReader(payload)
	r.Raw(17) // number and cookie
	k := &kexInit{}
	for _, list := range []*[]string{&k.kex, &k.hostKey, &k.cipherIn, &k.cipherOut, &k.macIn, &k.macOut, &k.compIn, &k.compOut} {
		*list = r.NameList()
	}
	r.String() // languages, both ways: nobody uses them
	r.String()
	k.guess = r.Bool()
	r.Uint32()
	if err := r.End(); err != nil {
		return nil, err
	}
	return k, nil
}

// negotiate picks one algorithm of each kind: the first of the client's that we
// have too (RFC 4253 section 7.1).
func (c *Conn) negotiate(theirs *kexInit) error {
	var a agreed
	var err error
	choose := func(what string, client, server []string) string {
		for _, name := range client {
			if slices.Contains(server, name) {
				return name
			}
		}
		if err == nil {
			err = &NegotiationError{What: what, Offer: strings.Join(client, ",")}
		}
		return ""
	}
	a.kex = choose("key exchange method", theirs.kex, c.cfg.KexAlgorithms)
	a.hostKey = choose("host key type", theirs.hostKey, c.cfg.HostKeyAlgorithms)
	direction := func(ciphers, macs, compressions []string) (string, string, string) {
		cipherName, macName := choose("cipher", ciphers, c.cfg.Ciphers), ""
		if _, _, n := cipher.KeyLengths(cipherName, "hmac-sha2-256"); n > 0 && cipherName != "" {
			macName = choose("MAC", macs, c.cfg.MACs)
		}
		return cipherName, macName, choose("compression method", compressions, c.cfg.Compression)
	}
	a.cipherIn, a.macIn, a.compressIn = direction(theirs.cipherIn, theirs.macIn, theirs.compIn)
	a.cipherOut, a.macOut, a.compressOut = direction(theirs.cipherOut, theirs.macOut, theirs.compOut)
	if err != nil {
		return err
	}
	c.kx.skipGuess = theirs.guess &&
		(theirs.kex[0] != c.cfg.KexAlgorithms[0] || theirs.hostKey[0] != c.cfg.HostKeyAlgorithms[0])
	c.kx.agreed = a
	return nil
}

func (c *Conn) onKexMessage(payload []byte) error {
	if c.kx.skipGuess {
		c.kx.skipGuess = false
		return nil
	}
	if c.kx.method == nil || c.kx.pending != nil {
		return peerError(msg.ReasonProtocolError, "unexpected key exchange message %d", payload[0])
	}
	reply, result, err := c.kx.method.Step(payload)
	if err != nil && !errors.Is(err, kex.ErrPeer) {
		return fmt.Errorf("key exchange: %w", err)
	}
	if err != nil {
		return &PeerError{Reason: msg.ReasonKeyExchangeFailed, Text: "key exchange failed", Err: err}
	}
	c.out.cork()
	if reply != nil {
		p := NewPacket(len(reply))
		copy(p.Payload(), reply)
		err = c.out.enqueue(p, urgent, false, false)
	}
	if err == nil && result != nil {
		err = c.finishKex(result)
		clear(result.Secret)
	}
	return errors.Join(err, c.out.uncork())
}

// finishKex derives the keys and queues NEWKEYS, and after the first exchange
// EXT_INFO right behind it (RFC 8308 section 2.4).
func (c *Conn) finishKex(result *kex.Result) error {
	first := c.sessionID == nil
	if first {
		c.sessionID = slices.Clone(result.Hash)
		c.hostKey = slices.Clone(c.cfg.Signer.PublicKey(c.kx.agreed.hostKey))
	}
	a := &c.kx.agreed
	in := c.deriveDirection(result, a.cipherIn, a.macIn, a.compressIn, 'A')
	out := c.deriveDirection(result, a.cipherOut, a.macOut, a.compressOut, 'B')
	keysIn, err := cipher.New(cipher.Open, in.Cipher, in.MAC, in.Key, in.IV, in.MACKey)
	if err != nil {
		return err
	}
	keysOut, err := cipher.New(cipher.Seal, out.Cipher, out.MAC, out.Key, out.IV, out.MACKey)
	if err != nil {
		keysIn.Free()
		return err
	}
	c.kx.pending, c.kx.pendingDir = keysIn, in
	p := NewPacket(1)
	p.Payload()[0] = msg.NewKeys
	compression := out.Compression
	p.after = func() error {
		c.out.newKeys(keysOut, c.strict)
		c.keepSecret(1, out)
		if c.begun {
			return c.compressOut(compression)
		}
		return nil
	}
	if err := c.out.enqueue(p, urgent, false, false); err != nil {
		return err
	}
	if first && c.kx.extInfo {
		return c.sendExtInfo()
	}
	return nil
}

// deriveDirection derives the keys of one direction (RFC 4253 section 7.2);
// letter is the one of its IV.
func (c *Conn) deriveDirection(result *kex.Result, cipherName, macName, compression string, letter byte) *DirectionState {
	keyLen, ivLen, macLen := cipher.KeyLengths(cipherName, macName)
	derive := func(letter byte, n int) []byte {
		return kex.DeriveKey(result.HashName, result.Secret, result.Hash, letter, c.sessionID, n)
	}
	return &DirectionState{
		Cipher: cipherName, MAC: macName, Compression: compression,
		IV: derive(letter, ivLen), Key: derive(letter+2, keyLen), MACKey: derive(letter+4, macLen),
	}
}

func (c *Conn) sendExtInfo() error {
	b := wire.AppendUint32([]byte{msg.ExtInfo}, 3)
	b = wire.AppendText(b, "server-sig-algs")
	b = wire.AppendNameList(b, c.cfg.PubkeyAlgorithms)
	b = wire.AppendText(wire.AppendText(b, "publickey-hostbound@openssh.com"), "0")
	b = wire.AppendText(wire.AppendText(b, "ping@openssh.com"), "0")
	return c.Send(b)
}

// onNewKeys ends an exchange: the peer's packets use the new keys from here on.
func (c *Conn) onNewKeys(payload []byte) error {
	if len(payload) != 1 || c.kx.pending == nil {
		return peerError(msg.ReasonProtocolError, "unexpected NEWKEYS")
	}
	c.in.newKeys(c.kx.pending, c.strict)
	if c.begun {
		c.compressIn(c.kx.pendingDir.Compression)
	}
	c.keepSecret(0, c.kx.pendingDir)
	c.kx.method.Free()
	c.kx.pending, c.kx.pendingDir, c.kx.method, c.kx.peerInit = nil, nil, nil, nil
	c.kx.firstDone = true
	c.kx.mu.Lock()
	c.kx.ourInit = nil
	if c.kx.deadline != nil {
		c.kx.deadline.Stop()
		c.kx.deadline = nil
	}
	if c.timer != nil { // it may have fired while this exchange was under way
		c.timer.Reset(c.cfg.RekeyInterval)
	}
	c.kx.mu.Unlock()
	return nil
}
