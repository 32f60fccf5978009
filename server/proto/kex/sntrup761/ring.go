package sntrup761

// The parameters: polynomials have p coefficients and are computed with modulo
// x^p - x - 1, coefficients modulo the prime q or modulo 3. Secret ones have w
// coefficients that are not zero.
const (
	p = 761
	q = 4591
	w = 286

	halfQ = (q - 1) / 2
)

// small is a polynomial with coefficients -1, 0 and 1.
type small [p]int8

// ring is a polynomial with coefficients from -halfQ to halfQ.
type ring [p]int16

// To reduce by a modulus m, the nearest multiple of m is taken away. Its factor
// is n * (2^45/m) / 2^45, rounded. The rounded constant is wrong by at most a
// half, so up to |n| = 2^24 the factor before rounding is wrong by at most 2^-22:
// less than the 1/2m by which it misses any half, m being odd. It is exact.
const (
	reduceShift = 45
	overQ       = (1<<reduceShift + q/2) / q
	over3       = (1<<reduceShift + 1) / 3
)

// reduceQ returns what is congruent to n modulo q from -halfQ to halfQ, for
// |n| up to 2^24.
func reduceQ(n int32) int16 {
	return int16(n - q*int32((int64(n)*overQ+1<<(reduceShift-1))>>reduceShift))
}

// reduce3 is reduceQ modulo 3.
func reduce3(n int32) int16 {
	return int16(n - 3*int32((int64(n)*over3+1<<(reduceShift-1))>>reduceShift))
}

// roundToThree takes every coefficient to the nearest multiple of 3.
func roundToThree(c *ring) {
	for i := range c {
		c[i] -= reduce3(int32(c[i]))
	}
}

// half is the number of words that hold p coefficients in pairs.
const half = (p + 1) / 2

// product is the memory of a multiplication. Each word holds two neighbours of the
// first factor, low + high * 2^32: multiplying it by a coefficient of the second
// factor and adding up does two sums at once. |sums| stay below p * halfQ < 2^21,
// so the halves can be told apart again.
type product struct {
	pairs  [half]int64
	factor [half][2]int64
	sums   [4 * half]int32
}

// multiply computes out = a * b.
func (m *product) multiply(out *ring, a *ring, b *small) {
	for k := range m.pairs {
		m.pairs[half-1-k] = int64(a[2*k]) // backwards, for sumUp
		if 2*k+1 < p {
			m.pairs[half-1-k] += int64(a[2*k+1]) << 32
		}
	}
	m.sumUp(b)
	for i := range out {
		out[i] = reduceQ(m.sums[i])
	}
}

// multiplySmall computes out = a * b modulo 3.
func (m *product) multiplySmall(out, a, b *small) {
	for k := range m.pairs {
		m.pairs[half-1-k] = int64(a[2*k])
		if 2*k+1 < p {
			m.pairs[half-1-k] += int64(a[2*k+1]) << 32
		}
	}
	m.sumUp(b)
	for i := range out {
		out[i] = int8(reduce3(m.sums[i]))
	}
}

// sumUp multiplies m.pairs by b and reduces the polynomial, not its coefficients.
//
// With a = A(x^2) in pairs and b = E(x^2) + x O(x^2), column n of the product are
// the sums of pairs[i] E[n-i], which belong to x^2n and x^(2n+1), and of pairs[i]
// O[n-i], which belong one higher.
func (m *product) sumUp(b *small) {
	for i := range m.factor {
		m.factor[i][0], m.factor[i][1] = int64(b[2*i]), 0
		if 2*i+1 < p {
			m.factor[i][1] = int64(b[2*i+1])
		}
	}
	clear(m.sums[:])
	for n := 0; n < 2*half-1; n++ {
		first := max(0, n-half+1) // of the factor's words in this column
		factor := m.factor[first:min(n+1, half)]
		pairs := m.pairs[half-1-n+first:][:len(factor)]
		var even, odd int64
		for i, pair := range pairs {
			even += pair * factor[i][0]
			odd += pair * factor[i][1]
		}
		low, high := split(even)
		m.sums[2*n] += low
		m.sums[2*n+1] += high
		low, high = split(odd)
		m.sums[2*n+1] += low
		m.sums[2*n+2] += high
	}
	// x^p = x + 1, from the top: what falls on a high place goes down with it.
	for i := 2*p - 2; i >= p; i-- {
		m.sums[i-p] += m.sums[i]
		m.sums[i-p+1] += m.sums[i]
	}
}

// split takes a word apart: low + high * 2^32 with both signed.
func split(word int64) (low, high int32) {
	low = int32(word)
	return low, int32((word - int64(low)) >> 32)
}

// maskZero returns all ones for 0, else 0.
func maskZero(n uint32) uint32 {
	return uint32((uint64(n) - 1) >> 32)
}

// choose returns a where mask is all ones, and b where it is 0.
func choose(mask uint32, a, b byte) byte { return b ^ byte(mask)&(a^b) }

// differ returns 0 if two slices of the same length hold the same bytes.
func differ(a, b []byte) (bits uint32) {
	for i := range a {
		bits |= uint32(a[i] ^ b[i])
	}
	return bits
}
