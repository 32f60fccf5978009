package sftp

import (
	"golang.org/x/sys/unix"

	"nano_ssh_server/server/proto/wire"
)

// Flags of attributes (section 5 of the draft).
const (
	attrSize     = 1 << 0
	attrOwner    = 1 << 1
	attrMode     = 1 << 2
	attrTimes    = 1 << 3
	attrExtended = 1 << 31
)

// modeBits are the bits of a mode that a client can set.
const modeBits = 0o7777

// attributes are what a client sends: only what flags name counts.
type attributes struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32 // seconds
}

// attributes takes attributes. Extended ones are skipped.
func (s *server) attributes() (a attributes) {
	r := &s.req
	a.flags = r.Uint32()
	if a.flags&attrSize != 0 {
		a.size = r.Uint64()
	}
	if a.flags&attrOwner != 0 {
		a.uid, a.gid = r.Uint32(), r.Uint32()
	}
	if a.flags&attrMode != 0 {
		a.mode = r.Uint32()
	}
	if a.flags&attrTimes != 0 {
		a.atime, a.mtime = r.Uint32(), r.Uint32()
	}
	if a.flags&attrExtended != 0 {
		for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
			name, data := r.String(), r.String()
			s.debugf(3, "Got file attribute \"%.100s\" len %d", name, len(data))
		}
	}
	return a
}

// times are the times for utimensat(2).
func (a *attributes) times() [2]unix.Timespec {
	return [2]unix.Timespec{unix.NsecToTimespec(int64(a.atime) * 1e9), unix.NsecToTimespec(int64(a.mtime) * 1e9)}
}

// appendStat appends the attributes of a file.
func appendStat(b []byte, st *unix.Stat_t) []byte {
	b = wire.AppendUint32(b, attrSize|attrOwner|attrMode|attrTimes)
	b = wire.AppendUint64(b, uint64(st.Size))
	b = wire.AppendUint32(b, st.Uid)
	b = wire.AppendUint32(b, st.Gid)
	b = wire.AppendUint32(b, uint32(st.Mode))
	b = wire.AppendUint32(b, uint32(st.Atim.Sec))
	return wire.AppendUint32(b, uint32(st.Mtim.Sec))
}

// answerStat answers with the attributes of a file.
func (s *server) answerStat(st *unix.Stat_t) {
	s.debugf(1, "request %d: sent attrib have 0x%x", s.id, attrSize|attrOwner|attrMode|attrTimes)
	s.begin(fxpAttrs)
	s.out = appendStat(s.out, st)
	s.end()
}

// answerName answers with one name and no attributes.
func (s *server) answerName(name string) {
	s.debugf(1, "request %d: sent names count %d", s.id, 1)
	s.begin(fxpName)
	s.out = wire.AppendUint32(s.out, 1)
	s.out = wire.AppendText(s.out, name)
	s.out = wire.AppendText(s.out, name)
	s.out = wire.AppendUint32(s.out, 0)
	s.end()
}
