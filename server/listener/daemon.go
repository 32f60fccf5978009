package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// A Go program cannot fork. To become a daemon, the process binds its sockets,
// so that errors still reach the terminal, and starts itself again in a session
// of its own with the sockets inherited; it ends when the new process says that
// it listens.
//
// inheritEnv tells the new process how many sockets follow the ready pipe.
const inheritEnv = "NANO_SSH_SERVER_INHERITED"

const firstInherited = 3 // after stdin, stdout and stderr

// daemonize starts the process that goes on in the background. It returns once
// that process is ready, or with what it died of.
func daemonize(listeners []*socket) error {
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inheritEnv+"="+strconv.Itoa(len(listeners)))
	cmd.ExtraFiles = []*os.File{tell}
	cmd.Stderr = os.Stderr // until it is ready, its errors are for the terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	for _, l := range listeners {
		f, err := l.Listener.(*net.TCPListener).File()
		if err != nil {
			tell.Close()
			return err
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return err
	}
	if n, _ := ready.Read(make([]byte, 1)); n == 0 {
		_ = cmd.Wait()
		return errors.New("the background process ended before it listened")
	}
	return cmd.Process.Release()
}

// inherited returns the sockets that daemonize handed over, and a function that
// says that this process is ready. Without inheritance all are nil.
func inherited() ([]*socket, func(), error) {
	value, ok := os.LookupEnv(inheritEnv)
	if !ok {
		return nil, nil, nil
	}
	_ = os.Unsetenv(inheritEnv)
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 256 {
		return nil, nil, fmt.Errorf("bad %s", inheritEnv)
	}
	var listeners []*socket
	for i := range n {
		f := os.NewFile(uintptr(firstInherited+1+i), "listener")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, nil, err
		}
		listening, err := newSocket(l)
		if err != nil {
			return nil, nil, err
		}
		listeners = append(listeners, listening)
	}
	pipe := os.NewFile(firstInherited, "ready")
	syscall.CloseOnExec(firstInherited)
	return listeners, func() {
		_, _ = pipe.Write([]byte{1})
		_ = pipe.Close()
		detach()
	}, nil
}

// detach lets go of the terminal: descriptors 0 to 2 lead nowhere from here on.
func detach() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	for fd := range 3 {
		_ = syscall.Dup3(int(null.Fd()), fd, 0)
	}
	_ = null.Close()
	_ = os.Chdir("/")
}

// writePidFile writes the file that PidFile names; none for "none".
func writePidFile(path string) error {
	if path == "" || strings.EqualFold(path, "none") {
		return nil
	}
	return os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
}

func removePidFile(path string) {
	if path != "" && !strings.EqualFold(path, "none") {
		_ = os.Remove(path)
	}
}
