package connection

// DatagramHandler is a ChannelHandler whose channel carries packets and no stream
// (tun@openssh.com): the data of each CHANNEL_DATA goes to it whole, and Read and
// WriteTo yield nothing. Datagram must not block, and data is valid during the call
// only.
type DatagramHandler interface {
	Datagram(data []byte)
}

// WriteDatagram sends p as the data of one message: never a part of it, never with
// something else. It waits until the client's window has room for all. sent is false
// without an error if p is longer than the client's packets may be.
func (c *Channel) WriteDatagram(p []byte) (sent bool, err error) {
	c.mu.Lock()
	for int64(c.sendWindow) < int64(len(p)) && len(p) <= c.sendPacket && c.state == stateOpen && !c.sentEOF {
		c.cond.Wait()
	}
	switch {
	case c.state != stateOpen || c.sentEOF:
		c.mu.Unlock()
		return false, ErrEnded
	case len(p) > c.sendPacket:
		c.mu.Unlock()
		return false, nil
	}
	c.sendWindow -= uint64(len(p))
	class := c.class()
	c.mu.Unlock()
	packet := c.dataPacket(dataHeader, len(p))
	copy(packet.Payload()[dataHeader:], p)
	if err := c.mux.t.SendPacket(packet, class, false); err != nil {
		return false, err
	}
	return true, nil
}
