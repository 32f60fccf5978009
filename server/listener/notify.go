package listener

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// notifier tells a service manager how the server fares (sd_notify(3)). nil: there is
// no manager that listens.
type notifier struct{ address string }

// newNotifier makes one of NOTIFY_SOCKET's value: a path, or "@" and an abstract name.
func newNotifier(address string) *notifier {
	if address == "" || address[0] != '/' && address[0] != '@' {
		return nil
	}
	return &notifier{address}
}

// tell sends assignments, one a line. What it cannot send is lost: the manager finds
// out about a server that fares badly by itself.
func (n *notifier) tell(format string, args ...any) {
	if n == nil {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.Sendto(fd, fmt.Appendf(nil, format, args...), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: n.address})
}

// ready says that the server listens, and which process is its main one.
func (n *notifier) ready() {
	n.tell("READY=1\nMAINPID=%d\nSTATUS=Listening.", os.Getpid())
}

// reloading says that READY will come again (systemd's Type=notify-reload compares the
// time with its own).
func (n *notifier) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	n.tell("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=Reloading.", now.Nano()/1000)
}

// stopping says that the server ends; draining is what it still waits for.
func (n *notifier) stopping(status string) { n.tell("STOPPING=1\nSTATUS=%s", status) }

// environment puts the address back for the program that goes on as this one.
func (n *notifier) environment() []string {
	if n == nil {
		return nil
	}
	return []string{"NOTIFY_SOCKET=" + n.address}
}
