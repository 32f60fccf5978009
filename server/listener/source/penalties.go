package source

import "time"

// block is a masked address; IPv4 in its form mapped into IPv6. It holds no
// pointer, so a full table costs the garbage collector nothing to look through.
type block [16]byte

// entry is the penalty of one block.
type entry struct {
	block  block
	expiry time.Duration // on the clock of the Table
	heap   int32         // its place in penalties.heap
	class  Class         // the last one
	active bool          // over `min`: connections are refused
}

// penalties holds those of one address family: found by block through a map,
// removed in the order of their expiry through a heap.
//
//	index: block -> slot    entries: slot -> entry    heap: soonest first -> slot
//
// A penalty costs about 80 bytes in all, 5 MiB for the 65536 sources that
// max-sources4 and max-sources6 allow each by default. Memory grows with use and
// goes back when the last penalty has expired.
type penalties struct {
	index   map[block]int32
	entries []entry
	free    []int32 // slots without a penalty
	heap    []int32
}

// keepEmpty is the number of slots for which an empty table keeps its memory: a few
// penalties now and then should not allocate each time.
const keepEmpty = 1024

func (p *penalties) len() int { return len(p.heap) }

// find returns the penalty of a block, nil if there is none. It is valid until
// the next change.
func (p *penalties) find(b block) *entry {
	slot, ok := p.index[b]
	if !ok {
		return nil
	}
	return &p.entries[slot]
}

// insert adds a penalty for a block that has none.
func (p *penalties) insert(e entry) {
	var slot int32
	if n := len(p.free); n > 0 {
		slot = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		slot = int32(len(p.entries))
		p.entries = append(p.entries, entry{})
	}
	if p.index == nil {
		p.index = make(map[block]int32)
	}
	e.heap = int32(len(p.heap))
	p.entries[slot] = e
	p.index[e.block] = slot
	p.heap = append(p.heap, slot)
	p.up(int(e.heap))
}

// soonest returns the penalty that expires first; there must be one.
func (p *penalties) soonest() *entry { return &p.entries[p.heap[0]] }

// extend changes when a penalty expires.
func (p *penalties) extend(e *entry, expiry time.Duration) {
	e.expiry = expiry
	p.up(p.down(int(e.heap)))
}

// remove takes a penalty out.
func (p *penalties) remove(e *entry) {
	i := int(e.heap)
	slot := p.heap[i]
	delete(p.index, e.block)
	last := len(p.heap) - 1
	p.swap(i, last)
	p.heap = p.heap[:last]
	p.free = append(p.free, slot)
	if i < last {
		p.up(p.down(i))
	}
	if last == 0 && len(p.entries) > keepEmpty {
		*p = penalties{}
	}
}

// expire removes penalties that are over, at most limit of them.
func (p *penalties) expire(now time.Duration, limit int) {
	for ; limit > 0 && p.len() > 0 && p.soonest().expiry < now; limit-- {
		p.remove(p.soonest())
	}
}

func (p *penalties) less(i, j int) bool {
	return p.entries[p.heap[i]].expiry < p.entries[p.heap[j]].expiry
}

func (p *penalties) swap(i, j int) {
	p.heap[i], p.heap[j] = p.heap[j], p.heap[i]
	p.entries[p.heap[i]].heap = int32(i)
	p.entries[p.heap[j]].heap = int32(j)
}

// up moves the penalty at i towards the soonest, down away from it; both return
// where it ends.
func (p *penalties) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 2
		if !p.less(i, parent) {
			break
		}
		p.swap(i, parent)
		i = parent
	}
	return i
}

func (p *penalties) down(i int) int {
	for {
		child := 2*i + 1
		if child >= len(p.heap) {
			return i
		}
		if child+1 < len(p.heap) && p.less(child+1, child) {
			child++
		}
		if !p.less(child, i) {
			return i
		}
		p.swap(i, child)
		i = child
	}
}
