package connection

import (
	"sync"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

// NewChannel is a channel that the client wants to open (RFC 4254 section 5.1).
type NewChannel struct {
	Type  string
	Extra []byte // type specific data

	ch   *Channel
	once sync.Once
}

// onOpen starts the service of a channel type. The channel has its number from
// here on, so that half-open channels count; a refused one leaves nothing.
//
// A channel waits for the global requests that came before it: it may be for the very
// listener that a tcpip-forward asks for.
func (m *Mux) onOpen(r *wire.Reader) error {
	kind := r.Text()
	peer, window, packet := r.Uint32(), r.Uint32(), r.Uint32()
	if r.Err() != nil {
		return errProtocol("malformed CHANNEL_OPEN")
	}
	c := newChannel(m, kind)
	c.peerID, c.sendWindow, c.sendPacket = peer, uint64(window), clampPacket(packet)
	refuse := func(reason uint32, text string) error {
		return m.t.Send(openFailure(peer, reason, text))
	}
	open := m.cfg.Open[kind]
	if open == nil {
		return refuse(msg.OpenUnknownChannelType, "unknown channel type")
	}
	if c.sendPacket == 0 {
		return refuse(msg.OpenResourceShortage, "maximum packet size is too small")
	}
	if !m.add(c) {
		return refuse(msg.OpenResourceShortage, "too many channels")
	}
	nc := &NewChannel{Type: kind, Extra: append([]byte(nil), r.Rest()...), ch: c}
	if m.cfg.Arriving != nil {
		m.cfg.Arriving(kind)
	}
	start := func(*GlobalRequest) {
		go m.guard(func() {
			open(nc)
			nc.Reject(msg.OpenConnectFailed, "open failed")
		})
	}
	switch {
	case !m.global.busy():
		start(nil)
	case !m.global.push(nil, len(nc.Extra), start):
		nc.Reject(msg.OpenResourceShortage, "too many requests")
	}
	return nil
}

func openFailure(peer, reason uint32, text string) []byte {
	b := wire.AppendUint32([]byte{msg.ChannelOpenFailure}, peer)
	b = wire.AppendUint32(b, reason)
	return wire.AppendText(wire.AppendText(b, text), "")
}

// Accept confirms the channel. h gets its requests.
func (n *NewChannel) Accept(h ChannelHandler) *Channel {
	c := n.ch
	n.once.Do(func() {
		c.mu.Lock()
		c.handler = h
		ended := c.ended
		if !ended {
			c.state = stateOpen
		}
		c.mu.Unlock()
		if ended {
			c.notifyClosed()
			return
		}
		b := wire.AppendUint32([]byte{msg.ChannelOpenConfirmation}, c.peerID)
		b = wire.AppendUint32(b, c.id)
		b = wire.AppendUint32(b, initialWindow)
		_ = c.mux.t.Send(wire.AppendUint32(b, maxData))
	})
	return c
}

// Reject refuses the channel (RFC 4254 section 5.1 names the reasons).
func (n *NewChannel) Reject(reason uint32, text string) {
	n.once.Do(func() {
		c := n.ch
		c.mux.remove(c)
		_ = c.mux.t.Send(openFailure(c.peerID, reason, text))
	})
}

// OpenError is the client's refusal to open a channel.
type OpenError struct {
	Reason uint32
	Text   string // as it came: escape it before it reaches a log
}

func (e *OpenError) Error() string { return "channel open refused by the client" }

// OpenChannel opens a channel to the client and waits for its answer.
func (m *Mux) OpenChannel(kind string, extra []byte, h ChannelHandler) (*Channel, error) {
	c := newChannel(m, kind)
	c.handler = h
	c.opened = make(chan *OpenError, 1)
	c.state = stateOpening
	if !m.add(c) {
		return nil, ErrEnded
	}
	b := wire.AppendText([]byte{msg.ChannelOpen}, kind)
	b = wire.AppendUint32(b, c.id)
	b = wire.AppendUint32(b, initialWindow)
	b = wire.AppendUint32(b, maxData)
	if err := m.t.Send(append(b, extra...)); err != nil {
		m.remove(c)
		return nil, err
	}
	select {
	case refused := <-c.opened:
		if refused != nil {
			return nil, refused
		}
		return c, nil
	case <-m.done:
		return nil, ErrEnded
	}
}

// onOpenAnswer handles the client's answer to OpenChannel.
func (c *Channel) onOpenAnswer(number byte, r *wire.Reader) error {
	c.mu.Lock()
	if c.state != stateOpening {
		c.mu.Unlock()
		return errProtocol("%s for a channel that is not being opened", msg.Name(number))
	}
	if number == msg.ChannelOpenFailure {
		e := &OpenError{Reason: r.Uint32(), Text: r.Text()}
		c.state = stateClosed
		c.mu.Unlock()
		if r.Err() != nil {
			return errProtocol("malformed CHANNEL_OPEN_FAILURE")
		}
		c.mux.remove(c)
		c.opened <- e
		return nil
	}
	c.peerID, c.sendWindow = r.Uint32(), uint64(r.Uint32())
	c.sendPacket = clampPacket(r.Uint32())
	if r.Err() != nil || c.sendPacket == 0 {
		c.mu.Unlock()
		return errProtocol("malformed CHANNEL_OPEN_CONFIRMATION")
	}
	c.state = stateOpen
	c.mu.Unlock()
	c.opened <- nil
	return nil
}
