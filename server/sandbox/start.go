package sandbox

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start starts this program once more, as a gate: syscall.ForkExec of
// /proc/self/exe, on a thread without the rights that a thread can give up. The
// program has to call Gate with the same configuration. The caller's process stays
// what it is. attr.Dir is of no use, attr.Sys.Credential is Start's.
//
// The identity changes in the new process alone, between fork and exec: a thread of
// root's that runs as somebody else could be traced or killed by him.
func Start(cfg *GateConfig, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	err = errDynamic
	if static() {
		err = onThread(func() (err error) {
			pid, err = startConfined(cfg, argv, attr)
			return err
		})
	}
	if err != nil {
		// Gate does what can be done from inside, and says what is missing.
		pid, err = syscall.ForkExec("/proc/self/exe", argv, attr)
	}
	return pid, err
}

const errDynamic = syscall.ELIBACC

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
	program, err := os.OpenFile("/proc/self/exe", unix.O_PATH, 0)
	if err != nil {
		return 0, err
	}
	defer program.Close()
	proc, err := os.OpenFile("/proc", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0, err
	}
	defer proc.Close()
	dir, err := emptyDirectory(cfg.Dirs, cfg.MakeIn)
	if err == nil {
		defer dir.Close()
	}
	// From here on the thread has root and working directory of its own.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return 0, err
	}
	if dir != nil && unix.Fchdir(int(dir.Fd())) == nil {
		_ = unix.Chroot(".")
	}
	// With an empty root, this is from where the kernel finds the program, in the
	// new process. Gate leaves it.
	if err := unix.Fchdir(int(proc.Fd())); err != nil {
		return 0, err
	}
	dropThread(int(program.Fd()))

	child, sys := *attr, syscall.SysProcAttr{}
	if attr.Sys != nil {
		sys = *attr.Sys
	}
	if os.Geteuid() == 0 {
		sys.Credential = &syscall.Credential{Uid: cfg.UID, Gid: cfg.GID}
	}
	child.Sys, child.Dir = &sys, ""
	return syscall.ForkExec("self/exe", argv, &child)
}

// dropThread takes from the calling thread what an exec must not give back. What
// does not work Gate will find.
func dropThread(program int) {
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
		_ = landlockThread(program)
	}
}
