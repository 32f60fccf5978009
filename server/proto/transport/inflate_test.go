package transport

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// packets compresses each part and flushes behind it, as a peer does.
func packets(t testing.TB, level int, parts ...[]byte) [][]byte {
	var out [][]byte
	var buf bytes.Buffer
	w, err := zlib.NewWriterLevel(&buf, level)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		buf.Reset()
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Clone(buf.Bytes()))
	}
	return out
}

func testParts() [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 20000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	text := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog. "), 900)
	mixed := append(bytes.Clone(text[:5000]), random[:3000]...)
	return [][]byte{[]byte("a"), text, random, {0}, mixed, text[3:], bytes.Repeat([]byte{7}, 200000), random}
}

func TestInflateAllLevels(t *testing.T) {
	parts := testParts()
	for _, level := range []int{flate.NoCompression, flate.BestSpeed, 6, 9, flate.HuffmanOnly} {
		z := &inflater{}
		for i, p := range packets(t, level, parts...) {
			got, err := z.packet(p)
			if err != nil || !bytes.Equal(got, parts[i]) {
				t.Fatalf("level %d part %d: %d bytes, %v; want %d", level, i, len(got), err, len(parts[i]))
			}
		}
	}
}

// TestInflatePartialFlush feeds a stream cut at every byte: whatever the cut, all
// that can be decoded comes out and nothing is lost. This is what zlib's partial
// flush (OpenSSH) asks of a decoder.
func TestInflatePartialFlush(t *testing.T) {
	parts := testParts()[:2]
	whole := bytes.Join(packets(t, 6, parts...), nil)
	z := &inflater{}
	var got []byte
	for i := range whole {
		out, err := z.packet(whole[i : i+1])
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		got = append(got, out...)
	}
	if want := bytes.Join(parts, nil); !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
}

func TestInflateBomb(t *testing.T) {
	p := packets(t, 9, make([]byte, maxInflated+1))
	if _, err := (&inflater{}).packet(p[0]); !errors.Is(err, errBomb) {
		t.Fatalf("got %v", err)
	}
}

func TestInflateRubbish(t *testing.T) {
	for name, in := range map[string][]byte{
		"no zlib header": {0xff, 0xff}, "dictionary": {0x78, 0xbb}, "block type 3": {0x78, 0x9c, 0x07},
		"stored length": {0x78, 0x9c, 0x00, 1, 0, 0, 0}, "distance too far": {0x78, 0x9c, 0x03, 0x02, 0x00},
		"after the end": {0x78, 0x9c, 0x03, 0x00, 1, 2, 3},
	} {
		if out, err := (&inflater{}).packet(in); err == nil {
			t.Errorf("%s: %x", name, out)
		}
	}
}

func FuzzInflate(f *testing.F) {
	for _, p := range packets(f, 6, testParts()[:3]...) {
		f.Add(p, 3)
	}
	f.Add([]byte{0x78, 0x9c, 0x4b, 0x4c, 0x4a, 0x06, 0x00}, 1)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		// Whatever the cuts, the result is the standard library's.
		var want []byte
		wantErr := errors.New("header")
		if r, err := zlib.NewReader(bytes.NewReader(data)); err == nil {
			want, wantErr = io.ReadAll(io.LimitReader(r, maxInflated))
		}
		z := &inflater{}
		var got []byte
		cut = max(1, cut&0xff)
		for len(data) > 0 {
			n := min(cut, len(data))
			out, err := z.packet(data[:n])
			if err != nil {
				return
			}
			if got = append(got, out...); len(got) > maxInflated {
				return
			}
			data = data[n:]
		}
		// What the library decoded before it failed or ended must be a prefix of
		// ours: it keeps bytes back, but never other ones.
		if wantErr == nil || len(want) > 0 {
			if !bytes.HasPrefix(got, want) {
				t.Fatalf("got %d bytes, not beginning with the %d wanted", len(got), len(want))
			}
		}
	})
}
