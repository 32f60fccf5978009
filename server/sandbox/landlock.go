package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What Landlock's ABIs can forbid (landlock(7)), each with the first ABI that can.
const (
	landlockFS1 = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	landlockFS2  = unix.LANDLOCK_ACCESS_FS_REFER
	landlockFS3  = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	landlockNet4 = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	landlockFS5  = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	landlock6    = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	// landlockTSYNC is the ABI that can restrict all threads of a process at once.
	landlockTSYNC = 8
)

// landlockABI returns the kernel's, or why there is none.
func landlockABI() (int, error) {
	v, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0, e
	}
	return int(v), nil
}

// landlockRules makes rules that forbid all that an ABI can forbid. The size is
// that of what the ABI knows: an older kernel takes a longer one only with zeros
// behind.
func landlockRules(abi int) (fd int, err error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: landlockFS1}
	size := unsafe.Offsetof(attr.Handled_access_net)
	if abi >= 2 {
		attr.Handled_access_fs |= landlockFS2
	}
	if abi >= 3 {
		attr.Handled_access_fs |= landlockFS3
	}
	if abi >= 4 {
		attr.Handled_access_net = landlockNet4
		size = unsafe.Offsetof(attr.Scoped)
	}
	if abi >= 5 {
		attr.Handled_access_fs |= landlockFS5
	}
	if abi >= 6 {
		attr.Scoped = landlock6
		size = unsafe.Offsetof(attr.Quiet_access_fs)
	}
	n, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// landlockThread restricts the calling thread, which has no_new_privs, and what it
// starts. It may execute one file, which the kernel takes for reading, too.
func landlockThread(file int) error {
	abi, err := landlockABI()
	if err != nil {
		return err
	}
	rules, err := landlockRules(abi)
	if err != nil {
		return err
	}
	defer unix.Close(rules)
	// The kernel's struct has no padding: Go's ends with some, which it does not read.
	rule := unix.LandlockPathBeneathAttr{
		Allowed_access: unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE,
		Parent_fd:      int32(file),
	}
	if _, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0); e != 0 {
		return e
	}
	return restrict(rules, 0)
}

// landlockAll sees that all threads are restricted: by Start, or else now.
func landlockAll() error {
	abi, err := landlockABI()
	if err != nil {
		return err
	}
	if landlocked() {
		return nil
	}
	if abi < landlockTSYNC {
		return fmt.Errorf("the kernel's (ABI %d) has to be in force when the process starts, which takes a static program", abi)
	}
	rules, err := landlockRules(abi)
	if err != nil {
		return err
	}
	defer unix.Close(rules)
	return restrict(rules, unix.LANDLOCK_RESTRICT_SELF_TSYNC)
}

func restrict(rules int, flags uintptr) error {
	// Without it an ordinary user must not; it is for good, as all of this.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, e := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules), flags, 0); e != 0 {
		return e
	}
	return nil
}

// landlocked tells whether the process started under Landlock: / is a directory
// that anybody may list.
func landlocked() bool {
	dir, err := os.Open("/")
	if err == nil {
		dir.Close()
	}
	return errors.Is(err, syscall.EACCES)
}
