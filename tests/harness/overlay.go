package harness

import (
	"fmt"
	"os"
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

// cover writes file and mounts it over target.
func cover(file, target string, text []byte, mode os.FileMode) error {
	if err := os.WriteFile(file, text, mode); err != nil {
		return err
	}
	if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over %s: %w", target, err)
	}
	return nil
}
