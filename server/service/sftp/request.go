package sftp

import (
	"encoding/binary"
	"slices"

	"nano_ssh_server/server/proto/wire"
)

// request is one kind of request: its name for -p, -P and -Q, whether it changes
// anything, and what serves it.
type request struct {
	name   string
	writes bool
	serve  func(*server)
}

// extension is a request of the type EXTENDED, announced by its own name and version.
type extension struct {
	request
	announced string
	version   string
}

// requests are the requests of the draft, in the order of -Q.
var requests = []struct {
	kind byte
	request
}{
	{fxpOpen, request{"open", false, (*server).open}}, // read-only mode: looks at the flags itself
	{fxpClose, request{"close", false, (*server).close}},
	{fxpRead, request{"read", false, (*server).readFile}},
	{fxpWrite, request{"write", true, (*server).writeFile}},
	{fxpLstat, request{"lstat", false, (*server).lstat}},
	{fxpFstat, request{"fstat", false, (*server).fstat}},
	{fxpSetstat, request{"setstat", true, (*server).setstat}},
	{fxpFsetstat, request{"fsetstat", true, (*server).fsetstat}},
	{fxpOpendir, request{"opendir", false, (*server).opendir}},
	{fxpReaddir, request{"readdir", false, (*server).readdir}},
	{fxpRemove, request{"remove", true, (*server).remove}},
	{fxpMkdir, request{"mkdir", true, (*server).mkdir}},
	{fxpRmdir, request{"rmdir", true, (*server).rmdir}},
	{fxpRealpath, request{"realpath", false, (*server).realpath}},
	{fxpStat, request{"stat", false, (*server).stat}},
	{fxpRename, request{"rename", true, (*server).rename}},
	{fxpReadlink, request{"readlink", false, (*server).readlink}},
	{fxpSymlink, request{"symlink", true, (*server).symlink}},
}

// extensions are OpenSSH's in the order in which it announces them.
var extensions = []extension{
	{request{"posix-rename", true, (*server).posixRename}, "posix-rename@openssh.com", "1"},
	{request{"statvfs", false, (*server).statvfs}, "statvfs@openssh.com", "2"},
	{request{"fstatvfs", false, (*server).fstatvfs}, "fstatvfs@openssh.com", "2"},
	{request{"hardlink", true, (*server).hardlink}, "hardlink@openssh.com", "1"},
	{request{"fsync", true, (*server).fsync}, "fsync@openssh.com", "1"},
	{request{"lsetstat", true, (*server).lsetstat}, "lsetstat@openssh.com", "1"},
	{request{"limits", false, (*server).limits}, "limits@openssh.com", "1"},
	{request{"expand-path", false, (*server).expandPath}, "expand-path@openssh.com", "1"},
	{request{"copy-data", true, (*server).copyData}, "copy-data", "1"},
	{request{"home-directory", false, (*server).homeDirectory}, "home-directory", "1"},
	{request{"users-groups-by-id", false, (*server).usersGroupsByID}, "users-groups-by-id@openssh.com", "1"},
}

// byType finds a request's line by its type.
var byType = func() (table [fxpSymlink + 1]*request) {
	for i := range requests {
		table[requests[i].kind] = &requests[i].request
	}
	return table
}()

// requestNames are what -Q requests lists.
func requestNames() []string {
	var names []string
	for i := range requests {
		names = append(names, requests[i].name)
	}
	for i := range extensions {
		names = append(names, extensions[i].name)
	}
	return names
}

// dispatch serves one whole request, without its length field.
func (s *server) dispatch(p []byte) {
	s.id = 0
	if len(p) > 0 && p[0] == fxpInit {
		s.init(p[1:])
		return
	}
	kind, ok := s.header(p)
	if !ok {
		return
	}
	if kind == fxpExtended {
		s.extended()
		return
	}
	r := (*request)(nil)
	if int(kind) < len(byType) {
		r = byType[kind]
	}
	if r == nil {
		s.errorf("Unknown message %d", kind)
		s.status(statusUnsupported)
		return
	}
	if !s.permitted(r) {
		s.status(statusPermissionDenied)
		return
	}
	r.serve(s)
}

// header takes type and id from a request, and answers one that has none or that
// comes before INIT.
func (s *server) header(p []byte) (kind byte, ok bool) {
	s.req = reader(p)
	kind = s.req.Byte()
	s.id = s.req.Uint32()
	if s.bad() {
		return kind, false
	}
	if !s.inited {
		s.errorf("Received %d request before init", kind)
		s.status(statusBadMessage)
		return kind, false
	}
	return kind, true
}

// init answers INIT with the version and the extensions that are permitted.
func (s *server) init(p []byte) {
	if len(p) < 4 {
		s.req = reader(nil)
		s.req.Fail(wire.ErrShort)
		s.malformed()
		return
	}
	s.version = binary.BigEndian.Uint32(p)
	s.verbosef("received client version %d", s.version)
	s.inited = true
	s.id = protocolVersion // where other replies have the id
	s.begin(fxpVersion)
	for i := range extensions {
		e := &extensions[i]
		if !s.permitted(&e.request) {
			s.debugf(2, "compose_extension: refusing to advertise disallowed extension %s", e.announced)
			continue
		}
		s.out = wire.AppendText(s.out, e.announced)
		s.out = wire.AppendText(s.out, e.version)
	}
	s.end()
}

// extended serves an extension (section 8 of the draft).
func (s *server) extended() {
	name := s.req.String()
	if s.bad() {
		return
	}
	for i := range extensions {
		e := &extensions[i]
		if e.announced != string(name) {
			continue
		}
		if !s.permitted(&e.request) {
			s.status(statusPermissionDenied)
			return
		}
		e.serve(s)
		return
	}
	s.errorf("Unknown extended request \"%.100s\"", name)
	s.status(statusUnsupported)
}

// permitted applies -R, -P and -p.
func (s *server) permitted(r *request) bool {
	o := s.options
	switch {
	case o.ReadOnly && r.writes:
		s.verbosef("Refusing %s request in read-only mode", r.name)
		return false
	case o.Deny != nil && slices.Contains(o.Deny, r.name):
		s.verbosef("Refusing denylisted %s request", r.name)
		return false
	case o.Allow != nil && !slices.Contains(o.Allow, r.name):
		s.verbosef("Refusing non-allowlisted %s request", r.name)
		return false
	case o.Allow != nil && s.debugs(2):
		s.debugf(2, "Permitting allowlisted %s request", r.name)
	}
	return true
}
