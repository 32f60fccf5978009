package transport

// MaxKeyPackets is maxKeyPackets.
const MaxKeyPackets = maxKeyPackets

// AgeKeys makes both directions' keys as old as if they had served for so many
// packets. It is called by the goroutine of Receive.
func AgeKeys(c *Conn, in, out uint64) {
	c.in.packets = in
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.packets = out
}
