package monitor

import (
	"context"
	"net/netip"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/user"
)

// lookupTimeout bounds both questions of UseDNS together. Name servers that do not
// answer cost each login as much, and no other connection anything.
const lookupTimeout = 15 * time.Second

// learnName asks for the peer's name if UseDNS says so, once, when the user is named:
// whoever only connects makes nobody ask anything.
func (c *Connection) learnName() {
	addr, err := netip.ParseAddr(c.peer.RemoteHost)
	if !c.cfg.UseDNS || err != nil {
		return
	}
	resolver := c.shared.Resolver
	if resolver == nil {
		resolver = auth.SystemResolver
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	tell := func(level auth.Level, format string, args ...any) { c.log.Log(levels[level], format, args...) }
	if name := auth.HostName(ctx, resolver, addr, tell); name != addr.Unmap().String() {
		c.resolved = name
	}
}

// hostName is the peer's name, or its address where there is none.
func (c *Connection) hostName() string {
	if c.resolved != "" {
		return c.resolved
	}
	return c.peer.RemoteHost
}

// userPeer is the peer as access rules and key options match it.
func (c *Connection) userPeer() user.Peer {
	addr, _ := netip.ParseAddr(c.peer.RemoteHost)
	return user.Peer{Addr: addr, Host: c.resolved}
}
