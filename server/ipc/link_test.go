package ipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// pair returns both ends of a link; the near one takes no descriptors.
func pair(t *testing.T, limit int) (near, far *Link) {
	t.Helper()
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	if near, err = Open(a, limit, false); err != nil {
		t.Fatal(err)
	}
	if far, err = Open(b, MaxFrame, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestLink(t *testing.T) {
	near, far := pair(t, MaxRequest)
	go func() {
		_ = far.Serve(func(f *Frame) {
			switch {
			case f.Method == Sign:
				_ = far.Refuse(f, errors.New("no key"))
			case f.WantsAnswer():
				_ = far.Answer(f, append([]byte("re:"), f.Payload...))
			}
		})
	}()
	go func() { _ = near.Serve(func(*Frame) {}) }()
	large := bytes.Repeat([]byte("x"), MaxRequest-3)
	for _, payload := range [][]byte{nil, []byte("short"), large} {
		f, err := near.Call(Start, 7, payload)
		if err != nil || string(f.Payload) != "re:"+string(payload) || f.Connection != 7 || f.Method != Start {
			t.Fatalf("%d bytes: %v", len(payload), err)
		}
	}
	var refused *RefusedError
	if _, err := near.Call(Sign, 1, nil); !errors.As(err, &refused) || refused.Text != "no key" {
		t.Error(err)
	}
	far.Close()
	for {
		if _, err := near.Call(Start, 1, nil); err != nil {
			break
		}
	}
	if _, err := near.Call(Start, 1, nil); err == nil {
		t.Error("a call on an ended link succeeds")
	}
}

// TestLinkFiles: descriptors arrive with their frame, whatever is read at once, and
// never at the end that takes none.
func TestLinkFiles(t *testing.T) {
	near, far := pair(t, MaxRequest)
	var files [3]*os.File
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	fd := func(i int) int { return int(files[i].Fd()) }
	for _, send := range []func() error{
		func() error { return near.Note(Connect, 1, []byte("one"), fd(0)) },
		func() error { return near.Note(Drop, 2, nil) },
		func() error { return near.Note(Connect, 3, bytes.Repeat([]byte("y"), 3*readSize), fd(1), fd(2)) },
		func() error { return near.Note(Connect, 4, nil, fd(0)) },
	} {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range [][]int{{0}, nil, {1, 2}, {0}} {
		f, err := far.read()
		if err != nil || f.Connection != uint32(i+1) || len(f.Files) != len(want) {
			t.Fatalf("frame %d: %+v, %v", i, f, err)
		}
		for j, which := range want {
			var got, sent unix.Stat_t
			if unix.Fstat(f.Files[j], &got) != nil || unix.Fstat(fd(which), &sent) != nil || got.Ino != sent.Ino {
				t.Errorf("frame %d: descriptor %d is another file", i, j)
			}
		}
		f.CloseFiles()
	}
	if err := far.Note(Connect, 1, nil, fd(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := near.read(); !errors.Is(err, ErrProtocol) {
		t.Errorf("a descriptor that is not expected: %v", err)
	}
}

// TestLinkMalformed: what no honest process sends ends the link.
func TestLinkMalformed(t *testing.T) {
	header := func(size uint32, kind, files byte) []byte {
		b := make([]byte, headerSize)
		binary.BigEndian.PutUint32(b, size)
		b[4], b[5], b[6] = byte(Start), kind, files
		return b
	}
	for name, b := range map[string][]byte{
		"too long":          header(1001, 0, 0),
		"longest":           header(1<<32-1, 0, 0),
		"kind":              header(0, 9, 0),
		"no descriptor":     header(0, 0, 1),
		"answer to nothing": header(0, byte(kindAnswer), 0),
	} {
		near, far := pair(t, 1000)
		if _, err := far.file.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := near.Serve(func(*Frame) { t.Errorf("%s: handled", name) }); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	near, far := pair(t, 1000)
	if _, err := far.file.Write(header(100, 0, 0)); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if err := near.Serve(func(*Frame) { t.Error("half a frame is handled") }); err != nil {
		t.Errorf("an end in the middle: %v", err)
	}
}

// FuzzLink: whatever another process writes, reading it ends.
func FuzzLink(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, byte(Start), 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'x'})
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return // more than the socket holds
		}
		near, far := pair(t, 4096)
		if _, err := far.file.Write(b); err != nil {
			t.Fatal(err)
		}
		far.Close()
		_ = near.Serve(func(f *Frame) {
			if len(f.Payload) > 4096 {
				t.Errorf("%d bytes", len(f.Payload))
			}
		})
	})
}

// TestPause: a paused link goes on in another one without the loss of a frame, even
// one that was half there.
func TestPause(t *testing.T) {
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	first, err := Open(a, MaxRequest, false)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := Open(b, MaxFrame, true)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 8)
	handle := func(f *Frame) { got <- string(f.Payload) }
	ended := make(chan error, 1)
	go func() { ended <- first.Serve(handle) }()
	if err := peer.Note(Log, 1, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "one" {
		t.Fatal(s)
	}
	// Half a header now, the rest for the second link.
	header := make([]byte, headerSize)
	binary.BigEndian.PutUint32(header, 3)
	header[4] = byte(Log)
	if _, err := b.Write(header[:10]); err != nil {
		t.Fatal(err)
	}
	first.Pause()
	if err := <-ended; !errors.Is(err, ErrPaused) {
		t.Fatal(err)
	}
	if _, err := b.Write(append(header[10:], "two"...)); err != nil {
		t.Fatal(err)
	}
	var fd int
	if err := first.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
		t.Fatal(err)
	}
	second, err := Resume(os.NewFile(uintptr(fd), "link"), MaxRequest, first.Unread())
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	go func() { ended <- second.Serve(handle) }()
	if s := <-got; s != "two" {
		t.Fatal(s)
	}
	if err := peer.Note(Log, 1, []byte("three")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "three" {
		t.Fatal(s)
	}
	peer.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := Resume(nil, MaxRequest, make([]byte, readSize+1)); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
}
