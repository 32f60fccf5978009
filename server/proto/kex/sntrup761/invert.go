package sntrup761

// A field is the integers modulo a prime, each as the number next to zero.
type field struct {
	m    int32 // the prime
	over int64 // its reciprocal, see reduceShift
}

var (
	fieldQ = field{q, overQ}
	field3 = field{3, over3}
)

// reduce is reduceQ or reduce3.
func (f field) reduce(n int32) int16 {
	return int16(n - f.m*int32((int64(n)*f.over+1<<(reduceShift-1))>>reduceShift))
}

// invert returns 1/n by n^(m-2); 0 for 0.
func (f field) invert(n int16) int16 {
	result := n
	for range f.m - 3 {
		result = f.reduce(int32(result) * int32(n))
	}
	return result
}

// invertPoly computes scale/in modulo x^p - x - 1, and reports whether there is
// such a polynomial. It takes the 2p-1 division steps of Bernstein and Yang ("Fast
// constant-time gcd computation and modular inversion", 2019): f and g are the
// modulus and the input with their coefficients reversed, and
//
//	if delta > 0 and g(0) != 0: delta, f, g = 1-delta, g, (g(0)f - f(0)g)/x
//	else:                       delta, f, g = 1+delta, f, (f(0)g - g(0)f)/x
//
// while v and r go through the same (with v multiplied by x in the place of the
// division), so that they stay what f and g are multiples of the input by.
func (k field) invertPoly(out *[p]int16, in *[p]int16, scale int16) bool {
	var f, g, v, r [p + 1]int16
	f[0], f[p-1], f[p] = 1, -1, -1
	for i := range in {
		g[p-1-i] = in[i]
	}
	r[0] = 1
	delta := int32(1)
	for range 2*p - 1 {
		copy(v[1:], v[:p])
		v[0] = 0
		swap := (-delta >> 31) &^ int32(maskZero(uint32(uint16(g[0]))))
		delta ^= swap & (delta ^ -delta)
		delta++
		exchange(&f, &g, int16(swap))
		exchange(&v, &r, int16(swap))
		f0, g0 := int32(f[0]), int32(g[0])
		for i := range g {
			g[i] = k.reduce(f0*int32(g[i]) - g0*int32(f[i]))
			r[i] = k.reduce(f0*int32(r[i]) - g0*int32(v[i]))
		}
		copy(g[:], g[1:])
		g[p] = 0
	}
	factor := int32(k.reduce(int32(scale) * int32(k.invert(f[0]))))
	for i := range out {
		out[i] = k.reduce(factor * int32(v[p-1-i]))
	}
	for _, secret := range []*[p + 1]int16{&f, &g, &v, &r} {
		clear(secret[:])
	}
	return delta == 0
}

// exchange swaps two polynomials if mask is all ones.
func exchange(a, b *[p + 1]int16, mask int16) {
	for i := range a {
		t := mask & (a[i] ^ b[i])
		a[i] ^= t
		b[i] ^= t
	}
}

// invertSmall computes 1/in modulo 3. Not every polynomial has an inverse.
func invertSmall(out, in *small) bool {
	var wide, inverse [p]int16
	for i := range in {
		wide[i] = int16(in[i])
	}
	ok := field3.invertPoly(&inverse, &wide, 1)
	for i := range out {
		out[i] = int8(inverse[i])
	}
	return ok
}

// invertThrice computes 1/(3 in) modulo q, which every polynomial but 0 has.
func invertThrice(out *ring, in *small) {
	const third = -(q - 1) / 3 // 3 * third = 1 - q
	var wide [p]int16
	for i := range in {
		wide[i] = int16(in[i])
	}
	fieldQ.invertPoly((*[p]int16)(out), &wide, third)
}
