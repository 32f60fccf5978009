package auth

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
)

// asAccount runs f with the account's rights to files: on a thread of its own if
// the process is root and the account is not, see the package comment; else right
// here. f must do its work in this goroutine and must not start programs.
func asAccount(a *user.Account, f func() error) error {
	if os.Geteuid() != 0 || a.UID == 0 {
		return f()
	}
	done := make(chan error, 1)
	var fault *threadPanic
	onThrowawayThread(func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				fault = &threadPanic{v, debug.Stack()}
			}
		}()
		if err := becomeThread(a); err != nil {
			done <- fmt.Errorf("auth: cannot act as %q: %w", a.Name, err)
			return
		}
		done <- f()
	})
	err := <-done
	if fault != nil {
		panic(fault)
	}
	return err
}

// threadPanic carries a panic of f to its caller's goroutine, where the caller's
// own recovery sees it: on a thread of its own it would end the process.
type threadPanic struct {
	value any
	stack []byte
}

func (p *threadPanic) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// onThrowawayThread starts f on a thread that ends with it.
func onThrowawayThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread of a process never ends: it would stay as it is, and
			// stand for the process in /proc. While it is locked here, the next
			// goroutine runs on another.
			finished := make(chan struct{})
			onThrowawayThread(func() { defer close(finished); f() })
			<-finished
			runtime.UnlockOSThread()
			return
		}
		f()
		// Never unlocked: the thread ends with the goroutine.
	}()
}

// becomeThread gives the calling thread, and no other, the account's groups and
// file system ids, and takes the capabilities away that would make them moot.
func becomeThread(a *user.Account) error {
	groups := a.Groups
	if len(groups) == 0 {
		groups = []uint32{a.GID}
	}
	_, _, errno := unix.RawSyscall(sysSetgroups, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0)
	runtime.KeepAlive(groups)
	if errno != 0 {
		return fmt.Errorf("setgroups: %w", errno)
	}
	// These two return the old id and no error; asking again with an id that
	// cannot be set (-1) tells what came of it.
	if _, err := unix.SetfsgidRetGid(int(a.GID)); err != nil {
		return fmt.Errorf("setfsgid: %w", err)
	}
	if _, err := unix.SetfsuidRetUid(int(a.UID)); err != nil {
		return fmt.Errorf("setfsuid: %w", err)
	}
	gid, err1 := unix.SetfsgidRetGid(-1)
	uid, err2 := unix.SetfsuidRetUid(-1)
	if err := errors.Join(err1, err2); err != nil || uint32(gid) != a.GID || uint32(uid) != a.UID {
		return fmt.Errorf("setfsuid %d:%d had no effect: %w", a.UID, a.GID, unix.EPERM)
	}
	// setfsuid drops the capabilities that concern files, unless a securebit says
	// otherwise. None is needed from here on, so all go.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	caps[0].Effective, caps[1].Effective = 0, 0
	if err := unix.Capset(&header, &caps[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}
