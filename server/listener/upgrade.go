package listener

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// checkTime is how long another version of the program may take to check its
// configuration.
const checkTime = 20 * time.Second

// upgraded reports whether the file that this process was started from now holds
// another program.
func (s *server) upgraded() bool {
	var now, running unix.Stat_t
	if !s.separate || s.opts.inetd || s.program == "" || unix.Stat(s.program, &now) != nil || unix.Stat("/proc/self/exe", &running) != nil {
		return false
	}
	return now.Mode&unix.S_IFMT == unix.S_IFREG && (now.Dev != running.Dev || now.Ino != running.Ino)
}

// upgrade goes on as the program that is now in this one's place, in the same process
// with the same listening sockets: the connections that users have stay, with a keeper
// (keeper.go). It returns only if that cannot be; then everything is as it was, but for
// logins that were under way.
func (s *server) upgrade() {
	if !s.acceptable() {
		return
	}
	var fds []int
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = control(l.file, func(fd int) {
			if n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstInherited); err == nil {
				fds = append(fds, n)
			}
		})
	}
	s.mu.Unlock()
	s.closeListeners()
	s.entrust()
	err := s.exec(fds)
	s.log.Error("cannot go on as %s: %v", s.program, err)
	for _, fd := range fds {
		if l, err := socketOf(fd); err == nil {
			s.listen(l)
		}
	}
}

// acceptable asks the other program whether it can serve the configuration (-t), and
// logs what it says against it.
func (s *server) acceptable() bool {
	ctx, cancel := context.WithTimeout(s.ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program, append([]string{"-t"}, s.args...)...)
	cmd.Args[0], cmd.Dir = os.Args[0], s.startDir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if err == nil {
		return true
	}
	for line := range strings.Lines(said.String()) {
		s.log.Error("%s: %s", s.program, strings.TrimSpace(line))
	}
	s.log.Error("the program stays what it was: %s -t: %v", s.program, err)
	return false
}

// exec replaces the program. It returns only if that fails.
func (s *server) exec(fds []int) error {
	var children []int
	s.roles.children.Range(func(pid, _ any) bool {
		children = append(children, pid.(int))
		return true
	})
	env := append(os.Environ(), s.notify.environment()...)
	env = append(env, inheritEnv+"="+joinNumbers(fds), childrenEnv+"="+joinNumbers(children))
	if s.activated {
		env = append(env, activatedEnv+"=1")
	}
	if err := os.Chdir(s.startDir); err != nil {
		return err
	}
	for _, fd := range fds {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	err := syscall.Exec(s.program, os.Args, env)
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	_ = os.Chdir("/")
	return err
}

// programFile is the file that this process runs, as a name that may come to mean another one.
func programFile() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	return name
}
