// Package nowait makes system calls that never wait, and that Go's scheduler does not
// see.
//
// Around an ordinary system call Go gives up its processor. A call that takes longer
// than 20 us, as a write of 128 KiB to a socket does, has the scheduler's watchdog take
// the processor away and start another thread that looks for work, which there is none
// of, and the call's own thread has to get it back: with one processor (server/pace.go)
// that cost a tenth of the process's time in a stream of 1 GB. None of this happens
// here. In return nothing else of the process runs meanwhile, so a descriptor must not
// be able to wait: calls on sockets say so each time (MSG_DONTWAIT), other descriptors
// must be O_NONBLOCK and not be shared with anybody who could change that.
package nowait

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPieces is how many pieces one call takes.
const maxPieces = 64

// Read is read(2) of a descriptor with O_NONBLOCK.
func Read(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return call(unix.SYS_READ, fd, unsafe.Pointer(&p[0]), len(p), 0)
}

// Receive is recv(2) of a socket.
func Receive(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return call(unix.SYS_RECVFROM, fd, unsafe.Pointer(&p[0]), len(p), unix.MSG_DONTWAIT)
}

// Write is writev(2) of a descriptor with O_NONBLOCK. It takes the first 64 pieces.
func Write(fd int, pieces [][]byte) (int, error) {
	var iovs [maxPieces]unix.Iovec
	n := vector(&iovs, pieces)
	if n == 0 {
		return 0, nil
	}
	return call(unix.SYS_WRITEV, fd, unsafe.Pointer(&iovs[0]), n, 0)
}

// Send is sendmsg(2) of a socket. It takes the first 64 pieces.
func Send(fd int, pieces [][]byte) (int, error) {
	var iovs [maxPieces]unix.Iovec
	n := vector(&iovs, pieces)
	if n == 0 {
		return 0, nil
	}
	message := unix.Msghdr{Iov: &iovs[0]}
	message.SetIovlen(n)
	return call(unix.SYS_SENDMSG, fd, unsafe.Pointer(&message), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0)
}

// vector fills a list for the kernel with what is not empty.
func vector(iovs *[maxPieces]unix.Iovec, pieces [][]byte) int {
	n := 0
	for _, p := range pieces {
		if n == len(iovs) {
			break
		}
		if len(p) > 0 {
			iovs[n].Base = &p[0]
			iovs[n].SetLen(len(p))
			n++
		}
	}
	return n
}

// call repeats what a signal interrupted.
func call(number uintptr, fd int, p unsafe.Pointer, n, flags int) (int, error) {
	for {
		r, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(p), uintptr(n), uintptr(flags), 0, 0)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
