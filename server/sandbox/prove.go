package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Prove tries to get back what a process gave up when it became a user, and fails
// if any of that works, or if it is not that user. Of a process of root's it only
// checks the latter. It asks the kernel for the calling thread alone: where
// something works, the process has to end.
func Prove(uid, gid uint32) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if r, e, s := unix.Getresuid(); uint32(r) != uid || uint32(e) != uid || uint32(s) != uid {
		return fmt.Errorf("sandbox: the user ids are %d, %d, %d and not %d", r, e, s, uid)
	}
	if r, e, s := unix.Getresgid(); uint32(r) != gid || uint32(e) != gid || uint32(s) != gid {
		return fmt.Errorf("sandbox: the group ids are %d, %d, %d and not %d", r, e, s, gid)
	}
	if uid == 0 {
		return nil
	}
	if err := checkCapabilities(); err != nil {
		return err
	}
	attempts := []attempt{
		{"setresuid", unix.SYS_SETRESUID}, {"setreuid", unix.SYS_SETREUID}, {"setuid", unix.SYS_SETUID},
		{"setgroups", unix.SYS_SETGROUPS},
	}
	if gid != 0 {
		attempts = append(attempts, attempt{"setresgid", unix.SYS_SETRESGID},
			attempt{"setregid", unix.SYS_SETREGID}, attempt{"setgid", unix.SYS_SETGID})
	}
	for _, a := range attempts {
		// Zeros are root, and no groups.
		if _, _, e := syscall.RawSyscall(a.number, 0, 0, 0); e == 0 {
			return fmt.Errorf("sandbox: %s worked once more", a.name)
		}
	}
	if unix.Chroot("/") == nil {
		return errors.New("sandbox: chroot worked once more")
	}
	return nil
}

// attempt is a system call that must fail with three zeros.
type attempt struct {
	name   string
	number uintptr
}

// capabilities returns the sets of the calling thread.
func capabilities() (sets [2]unix.CapUserData, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&header, &sets[0])
	return sets, err
}

func checkCapabilities() error {
	sets, err := capabilities()
	if err != nil {
		return fmt.Errorf("sandbox: capget: %w", err)
	}
	for _, s := range sets {
		if s.Effective|s.Permitted != 0 {
			return errors.New("sandbox: capabilities are left")
		}
	}
	return nil
}

// checkBounding says whether an exec could give the calling thread capabilities.
func checkBounding() error {
	for c := uintptr(0); c < maxCapabilities; c++ {
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err == unix.EINVAL {
			return nil // behind the kernel's last
		}
		if err != nil {
			return err
		}
		if set != 0 {
			return errors.New("not empty")
		}
	}
	return nil
}

// maxCapabilities is how many the format of the sets allows.
const maxCapabilities = 64

// proveRoot tries to get out of an empty root directory.
func proveRoot() error {
	for _, name := range []string{"/etc/passwd", "../etc/passwd", "../../../../proc/self/exe", "/dev/null"} {
		if f, err := os.Open(name); err == nil {
			f.Close()
			return fmt.Errorf("sandbox: %s can still be opened", name)
		}
	}
	return checkDirectories()
}
