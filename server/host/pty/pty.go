// Package pty opens pseudo-terminals and sets them up: size, owner, and the
// terminal modes that an SSH client encodes (RFC 4254 sections 6.2 and 8).
//
// The process that holds the privilege to do so (the monitor, or the only
// process of a server that an ordinary user started) opens a terminal and gives
// its slave to the user; the session service applies modes and size. The package
// starts no process and never makes a terminal the controlling one of its caller.
package pty

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// maxDimension is the largest number of characters or pixels that the kernel
// stores for a side of a terminal.
const maxDimension = 1<<16 - 1

// Size is a terminal's size as it travels: columns and rows in characters,
// width and height in pixels (RFC 4254 section 6.2). Values beyond 65535 count
// as 65535, the most that a terminal can have.
type Size struct {
	Cols, Rows, Width, Height uint32
}

// Open opens a pseudo-terminal. The master waits in the poller, so that reading
// it costs no thread and takes deadlines; the slave is in blocking mode, as the
// programs that get it expect. The name is a path such as /dev/pts/0.
func Open() (master, slave *os.File, name string, err error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, "", fmt.Errorf("pty: cannot open a terminal: %w", err)
	}
	defer blocking.Close()
	// The library asks the master for its descriptor, which takes a file out of
	// the poller for good: so the master gets a new file on a new descriptor.
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		if master, err = Wrap(fd); err == nil {
			slave.Fd() // puts the slave into blocking mode
			return master, slave, slave.Name(), nil
		}
	}
	slave.Close()
	return nil, nil, "", fmt.Errorf("pty: cannot open a terminal: %w", err)
}

// Wrap makes a file of a master's descriptor that came from another process. It
// takes the descriptor over, and closes it on error.
func Wrap(fd int) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), nil
}

// SetSize tells the terminal its size; its foreground process group gets
// SIGWINCH if that changed. It may be called while others read, write or close f.
func SetSize(f *os.File, s Size) error {
	ws := &pty.Winsize{
		Rows: clamp(s.Rows), Cols: clamp(s.Cols), X: clamp(s.Width), Y: clamp(s.Height),
	}
	// The library passes a bare descriptor number; while Control runs, the number
	// cannot come to mean another file.
	return control(f, func(int) error { return pty.Setsize(f, ws) })
}

func clamp(n uint32) uint16 { return uint16(min(n, maxDimension)) }

// SendBreak sends a break of the system's own length, as tcsendbreak(3) with
// duration 0. A pseudo-terminal has no line, so it has no effect beyond success.
func SendBreak(f *os.File) error {
	return control(f, func(fd int) error { return unix.IoctlSetInt(fd, unix.TCSBRK, 0) })
}

// control runs call on the descriptor of f, which stays open meanwhile.
func control(f *os.File, call func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := c.Control(func(fd uintptr) { inner = call(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// SetOwner gives the terminal to a user: owner uid, group tty, mode 0620, so that
// write(1) reaches it; without a group tty group gid and mode 0600. It changes
// only what differs, and accepts a terminal that is the user's already on a
// file system that is read-only or a process that may not change more.
func SetOwner(slave *os.File, uid, gid uint32) error {
	mode := uint32(0o620)
	if tty, ok := ttyGroup("/etc/group"); ok {
		gid = tty
	} else {
		mode = 0o600
	}
	return control(slave, func(fd int) error {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return fmt.Errorf("fstat(%s): %w", slave.Name(), err)
		}
		if st.Uid != uid || st.Gid != gid {
			err := unix.Fchown(fd, int(uid), int(gid))
			switch {
			case err == nil:
			case st.Uid == uid && tolerable(err):
				mode = 0o600 // the group is not tty: others of it have no business here
			default:
				return fmt.Errorf("chown(%s, %d, %d): %w", slave.Name(), uid, gid, err)
			}
		}
		if st.Mode&0o777 == mode {
			return nil
		}
		err := unix.Fchmod(fd, mode)
		if err != nil && (!tolerable(err) || st.Mode&0o022&^mode != 0) {
			return fmt.Errorf("chmod(%s, 0%o): %w", slave.Name(), mode, err)
		}
		return nil
	})
}

func tolerable(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EROFS)
}

// Release takes a terminal back from its user: owner root, mode 0666, as sshd
// leaves it. It does nothing unless the process is root. Call it before the
// master is closed: afterwards the name may be another user's terminal.
func Release(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	err := os.Chown(name, 0, 0)
	if err == nil {
		err = os.Chmod(name, 0o666)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// ttyGroup finds the id of the group tty.
func ttyGroup(path string) (gid uint32, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		rest, found := strings.CutPrefix(lines.Text(), "tty:")
		if !found {
			continue
		}
		if fields := strings.Split(rest, ":"); len(fields) > 1 {
			if n, err := strconv.ParseUint(fields[1], 10, 32); err == nil {
				return uint32(n), true
			}
		}
	}
	return 0, false
}
