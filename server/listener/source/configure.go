package source

import "net/netip"

// Configure replaces the configuration, for a reload. Connections under way stay
// counted. Penalties stay as well, with two exceptions: where blocks become
// smaller nobody knows any more which part of the old block a penalty was for, and
// those of that family are dropped; and those beyond a smaller max-sources are, soonest
// to expire first. (sshd loses all of this with each reload.)
func (t *Table) Configure(c Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.config
	t.config = c
	if old.NetBlockSize != c.NetBlockSize {
		t.recount()
	}
	for f := range t.penalties {
		was, now := old.bits(f), c.bits(f)
		switch {
		case !c.Penalties.Enabled || now > was:
			t.penalties[f] = penalties{}
		case now < was:
			t.widen(f)
		}
		t.evict(f)
	}
}

// recount counts the connections under way by the blocks of a new size.
func (t *Table) recount() {
	clear(t.blocks)
	for addr, n := range t.live {
		t.blocks[t.block(netip.AddrFrom16(addr).Unmap())] += n
	}
}

// widen moves the penalties of a family to larger blocks. Where some meet, the one
// that is in force longest stays: adding them up would punish neighbours for each
// other's past.
func (t *Table) widen(f int) {
	old := t.penalties[f]
	t.penalties[f] = penalties{}
	p := &t.penalties[f]
	for _, slot := range old.heap {
		e := old.entries[slot]
		e.block = t.block(netip.AddrFrom16(e.block).Unmap())
		switch other := p.find(e.block); {
		case other == nil:
			p.insert(e)
		case e.active && !other.active, e.active == other.active && e.expiry > other.expiry:
			p.remove(other)
			p.insert(e)
		}
	}
}
