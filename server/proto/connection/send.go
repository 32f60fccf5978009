package connection

import (
	"encoding/binary"
	"io"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

// stderrData is the only type of extended data (RFC 4254 section 5.2).
const stderrData = 1

// Write sends p as data. It waits while the window is closed.
func (c *Channel) Write(p []byte) (int, error) { return c.write(p, dataHeader) }

// WriteExtended sends p as stderr data.
func (c *Channel) WriteExtended(p []byte) (int, error) { return c.write(p, dataHeader+4) }

func (c *Channel) write(p []byte, header int) (int, error) {
	total := 0
	for len(p) > 0 {
		n, err := c.reserve(len(p), true)
		if err != nil {
			return total, err
		}
		packet := c.dataPacket(header, n)
		copy(packet.Payload()[header:], p[:n])
		if err := c.mux.t.SendPacket(packet, c.dataClass(), false); err != nil {
			return total, err
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// ReadFrom sends all of r as data until its end; it reads straight into packets. Reads
// must not wait: a packet may be held until the next one has returned.
// The error is r's, or ErrEnded when the channel was closed; io.EOF is no error.
func (c *Channel) ReadFrom(r io.Reader) (int64, error) { return c.readFrom(r, dataHeader) }

// ExtendedReadFrom sends all of r as stderr data.
func (c *Channel) ExtendedReadFrom(r io.Reader) (int64, error) { return c.readFrom(r, dataHeader+4) }

func (c *Channel) readFrom(r io.Reader, header int) (total int64, err error) {
	// full is a packet that r filled. It is sent when r was asked for more, so that one
	// system call writes both.
	var full *transport.Packet
	send := func(p *transport.Packet, more bool) error {
		n := len(p.Payload()) - header
		err := c.mux.t.SendPacket(p, c.dataClass(), more)
		if err == nil {
			total += int64(n)
		}
		return err
	}
	for {
		n, err := c.reserve(maxData, full == nil)
		if n == 0 && full != nil {
			if serr := send(full, false); serr != nil {
				return total, serr
			}
			full = nil
			if err == nil {
				continue
			}
		}
		if err != nil {
			return total, err
		}
		packet := c.dataPacket(header, n)
		k, err := r.Read(packet.Payload()[header:])
		if k < n {
			c.unreserve(n - k)
			c.setDataLength(packet, header, k)
		}
		if full != nil {
			if serr := send(full, k > 0); serr != nil {
				packet.Discard()
				return total, serr
			}
			full = nil
		}
		switch {
		case k == 0:
			packet.Discard()
		case k == n && err == nil:
			full = packet
		default:
			if serr := send(packet, false); serr != nil {
				return total, serr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// reserve takes up to n bytes of the client's window. It waits for at least one if it
// may, else returns 0.
func (c *Channel) reserve(n int, wait bool) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for wait && c.sendWindow == 0 && c.state == stateOpen && !c.sentEOF {
		c.cond.Wait()
	}
	if c.state != stateOpen || c.sentEOF {
		return 0, ErrEnded
	}
	n = min(n, c.sendPacket, int(min(c.sendWindow, maxData)))
	if n > 0 {
		c.sendWindow -= uint64(n)
		c.moved.Add(1)
	}
	return n, nil
}

func (c *Channel) unreserve(n int) {
	c.mu.Lock()
	c.sendWindow += uint64(n)
	c.cond.Broadcast()
	c.mu.Unlock()
}

func (c *Channel) dataClass() transport.Class {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.class()
}

// dataPacket returns a packet of n data bytes with its header filled in.
func (c *Channel) dataPacket(header, n int) *transport.Packet {
	p := transport.NewPacket(header + n)
	p.Cancel = &c.closing
	b := p.Payload()
	b[0] = msg.ChannelData
	binary.BigEndian.PutUint32(b[1:], c.peerID)
	if header > dataHeader {
		b[0] = msg.ChannelExtendedData
		binary.BigEndian.PutUint32(b[5:], stderrData)
	}
	binary.BigEndian.PutUint32(b[header-4:], uint32(n))
	return p
}

func (c *Channel) setDataLength(p *transport.Packet, header, n int) {
	p.Truncate(header + n)
	binary.BigEndian.PutUint32(p.Payload()[header-4:], uint32(n))
}

// queue sends a message of this channel unless our CLOSE was queued before.
func (c *Channel) queue(b []byte, class transport.Class) error {
	p := transport.NewPacket(len(b))
	copy(p.Payload(), b)
	p.Cancel = &c.closing
	return c.mux.t.QueuePacket(p, class)
}

// sendOrdered sends a message that keeps its order with the channel's data. It
// reports ErrEnded after our CLOSE.
func (c *Channel) sendOrdered(fill func([]byte) []byte, number byte) error {
	b := fill(wire.AppendUint32([]byte{number}, c.peerID))
	c.mu.Lock()
	open, class := c.state == stateOpen, c.class()
	c.mu.Unlock()
	if !open {
		return ErrEnded
	}
	return c.queue(b, class)
}

// CloseWrite sends EOF: no more data will follow.
func (c *Channel) CloseWrite() error {
	c.mu.Lock()
	again := c.sentEOF
	c.sentEOF = true
	c.cond.Broadcast()
	c.mu.Unlock()
	if again {
		return nil
	}
	return c.sendOrdered(func(b []byte) []byte { return b }, msg.ChannelEOF)
}

// SendRequest sends a request to the client behind all data written so far
// and, with wantReply, waits for the answer.
func (c *Channel) SendRequest(name string, wantReply bool, payload []byte) (bool, error) {
	var reply chan bool
	if wantReply {
		reply = make(chan bool, 1)
		c.mu.Lock()
		if c.state != stateOpen {
			c.mu.Unlock()
			return false, ErrEnded
		}
		c.replies = append(c.replies, reply)
		c.mu.Unlock()
	}
	err := c.sendOrdered(func(b []byte) []byte {
		return append(wire.AppendBool(wire.AppendText(b, name), wantReply), payload...)
	}, msg.ChannelRequest)
	if err != nil || !wantReply {
		return err == nil, err
	}
	ok, answered := <-reply
	if !answered {
		return false, ErrEnded
	}
	return ok, nil
}

// Close sends CLOSE behind all data written so far (RFC 4254 section 5.3).
// Data of the client that comes later is dropped.
func (c *Channel) Close() error {
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return nil
	}
	c.state = stateClosed
	c.cond.Broadcast()
	c.data.drop()
	class, both := c.class(), c.gotClose
	c.closing.Store(true)
	c.mu.Unlock()
	b := wire.AppendUint32([]byte{msg.ChannelClose}, c.peerID)
	p := transport.NewPacket(len(b))
	copy(p.Payload(), b)
	err := c.mux.t.QueuePacket(p, class)
	if both {
		c.finish()
	}
	return err
}
