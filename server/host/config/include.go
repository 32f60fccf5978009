package config

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxDepth bounds Include in Include, as in sshd.
const maxDepth = 16

// maxFileSize bounds one configuration file. The largest sensible ones have a
// Match block per user, about 200 bytes: this is room for 80,000 users.
const maxFileSize = 16 << 20

// include reads the files of an Include line, below the same Match.
func (ld *loader) include(l *line, depth int) {
	if l.file == commandLineName {
		ld.problem(&detail{"Include directive not supported as a command-line option"})
		return
	}
	patterns := l.rest()
	if len(patterns) == 0 {
		ld.problem(l.errorf("%s missing filename argument", l.keyword))
	}
	for _, pattern := range patterns {
		if pattern == "" {
			ld.problem(l.countf("keyword %s empty argument", l.keyword))
			return
		}
		if pattern[0] != '/' && pattern[0] != '~' {
			dir := ld.file.profile.IncludeDir
			if dir == "" {
				dir = filepath.Dir(l.file)
			}
			pattern = dir + "/" + pattern
		}
		names, err := filepath.Glob(pattern)
		if err != nil {
			ld.problem(l.errorf("include \"%s\" glob failed", pattern))
			continue
		}
		if depth+1 > maxDepth {
			ld.stop = true
			ld.problem(l.errorf("Too many recursive configuration includes"))
			return
		}
		for _, name := range names {
			text, err := readFile(name)
			if err != nil {
				ld.problem(err)
				continue
			}
			saved := *ld
			ld.outer, ld.outerGlobal = ld.when, ld.global
			ld.text(name, text, depth+1)
			ld.when, ld.global, ld.outer, ld.outerGlobal = saved.when, saved.global, saved.outer, saved.outerGlobal
		}
	}
}

// readFile reads a configuration file. A directory counts as empty, as in sshd.
func readFile(name string) (string, error) {
	// Opening a fifo must not hang the server.
	fd, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fileProblem(name, err)
	}
	defer fd.Close()
	info, err := fd.Stat()
	if err != nil {
		return "", fileProblem(name, err)
	}
	if info.IsDir() {
		return "", nil
	}
	text, err := io.ReadAll(io.LimitReader(fd, maxFileSize+1))
	if err == nil && len(text) > maxFileSize {
		err = syscall.EFBIG
	}
	if err != nil {
		return "", fileProblem(name, err)
	}
	return string(text), nil
}

// fileProblem is what perror(3) prints of a file.
func fileProblem(name string, err error) error {
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		// C's strerror begins with a capital letter, Go's does not.
		text = errno.Error()
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return &Problem{File: name, Text: name + ": " + text, mild: true}
}
