package sandbox

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// foray is something that foreign code in a gate might try.
type foray struct {
	name string
	dies bool // by the filter
	// free says that root can do it outside: what is refused is refused by the
	// sandbox.
	free bool
	do   func() error
}

func sys(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, e := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); e != 0 {
		return e
	}
	return nil
}

func text(s string) uintptr {
	b := append([]byte(s), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// kept are strings that calls point to by number.
var kept [][]byte

func open(name string) func() error {
	return func() error {
		fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
		if err == nil {
			_ = syscall.Close(fd)
		}
		return err
	}
}

func socket(family, kind int) func() error {
	return func() error {
		_, err := syscall.Socket(family, kind, 0)
		return err
	}
}

// forays are all denied to a gate.
var forays = []foray{
	{"open /etc/passwd", false, true, open("/etc/passwd")},
	{"open /etc/shadow", false, false, open("/etc/shadow")},
	{"open the root directory", false, true, open("/")},
	{"open beside the root", false, true, open(strings.Repeat("../", 40) + "proc/self/status")},
	{"open with openat2", false, true, func() error {
		how := unix.OpenHow{}
		_, err := unix.Openat2(unix.AT_FDCWD, "/proc", &how)
		return err
	}},
	{"stat /etc", false, true, func() error { return syscall.Stat("/etc", new(syscall.Stat_t)) }},
	{"mkdir", false, true, func() error {
		err := syscall.Mkdir("/tmp/sandbox-test-foray", 0o755)
		return errors.Join(err, syscall.Rmdir("/tmp/sandbox-test-foray"))
	}},
	{"symlink", false, false, func() error { return syscall.Symlink("/", "/link") }},
	{"a file", false, false, func() error { return os.WriteFile("/file", nil, 0o644) }},
	{"out of the chroot", true, false, func() error {
		_ = syscall.Mkdir("x", 0o755)
		return errors.Join(syscall.Chroot("x"), syscall.Chdir("../../../.."))
	}},
	{"chroot", true, true, func() error { return syscall.Chroot("/") }},
	{"socket, TCP", true, true, socket(syscall.AF_INET, syscall.SOCK_STREAM)},
	{"socket, UDP", true, true, socket(syscall.AF_INET, syscall.SOCK_DGRAM)},
	{"socket, unix", true, true, socket(syscall.AF_UNIX, syscall.SOCK_STREAM)},
	{"socket, netlink", true, true, socket(syscall.AF_NETLINK, syscall.SOCK_RAW)},
	{"socket, ALG", true, false, socket(unix.AF_ALG, syscall.SOCK_SEQPACKET)},
	{"socketpair", false, true, func() error {
		_, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		return err
	}},
	{"connect", true, false, func() error { return syscall.Connect(0, &syscall.SockaddrInet4{Port: 1}) }},
	{"bind", true, false, func() error { return syscall.Bind(0, &syscall.SockaddrInet4{}) }},
	{"a TCP socket bound", true, true, func() error {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err == nil {
			err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		}
		return err
	}},
	{"listen", true, false, func() error { return syscall.Listen(0, 1) }},
	{"accept", true, false, func() error { _, _, err := syscall.Accept(0); return err }},
	{"exec", true, true, func() error {
		return syscall.Exec("/proc/self/exe", []string{"x", "-test.run=^$"}, (&child{Name: "identity"}).environment())
	}},
	{"execveat of a descriptor", true, false, func() error { return sys(unix.SYS_EXECVEAT, 0, text(""), 0, 0, unix.AT_EMPTY_PATH) }},
	{"fork", true, true, func() error { return clone(uintptr(syscall.SIGCHLD)) }},
	{"fork in a user namespace", true, false, func() error { return clone(uintptr(syscall.SIGCHLD) | unix.CLONE_NEWUSER) }},
	{"clone3", false, false, func() error { return sys(unix.SYS_CLONE3, 0, 0) }},
	{"a program", true, true, func() error {
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
		if err == nil {
			_, err = syscall.Wait4(pid, nil, 0, nil)
		}
		return err
	}},
	{"ptrace", true, true, func() error { return sys(unix.SYS_PTRACE, syscall.PTRACE_TRACEME, 0, 0, 0) }},
	{"ptrace the parent", true, false, func() error { return syscall.PtraceAttach(os.Getppid()) }},
	{"kill the parent", true, true, func() error { return syscall.Kill(os.Getppid(), 0) }},
	{"kill everybody", true, false, func() error { return sys(unix.SYS_KILL, ^uintptr(0), 0) }},
	{"tgkill the parent", true, true, func() error { return sys(unix.SYS_TGKILL, uintptr(os.Getppid()), uintptr(os.Getppid()), 0) }},
	{"tkill the parent", false, true, func() error { return sys(unix.SYS_TKILL, uintptr(os.Getppid()), 0) }},
	{"read the parent's memory", true, false, func() error {
		return sys(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid()), 0, 0, 0, 0, 0)
	}},
	{"pidfd_open", true, true, func() error { _, err := unix.PidfdOpen(os.Getppid(), 0); return err }},
	{"setuid", true, true, func() error { return sys(unix.SYS_SETUID, 0) }},
	{"setresuid", true, true, func() error { return sys(unix.SYS_SETRESUID, 0, 0, 0) }},
	{"setgid", true, true, func() error { return sys(unix.SYS_SETGID, 0) }},
	{"setgroups", true, true, func() error { return sys(unix.SYS_SETGROUPS, 0, 0) }},
	{"capset", true, false, func() error { return sys(unix.SYS_CAPSET, 0, 0) }},
	{"mount", true, false, func() error { return syscall.Mount("", "/", "tmpfs", 0, "") }},
	{"unshare", true, true, func() error { return syscall.Unshare(syscall.CLONE_FS) }},
	{"a user namespace", true, false, func() error { return syscall.Unshare(syscall.CLONE_NEWUSER) }},
	{"setns", true, false, func() error { return unix.Setns(0, 0) }},
	{"sysinfo", false, true, func() error { return syscall.Sysinfo(new(syscall.Sysinfo_t)) }},
	{"uname", false, true, func() error { return syscall.Uname(new(syscall.Utsname)) }},
	{"io_uring", true, false, func() error { return sys(unix.SYS_IO_URING_SETUP, 1, 0) }},
	{"bpf", true, false, func() error { return sys(unix.SYS_BPF, 0, 0, 0) }},
	{"keyctl", true, false, func() error { return sys(unix.SYS_KEYCTL, 0, 0) }},
	{"perf_event_open", true, false, func() error { return sys(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0) }},
	{"userfaultfd", true, false, func() error { return sys(unix.SYS_USERFAULTFD, 0) }},
	{"memfd_create", true, true, func() error { _, err := unix.MemfdCreate("x", 0); return err }},
	{"open_by_handle_at", true, false, func() error { return sys(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0) }},
	{"personality", true, true, func() error { return sys(unix.SYS_PERSONALITY, 0xffffffff) }},
	{"syslog", true, false, func() error { return sys(unix.SYS_SYSLOG, 10, 0, 0) }},
	{"prctl dumpable", false, true, func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }},
	{"more descriptors", false, true, func() error {
		return unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 512, Max: 512}, nil)
	}},
	{"another filter", false, false, func() error { return sys(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, 0) }},
	{"executable memory", true, true, func() error {
		return sys(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0), 0)
	}},
	{"memory made executable", true, true, func() error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
		return errors.Join(err, unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC))
	}},
	{"a terminal's ioctl", false, false, func() error { return sys(unix.SYS_IOCTL, 0, unix.TIOCSTI, 0) }},
	{"signals by F_SETOWN", false, true, func() error { return sys(unix.SYS_FCNTL, 0, unix.F_SETOWN, uintptr(os.Getppid())) }},
}

// clone starts a process that ends at once.
func clone(flags uintptr) error {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	pid, _, e := syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if e != 0 {
		return e
	}
	if pid == 0 {
		for {
			_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	_, err := syscall.Wait4(int(pid), nil, 0, nil)
	return err
}
