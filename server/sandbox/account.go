package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// AccountConfig is whom an account's process becomes.
type AccountConfig struct {
	UID, GID uint32
	Groups   []uint32 // all of the user's groups; root alone can set them
	Chroot   string   // its root directory, absolute; empty: none
}

// Account gives the process the rights of a user, no more and no fewer: its
// programs may be setuid, so there is neither no_new_privs nor a filter. A user
// that is root keeps everything. An error says that the process must end; its text
// is sshd's where sshd has one.
//
// Until it returns, nothing of the user's is opened but the root directory.
// Descriptors from 3 on that are not marked close-on-exec are closed: they are
// root's. Mark what the process was given on purpose.
func Account(cfg *AccountConfig) error {
	closeStrays()
	tasks, err := os.Open("/proc/self/task")
	if err == nil {
		defer tasks.Close()
	}
	if cfg.Chroot != "" {
		if err := chrootSafely(cfg.Chroot); err != nil {
			return err
		}
	}
	if os.Geteuid() == 0 {
		if err := setIdentity(cfg.UID, cfg.GID, cfg.Groups); err != nil {
			//lint:ignore ST1005 sshd's words
			return fmt.Errorf("Failed to set uids to %d: %w", cfg.UID, err)
		}
		if err := checkGroups(cfg.Groups); err != nil {
			return err
		}
	} else if uint32(os.Getuid()) != cfg.UID || uint32(os.Geteuid()) != cfg.UID {
		//lint:ignore ST1005 sshd's words
		return fmt.Errorf("Failed to set uids to %d.", cfg.UID)
	}
	// Memory with keys is not for the user's debugger, and not for a core file.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	if tasks != nil {
		if err := proveThreads(tasks, cfg); err != nil {
			return err
		}
	}
	return Prove(cfg.UID, cfg.GID)
}

func checkGroups(want []uint32) error {
	have, err := unix.Getgroups()
	if err != nil {
		return fmt.Errorf("getgroups: %w", err)
	}
	// The kernel keeps them sorted, and some kernels without doubles.
	wanted := slices.Compact(slices.Sorted(slices.Values(want)))
	got := make([]uint32, len(have))
	for i, n := range have {
		got[i] = uint32(n)
	}
	slices.Sort(got)
	if !slices.Equal(slices.Compact(got), wanted) {
		return fmt.Errorf("sandbox: the groups are %v and not %v", got, wanted)
	}
	return nil
}

// chrootSafely makes a directory the root if only root can change it and all of
// those it lies in (sshd_config(5), ChrootDirectory).
func chrootSafely(path string) error {
	if !strings.HasPrefix(path, "/") {
		return errors.New("chroot path does not begin at root")
	}
	if len(path) >= unix.PathMax {
		return errors.New("chroot path too long")
	}
	for i := range path {
		if path[i] == '/' {
			if err := checkComponent(path[:i+1], "component "); err != nil {
				return err
			}
		}
	}
	if err := checkComponent(path, ""); err != nil {
		return err
	}
	dir, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		//lint:ignore ST1005 sshd's words
		return fmt.Errorf("Unable to chdir to chroot path \"%s\": %s", path, sentence(err))
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil || loose(&st) {
		return fmt.Errorf("bad ownership or modes for chroot directory \"%s\"", path)
	}
	if err := unix.Fchdir(dir); err != nil {
		//lint:ignore ST1005 sshd's words
		return fmt.Errorf("Unable to chdir to chroot path \"%s\": %s", path, sentence(err))
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot(\"%s\"): %s", path, sentence(err))
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("chdir(/) after chroot: %s", sentence(err))
	}
	return nil
}

func checkComponent(name, what string) error {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return fmt.Errorf("stat(\"%s\"): %s", name, sentence(err))
	}
	if loose(&st) {
		return fmt.Errorf("bad ownership or modes for chroot directory %s\"%s\"", what, name)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("chroot path %s\"%s\" is not a directory", what, name)
	}
	return nil
}

// loose tells whether somebody else than root can change a file.
func loose(st *unix.Stat_t) bool { return st.Uid != 0 || st.Mode&0o022 != 0 }

// sentence is an error as strerror(3) has it: log lines are sshd's, and Go writes
// the kernel's errors with a small letter.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// proveThreads checks that every thread has changed its identity, by what the
// kernel says of each.
func proveThreads(tasks *os.File, cfg *AccountConfig) error {
	names, err := tasks.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("sandbox: threads: %w", err)
	}
	for _, name := range names {
		fd, err := unix.Openat(int(tasks.Fd()), name+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue // it has ended
		}
		if err != nil {
			return fmt.Errorf("sandbox: thread %s: %w", name, err)
		}
		file := os.NewFile(uintptr(fd), name)
		status, err := io.ReadAll(file)
		file.Close()
		if err == unix.ESRCH {
			continue
		}
		if err != nil {
			return fmt.Errorf("sandbox: thread %s: %w", name, err)
		}
		if err := proveStatus(status, cfg); err != nil {
			return fmt.Errorf("sandbox: thread %s: %w", name, err)
		}
	}
	return nil
}

// proveStatus checks what /proc/PID/task/TID/status says (proc_pid_status(5)).
func proveStatus(status []byte, cfg *AccountConfig) error {
	found := 0
	for line := range bytes.Lines(status) {
		name, values, _ := strings.Cut(string(line), ":")
		var want string
		switch name {
		case "Uid":
			want = strconv.FormatUint(uint64(cfg.UID), 10)
		case "Gid":
			want = strconv.FormatUint(uint64(cfg.GID), 10)
		case "CapPrm", "CapEff":
			if cfg.UID == 0 {
				continue
			}
			want = strings.Repeat("0", 16)
		default:
			continue
		}
		found++
		for _, v := range strings.Fields(values) {
			if v != want {
				return fmt.Errorf("%s is %s and not %s", name, v, want)
			}
		}
	}
	if found < 2 {
		return errors.New("no identity in its status")
	}
	return nil
}
