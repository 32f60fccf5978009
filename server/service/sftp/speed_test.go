package sftp

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

// session0 is a server without a stream, with a file open.
func session0(t testing.TB, content string) *server {
	t.Helper()
	dir := t.TempDir()
	put(t, dir+"/file", content, 0o644)
	s := newServer(context.Background(), io.Discard, options(dir))
	s.enter()
	t.Cleanup(s.closeHandles)
	if err := s.feed(append(bytes.Clone(initFrame), frame(fxpOpen, u32(1), str("file"), u32(openRead|openWrite), noAttrs())...)); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAllocations: requests that move data take no memory of their own, whole or in
// pieces.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector a sync.Pool forgets now and then")
	}
	s := session0(t, strings.Repeat("x", maxTransfer))
	write := frame(fxpWrite, u32(2), hnd(0), u64(0), str(strings.Repeat("y", 32<<10)))
	for name, in := range map[string][]byte{
		"READ of 32 KiB":  frame(fxpRead, u32(2), hnd(0), u64(0), u32(32<<10)),
		"READ of 255 KiB": frame(fxpRead, u32(2), hnd(0), u64(0), u32(maxTransfer)),
		"READ at the end": frame(fxpRead, u32(2), hnd(0), u64(1<<40), u32(maxTransfer)),
		"64 READs":        bytes.Repeat(frame(fxpRead, u32(2), hnd(0), u64(0), u32(32<<10)), 64),
		"WRITE":           write,
	} {
		for _, size := range []int{len(in), 10000, 100} {
			all := cut(in, size)
			n := testing.AllocsPerRun(100, func() {
				for _, p := range all {
					if err := s.feed(p); err != nil {
						t.Fatal(err)
					}
				}
			})
			if n != 0 {
				t.Errorf("%s in pieces of %d: %v allocations", name, size, n)
			}
		}
	}
	if s.buffer != nil || cap(s.pending) > keepPending {
		t.Error("an idle session keeps memory")
	}
}

// stream benchmarks a request that is fed in the pieces of a channel.
func stream(b *testing.B, in []byte, bytesEach int64) {
	s := session0(b, strings.Repeat("x", 1<<20))
	all := cut(in, 32<<10)
	b.SetBytes(bytesEach)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range all {
			if err := s.feed(p); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRead32K(b *testing.B) {
	stream(b, frame(fxpRead, u32(2), hnd(0), u64(0), u32(32<<10)), 32<<10)
}

func BenchmarkRead255K(b *testing.B) {
	stream(b, frame(fxpRead, u32(2), hnd(0), u64(0), u32(maxTransfer)), maxTransfer)
}

func BenchmarkWrite32K(b *testing.B) {
	stream(b, frame(fxpWrite, u32(2), hnd(0), u64(0), str(strings.Repeat("y", 32<<10))), 32<<10)
}

func BenchmarkWrite255K(b *testing.B) {
	stream(b, frame(fxpWrite, u32(2), hnd(0), u64(0), str(strings.Repeat("y", maxTransfer))), maxTransfer)
}

// BenchmarkSmallFile is what a client does for each small file that it sends.
func BenchmarkSmallFile(b *testing.B) {
	s := session0(b, "")
	b.ReportAllocs()
	open := frame(fxpOpen, u32(1), str("new"), u32(openWrite|openCreate|openTruncate), mode(0o644))
	write := frame(fxpWrite, u32(2), hnd(1), u64(0), str(strings.Repeat("y", 1<<10)))
	set := frame(fxpFsetstat, u32(3), hnd(1), append(mode(0o644), u32(0)...))
	shut := frame(fxpClose, u32(4), hnd(1))
	for b.Loop() {
		for _, p := range [][]byte{open, write, set, shut} {
			if err := s.feed(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	if info, err := os.Stat(s.base + "/new"); err != nil || info.Size() != 1<<10 {
		b.Error(info, err)
	}
}

// BenchmarkListing reads a directory of 1000 files.
func BenchmarkListing(b *testing.B) {
	s := session0(b, "")
	for i := range 1000 {
		if err := os.WriteFile(s.base+"/"+strings.Repeat("n", i%100)+string(rune('a'+i/100)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = s.feed(frame(fxpOpendir, u32(1), str(".")))
		for range 11 {
			_ = s.feed(frame(fxpReaddir, u32(2), hnd(1)))
		}
		_ = s.feed(frame(fxpClose, u32(3), hnd(1)))
	}
}
