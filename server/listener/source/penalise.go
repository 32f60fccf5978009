package source

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"nano_ssh_server/server/host/log"
)

// line is a line for the log, kept until the table is unlocked: a slow log must not
// hold up the listener.
type line struct {
	level log.Level
	text  string
}

// Penalise adds the penalty of a class to the source of an address, and logs it as
// sshd does. Penalties of one source add up, to `max`; they are enforced once
// they are over `min`, and from then on until they expire.
func (t *Table) Penalise(addr netip.Addr, class Class, now time.Time) {
	if !addr.IsValid() {
		return
	}
	// sshd puts its function's name before each of these lines.
	if l := t.penalise(addr, class, now); l.text != "" {
		t.log.Log(l.level, "srclimit_penalise: %s", l.text)
	}
}

func (t *Table) penalise(addr netip.Addr, class Class, at time.Time) line {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.config.Penalties
	cost := class.cost(c)
	if !c.Enabled || cost <= 0 {
		return line{}
	}
	if t.exempt(addr) {
		return t.line(log.Debug3, func() string { return "address " + addr.Unmap().String() + " is exempt" })
	}
	plain := addr.WithZone("").Unmap()
	f, now := family(plain), t.clock(at)
	name := func() string { return plain.String() + "/" + strconv.Itoa(t.config.bits(f)) }
	p := &t.penalties[f]
	p.expire(now, expireStep)
	if t.full(f, now) && !t.permissive(f) {
		return t.line(log.Verbose, func() string {
			return fmt.Sprintf("%s penalty table full, cannot penalise %s for %s", familyNames[f], name(), class.Refusal())
		})
	}
	key := t.block(plain)
	e := p.find(key)
	if e != nil && e.expiry < now {
		p.remove(e)
		e = nil
	}
	if e != nil {
		return t.accumulate(p, e, class, f, now, name)
	}
	// Like sshd's, a first penalty may be longer than `max`.
	active := cost > c.Min
	p.insert(entry{block: key, expiry: now + cost, class: class, active: active})
	t.evict(f)
	level, kind := log.Verbose, "deferred"
	if active {
		level, kind = log.Info, "active"
	}
	return t.line(level, func() string {
		return fmt.Sprintf("%s: new %s %s penalty of %.3f seconds for %s", familyNames[f], name(), kind, cost.Seconds(), class.Refusal())
	})
}

// accumulate adds to a penalty.
func (t *Table) accumulate(p *penalties, e *entry, class Class, f int, now time.Duration, name func() string) line {
	c := &t.config.Penalties
	before, was := e.expiry-now, "inactive"
	if e.active {
		was = "active"
	}
	left := min(before+class.cost(c), c.Max)
	activated := left > c.Min && !e.active
	e.active = e.active || activated
	e.class = class
	p.extend(e, now+left)
	if activated {
		return t.line(log.Info, func() string {
			return fmt.Sprintf("%s: activating %s penalty of %.3f seconds for %s", name(), familyNames[f], left.Seconds(), class.Refusal())
		})
	}
	return t.line(log.Debug1, func() string {
		return fmt.Sprintf("%s penalty for %s %s already exists, %d seconds remaining", was, familyNames[f], name(), int64(before.Seconds()))
	})
}

// line makes a line if it will be written.
func (t *Table) line(level log.Level, text func() string) line {
	if !t.log.Enabled(level) {
		return line{}
	}
	return line{level, text()}
}

// evict removes what expires soonest until a family has no more penalties than it
// may (overflow:permissive).
func (t *Table) evict(f int) {
	p := &t.penalties[f]
	for p.len() > max(t.maxSources(f), 0) {
		p.remove(p.soonest())
	}
}

// Penalised returns how many sources have a penalty, in force or not.
func (t *Table) Penalised(now time.Time) (ipv4, ipv6 int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.clock(now)
	for f := range t.penalties {
		t.penalties[f].expire(at, t.penalties[f].len())
	}
	return t.penalties[v4].len(), t.penalties[v6].len()
}
