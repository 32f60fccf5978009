package sshkey

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// serialSet holds serial numbers: ranges, and bits for those from bitmaps, which
// as ranges would take many times the memory.
type serialSet struct {
	ranges []serialRange
	words  []serialWord
}

type serialRange struct{ first, last uint64 }

// serialWord says which of the serials from 64*index on are in.
type serialWord struct{ index, bits uint64 }

func (s *serialSet) add(first, last uint64) error {
	if first == 0 || first > last {
		return badFormat("serial numbers %d to %d in a key revocation list", first, last)
	}
	s.ranges = append(s.ranges, serialRange{first, last})
	return nil
}

// addBitmap adds the serials whose bits are set in an mpint: the lowest stands
// for offset.
func (s *serialSet) addBitmap(offset uint64, bitmap []byte) error {
	if len(bitmap) > 0 && bitmap[0]&0x80 != 0 {
		return badFormat("negative bitmap in a key revocation list")
	}
	bitmap = bytes.TrimLeft(bitmap, "\x00")
	if len(bitmap) == 0 {
		return nil
	}
	highest := uint64(bitLen(bitmap) - 1)
	switch {
	case len(bitmap) > maxKRLBitmap:
		return badFormat("bitmap of %d bytes in a key revocation list", len(bitmap))
	case highest > math.MaxUint64-offset:
		return badFormat("bitmap beyond the last serial number in a key revocation list")
	case offset == 0 && bitmap[len(bitmap)-1]&1 != 0:
		return badFormat("serial number 0 in a key revocation list")
	}
	for i := range bitmap {
		bits := uint64(bitmap[len(bitmap)-1-i])
		if bits == 0 {
			continue
		}
		at := offset + 8*uint64(i)
		s.set(at/64, bits<<(at%64))
		if over := bits >> (64 - at%64); over != 0 { // a shift by 64 gives 0
			s.set(at/64+1, over)
		}
	}
	return nil
}

func (s *serialSet) set(index, bits uint64) {
	if last := len(s.words) - 1; last >= 0 && s.words[last].index == index {
		s.words[last].bits |= bits
		return
	}
	if bits != 0 {
		s.words = append(s.words, serialWord{index, bits})
	}
}

// sort orders both lists and joins what overlaps.
func (s *serialSet) sort() {
	slices.SortFunc(s.ranges, func(a, b serialRange) int { return cmp.Compare(a.first, b.first) })
	kept := s.ranges[:0]
	for _, r := range s.ranges {
		if n := len(kept); n > 0 && r.first <= kept[n-1].last {
			kept[n-1].last = max(kept[n-1].last, r.last)
		} else {
			kept = append(kept, r)
		}
	}
	s.ranges = slices.Clip(kept)
	words := s.words
	slices.SortFunc(words, func(a, b serialWord) int { return cmp.Compare(a.index, b.index) })
	s.words = words[:0]
	for _, w := range words {
		s.set(w.index, w.bits)
	}
}

func (s *serialSet) contains(serial uint64) bool {
	i, found := slices.BinarySearchFunc(s.ranges, serial, func(r serialRange, n uint64) int { return cmp.Compare(r.first, n) })
	if found || i > 0 && s.ranges[i-1].last >= serial {
		return true
	}
	i, found = slices.BinarySearchFunc(s.words, serial/64, func(w serialWord, n uint64) int { return cmp.Compare(w.index, n) })
	return found && s.words[i].bits>>(serial%64)&1 != 0
}
