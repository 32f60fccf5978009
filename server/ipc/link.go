package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Frame is one message between two processes of the server. On the socket it is
//
//	uint32 length of the payload, byte method, byte kind, byte descriptors, byte 0,
//	uint32 connection, uint32 serial, payload
//
// with the descriptors as ancillary data of its first byte.
type Frame struct {
	Method Method
	// Connection is the number that the listener gave to an SSH connection; 0
	// where the frame is about none.
	Connection uint32
	Payload    []byte
	Files      []int // descriptors; whoever handles the frame owns them

	kind   kind
	serial uint32 // pairs a call with its answer
}

type kind byte

const (
	kindNote kind = iota
	kindCall
	kindAnswer
	kindRefusal // an answer: the other side could not do it; the payload is the reason
)

const (
	headerSize = 16
	// readSize is the reading buffer in bytes. Frames of a login fit; longer ones
	// are read into their own memory.
	readSize = 8 << 10
	// maxFiles is how many descriptors a frame carries at most: a connection's two.
	maxFiles = 4
	// writeTimeout is how long the other side may leave a full socket unread. It
	// never waits for a peer before it reads, so by then it hangs.
	writeTimeout = 10 * time.Second
)

// MaxRequest bounds a frame to the monitor in bytes: the exported state of a
// connection with a full reading buffer is the largest.
const MaxRequest = 1 << 20

// MaxFrame bounds a frame to the other roles: a grant with a state.
const MaxFrame = MaxGrant + MaxRequest

// Errors of a Link. ErrProtocol says that the other side does not keep to the
// format: the monitor ends a role that does so.
var (
	ErrProtocol = errors.New("ipc: malformed frame")
	ErrClosed   = errors.New("ipc: link closed")
)

// ErrPaused is what Serve returns after Pause: the link goes on elsewhere.
var ErrPaused = errors.New("ipc: link paused")

// pauseGrace is how long the rest of a frame may take that has begun to come when
// the link is paused.
const pauseGrace = 2 * time.Second

// RefusedError is what a Call returns if the other side answered with a refusal.
type RefusedError struct{ Text string }

func (e *RefusedError) Error() string { return e.Text }

// Link is one end of the socket between two processes. Any goroutine may write;
// one runs Serve.
type Link struct {
	file  *os.File
	raw   syscall.RawConn
	limit int  // of a payload that comes, in bytes
	files bool // descriptors may come

	writing sync.Mutex

	closed  atomic.Bool // by this side
	pausing atomic.Bool
	mu      sync.Mutex
	calls   map[uint32]chan *Frame
	serial  uint32
	ended   bool

	in struct {
		buf  []byte
		r, w int
		fds  []int
	}
}

// Pair makes the two ends of a link. The far one is inherited by a process to be
// started and opened there by Open.
func Pair() (near, far *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "link"), os.NewFile(uintptr(fds[1]), "link"), nil
}

// Open makes a Link of a socket. limit bounds the payloads that come in bytes;
// descriptors that come are dropped by the kernel unless files is set.
func Open(f *os.File, limit int, files bool) (*Link, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &Link{file: f, raw: raw, limit: limit, files: files, calls: map[uint32]chan *Frame{}}
	l.in.buf = make([]byte, readSize)
	return l, nil
}

// Inherited makes a Link of a descriptor that this process was started with.
func Inherited(fd int) (*Link, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return Open(os.NewFile(uintptr(fd), "link"), MaxFrame, true)
}

// Pause has Serve return ErrPaused before its next frame, with the socket open: another
// process is to go on with a copy of it, and with what Unread returns.
func (l *Link) Pause() {
	l.pausing.Store(true)
	_ = l.file.SetReadDeadline(time.Unix(1, 0))
}

// Unread is what a paused link has read of the frames that come next.
func (l *Link) Unread() []byte { return l.in.buf[l.in.r:l.in.w] }

// Resume makes a Link of the copy of a paused link's socket and of its Unread bytes.
func Resume(f *os.File, limit int, unread []byte) (*Link, error) {
	if len(unread) > readSize {
		return nil, fmt.Errorf("%w: %d bytes unread", ErrProtocol, len(unread))
	}
	l, err := Open(f, limit, false)
	if err == nil {
		l.in.w = copy(l.in.buf, unread)
	}
	return l, err
}

// Close ends the link: Serve returns, and calls that wait fail.
func (l *Link) Close() {
	l.closed.Store(true)
	_ = l.file.Close()
}

// Control runs f on the socket's descriptor.
func (l *Link) Control(f func(fd uintptr)) error { return l.raw.Control(f) }

// Note sends a frame that has no answer. The descriptors stay the caller's.
func (l *Link) Note(m Method, connection uint32, payload []byte, files ...int) error {
	return l.write(&Frame{Method: m, Connection: connection, Payload: payload, Files: files})
}

// Call sends a request and waits for its answer, which is a *RefusedError if the
// other side said no, and ErrClosed if it is gone.
func (l *Link) Call(m Method, connection uint32, payload []byte, files ...int) (*Frame, error) {
	answer := make(chan *Frame, 1)
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	l.serial++
	serial := l.serial
	l.calls[serial] = answer
	l.mu.Unlock()
	err := l.write(&Frame{Method: m, Connection: connection, Payload: payload, Files: files, kind: kindCall, serial: serial})
	if err != nil {
		l.mu.Lock()
		delete(l.calls, serial)
		l.mu.Unlock()
		return nil, err
	}
	f := <-answer
	switch {
	case f == nil:
		return nil, ErrClosed
	case f.kind == kindRefusal:
		f.CloseFiles()
		return nil, &RefusedError{string(f.Payload)}
	}
	return f, nil
}

// WantsAnswer reports whether the frame is a call.
func (f *Frame) WantsAnswer() bool { return f.kind == kindCall }

// Answer answers a call.
func (l *Link) Answer(f *Frame, payload []byte, files ...int) error {
	return l.write(&Frame{Method: f.Method, Connection: f.Connection, Payload: payload, Files: files, kind: kindAnswer, serial: f.serial})
}

// Refuse answers a call with the reason why it failed.
func (l *Link) Refuse(f *Frame, err error) error {
	return l.write(&Frame{Method: f.Method, Connection: f.Connection, Payload: []byte(err.Error()), kind: kindRefusal, serial: f.serial})
}

// CloseFiles closes the frame's descriptors.
func (f *Frame) CloseFiles() {
	for _, fd := range f.Files {
		unix.Close(fd)
	}
	f.Files = nil
}

// write sends one frame as a whole.
func (l *Link) write(f *Frame) error {
	if len(f.Payload) > MaxFrame || len(f.Files) > maxFiles {
		return fmt.Errorf("%w: %d bytes, %d descriptors", ErrProtocol, len(f.Payload), len(f.Files))
	}
	var header [headerSize]byte
	binary.BigEndian.PutUint32(header[:], uint32(len(f.Payload)))
	header[4], header[5], header[6] = byte(f.Method), byte(f.kind), byte(len(f.Files))
	binary.BigEndian.PutUint32(header[8:], f.Connection)
	binary.BigEndian.PutUint32(header[12:], f.serial)
	var rights []byte
	if len(f.Files) > 0 {
		rights = unix.UnixRights(f.Files...)
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	parts := [][]byte{header[:], f.Payload}
	_ = l.file.SetWriteDeadline(time.Now().Add(writeTimeout))
	var failed error
	err := l.raw.Write(func(fd uintptr) bool {
		for len(parts[0])+len(parts[1]) > 0 {
			n, err := unix.SendmsgBuffers(int(fd), parts, rights, nil, unix.MSG_NOSIGNAL)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return false
			case err != nil:
				failed = os.NewSyscallError("sendmsg", err)
				return true
			}
			rights = nil
			first := min(n, len(parts[0]))
			parts[0], parts[1] = parts[0][first:], parts[1][n-first:]
		}
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		// Half a frame makes the rest unreadable.
		_ = l.file.Close()
	}
	return err
}

// Serve reads frames until the link ends and gives those that are no answers to
// handle, in order. It returns nil when the other side is gone, and ErrPaused after
// Pause.
func (l *Link) Serve(handle func(*Frame)) error {
	err := l.serve(handle)
	if !errors.Is(err, ErrPaused) {
		l.end()
	}
	return err
}

func (l *Link) serve(handle func(*Frame)) error {
	for {
		f, err := l.read()
		switch {
		case err == nil:
		case l.pausing.Load() && errors.Is(err, os.ErrDeadlineExceeded):
			return ErrPaused
		case errors.Is(err, io.EOF), l.closed.Load(), errors.Is(err, unix.ECONNRESET):
			return nil
		default:
			return err
		}
		if f.kind < kindAnswer {
			handle(f)
			continue
		}
		l.mu.Lock()
		answer := l.calls[f.serial]
		delete(l.calls, f.serial)
		l.mu.Unlock()
		if answer == nil {
			f.CloseFiles()
			return fmt.Errorf("%w: answer to nothing", ErrProtocol)
		}
		answer <- f
	}
}

// end fails all calls that wait.
func (l *Link) end() {
	_ = l.file.Close()
	l.mu.Lock()
	l.ended = true
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	for _, answer := range calls {
		close(answer)
	}
	for _, fd := range l.in.fds {
		unix.Close(fd)
	}
	l.in.fds = nil
	clear(l.in.buf)
}

// read reads one frame.
func (l *Link) read() (*Frame, error) {
	in := &l.in
	if l.pausing.Load() {
		return nil, os.ErrDeadlineExceeded
	}
	for in.w-in.r < headerSize {
		if in.r > 0 {
			in.w = copy(in.buf, in.buf[in.r:in.w])
			in.r = 0
		}
		n, err := l.receive(in.buf[in.w:])
		if err != nil {
			return nil, err
		}
		in.w += n
	}
	header := in.buf[in.r : in.r+headerSize]
	in.r += headerSize
	size := int(binary.BigEndian.Uint32(header))
	f := &Frame{
		Method: Method(header[4]), kind: kind(header[5]),
		Connection: binary.BigEndian.Uint32(header[8:]), serial: binary.BigEndian.Uint32(header[12:]),
	}
	files := int(header[6])
	if size > l.limit || f.kind > kindRefusal || files > len(in.fds) {
		return nil, fmt.Errorf("%w: %s, %d bytes, %d descriptors", ErrProtocol, f.Method, size, files)
	}
	if files > 0 {
		f.Files = append([]int(nil), in.fds[:files]...)
		in.fds = in.fds[files:]
	}
	err := l.payload(f, size)
	if errors.Is(err, os.ErrDeadlineExceeded) && l.pausing.Load() {
		_ = l.file.SetReadDeadline(time.Now().Add(pauseGrace))
		if err = l.payload(f, size); err != nil {
			err = fmt.Errorf("%w: half a frame", ErrProtocol)
		}
	}
	if err != nil {
		f.CloseFiles()
		return nil, err
	}
	return f, nil
}

// payload reads a frame's payload into memory that grows as it comes; called again
// after an error, it goes on. Payloads hold secrets: nothing of one stays in the buffer.
func (l *Link) payload(f *Frame, size int) error {
	in := &l.in
	if f.Payload == nil {
		here := min(size, in.w-in.r)
		f.Payload = make([]byte, here, max(here, min(size, 64<<10)))
		copy(f.Payload, in.buf[in.r:in.r+here])
		clear(in.buf[in.r : in.r+here])
		in.r += here
	}
	for len(f.Payload) < size {
		at := len(f.Payload)
		if at == cap(f.Payload) {
			grown := make([]byte, at, min(2*at, size))
			copy(grown, f.Payload)
			clear(f.Payload)
			f.Payload = grown
		}
		n, err := l.receive(f.Payload[at:cap(f.Payload)])
		if err != nil {
			return err
		}
		f.Payload = f.Payload[:at+n]
	}
	return nil
}

// receive reads once and keeps the descriptors that came.
func (l *Link) receive(p []byte) (n int, err error) {
	var control []byte
	if l.files {
		control = make([]byte, unix.CmsgSpace(4*maxFiles))
	}
	var got int
	failed := l.raw.Read(func(fd uintptr) bool {
		for {
			n, got, _, _, err = unix.Recvmsg(int(fd), p, control, unix.MSG_CMSG_CLOEXEC)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	switch {
	case failed != nil:
		return 0, failed
	case err != nil:
		return 0, os.NewSyscallError("recvmsg", err)
	case n == 0:
		return 0, io.EOF
	case got == 0:
		return n, nil
	}
	messages, err := unix.ParseSocketControlMessage(control[:got])
	if err != nil {
		return 0, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err == nil {
			l.in.fds = append(l.in.fds, fds...)
		}
	}
	return n, nil
}
