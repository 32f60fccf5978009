package raw

import (
	"errors"
	"fmt"
)

// Channel is what both sides call a channel. The numbers are plain fields: a test
// may send any others.
type Channel struct {
	Local, Remote uint32
	Window        uint32 // what the server lets the client send, at the opening
	MaxPacket     uint32
}

// OpenRequest builds a CHANNEL_OPEN.
func OpenRequest(kind string, local, window, maxPacket uint32, extra ...any) []byte {
	return Append(Msg(ChannelOpen, kind, local, window, maxPacket), extra...)
}

// OpenSession opens a session channel with this window (bytes that the server may
// send) and a maximum packet of 32 KiB.
func (c *Conn) OpenSession(local, window uint32) (*Channel, error) {
	if err := c.Send(OpenRequest("session", local, window, 32<<10)); err != nil {
		return nil, err
	}
	return c.Opened()
}

// Opened waits for the answer to a CHANNEL_OPEN.
func (c *Conn) Opened() (*Channel, error) {
	p, err := c.Expect(ChannelConfirmation, ChannelOpenFailure)
	if err != nil {
		return nil, err
	}
	f := NewFields(p[1:])
	if p[0] == ChannelOpenFailure {
		f.Uint32()
		return nil, &OpenError{Reason: f.Uint32(), Text: f.Text()}
	}
	ch := &Channel{Local: f.Uint32(), Remote: f.Uint32(), Window: f.Uint32(), MaxPacket: f.Uint32()}
	if f.Failed() {
		return nil, errors.New("raw: malformed CHANNEL_OPEN_CONFIRMATION")
	}
	return ch, nil
}

// OpenError is a refused channel.
type OpenError struct {
	Reason uint32
	Text   string
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("raw: channel refused: reason %d: %q", e.Reason, e.Text)
}

// Request builds a CHANNEL_REQUEST.
func (ch *Channel) Request(name string, wantReply bool, fields ...any) []byte {
	return Append(Msg(ChannelRequest, ch.Remote, name, wantReply), fields...)
}

// Data builds a CHANNEL_DATA.
func (ch *Channel) Data(data []byte) []byte { return Msg(ChannelData, ch.Remote, data) }

// Adjust builds a CHANNEL_WINDOW_ADJUST.
func (ch *Channel) Adjust(n uint32) []byte { return Msg(ChannelWindowAdjust, ch.Remote, n) }

// EOF builds a CHANNEL_EOF.
func (ch *Channel) EOF() []byte { return Msg(ChannelEOF, ch.Remote) }

// Close builds a CHANNEL_CLOSE.
func (ch *Channel) Close() []byte { return Msg(ChannelClose, ch.Remote) }

// Exec sends an exec request and waits for the answer.
func (c *Conn) Exec(ch *Channel, command string) error {
	if err := c.Send(ch.Request("exec", true, command)); err != nil {
		return err
	}
	for {
		p, err := c.Expect(ChannelSuccess, ChannelFailure, ChannelWindowAdjust)
		switch {
		case err != nil:
			return err
		case p[0] == ChannelFailure:
			return errors.New("raw: exec refused")
		case p[0] == ChannelSuccess:
			return nil
		}
	}
}

// Result is everything that came over a channel until it was closed.
type Result struct {
	Stdout, Stderr []byte
	Status         uint32
	HasStatus      bool
	Signal         string
	Order          []byte // message numbers as they came, runs of equal ones once; 98 for exit-status and exit-signal
}

// Collect reads a channel until the server closes it, gives back window for all
// that it takes, and answers the CLOSE. Messages of other channels are an error.
func (c *Conn) Collect(ch *Channel) (*Result, error) {
	r := &Result{}
	for {
		p, err := c.Expect(ChannelData, ChannelExtended, ChannelEOF, ChannelClose, ChannelRequest,
			ChannelWindowAdjust, ChannelSuccess, ChannelFailure)
		if err != nil {
			return r, err
		}
		f := NewFields(p[1:])
		if id := f.Uint32(); id != ch.Local {
			return r, fmt.Errorf("raw: message %d for channel %d, expected %d", p[0], id, ch.Local)
		}
		if n := len(r.Order); n == 0 || r.Order[n-1] != p[0] {
			r.Order = append(r.Order, p[0])
		}
		switch p[0] {
		case ChannelData, ChannelExtended:
			to := &r.Stdout
			if p[0] == ChannelExtended {
				to = &r.Stderr
				f.Uint32()
			}
			data := f.Bytes()
			*to = append(*to, data...)
			if err := c.Send(ch.Adjust(uint32(len(data)))); err != nil {
				return r, err
			}
		case ChannelRequest:
			switch name, _ := f.Text(), f.Bool(); name {
			case "exit-status":
				r.Status, r.HasStatus = f.Uint32(), true
			case "exit-signal":
				r.Signal = f.Text()
			}
		case ChannelClose:
			// The server may have closed its socket already: no error then.
			_ = c.Send(ch.Close())
			return r, nil
		}
		if f.Failed() {
			return r, fmt.Errorf("raw: message %d is malformed", p[0])
		}
	}
}

// Run opens a session channel, runs a command and collects what it does.
func (c *Conn) Run(local uint32, command string) (*Result, error) {
	ch, err := c.OpenSession(local, 1<<20)
	if err != nil {
		return nil, err
	}
	if err := c.Exec(ch, command); err != nil {
		return nil, err
	}
	return c.Collect(ch)
}
