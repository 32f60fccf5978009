package sntrup761

// encodeSmall packs four coefficients into a byte.
func encodeSmall(out []byte, in *small) {
	for i := range out {
		b := byte(0)
		for j := 0; j < 4 && 4*i+j < p; j++ {
			b |= byte(in[4*i+j]+1) << (2 * j)
		}
		out[i] = b
	}
}

// decodeSmall is the reverse. Three in two bits become 2, as in the reference.
func decodeSmall(out *small, in []byte) {
	for i := range out {
		out[i] = int8(in[i/4]>>(2*(i%4))&3) - 1
	}
}

// Numbers below known bounds are packed by joining neighbours: a and b, below m
// and n, become a + b*m, below m*n. Of each, low bytes go out until the bound
// fits into 14 bits; what is left are half as many numbers with other bounds. The
// bounds depend on the place only, so they are computed once, the levels of one
// packing one behind the other.

// A level is one round of joining.
type level struct {
	bounds []bound // of the numbers that come in
	bytes  []int   // that go out of each pair
}

// A bound is the modulus of one number, with its reciprocal for divisions.
type bound struct {
	m, reciprocal uint32
}

// limit is the bound above which a joined number gives off bytes.
const limit = 1 << 14

func newBound(m uint32) bound { return bound{m, uint32((1 << 31) / uint64(m))} }

// divide returns n/m and n%m without a division, whose time tells of the number.
// n/m estimated from below is off by less than three for every n.
func (b bound) divide(n uint32) (quotient, rest uint32) {
	quotient = uint32(uint64(n) * uint64(b.reciprocal) >> 31)
	rest = n - quotient*b.m
	for range 3 {
		above := uint32(int64(uint64(rest)-uint64(b.m))>>63) + 1 // 1 if rest >= m
		quotient += above
		rest -= b.m & -above
	}
	return quotient, rest
}

// newLevels plans the packing of p numbers below m.
func newLevels(m uint32) (levels []level) {
	bounds := make([]bound, p)
	for i := range bounds {
		bounds[i] = newBound(m)
	}
	for len(bounds) > 1 {
		l := level{bounds: bounds}
		var next []bound
		for i := 0; i+1 < len(bounds); i += 2 {
			joined, bytes := bounds[i].m*bounds[i+1].m, 0
			for joined >= limit {
				joined, bytes = (joined+255)>>8, bytes+1
			}
			next, l.bytes = append(next, newBound(joined)), append(l.bytes, bytes)
		}
		if len(bounds)%2 == 1 {
			next = append(next, bounds[len(bounds)-1])
		}
		levels, bounds = append(levels, l), next
	}
	return append(levels, level{bounds: bounds})
}

// The two packings: of coefficients modulo q, and of multiples of 3 among them.
var (
	ringLevels    = newLevels(q)
	roundedLevels = newLevels((q + 2) / 3)
)

// pack writes the numbers, which it overwrites; out has the size that they take.
func pack(out []byte, numbers []uint32, levels []level) {
	last := len(levels) - 1
	for _, l := range levels[:last] {
		for i, bytes := range l.bytes {
			n := numbers[2*i] + numbers[2*i+1]*l.bounds[2*i].m
			for range bytes {
				out[0], out = byte(n), out[1:]
				n >>= 8
			}
			numbers[i] = n
		}
		if n := len(l.bounds); n%2 == 1 {
			numbers[n/2] = numbers[n-1]
		}
	}
	n := numbers[0]
	for m := levels[last].bounds[0].m; m > 1; m = (m + 255) >> 8 {
		out[0], out = byte(n), out[1:]
		n >>= 8
	}
}

// unpack is the reverse, from the last level, whose bytes are at the end. Bytes
// that pack never writes give numbers below the bounds all the same.
func unpack(numbers []uint32, in []byte, levels []level) {
	last := len(levels) - 1
	tail := 0
	for m := levels[last].bounds[0].m; m > 1; m = (m + 255) >> 8 {
		tail++
	}
	n := uint32(0)
	for i := range tail {
		n |= uint32(in[len(in)-tail+i]) << (8 * i)
	}
	in = in[:len(in)-tail]
	_, numbers[0] = levels[last].bounds[0].divide(n)
	for k := last - 1; k >= 0; k-- {
		l := levels[k]
		if n := len(l.bounds); n%2 == 1 {
			numbers[n-1] = numbers[n/2]
		}
		for i := len(l.bytes) - 1; i >= 0; i-- {
			n, bytes := numbers[i], l.bytes[i]
			for j := range bytes {
				n = n<<8 | uint32(in[len(in)-1-j])
			}
			in = in[:len(in)-bytes]
			var high uint32
			high, numbers[2*i] = l.bounds[2*i].divide(n)
			_, numbers[2*i+1] = l.bounds[2*i+1].divide(high)
		}
	}
}

func encodeRing(out []byte, in *ring) {
	var numbers [p]uint32
	for i, c := range in {
		numbers[i] = uint32(int32(c) + halfQ)
	}
	pack(out, numbers[:], ringLevels)
}

func decodeRing(out *ring, in []byte) {
	var numbers [p]uint32
	unpack(numbers[:], in, ringLevels)
	for i, n := range numbers {
		out[i] = int16(int32(n) - halfQ)
	}
}

// encodeRounded packs multiples of 3. They go to a third, by multiplication with
// 10923/2^15, which is exact for multiples of 3 below q.
func encodeRounded(out []byte, in *ring) {
	var numbers [p]uint32
	for i, c := range in {
		numbers[i] = uint32(int32(c)+halfQ) * 10923 >> 15
	}
	pack(out, numbers[:], roundedLevels)
}

func decodeRounded(out *ring, in []byte) {
	var numbers [p]uint32
	unpack(numbers[:], in, roundedLevels)
	for i, n := range numbers {
		out[i] = int16(3*int32(n) - halfQ)
	}
}
