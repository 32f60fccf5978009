package session

import (
	"errors"
	"strings"

	"nano_ssh_server/server/host/pty"
	"nano_ssh_server/server/proto/wire"
)

// maxTerm bounds TERM: the name of a file in the terminfo database.
const maxTerm = 255

var errNUL = errors.New("session: NUL in a text that goes to a program")

// ptyRequest is the payload of pty-req (RFC 4254 section 6.2).
type ptyRequest struct {
	term  string
	size  pty.Size
	modes []byte // aliases the payload
}

func parsePTY(payload []byte) (q ptyRequest, err error) {
	r := wire.NewReader(payload)
	q.term = r.Text()
	q.size = pty.Size{Cols: r.Uint32(), Rows: r.Uint32(), Width: r.Uint32(), Height: r.Uint32()}
	q.modes = r.String()
	if err := r.End(); err != nil {
		return ptyRequest{}, err
	}
	if len(q.term) > maxTerm || strings.IndexByte(q.term, 0) >= 0 {
		return ptyRequest{}, errNUL
	}
	return q, nil
}

// parseSize is the payload of window-change (section 6.7).
func parseSize(payload []byte) (pty.Size, error) {
	r := wire.NewReader(payload)
	s := pty.Size{Cols: r.Uint32(), Rows: r.Uint32(), Width: r.Uint32(), Height: r.Uint32()}
	return s, r.End()
}

// parseText is the payload of exec, subsystem and signal: one string.
func parseText(payload []byte) (string, error) {
	r := wire.NewReader(payload)
	s := r.Text()
	if strings.IndexByte(s, 0) >= 0 {
		r.Fail(errNUL)
	}
	return s, r.End()
}

// parseEnv is the payload of env (section 6.4).
func parseEnv(payload []byte) (name, value string, err error) {
	r := wire.NewReader(payload)
	name, value = r.Text(), r.Text()
	if strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
		r.Fail(errNUL)
	}
	return name, value, r.End()
}

// parseBreak is the payload of break (RFC 4335): the length in milliseconds, which
// OpenSSH does not look at either.
func parseBreak(payload []byte) error {
	r := wire.NewReader(payload)
	r.Uint32()
	return r.End()
}

// X11Request is the payload of x11-req (RFC 4254 section 6.3.1).
type X11Request struct {
	SingleConnection bool
	Protocol, Cookie string // only characters that xauth(1) and a shell take as they are
	Screen           uint32
}

func parseX11(payload []byte) (q X11Request, err error) {
	r := wire.NewReader(payload)
	q = X11Request{SingleConnection: r.Bool(), Protocol: r.Text(), Cookie: r.Text(), Screen: r.Uint32()}
	if !validXAuth(q.Protocol) || !validXAuth(q.Cookie) {
		r.Fail(errors.New("session: invalid X11 forwarding data"))
	}
	return q, r.End()
}

// maxXAuth bounds protocol name and cookie; real ones have 18 and 32 characters.
const maxXAuth = 1024

// validXAuth keeps everything out that could be more than one word of a line for
// xauth (THREATS row 19).
func validXAuth(s string) bool {
	if s == "" || len(s) > maxXAuth {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte(".:/-_", c) < 0 {
			return false
		}
	}
	return true
}
