package monitor

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// hexModulus has n bytes; nothing here asks whether it is prime.
func hexModulus(n int) string { return strings.Repeat("EF", n) }

func moduliLine(bits int, mark string) string {
	return fmt.Sprintf("20230319072318 2 6 100 %d 2 %s%s\n", bits-1, mark, hexModulus(bits / 8)[2:])
}

func TestModuli(t *testing.T) {
	w := newWorld(t, "")
	file := w.write("moduli", "# Time Type Tests Tries Size Generator Modulus\n\n"+
		moduliLine(2048, "C1")+moduliLine(3072, "C2")+moduliLine(3072, "C3")+moduliLine(8192, "C4")+
		strings.Replace(moduliLine(4096, "C5"), " 2 6 ", " 2 7 ", 1)+ // found composite
		strings.Replace(moduliLine(4096, "C6"), " 2 6 ", " 4 6 ", 1)+ // no safe prime
		strings.Replace(moduliLine(4096, "C7"), " 2 6 ", " 2 0 ", 1)+ // untested
		strings.Replace(moduliLine(4096, "C8"), " 4095 ", " 4000 ", 1)+ // of another size
		"1 2 3\n"+moduliLine(1024, "C9"))
	choose := Moduli(file)
	for _, c := range []struct{ least, n, most uint32 }{
		{2048, 2048, 8192}, {2048, 2049, 8192}, {2048, 4096, 8192}, {2048, 8192, 8192}, {2048, 6000, 4096}, {4096, 4096, 8192}, {1024, 1024, 1024},
	} {
		want := map[uint32]int{2048: 2048, 2049: 3072, 4096: 8192, 8192: 8192, 6000: 3072, 1024: 1024}[c.n]
		p, g, err := choose(c.least, c.n, c.most)
		if err != nil || 8*len(p) != want || len(g) != 1 || g[0] != 2 {
			t.Errorf("%+v: %d bits, %v, want %d", c, 8*len(p), err, want)
		}
	}
	seen := map[byte]bool{}
	for range 200 {
		p, _, err := choose(3072, 3072, 3072)
		must(t, err)
		seen[p[0]] = true
	}
	if len(seen) != 2 {
		t.Errorf("of two groups of one size %d are used", len(seen))
	}
}

func TestModuliFallback(t *testing.T) {
	w := newWorld(t, "")
	for _, path := range []string{filepath.Join(w.dir, "missing"), w.write("moduli", "")} {
		for n, want := range map[uint32]int{1024: 2048, 2048: 2048, 3072: 4096, 8192: 8192, 16384: 8192} {
			p, _, err := Moduli(path)(2048, n, 16384)
			if err != nil || 8*len(p) != want {
				t.Errorf("%d: %d bits, %v, want %d", n, 8*len(p), err, want)
			}
		}
		if _, _, err := Moduli(path)(1024, 1024, 1536); err == nil {
			t.Error("a group outside of the bounds")
		}
	}
}
