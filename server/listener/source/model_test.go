package source

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// model is what sshd_config(5) says, written down with no care for its cost.
type model struct {
	c    Config
	list map[netip.Addr]*entry
}

func (m *model) expire(now time.Duration) {
	for a, e := range m.list {
		if e.expiry < now {
			delete(m.list, a)
		}
	}
}

func (m *model) full() bool {
	return len(m.list) >= m.c.Penalties.MaxSources4 && !m.c.Penalties.OverflowPermissive
}

func (m *model) enter(a netip.Addr, now time.Duration) Refusal {
	m.expire(now)
	if m.full() {
		return TooManySources
	}
	if e := m.list[a]; e != nil && e.active {
		return e.class.Refusal()
	}
	return Admitted
}

func (m *model) penalise(a netip.Addr, class Class, now time.Duration) {
	m.expire(now)
	if m.full() {
		return
	}
	cost := class.cost(&m.c.Penalties)
	e := m.list[a]
	if e == nil {
		e = &entry{expiry: now + cost}
		m.list[a] = e
	} else {
		e.expiry = min(e.expiry+cost, now+m.c.Penalties.Max)
	}
	e.class = class
	e.active = e.active || e.expiry-now > m.c.Penalties.Min
	if len(m.list) > m.c.Penalties.MaxSources4 {
		var first netip.Addr
		for a, e := range m.list {
			if f := m.list[first]; f == nil || e.expiry < f.expiry {
				first = a
			}
		}
		delete(m.list, first)
	}
}

// TestModel plays the same connections to the Table and to the model.
func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 7))
		c := defaults()
		c.Penalties.MaxSources4 = 1 + r.IntN(30)
		c.Penalties.OverflowPermissive = seed%2 == 0
		c.Penalties.Max = 100 * time.Second
		table, m := New(c, nil), &model{c, map[netip.Addr]*entry{}}
		now := start
		for i := range 20000 {
			now = now.Add(time.Duration(r.Int64N(int64(time.Second))))
			if r.IntN(1000) == 0 {
				now = now.Add(time.Minute)
			}
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(40))})
			if r.IntN(2) == 0 {
				p, got := table.Enter(a, now)
				if want := m.enter(a, now.Sub(start)); got != want {
					t.Fatalf("seed %d, step %d: %s: %q, want %q", seed, i, a, got, want)
				}
				table.Leave(p)
			} else {
				class := Class(1 + r.IntN(6))
				table.Penalise(a, class, now)
				m.penalise(a, class, now.Sub(start))
			}
			if n := table.penalties[v4].len(); n > c.Penalties.MaxSources4 {
				t.Fatalf("seed %d, step %d: %d penalties of %d", seed, i, n, c.Penalties.MaxSources4)
			}
		}
		sound(t, &table.penalties[v4])
		if n, _ := table.Penalised(now.Add(time.Hour)); n != 0 {
			t.Errorf("%d penalties never expire", n)
		}
	}
}

// sound checks that heap, map and slots agree.
func sound(t *testing.T, p *penalties) {
	t.Helper()
	if len(p.index) != len(p.heap) || len(p.heap)+len(p.free) != len(p.entries) {
		t.Errorf("%d in the map, %d in the heap, %d free, %d slots", len(p.index), len(p.heap), len(p.free), len(p.entries))
	}
	for i, slot := range p.heap {
		if e := p.entries[slot]; int(e.heap) != i || p.index[e.block] != slot || i > 0 && p.less(i, (i-1)/2) {
			t.Errorf("place %d: %+v", i, e)
		}
	}
}

// TestMemoryReturns: a flood does not cost memory for ever.
func TestMemoryReturns(t *testing.T) {
	table := New(defaults(), nil)
	for i := range 2 * keepEmpty {
		table.Penalise(number(i), Crash, start)
	}
	p := &table.penalties[v4]
	sound(t, p)
	if n, _ := table.Penalised(after(91)); n != 0 || p.entries != nil || p.index != nil {
		t.Errorf("%d penalties, %d slots", n, len(p.entries))
	}
	table.Penalise(number(1), Crash, after(91))
	sound(t, p)
}

// number is the nth of some addresses.
func number(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x0a000000+uint32(n)*7)
	return netip.AddrFrom4(b)
}

// flooded returns a Table that is as full as it gets by default.
func flooded(b *testing.B) *Table {
	table := New(defaults(), nil)
	for i := range table.config.Penalties.MaxSources4 {
		table.Penalise(number(i), Crash, start.Add(time.Duration(i*7919%65536)*time.Microsecond))
	}
	b.ReportAllocs()
	return table
}

func BenchmarkEnterAdmitted(b *testing.B) {
	table, a := flooded(b), netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		p, _ := table.Enter(a, start)
		table.Leave(p)
	}
}

func BenchmarkEnterRefused(b *testing.B) {
	table := flooded(b)
	i := 0
	for b.Loop() {
		if _, r := table.Enter(number(i&0xffff), start); r == Admitted {
			b.Fatal("admitted")
		}
		i++
	}
}

// BenchmarkPenaliseNew is a flood of ever new sources: each makes another's go.
func BenchmarkPenaliseNew(b *testing.B) {
	table := flooded(b)
	i := 65536
	for b.Loop() {
		table.Penalise(number(i), Crash, start.Add(time.Duration(i)))
		i++
	}
}

func BenchmarkPenaliseAgain(b *testing.B) {
	table := flooded(b)
	i := 0
	for b.Loop() {
		table.Penalise(number(i*31&0xffff), Crash, start.Add(time.Duration(i)))
		i++
	}
}
