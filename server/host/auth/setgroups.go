//go:build !386 && !arm

package auth

import "golang.org/x/sys/unix"

const sysSetgroups = unix.SYS_SETGROUPS
