package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lastInherited is up to which descriptor a process looks for what it was started
// with: those come with the lowest numbers that were free.
const lastInherited = 4095

// closeStrays closes the descriptors that nobody here knows of: whoever started the
// server left them open. Go opens nothing without close-on-exec, and what the
// listener gives to a process on purpose is marked so when it is taken over.
func closeStrays() {
	for fd := 3; fd <= lastInherited; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

// checkDirectories fails if a descriptor is a directory: a way out of a chroot.
func checkDirectories() error {
	for fd := 0; fd <= lastInherited; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return fmt.Errorf("sandbox: descriptor %d is a directory, a way out of the root", fd)
		}
	}
	return nil
}
