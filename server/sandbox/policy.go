//go:build amd64 || arm64

package sandbox

import (
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// gatePolicy is what a gate may ask of the kernel: read, write and wait on the
// descriptors it is given, memory that is not executable, threads, time and random
// bytes. pid is its own.
//
// Three things can become of the rest. A call that a library tries when all is
// well (open a file, ask for the size of the machine) fails, and the library copes.
// A call that only foreign code would make kills the process: the listener sees
// that, ends its connections and starts another gate. A number that nobody thought
// of, from a newer C library or Go runtime, fails with ENOSYS, which is what an
// older kernel says and what they are prepared for.
func gatePolicy(pid int) *policy {
	return &policy{
		arch: auditArch, x32: hasX32, fallback: refuse(syscall.ENOSYS),
		rules: slices.Concat(
			frequent(), memory(), threads(uint32(pid)), descriptors(), options(), process(),
			always(allow, archAllowed...),
			always(refuse(syscall.EACCES), paths...), always(refuse(syscall.EACCES), archPaths...),
			always(refuse(syscall.EPERM), refused...), always(refuse(syscall.EPERM), archRefused...),
			always(refuse(syscall.ENOSYS), unknown...),
			always(kill, hostile...), always(kill, archHostile...),
		),
	}
}

// frequent are the calls that a busy gate makes most, first in the program.
func frequent() []rule {
	return always(allow,
		unix.SYS_FUTEX, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EPOLL_PWAIT, unix.SYS_RECVMSG, unix.SYS_SENDMSG,
		unix.SYS_NANOSLEEP, unix.SYS_WRITEV, unix.SYS_READV, unix.SYS_MADVISE, unix.SYS_GETPID, unix.SYS_RT_SIGRETURN,
		unix.SYS_RECVFROM, unix.SYS_CLOSE, unix.SYS_EPOLL_CTL, unix.SYS_SCHED_YIELD, unix.SYS_GETRANDOM)
}

func memory() []rule {
	executable := lacks(2, unix.PROT_EXEC)
	return append(always(allow,
		unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_BRK, unix.SYS_MINCORE, unix.SYS_MEMBARRIER,
		unix.SYS_MLOCK, unix.SYS_MUNLOCK), // libsodium's locked pages
		onlyIf(unix.SYS_MMAP, kill, all(executable)),
		onlyIf(unix.SYS_MPROTECT, kill, all(executable)),
	)
}

const (
	// threadMust are the flags that make clone(2) start a thread and no process.
	threadMust = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD
	// threadMay are those with which C libraries and Go start one beside.
	threadMay = unix.CLONE_SYSVSEM | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID |
		unix.CLONE_CHILD_SETTID | unix.CLONE_CHILD_CLEARTID | unix.CLONE_DETACHED
)

func threads(pid uint32) []rule {
	return append(always(allow,
		unix.SYS_GETTID, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SET_TID_ADDRESS, unix.SYS_SIGALTSTACK,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETCPU,
		unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_RESTART_SYSCALL,
		unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY),
		onlyIf(unix.SYS_CLONE, kill, all(check{0, ^uint64(threadMay), threadMust})),
		onlyIf(unix.SYS_TGKILL, kill, all(is(0, pid))),
		onlyIf(unix.SYS_KILL, kill, all(is(0, pid))),
	)
}

func descriptors() []rule {
	return append(always(allow,
		unix.SYS_PREAD64, // Go's runtime rereads the cgroup's CPU limit
		unix.SYS_FSTAT, unix.SYS_DUP, unix.SYS_SHUTDOWN, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKNAME, unix.SYS_PPOLL,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_PIPE2),
		// Only to where the socket is connected.
		onlyIf(unix.SYS_SENDTO, kill, all(null(4))),
		// Not F_SETOWN, F_SETSIG and F_NOTIFY: they send signals.
		onlyIf(unix.SYS_FCNTL, refuse(syscall.EPERM),
			all(is(1, unix.F_GETFL)), all(is(1, unix.F_SETFL)), all(is(1, unix.F_GETFD)), all(is(1, unix.F_SETFD)),
			all(is(1, unix.F_DUPFD_CLOEXEC)), all(is(1, unix.F_DUPFD))),
	)
}

// options are the socket options that SSH wants: a descriptor's others reach deep
// into the kernel.
func options() []rule {
	option := func(level int, names ...uint32) (conditions [][]check) {
		for _, n := range names {
			conditions = append(conditions, all(is(1, uint32(level)), is(2, n)))
		}
		return conditions
	}
	return []rule{
		onlyIf(unix.SYS_SETSOCKOPT, refuse(syscall.EPERM), slices.Concat(
			option(unix.IPPROTO_TCP, unix.TCP_NODELAY, unix.TCP_QUICKACK, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT),
			option(unix.SOL_SOCKET, unix.SO_KEEPALIVE, unix.SO_LINGER),
			option(unix.IPPROTO_IP, unix.IP_TOS),
			option(unix.IPPROTO_IPV6, unix.IPV6_TCLASS))...),
		onlyIf(unix.SYS_GETSOCKOPT, refuse(syscall.EPERM), slices.Concat(
			option(unix.SOL_SOCKET, unix.SO_ERROR, unix.SO_TYPE, unix.SO_DOMAIN, unix.SO_PROTOCOL, unix.SO_RCVBUF, unix.SO_SNDBUF),
			option(unix.IPPROTO_TCP, unix.TCP_INFO))...),
		// isatty, which C libraries ask of stderr.
		rule{number: unix.SYS_IOCTL, then: refuse(syscall.ENOTTY)},
	}
}

func process() []rule {
	return append(always(allow,
		unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETPPID),
		// Its own limits, to read.
		onlyIf(unix.SYS_PRLIMIT64, refuse(syscall.EPERM), all(is(0, 0), null(2))),
		onlyIf(unix.SYS_PRCTL, refuse(syscall.EPERM),
			all(is(0, unix.PR_SET_NAME)), all(is(0, unix.PR_GET_NAME)), all(is(0, unix.PR_GET_DUMPABLE)),
			all(is(0, unix.PR_GET_SECCOMP)), all(is(0, unix.PR_GET_NO_NEW_PRIVS)),
			// Go's runtime names its memory.
			all(is(0, unix.PR_SET_VMA), is(1, unix.PR_SET_VMA_ANON_NAME))),
	)
}

// paths name files. Libraries try some (configuration, random devices), so none of
// them kills.
var paths = []uint32{
	unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_STATX, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_READLINKAT,
	unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_GETDENTS64, unix.SYS_GETCWD, unix.SYS_CHDIR, unix.SYS_FCHDIR, unix.SYS_MKDIRAT, unix.SYS_MKNODAT,
	unix.SYS_UNLINKAT, unix.SYS_SYMLINKAT, unix.SYS_LINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_TRUNCATE,
	unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT,
	unix.SYS_UTIMENSAT, unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_GETXATTR, unix.SYS_LGETXATTR,
	unix.SYS_FGETXATTR, unix.SYS_LISTXATTR, unix.SYS_REMOVEXATTR, unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_MQ_OPEN,
}

// refused are harmless if a library asks for them, and no business of a gate.
var refused = []uint32{
	unix.SYS_SYSINFO, unix.SYS_UNAME, unix.SYS_GETRUSAGE, unix.SYS_TIMES, unix.SYS_UMASK, unix.SYS_SOCKETPAIR,
	unix.SYS_TKILL, // it cannot be told whose thread it is; Go and glibc use tgkill
	unix.SYS_SETSID, unix.SYS_SETPGID, unix.SYS_GETPGID, unix.SYS_GETSID, unix.SYS_SETPRIORITY, unix.SYS_SCHED_SETAFFINITY,
	unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR, unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE,
	unix.SYS_MLOCKALL, unix.SYS_SECCOMP, unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_SPLICE, unix.SYS_TEE, unix.SYS_VMSPLICE,
	unix.SYS_SENDFILE, unix.SYS_COPY_FILE_RANGE, unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_MSGGET, unix.SYS_SEMGET,
	unix.SYS_PKEY_MPROTECT, unix.SYS_DUP3, unix.SYS_INOTIFY_INIT1, unix.SYS_SIGNALFD4, unix.SYS_TIMERFD_CREATE,
}

// unknown have the C library take the older call, whose arguments a filter can read.
var unknown = []uint32{unix.SYS_CLONE3}

// hostile are made by foreign code only.
var hostile = []uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_SETGROUPS, unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_CAPSET, unix.SYS_PERSONALITY,
	unix.SYS_SETRLIMIT,
	unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_SENDMMSG, unix.SYS_RECVMMSG,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_IO_SETUP, unix.SYS_IO_SUBMIT,
	unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK,
	unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_REMAP_FILE_PAGES,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_SETTIMEOFDAY,
	unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG,
	unix.SYS_VHANGUP, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES,
}
