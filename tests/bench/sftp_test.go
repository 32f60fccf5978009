package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"nano_ssh_server/server/proto/wire"
	"nano_ssh_server/server/service/sftp"
)

// Packet types and flags of SFTP version 3, as far as they are used.
const (
	fxpInit, fxpOpen, fxpClose, fxpRead, fxpWrite = 1, 3, 4, 5, 6
	fxpStat, fxpRealpath, fxpHandle               = 17, 16, 102
	readFile, writeFile, createFile, truncateFile = 1, 2, 8, 16
)

// transferClient opens a file, repeats one request until a benchmark has enough, and ends.
type transferClient struct {
	setup  []byte // INIT, and OPEN if opens is set
	opens  bool
	next   func(handle []byte) []byte
	left   int
	begun  func()
	handle []byte
	rest   []byte
	step   int
}

func packet(kind byte, body []byte) []byte {
	p := wire.AppendUint32(nil, uint32(1+len(body)))
	return append(append(p, kind), body...)
}

// Read is called when the server has answered all before.
func (c *transferClient) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		switch {
		case c.step == 0:
			c.rest = c.setup
		case c.step == 1:
			if c.handle == nil && c.opens {
				return 0, fmt.Errorf("no handle")
			}
			c.setup = c.next(c.handle) // from now on what is repeated
			c.begun()
			fallthrough
		case c.left > 0:
			if c.left--; c.left < 0 {
				return 0, io.EOF
			}
			c.rest = c.setup
		default:
			return 0, io.EOF
		}
		c.step++
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write looks for the handle behind the VERSION packet.
func (c *transferClient) Write(p []byte) (int, error) {
	for rest := p; c.step == 1 && len(rest) >= 5; {
		n := int(binary.BigEndian.Uint32(rest))
		if n < 1 || n > len(rest)-4 {
			break
		}
		if rest[4] == fxpHandle && n > 9 {
			c.handle = append([]byte(nil), rest[13:4+n]...)
		}
		rest = rest[4+n:]
	}
	return len(p), nil
}

// serve runs b.N requests in a folder with a file of 1 MiB, and returns the folder.
func serve(b *testing.B, open bool, next func(handle []byte) []byte) string {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	c := &transferClient{setup: packet(fxpInit, wire.AppendUint32(nil, 3)), next: next, left: b.N, begun: b.ResetTimer}
	if c.opens = open; open {
		body := wire.AppendText(wire.AppendUint32(nil, 1), "file")
		c.setup = append(c.setup, packet(fxpOpen, wire.AppendUint32(wire.AppendUint32(body, readFile|writeFile), 0))...)
	}
	b.ReportAllocs()
	if status := sftp.Serve(context.Background(), c, &sftp.Options{StartDir: dir, Umask: -1}); status != 0 {
		b.Fatalf("exit status %d", status)
	}
	if c.left > 0 {
		b.Fatalf("ended with %d requests left", c.left)
	}
	return dir
}

func BenchmarkSFTP(b *testing.B) {
	for _, size := range []int{32 << 10, 255 << 10} {
		b.Run(fmt.Sprintf("read/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			serve(b, true, func(h []byte) []byte {
				body := wire.AppendUint64(wire.AppendString(wire.AppendUint32(nil, 2), h), 0)
				return packet(fxpRead, wire.AppendUint32(body, uint32(size)))
			})
		})
		b.Run(fmt.Sprintf("write/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			serve(b, true, func(h []byte) []byte {
				body := wire.AppendUint64(wire.AppendString(wire.AppendUint32(nil, 2), h), 0)
				return packet(fxpWrite, wire.AppendString(body, make([]byte, size)))
			})
		})
	}
	for name, kind := range map[string]byte{"stat": fxpStat, "realpath": fxpRealpath} {
		b.Run(name, func(b *testing.B) {
			serve(b, false, func([]byte) []byte {
				return packet(kind, wire.AppendText(wire.AppendUint32(nil, 2), "file"))
			})
		})
	}
	b.Run("small-file", benchmarkSmallFile)
}

// benchmarkSmallFile opens, writes and closes a file of 1 KiB. The server gives a
// handle that is free again, so it is always the same one.
func benchmarkSmallFile(b *testing.B) {
	open := wire.AppendText(wire.AppendUint32(nil, 1), "new")
	open = wire.AppendUint32(wire.AppendUint32(open, writeFile|createFile|truncateFile), 0)
	dir := serve(b, true, func(first []byte) []byte {
		// The first file stays open, so the next handle differs from it.
		h := append([]byte(nil), first...)
		h[len(h)-1]++
		all := packet(fxpOpen, open)
		body := wire.AppendUint64(wire.AppendString(wire.AppendUint32(nil, 2), h), 0)
		all = append(all, packet(fxpWrite, wire.AppendString(body, make([]byte, 1<<10)))...)
		return append(all, packet(fxpClose, wire.AppendString(wire.AppendUint32(nil, 3), h))...)
	})
	if info, err := os.Stat(filepath.Join(dir, "new")); err != nil || info.Size() != 1<<10 {
		b.Fatal("nothing was written: ", info, err)
	}
}
