package nowait

import (
	"bytes"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTake fills a pipe, and finds in it what Take said.
func TestTake(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s, ok := NewSink(w).(*Sink)
	if !ok {
		t.Fatal("a pipe's writes wait")
	}
	if n := s.Take([][]byte{[]byte("ab"), nil, []byte("cde")}); n != 5 {
		t.Fatalf("%d bytes", n)
	}
	if n := s.Take([][]byte{[]byte("f")}); n != 1 {
		t.Fatalf("%d bytes", n)
	}
	want := []byte("abcdef")
	piece := bytes.Repeat([]byte("0123456789abcdef"), 2<<10)
	for {
		n := s.Take([][]byte{piece, piece})
		if n == 0 {
			break
		}
		want = append(want, append(bytes.Clone(piece), piece...)[:n]...)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(want), err)
	}
	r.Close()
	if n := s.Take([][]byte{piece}); n != 0 {
		t.Errorf("%d bytes without a reader", n)
	}
	if _, err := s.Write(piece); err == nil {
		t.Error("Write does not say that nobody reads")
	}
	w.Close()
	if n := s.Take([][]byte{piece}); n != 0 {
		t.Errorf("%d bytes to a closed file", n)
	}
}

// TestNewSink tells files whose writes wait.
func TestNewSink(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	f := os.NewFile(uintptr(fds[1]), "pipe")
	if w := NewSink(f); w != io.Writer(f) {
		t.Errorf("%T for a pipe whose writes wait", w)
	}
	f.Close()
	if w := NewSink(f); w != io.Writer(f) {
		t.Errorf("%T for a closed file", w)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := os.NewFile(uintptr(pair[1]), "socket")
	defer other.Close()
	file := os.NewFile(uintptr(pair[0]), "socket")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, ok := NewSink(conn.(*net.UnixConn)).(*Sink)
	if !ok {
		t.Fatal("a connection's writes wait")
	}
	if n := s.Take([][]byte{[]byte("x")}); n != 1 {
		t.Errorf("%d bytes", n)
	}
}
