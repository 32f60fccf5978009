// Package source limits what one source of connections may do before it has
// authenticated: PerSourceMaxStartups, PerSourcePenalties and
// PerSourcePenaltyExemptList, where a source is a block of addresses as
// PerSourceNetBlockSize says.
//
// The listener calls it: Enter for each accepted connection, Leave when that one
// has authenticated or ended, Penalise when it did something that costs. The
// package never touches a socket, never waits, and keeps no more penalties than
// max-sources4 and max-sources6, and no more counts than connections are let in.
//
//	accept -> Enter --refused--> drop
//	            | admitted
//	            v
//	        (gate) -> ends unauthenticated -> Leave, Penalise(class)
//	            |
//	            +---> authenticated -------> Leave
package source

import (
	"net/netip"
	"sync"
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
)

// Config is what sshd_config says about sources.
type Config struct {
	// MaxStartups is its full number: Enter admits no more in all. 0 is no limit.
	MaxStartups int
	// PerSourceMaxStartups is config.NoLimit for none.
	PerSourceMaxStartups int
	NetBlockSize         config.NetBlockSize
	Penalties            config.Penalties
	// Exempt is PerSourcePenaltyExemptList, "" for nobody.
	Exempt string
}

// loopback is who is exempt unless the configuration says anything about penalties: a
// connection over loopback comes from the machine itself, or through a forwarder or
// proxy on it. A penalty would be one for all who come that way.
const loopback = "127.0.0.0/8,::1"

// ConfigOf takes the keywords of a configuration that are for New and Configure.
func ConfigOf(f *config.File) Config {
	c := f.Base()
	n := Config{
		MaxStartups:          c.MaxStartups.Full,
		PerSourceMaxStartups: c.PerSourceMaxStartups,
		NetBlockSize:         c.PerSourceNetBlockSize,
		Penalties:            c.PerSourcePenalties,
		Exempt:               c.PerSourcePenaltyExemptList,
	}
	if f.Origin("PerSourcePenalties") == "" && f.Origin("PerSourcePenaltyExemptList") == "" {
		n.Exempt = loopback
	}
	return n
}

// The address families, as indices.
const (
	v4 = iota
	v6
	families
)

var familyNames = [families]string{"ipv4", "ipv6"}

// expireStep bounds how many expired penalties one call removes: a table that
// expires all at once must not hold up the connection that finds it so. A call adds
// one at most, so the table shrinks all the same.
const expireStep = 4

// Table holds the state of all sources. Its methods may be called from many
// goroutines at once.
type Table struct {
	log *log.Logger

	mu     sync.Mutex
	config Config
	epoch  time.Time // expiries count from here
	// live counts the connections that have entered by address, blocks by
	// block: a change of PerSourceNetBlockSize makes the second from the first.
	live, blocks map[block]int32
	total        int
	penalties    [families]penalties
}

// New returns an empty Table that logs to l.
func New(c Config, l *log.Logger) *Table {
	return &Table{log: l, config: c, live: make(map[block]int32), blocks: make(map[block]int32)}
}

// Place is the place of one connection among the startups. The zero value is none.
type Place struct {
	addr  block
	taken bool
}

// Enter takes a place for a connection from an address, or says why it is refused;
// then there is no place to give back. An invalid address, as that of a pipe, is
// always admitted. sshd asks about penalties before MaxStartups and about
// PerSourceMaxStartups after it: a caller that drops an admitted connection for
// MaxStartups calls Leave at once, which comes to the same.
func (t *Table) Enter(addr netip.Addr, now time.Time) (Place, Refusal) {
	if !addr.IsValid() {
		return Place{}, Admitted
	}
	plain := addr.WithZone("").Unmap()
	t.mu.Lock()
	defer t.mu.Unlock()
	key := t.block(plain)
	if r := t.penalised(addr, family(plain), key, t.clock(now)); r != Admitted {
		return Place{}, r
	}
	c := &t.config
	if c.MaxStartups > 0 && t.total >= c.MaxStartups {
		return Place{}, PastMaxStartups
	}
	if c.PerSourceMaxStartups != config.NoLimit && int(t.blocks[key]) >= c.PerSourceMaxStartups {
		return Place{}, PastMaxStartups
	}
	p := Place{addr: plain.As16(), taken: true}
	t.total++
	t.live[p.addr]++
	t.blocks[key]++
	return p, Admitted
}

// Leave gives a place back. The caller does so once.
func (t *Table) Leave(p Place) {
	if !p.taken {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total--
	release(t.live, p.addr)
	release(t.blocks, t.block(netip.AddrFrom16(p.addr).Unmap()))
}

func release(counts map[block]int32, b block) {
	if counts[b]--; counts[b] <= 0 {
		delete(counts, b)
	}
}

// penalised says why a block is refused.
func (t *Table) penalised(addr netip.Addr, f int, key block, now time.Duration) Refusal {
	if !t.config.Penalties.Enabled {
		return Admitted
	}
	p := &t.penalties[f]
	p.expire(now, expireStep)
	r := Admitted
	if t.full(f, now) && !t.permissive(f) {
		r = TooManySources
	} else if e := p.find(key); e != nil && e.active && e.expiry >= now {
		r = e.class.Refusal()
	}
	// The list costs more than all the rest, so it is read last.
	if r != Admitted && t.exempt(addr) {
		return Admitted
	}
	return r
}

// full reports whether a family has as many penalties as it may. Expired ones that
// nobody has removed yet do not count.
func (t *Table) full(f int, now time.Duration) bool {
	p := &t.penalties[f]
	if p.len() < t.maxSources(f) {
		return false
	}
	p.expire(now, 1)
	return p.len() >= t.maxSources(f)
}

func (t *Table) maxSources(f int) int {
	if f == v4 {
		return t.config.Penalties.MaxSources4
	}
	return t.config.Penalties.MaxSources6
}

func (t *Table) permissive(f int) bool {
	if f == v4 {
		return t.config.Penalties.OverflowPermissive
	}
	return t.config.Penalties.Overflow6Permissive
}

func (t *Table) exempt(addr netip.Addr) bool {
	return t.config.Exempt != "" && config.MatchAddress(addr.Unmap().String(), t.config.Exempt) == 1
}

// clock turns a time into one that entries hold.
func (t *Table) clock(now time.Time) time.Duration {
	if t.epoch.IsZero() {
		t.epoch = now
	}
	return now.Sub(t.epoch)
}

func family(plain netip.Addr) int {
	if plain.Is4() {
		return v4
	}
	return v6
}

// bits is the length of the network that counts as one source.
func (c *Config) bits(f int) int {
	if f == v4 {
		return min(max(c.NetBlockSize.IPv4, 0), 32)
	}
	return min(max(c.NetBlockSize.IPv6, 0), 128)
}

// block masks an address without zone that is not mapped.
func (t *Table) block(plain netip.Addr) block {
	p, _ := plain.Prefix(t.config.bits(family(plain))) // fails only for bits out of range
	return p.Addr().As16()
}
