package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	hasX32    = false
)

// arm64 came late and has none of the old calls.
var (
	archAllowed = []uint32{unix.SYS_GETRLIMIT}
	archPaths   = []uint32{unix.SYS_FSTATAT}
	archRefused []uint32
	archHostile = []uint32{unix.SYS_KEXEC_FILE_LOAD}
)
