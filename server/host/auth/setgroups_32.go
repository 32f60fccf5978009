//go:build 386 || arm

package auth

import "golang.org/x/sys/unix"

// The plain number takes group ids of 16 bits there.
const sysSetgroups = unix.SYS_SETGROUPS32
