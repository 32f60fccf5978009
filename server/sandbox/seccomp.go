package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filter gives all threads no_new_privs and the gate's policy.
func (g *gate) filter() {
	// The two steps are of one thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	everywhere := g.try("seccomp", func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
		return installFilter(gatePolicy(os.Getpid()))
	})
	if !everywhere && before == 0 {
		g.missing = append(g.missing, "no_new_privs: only seccomp spreads it to all threads")
	}
}

// installFilter puts a policy into force for all threads, for good.
func installFilter(p *policy) error {
	if p == nil {
		return errors.New("no filter for " + runtime.GOARCH)
	}
	code, err := p.assemble()
	if err != nil {
		return err
	}
	if !killsProcess() {
		for i := range code {
			if code[i].Code == opRet && code[i].K == uint32(kill) {
				code[i].K = uint32(refuse(unix.EPERM))
			}
		}
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return e
	}
	if thread != 0 {
		return fmt.Errorf("thread %d cannot be filtered", thread)
	}
	return proveFilter()
}

// killsProcess tells whether the kernel knows that action: before Linux 4.14 it
// would end the thread alone, and a Go program that lacks one hangs.
func killsProcess() bool {
	a := uint32(kill)
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&a)))
	return e == 0
}

// proveFilter makes a call that fails in any case: without a filter as that of a
// file without a name.
func proveFilter() error {
	if _, err := unix.Openat(-1, "", unix.O_RDONLY, 0); err != unix.EACCES {
		return fmt.Errorf("the filter is not in force: open: %v", err)
	}
	return nil
}
