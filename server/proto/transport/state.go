package transport

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"nano_ssh_server/server/proto/cipher"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// DirectionState is one direction of a connection that changes hands. It holds
// secrets: Wipe it.
type DirectionState struct {
	Cipher, MAC, Compression string
	Key, IV, MACKey          []byte
	Seq                      uint32
	Packets, Bytes           uint64 // since the last NEWKEYS
}

// String hides the keys.
func (d *DirectionState) String() string {
	return fmt.Sprintf("{%s %s %s seq %d}", d.Cipher, d.MAC, d.Compression, d.Seq)
}

func (d *DirectionState) wipe() {
	if d != nil {
		clear(d.Key)
		clear(d.IV)
		clear(d.MACKey)
	}
}

// State is an authenticated connection that changes hands: from the gate, which
// authenticated it, to the account process, which serves it.
type State struct {
	ClientVersion, ServerVersion string
	SessionID                    []byte
	Strict                       bool
	In, Out                      DirectionState
	Unread                       []byte // received, not yet decrypted
}

// String hides the keys.
func (s *State) String() string {
	return fmt.Sprintf("{%s in %v out %v, %d bytes unread}", s.ClientVersion, &s.In, &s.Out, len(s.Unread))
}

// Wipe overwrites the keys.
func (s *State) Wipe() {
	s.In.wipe()
	s.Out.wipe()
}

// keepSecret remembers the keys of a direction until Begin, for Export.
func (c *Conn) keepSecret(i int, d *DirectionState) {
	c.secrets[i].wipe()
	if c.phase == msg.Connection {
		d.wipe()
		d = nil
	}
	c.secrets[i] = d
}

func (c *Conn) wipeSecrets() {
	for i := range c.secrets {
		c.secrets[i].wipe()
		c.secrets[i] = nil
	}
}

var errNotExportable = errors.New("transport: connection is not in a state to change hands")

// Export returns the state of a connection right after USERAUTH_SUCCESS was
// sent, and makes this Conn useless but leaves its stream open. The goroutine
// that calls Receive calls it. It fails during a key exchange.
func (c *Conn) Export() (*State, error) {
	c.kx.mu.Lock()
	busy := c.kx.ourInit != nil
	c.kx.mu.Unlock()
	c.out.mu.Lock()
	busy = busy || c.out.writing || c.out.ready() || c.out.err != nil
	c.out.mu.Unlock()
	if busy || c.phase != msg.Connection || c.secrets[0] == nil || c.secrets[1] == nil {
		return nil, errNotExportable
	}
	s := &State{
		ClientVersion: c.clientVersion, ServerVersion: c.cfg.Version, SessionID: c.sessionID, Strict: c.strict,
		In: *c.secrets[0], Out: *c.secrets[1],
		Unread: slices.Clone(c.in.buf[c.in.r:c.in.w]),
	}
	s.In.IV, s.In.Seq, s.In.Packets, s.In.Bytes = c.in.cipher.IV(), c.in.seq, c.in.packets, c.in.bytes
	s.Out.IV, s.Out.Seq, s.Out.Packets, s.Out.Bytes = c.out.cipher.IV(), c.out.seq, c.out.packets, c.out.bytes
	c.secrets = [2]*DirectionState{}
	c.closeOnce.Do(func() {}) // the stream is no longer this one's to close
	c.out.close(ErrClosed)
	c.in.cipher.Free()
	c.out.free()
	c.in.cipher, c.out.cipher = cipher.Plain(), cipher.Plain()
	clear(c.in.buf)
	return s, nil
}

// Import goes on with an exported connection. The state is wiped. Versions of
// the server must agree, since rekeying hashes them.
func Import(stream io.ReadWriteCloser, cfg *Config, s *State) (*Conn, error) {
	defer s.Wipe()
	if s.ServerVersion != cfg.Version || len(s.SessionID) == 0 {
		return nil, errNotExportable
	}
	c := New(stream, cfg)
	c.clientVersion, c.sessionID, c.strict = s.ClientVersion, s.SessionID, s.Strict
	c.phase = msg.Connection
	c.kx.firstDone = true
	var err error
	if c.in.cipher, err = cipher.New(cipher.Open, s.In.Cipher, s.In.MAC, s.In.Key, s.In.IV, s.In.MACKey); err != nil {
		return nil, err
	}
	if c.out.cipher, err = cipher.New(cipher.Seal, s.Out.Cipher, s.Out.MAC, s.Out.Key, s.Out.IV, s.Out.MACKey); err != nil {
		c.in.cipher.Free()
		return nil, err
	}
	c.in.seq, c.in.packets, c.in.bytes = s.In.Seq, s.In.Packets, s.In.Bytes
	c.out.seq, c.out.packets, c.out.bytes = s.Out.Seq, s.Out.Packets, s.Out.Bytes
	c.kx.agreed.compressIn, c.kx.agreed.compressOut = s.In.Compression, s.Out.Compression
	if len(s.Unread) > 0 {
		c.in.makeRoom(len(s.Unread))
		c.in.w = copy(c.in.buf, s.Unread)
		clear(s.Unread)
	}
	return c, nil
}

// maxField bounds a field of a marshalled State; Unread is the largest.
const maxField = largeRead

// Marshal appends the state to b, for the descriptor between two processes of
// this server. The result holds secrets: wipe it.
func (s *State) Marshal(b []byte) []byte {
	b = wire.AppendText(wire.AppendText(b, s.ClientVersion), s.ServerVersion)
	b = wire.AppendBool(wire.AppendString(b, s.SessionID), s.Strict)
	for _, d := range []*DirectionState{&s.In, &s.Out} {
		b = wire.AppendText(wire.AppendText(wire.AppendText(b, d.Cipher), d.MAC), d.Compression)
		b = wire.AppendString(wire.AppendString(wire.AppendString(b, d.Key), d.IV), d.MACKey)
		b = wire.AppendUint64(wire.AppendUint64(wire.AppendUint32(b, d.Seq), d.Packets), d.Bytes)
	}
	return wire.AppendString(b, s.Unread)
}

// UnmarshalState reads what Marshal wrote. It copies all fields.
func UnmarshalState(b []byte) (*State, error) {
	r := wire.NewReader(b)
	s := &State{ClientVersion: r.Text(), ServerVersion: r.Text()}
	s.SessionID, s.Strict = slices.Clone(r.String()), r.Bool()
	for _, d := range []*DirectionState{&s.In, &s.Out} {
		d.Cipher, d.MAC, d.Compression = r.Text(), r.Text(), r.Text()
		d.Key, d.IV, d.MACKey = slices.Clone(r.String()), slices.Clone(r.String()), slices.Clone(r.String())
		d.Seq, d.Packets, d.Bytes = r.Uint32(), r.Uint64(), r.Uint64()
	}
	s.Unread = slices.Clone(r.String())
	if err := r.End(); err != nil {
		s.Wipe()
		return nil, err
	}
	if len(s.Unread) > maxField {
		s.Wipe()
		return nil, errNotExportable
	}
	return s, nil
}
