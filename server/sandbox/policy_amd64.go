package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	hasX32    = true
)

// What amd64 has beside the calls of every architecture, mostly of old.
var (
	archAllowed = []uint32{
		unix.SYS_EPOLL_WAIT, unix.SYS_POLL, unix.SYS_TIME, unix.SYS_GETRLIMIT,
	}
	archPaths = []uint32{
		unix.SYS_OPEN, unix.SYS_CREAT, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_NEWFSTATAT, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_MKDIR,
		unix.SYS_RMDIR, unix.SYS_UNLINK, unix.SYS_SYMLINK, unix.SYS_LINK, unix.SYS_RENAME, unix.SYS_CHMOD, unix.SYS_CHOWN,
		unix.SYS_LCHOWN, unix.SYS_MKNOD, unix.SYS_GETDENTS, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT,
	}
	archRefused = []uint32{
		unix.SYS_DUP2, unix.SYS_PIPE, unix.SYS_ALARM, unix.SYS_INOTIFY_INIT, unix.SYS_SIGNALFD, unix.SYS_GETPGRP,
		unix.SYS_SELECT, unix.SYS_EVENTFD, unix.SYS_EPOLL_CREATE, unix.SYS_ARCH_PRCTL,
	}
	archHostile = []uint32{
		unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB,
		unix.SYS_KEXEC_FILE_LOAD, unix.SYS__SYSCTL, unix.SYS_USTAT, unix.SYS_SYSFS,
	}
)
