package listener

import (
	"errors"
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
// daemonize starts the process that goes on in the background. It returns once
// that process is ready, or with what it died of. env is added to its environment.
func daemonize(listeners []*socket, env []string) error {
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.ExtraFiles = []*os.File{tell}
	cmd.Stderr = os.Stderr // until it is ready, its errors are for the terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var fds []int
	for _, l := range listeners {
		f, err := l.Listener.(*net.TCPListener).File()
		if err != nil {
			tell.Close()
			return err
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		fds = append(fds, firstInherited+len(fds)+1)
	}
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, readyEnv+"="+strconv.Itoa(firstInherited), inheritEnv+"="+joinNumbers(fds))
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
