package sandbox

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start starts this program once more, as a gate: syscall.ForkExec of
// /proc/self/exe, on a thread without the rights that a thread can give up. The
// program has to call Gate with the same configuration. The caller's process stays
// what it is. attr.Dir is of no use, attr.Sys.Credential and Chroot are Start's. Where
// a container forbids unshare(2), the caller's working directory has to be one that
// everybody may enter, as / is.
//
// The identity changes in the new process alone, between fork and exec: a thread of
// root's that runs as somebody else could be traced or killed by him.
func Start(cfg *GateConfig, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	if static() {
		err = onThread(func() (err error) {
			pid, err = startConfined(cfg, argv, attr)
			return err
		})
		if err == nil {
			return pid, nil
		}
	}
	// Gate does what can be done from inside, and says what is missing.
	return syscall.ForkExec(itself, argv, attr)
}

// itself is this program, whatever became of its file.
const itself = "/proc/self/exe"

// static tells whether the program runs without a loader: the kernel gives the
// address of one (getauxval(3)).
func static() bool {
	const atBase = 7
	values, err := unix.Auxv()
	if err != nil {
		return false
	}
	for _, v := range values {
		if v[0] == atBase {
			return v[1] == 0
		}
	}
	return true
}

// onThread calls f on a thread that ends with it: Go ends the thread of a goroutine
// that ends locked to it, and meanwhile starts no other thread from it.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The first thread cannot end, and stands for the process in /proc. It is
			// held until f has got another one.
			defer runtime.UnlockOSThread()
			result <- onThread(f)
			return
		}
		result <- f()
	}()
	return <-result
}

// startConfined does what Start promises. The thread is not used again.
func startConfined(cfg *GateConfig, argv []string, attr *syscall.ProcAttr) (int, error) {
	dir, err := emptyDirectory(cfg.Dirs, cfg.MakeIn)
	if err == nil {
		defer dir.Close()
	}
	file, err := os.OpenFile(itself, unix.O_PATH, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	fromHere, err := outside(cfg)
	if err != nil {
		return 0, err
	}
	dropThread(int(file.Fd()))

	child, sys := *attr, syscall.SysProcAttr{}
	if attr.Sys != nil {
		sys = *attr.Sys
	}
	child.Sys, child.Dir = &sys, ""
	if os.Geteuid() == 0 {
		sys.Credential = &syscall.Credential{Uid: cfg.UID, Gid: cfg.GID}
	}
	if dir != nil {
		sys.Chroot = "/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))
		if pid, err := syscall.ForkExec(fromHere, argv, &child); err == nil {
			return pid, nil
		}
		sys.Chroot = ""
	}
	return syscall.ForkExec(itself, argv, &child)
}

// outside returns a path that leads to the program even from a process with another
// root: a chroot does not move the working directory, and a relative path starts
// there. Gate leaves it.
func outside(cfg *GateConfig) (string, error) {
	proc, err := os.OpenFile("/proc", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer proc.Close()
	err = unix.Unshare(unix.CLONE_FS)
	if cfg.fault != nil {
		err = errors.Join(err, cfg.fault("unshare"))
	}
	if err == nil {
		// The working directory is the thread's own now.
		return "self/exe", unix.Fchdir(int(proc.Fd()))
	}
	here := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(here)
	if err != nil {
		return "", err
	}
	// It counts the zero at the end.
	up := 0
	if n > len("/")+1 {
		up = bytes.Count(here[:n], []byte("/"))
	}
	return strings.Repeat("../", up) + itself[1:], nil
}

// dropThread takes from the calling thread what an exec must not give back. What
// does not work Gate will find.
func dropThread(file int) {
	for c := uintptr(0); c < maxCapabilities; c++ {
		if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			break
		}
	}
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if sets, err := capabilities(); err == nil {
		sets[0].Inheritable, sets[1].Inheritable = 0, 0
		if os.Geteuid() != 0 {
			sets = [2]unix.CapUserData{}
		}
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		_ = unix.Capset(&header, &sets[0])
	}
	if unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == nil {
		_ = landlockThread(file)
	}
}
