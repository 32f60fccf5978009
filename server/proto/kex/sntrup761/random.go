package sntrup761

import "encoding/binary"

// randomShort makes a random polynomial of weight w: w random numbers are marked
// as 1 or -1 in their lowest bits and the others as 0, and then all are sorted, by
// which the marks come to stand in a random order.
func (s *scratch) randomShort(out *small, random Random) {
	s.randomWords(random)
	for i := range s.words {
		if i < w {
			s.words[i] &^= 1 // 0 or 2
		} else {
			s.words[i] = s.words[i]&^3 | 1
		}
	}
	sortNetwork(s.words[:])
	for i, word := range s.words {
		out[i] = int8(word&3) - 1
	}
}

// randomSmall makes a random polynomial with coefficients -1, 0 and 1.
func (s *scratch) randomSmall(out *small, random Random) {
	s.randomWords(random)
	for i, word := range s.words {
		out[i] = int8(uint64(word&(1<<30-1))*3>>30) - 1
	}
}

func (s *scratch) randomWords(random Random) {
	random(s.random[:])
	for i := range s.words {
		s.words[i] = binary.LittleEndian.Uint32(s.random[4*i:])
	}
}

// sortNetwork sorts by Batcher's merge exchange (Knuth, The Art of Computer
// Programming, volume 3, algorithm 5.2.2M): which places are compared depends on
// their number alone.
func sortNetwork(x []uint32) {
	top := 1
	for 2*top < len(x) {
		top *= 2
	}
	for step := top; step > 0; step /= 2 {
		from, distance, bit := top, step, 0
		for {
			for i := 0; i < len(x)-distance; i++ {
				if i&step == bit {
					order(x, i, i+distance)
				}
			}
			if from == step {
				break
			}
			distance, bit, from = from-step, step, from/2
		}
	}
}

// order puts the lower of two words first.
func order(x []uint32, i, j int) {
	a, b := x[i], x[j]
	swap := uint32(int64(uint64(b)-uint64(a))>>32) & (a ^ b) // all of it if b < a
	x[i], x[j] = a^swap, b^swap
}
