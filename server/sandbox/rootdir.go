package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// emptyDirectory opens the first usable candidate, or else one that it makes and
// removes again: in a directory that has no name nothing can ever be created.
func emptyDirectory(candidates, makeIn []string) (*os.File, error) {
	var failed error
	for _, name := range candidates {
		dir, err := openEmpty(name)
		if err == nil {
			return dir, nil
		}
		failed = errors.Join(failed, err)
	}
	if makeIn == nil {
		makeIn = []string{"/run", "/dev/shm", os.TempDir()}
	}
	for _, parent := range makeIn {
		dir, err := makeEmpty(parent)
		if err == nil {
			return dir, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, fmt.Errorf("no empty directory: %w", oneLine{failed})
}

// oneLine is an error of several whose text has them in one line.
type oneLine struct{ error }

func (e oneLine) Error() string {
	if e.error == nil {
		return "none given"
	}
	joined, ok := e.error.(interface{ Unwrap() []error })
	if !ok {
		return e.error.Error()
	}
	text := ""
	for _, err := range joined.Unwrap() {
		if text != "" {
			text += "; "
		}
		text += oneLine{err}.Error()
	}
	return text
}

// openEmpty opens a directory that is empty and that only root can change.
func openEmpty(name string) (*os.File, error) {
	dir, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := checkEmpty(dir); err != nil {
		dir.Close()
		return nil, fmt.Errorf("%s %w", name, err)
	}
	return dir, nil
}

func checkEmpty(dir *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if st.Uid != 0 || st.Mode&0o022 != 0 {
		return errors.New("can be changed by others than root")
	}
	if _, err := dir.Readdirnames(1); err != io.EOF {
		return errors.Join(err, errors.New("is not empty"))
	}
	return nil
}

// makeEmpty makes a directory that is gone when it returns, but for the descriptor.
func makeEmpty(parent string) (*os.File, error) {
	name, err := os.MkdirTemp(parent, ".nano_ssh_server-")
	if err != nil {
		return nil, err
	}
	dir, err := openEmpty(name)
	if err == nil {
		// The gate's account has to be able to enter it.
		if err = dir.Chmod(0o755); err != nil {
			dir.Close()
		}
	}
	if failed := unix.Rmdir(name); failed != nil && err == nil {
		dir.Close()
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return dir, nil
}

// everywhere are names of which every system has some in its root directory.
var everywhere = []string{"/bin", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/run", "/sys", "/tmp", "/usr", "/var"}

// rootIsEmpty tells whether there is nothing below /. Landlock forbids to list it,
// but not to ask for names; that of the program itself, which was found below
// /proc, is among them.
func rootIsEmpty() bool {
	dir, err := os.Open("/")
	if err == nil {
		defer dir.Close()
		_, err = dir.Readdirnames(1)
		return err == io.EOF
	}
	if !errors.Is(err, syscall.EACCES) {
		return false
	}
	for _, name := range everywhere {
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != unix.ENOENT {
			return false
		}
	}
	return true
}
