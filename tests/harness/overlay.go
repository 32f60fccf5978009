package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// overlay writes file as a copy of target with more lines, and mounts it over
// target; the machine's own file stays as it is.
func overlay(file, target, lines string, mode os.FileMode) error {
	old, err := os.ReadFile(target)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if len(old) > 0 && old[len(old)-1] != '\n' {
		old = append(old, '\n')
	}
	return cover(file, target, append(old, lines...), mode)
}

// etcIsOurs says that /etc is one of this namespace's own.
var etcIsOurs bool

// ownEtc puts a layer over /etc that takes what is written there, if the kernel can. A
// file that is mounted over another one is gone when somebody outside replaces that one,
// as useradd(8) does; a layer stays.
func ownEtc(dir string) {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	if os.MkdirAll(upper, 0o755) != nil || os.MkdirAll(work, 0o755) != nil {
		return
	}
	etcIsOurs = syscall.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+upper+",workdir="+work) == nil
}

// cover writes file and mounts it over target, or writes target where that is ours.
func cover(file, target string, text []byte, mode os.FileMode) error {
	if etcIsOurs {
		if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
			return err
		}
		return os.WriteFile(target, text, mode)
	}
	if err := os.WriteFile(file, text, mode); err != nil {
		return err
	}
	if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over %s: %w", target, err)
	}
	return nil
}
