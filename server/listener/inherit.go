package listener

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// What a process of the server leaves in the environment of the one that goes on as it:
// after daemonize, and after SIGHUP with another version of the program (upgrade.go).
const (
	inheritEnv  = "NANO_SSH_SERVER_INHERITED" // descriptors of listening sockets, by commas
	readyEnv    = "NANO_SSH_SERVER_READY"     // descriptor that daemonize waits for a byte from
	childrenEnv = "NANO_SSH_SERVER_CHILDREN"  // processes to wait for, by commas
	// activatedEnv says that the sockets were a service manager's.
	activatedEnv = "NANO_SSH_SERVER_ACTIVATED"
)

const (
	firstInherited = 3 // after stdin, stdout and stderr
	// maxInherited is how many sockets and processes a server takes over; more is a mistake.
	maxInherited = 1 << 16
)

// legacy is what a process starts with that goes on as another one, or that a service
// manager has made sockets for.
type legacy struct {
	sockets []*socket
	ready   func() // tells daemonize; may be nil
	notify  *notifier
	// activated says that the sockets are the service manager's: no reload closes them.
	activated bool
}

// inherited takes what there is out of the environment: programs of users do not see it.
func inherited() (*legacy, error) {
	l := &legacy{notify: newNotifier(take("NOTIFY_SOCKET")), activated: take(activatedEnv) != ""}
	fds, err := numbers(take(inheritEnv))
	if err != nil {
		return nil, fmt.Errorf("bad %s", inheritEnv)
	}
	children, err := numbers(take(childrenEnv))
	if err != nil {
		return nil, fmt.Errorf("bad %s", childrenEnv)
	}
	for _, pid := range children {
		go func() { _, _ = syscall.Wait4(pid, nil, 0, nil) }()
	}
	if fd, err := strconv.Atoi(take(readyEnv)); err == nil {
		syscall.CloseOnExec(fd)
		l.ready = tellReady(os.NewFile(uintptr(fd), "ready"))
	}
	// sd_listen_fds(3).
	pid, count := take("LISTEN_PID"), take("LISTEN_FDS")
	_ = take("LISTEN_FDNAMES")
	if n, err := strconv.Atoi(count); err == nil && pid == strconv.Itoa(os.Getpid()) && len(fds) == 0 {
		if n < 0 || n > maxInherited {
			return nil, fmt.Errorf("bad LISTEN_FDS")
		}
		for i := range n {
			fds = append(fds, firstInherited+i)
		}
		l.activated = n > 0
	}
	for _, fd := range fds {
		s, err := socketOf(fd)
		if err != nil {
			return nil, err
		}
		l.sockets = append(l.sockets, s)
	}
	return l, nil
}

// take removes a variable from the environment and returns its value.
func take(name string) string {
	value := os.Getenv(name)
	_ = os.Unsetenv(name)
	return value
}

// socketOf makes a socket of a descriptor, which it takes.
func socketOf(fd int) (*socket, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "listener")
	if f == nil {
		return nil, fmt.Errorf("descriptor %d is no listening socket", fd)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is no listening socket: %w", fd, err)
	}
	return newSocket(l)
}

// tellReady is what tells daemonize that this process listens.
func tellReady(pipe *os.File) func() {
	return func() {
		_, _ = pipe.Write([]byte{1})
		_ = pipe.Close()
		detach()
	}
}

// numbers reads what joinNumbers wrote.
func numbers(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	words := strings.Split(list, ",")
	if len(words) > maxInherited {
		return nil, strconv.ErrRange
	}
	out := make([]int, len(words))
	for i, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || n <= 0 {
			return nil, strconv.ErrSyntax
		}
		out[i] = n
	}
	return out, nil
}

func joinNumbers(list []int) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ",")
}
