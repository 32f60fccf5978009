package scp

import (
	"os"

	"golang.org/x/sys/unix"
)

// retry repeats a system call that a signal has interrupted: network file systems
// let that happen, and the Go runtime sends itself signals.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// open opens a file with a mode in the kernel's notation, and leaves it blocking.
func open(path string, flags int, mode uint32) (*os.File, error) {
	fd := -1
	err := retry(func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC|unix.O_LARGEFILE, mode)
		return err
	})
	if err == nil && flags&unix.O_NONBLOCK != 0 {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// stat follows links, as everything here does.
func stat(path string) (*unix.Stat_t, error) {
	st := new(unix.Stat_t)
	return st, retry(func() error { return unix.Stat(path, st) })
}

func fstat(f *os.File, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstat(int(f.Fd()), st) })
}

func isDirectory(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// isRegular is false for what cannot be cut to a size: a device, a fifo.
func isRegular(f *os.File) bool {
	var st unix.Stat_t
	return fstat(f, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}
