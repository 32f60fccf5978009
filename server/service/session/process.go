package session

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// process is a program that leads a session and a process group of its own.
type process struct {
	pid   int
	pidfd *os.File // nil on kernels before 5.4

	mu     sync.Mutex
	reaped bool // the number may mean another process
}

// programSpec is what spawn starts.
type programSpec struct {
	path           string
	argv, env      []string
	dir            string
	stdin          *os.File
	stdout, stderr *os.File
	terminal       bool // stdin is a terminal: it becomes the controlling one
	credential     *syscall.Credential
}

// spawn starts a program in a new session. The error is the system's number for
// what failed: the change of directory, or the program's own start.
func spawn(s *programSpec) (*process, error) {
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: s.dir, Env: s.env,
		Files: []uintptr{s.stdin.Fd(), s.stdout.Fd(), s.stderr.Fd()},
		Sys: &syscall.SysProcAttr{
			Setsid: true, Setctty: s.terminal, Ctty: 0, Credential: s.credential, PidFD: &pidfd,
		},
	}
	pid, _, err := syscall.StartProcess(s.path, s.argv, attr)
	if err != nil {
		return nil, err
	}
	p := &process{pid: pid}
	if pidfd >= 0 {
		// A descriptor that does not block goes to the poller: waiting for the end
		// of a process costs a goroutine then and no thread.
		if err := unix.SetNonblock(pidfd, true); err == nil {
			p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
		} else {
			unix.Close(pidfd)
		}
	}
	return p, nil
}

// wait waits for the end of the process and reaps it. It is called once.
func (p *process) wait() syscall.WaitStatus {
	if !p.waitPolled() {
		_, _ = p.ended(0)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		p.reaped = true
		if err != nil {
			// Somebody else reaped it: how it ended is lost. 255 is what ssh(1) takes
			// for a failure of the connection's own.
			return 255 << 8
		}
		return status
	}
}

// waitPolled waits in the poller; false if that cannot be.
func (p *process) waitPolled() bool {
	if p.pidfd == nil {
		return false
	}
	defer p.pidfd.Close()
	c, err := p.pidfd.SyscallConn()
	if err != nil {
		return false
	}
	var gone bool
	err = c.Read(func(uintptr) bool {
		var err error
		gone, err = p.ended(unix.WNOHANG)
		return gone || err != nil
	})
	return err == nil && gone
}

// ended asks whether the process has ended, without reaping it.
func (p *process) ended(flags int) (bool, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
		if err == unix.EINTR {
			continue
		}
		return err == nil && info.Signo != 0, err
	}
}

// signal signals the process group. It does nothing once the leader is reaped,
// since the number may then be another group's.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	return syscall.Kill(-p.pid, sig)
}

// hangup sends what the kernel sends when a terminal goes: SIGHUP, and SIGCONT for
// those that are stopped and could not take it.
func (p *process) hangup() {
	_ = p.signal(syscall.SIGHUP)
	_ = p.signal(syscall.SIGCONT)
}

// ownedBy reports whether a process has the effective user id: it owns /proc/pid.
func ownedBy(pid int, uid uint32) bool {
	var st syscall.Stat_t
	err := syscall.Stat("/proc/"+strconv.Itoa(pid), &st)
	return err == nil && st.Uid == uid
}

// prepareProcess makes sure, once, that programs start clean: no descriptor that
// this process was started with goes on to them, and no signal that it was started
// with ignoring (by nohup(1), or a shell's "&") stays ignored in them.
var prepareProcess = sync.OnceFunc(func() {
	closeOnExec()
	resetInternal()
	ignored := inheritedIgnored()
	if len(ignored) == 0 {
		return
	}
	// A signal that has a handler goes back to its default in a new program. Nobody
	// reads what this one is told of, so that here the signal still has no effect.
	signal.Notify(make(chan os.Signal, 1), ignored...)
})

// resetInternal gives the C library's own signals 32 and 33 back their default.
// make(1) and whatever else starts programs by glibc's posix_spawn leaves them
// ignored, and neither os/signal nor libc's sigaction takes those numbers. (34 is
// musl's, which ignores it for good reason once it has changed a user id.)
func resetInternal() {
	var action [4]uint64 // of the kernel's struct sigaction: SIG_DFL, no flags, no mask
	for _, n := range []uintptr{32, 33} {
		var old [4]uint64
		const maskSize = 8
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, n, 0, uintptr(unsafe.Pointer(&old)), maskSize, 0, 0)
		if errno == 0 && old[0] == 1 /* SIG_IGN */ {
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&action)), 0, maskSize, 0, 0)
		}
	}
}

func closeOnExec() {
	if unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// inheritedIgnored returns the signals that are ignored in this process.
func inheritedIgnored() []os.Signal {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return nil
	}
	defer f.Close()
	var list []os.Signal
	for lines := bufio.NewScanner(f); lines.Scan(); {
		mask, ok := strings.CutPrefix(lines.Text(), "SigIgn:")
		if !ok {
			continue
		}
		var bits uint64
		if _, err := fmt.Sscanf(strings.TrimSpace(mask), "%x", &bits); err != nil {
			return nil
		}
		for n := 1; n < 32; n++ {
			if bits&(1<<(n-1)) != 0 {
				list = append(list, syscall.Signal(n))
			}
		}
	}
	return list
}

// reason is the system's text for an error as the C library words it, which
// differs from Go's in the first letter.
func reason(err error) string {
	for {
		if errno, ok := err.(syscall.Errno); ok {
			text := errno.Error()
			return strings.ToUpper(text[:1]) + text[1:]
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err.Error()
		}
		err = u.Unwrap()
	}
}
