// Package sandbox takes rights away from processes of the server, and proves that
// they are gone.
//
// The gate, which speaks to peers that have not authenticated, gets an empty root
// directory, an account that owns nothing, no capabilities, no_new_privs, Landlock
// and a seccomp filter. An account's process gets exactly what its user has. Each
// calls this package before it reads a byte of a peer; the listener calls Start.
//
// # Who does what
//
// Three of these belong to a thread and not to the process: capability bounding
// set, no_new_privs and Landlock. A Go process has several threads before main
// runs, and in a program with cgo nothing can make them all take such a step. (The
// identity is no problem: package syscall goes through the C library, which visits
// every thread. Neither is seccomp, whose TSYNC flag spreads filter and
// no_new_privs.) An exec ends all threads but one, so what the thread that execs
// has given up is gone for the whole new program. A second exec in the gate would
// do, and costs the start of a Go program. The exec that starts the gate is as
// good: Start gives up the rights of a thread of the listener made for this, and
// starts the gate on it; the thread ends after that. So the gate's first
// instruction already runs confined, and Gate has only to add the filter, which
// cannot be there before the last exec.
//
// That needs a static program, since a dynamic one does not find its loader in an
// empty directory. For any other, and where Start finds it cannot do it, the gate
// starts with root's rights and Gate takes what a process can take from itself:
// all but the bounding set and, before Landlock's ABI 8, Landlock. The seccomp
// filter makes both of them second lines. What is not in force Gate says.
//
// RLIMIT_NPROC is left alone on purpose. It counts the threads of all processes of
// an account, which the gate may share ("nobody"), and Go cannot live without
// threads; the filter lets clone(2) start nothing else.
//
// The package never logs, never reads from a descriptor it is not given for that,
// and changes nothing that outlives the processes.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// GateConfig is how a gate is confined.
type GateConfig struct {
	// UID and GID are whom it becomes. Not root.
	UID, GID uint32
	// Dirs are candidates for its root directory, in order: a directory that is
	// empty, root's, and that nobody else may write.
	Dirs []string
	// MakeIn are directories in which an empty one is made if no candidate is
	// usable: entered and at once removed. nil: /run, /dev/shm and the one for
	// temporary files.
	MakeIn []string
	// NoFile is how many descriptors the gate may have at most.
	NoFile uint64

	// fault lets a test fail a step.
	fault func(step string) error
}

// Gate confines the process for good. missing has a line for each thing that the
// system did not allow, such as "chroot: operation not permitted": the rest holds
// nevertheless. An error says that the process must end: it has a right that it
// could and should have lost.
//
// Descriptors from 3 on that are not marked close-on-exec are closed: mark what the
// process was given on purpose.
//
// From then on it cannot open, connect, start or trace anything: all that it needs
// it has, or is sent over a socket.
func Gate(cfg *GateConfig) (missing []string, err error) {
	if cfg.UID == 0 || cfg.GID == 0 {
		return nil, errors.New("sandbox: a gate must not be root")
	}
	closeStrays()
	g := &gate{GateConfig: cfg}
	g.try("limits", func() error { return limits(cfg.NoFile) })
	g.try("dumpable", func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) })
	g.try("chroot", g.enterRoot)
	uid, gid, err := g.identity()
	if err != nil {
		return nil, err
	}
	g.try("capability bounding set", checkBounding)
	if err := Prove(uid, gid); err != nil {
		return nil, err
	}
	if g.rooted {
		if err := proveRoot(); err != nil {
			return nil, err
		}
	}
	g.try("landlock", landlockAll)
	g.filter()
	return g.missing, nil
}

// gate is a process on its way into the sandbox.
type gate struct {
	*GateConfig
	missing []string
	rooted  bool // its root directory is empty
}

// try does a step and notes why it could not be done.
func (g *gate) try(step string, do func() error) bool {
	var err error
	if g.fault != nil {
		err = g.fault(step)
	}
	if err == nil {
		err = do()
	}
	if err != nil {
		g.missing = append(g.missing, step+": "+err.Error())
	}
	return err == nil
}

// limits bounds what the kernel gives the process. Writing to files is off: what a
// gate writes to are sockets and pipes.
func limits(files uint64) error {
	var now syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now)
	if err == nil {
		now.Max = min(now.Max, files)
		now.Cur = now.Max
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now)
	}
	none := &unix.Rlimit{}
	for _, resource := range []int{unix.RLIMIT_CORE, unix.RLIMIT_FSIZE, unix.RLIMIT_MSGQUEUE} {
		err = errors.Join(err, unix.Setrlimit(resource, none))
	}
	return err
}

// errLate is all that a process can say which is not root's any more: Start could not
// do it, or an ordinary user started the server.
var errLate = errors.New("no right to it, or no empty directory at the start")

// enterRoot makes an empty directory the root, unless the process started so.
func (g *gate) enterRoot() error {
	// Start leaves it outside: that is how the program was found.
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if rootIsEmpty() {
		g.rooted = true
		return nil
	}
	if os.Geteuid() != 0 {
		return errLate
	}
	dir, err := emptyDirectory(g.Dirs, g.MakeIn)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return err
	}
	err = unix.Chroot(".")
	g.rooted = err == nil
	return errors.Join(err, unix.Chdir("/"))
}

// identity gives up root for the configured account. A process that never was root
// stays who it is.
func (g *gate) identity() (uid, gid uint32, err error) {
	if r, e, s := unix.Getresuid(); r != 0 && e != 0 && s != 0 {
		uid, gid = uint32(e), uint32(os.Getegid())
		if uid != g.UID || gid != g.GID {
			g.missing = append(g.missing, fmt.Sprintf("an account of its own: not started by root, still user %d", uid))
		}
		return uid, gid, nil
	}
	return g.UID, g.GID, setIdentity(g.UID, g.GID, nil)
}

// setIdentity sets the groups, then the group, then the user, of all threads.
func setIdentity(uid, gid uint32, groups []uint32) error {
	list := make([]int, len(groups))
	for i, n := range groups {
		list[i] = int(n)
	}
	if err := syscall.Setgroups(list); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setresgid(int(gid), int(gid), int(gid)); err != nil {
		return fmt.Errorf("setresgid %d: %w", gid, err)
	}
	if err := syscall.Setresuid(int(uid), int(uid), int(uid)); err != nil {
		return fmt.Errorf("setresuid %d: %w", uid, err)
	}
	return nil
}
