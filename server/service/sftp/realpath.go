package sftp

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
)

// maxLinks is how many symbolic links a path may lead through: the kernel's own
// limit, and that of sftp-server.
const maxLinks = 40

// canonical is a path without links, "." and ".."; it starts in the working
// directory if it is relative. Its last component need not exist.
func (s *server) canonical(path string) (string, unix.Errno) {
	if len(path) >= unix.PathMax {
		return "", unix.ENAMETOOLONG
	}
	done, rest := "", path
	if !strings.HasPrefix(path, "/") {
		dir, errno := s.cwd()
		if errno != 0 {
			return "", errno
		}
		done = strings.TrimSuffix(dir, "/")
	}
	for links := 0; rest != ""; {
		var part string
		var more bool
		part, rest, more = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			done = done[:max(strings.LastIndexByte(done, '/'), 0)]
			continue
		}
		parent := done
		done += "/" + part
		if len(done) >= unix.PathMax {
			return "", unix.ENAMETOOLONG
		}
		target, errno := linkTarget(done)
		switch {
		case errno == unix.EINVAL: // there, and no link
			continue
		case errno == unix.ENOENT && !more:
			return done, 0
		case errno != 0:
			return "", errno
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		done = parent
		if strings.HasPrefix(target, "/") {
			done = ""
		}
		if more {
			target += "/" + rest
		}
		if len(target) >= unix.PathMax {
			return "", unix.ENAMETOOLONG
		}
		rest = target
	}
	if done == "" {
		done = "/"
	}
	return done, 0
}

func (s *server) realpath() {
	name := s.name()
	if s.bad() {
		return
	}
	if name == "" {
		name = "."
	}
	s.debugf(3, "request %d: realpath", s.id)
	s.verbosef("realpath \"%s\"", name)
	s.answerCanonical(name)
}

func (s *server) answerCanonical(path string) {
	real, errno := s.canonical(path)
	if errno != 0 {
		s.done(errno)
		return
	}
	s.answerName(real)
}

// expandPath is REALPATH that knows "~" (PROTOCOL section 4.9). "~" alone is the
// directory that the session started in, be it the home or not.
func (s *server) expandPath() {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: expand, original \"%s\"", s.id, name)
	cwd, errno := s.cwd()
	if errno != 0 {
		s.done(errno)
		return
	}
	path := name
	switch {
	case name == "":
		path = "."
	case name == "~":
		path = cwd
	case strings.HasPrefix(name, "~/"):
		path = cwd + "/" + name[2:]
	case name[0] == '~':
		who, rest, _ := strings.Cut(name[1:], "/")
		a, err := user.Lookup(who)
		if err != nil {
			s.statusText(statusNoSuchFile, "no such user")
			return
		}
		path = a.Home + "/" + rest
	case name[0] != '/':
		path = cwd + "/" + name
	}
	s.verbosef("expand \"%s\"", path)
	s.answerCanonical(path)
}

// homeDirectory tells a user's home, the session's own for the empty name.
func (s *server) homeDirectory() {
	name := s.name()
	if s.bad() {
		return
	}
	s.debugf(3, "request %d: home-directory \"%s\"", s.id, name)
	a := s.account
	if name != "" {
		var err error
		if a, err = user.Lookup(name); err != nil {
			if !errors.Is(err, user.ErrUnknown) {
				s.errorf("home-directory: %v", err)
			}
			s.status(statusFailure)
			return
		}
	}
	s.verbosef("home-directory \"%s\"", a.Home)
	s.answerName(a.Home)
}
