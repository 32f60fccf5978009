package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxVersionLine bounds the client's identification line, CR LF included
// (RFC 4253 section 4.2 says 255; OpenSSH takes up to 8192, PuTTY and others stay below 100).
const maxVersionLine = 255

// VersionError is a client whose identification is no SSH 2 identification.
// Line is as it came, cut to maxVersionLine: escape it before it reaches a log.
type VersionError struct {
	Line     string
	Mismatch bool // an identification of another protocol version
	Err      error
}

func (e *VersionError) Error() string {
	switch {
	case e.Err != nil:
		return "could not read identification: " + e.Err.Error()
	case e.Mismatch:
		return fmt.Sprintf("protocol major versions differ: %q", e.Line)
	}
	return fmt.Sprintf("invalid identification string %q", e.Line)
}

func (e *VersionError) Unwrap() error { return e.Err }

// exchangeVersions sends our identification and reads the client's
// (RFC 4253 section 4.2). A client that speaks something else is told so in
// clear text, in the words that OpenSSH's clients and tests look for.
func (c *Conn) exchangeVersions() error {
	if _, err := io.WriteString(c.stream, c.cfg.Version+"\r\n"); err != nil {
		return &VersionError{Err: err}
	}
	line, err := c.in.readLine(maxVersionLine)
	if err != nil {
		if errors.Is(err, errLineTooLong) {
			_, _ = io.WriteString(c.stream, "Invalid SSH identification string.\r\n")
			return &VersionError{Line: string(line)}
		}
		return &VersionError{Line: string(line), Err: err}
	}
	version, ok, mismatch := parseVersion(line)
	if !ok {
		answer := "Invalid SSH identification string.\r\n"
		if mismatch {
			answer = "Protocol major versions differ.\r\n"
		}
		_, _ = io.WriteString(c.stream, answer)
		return &VersionError{Line: string(line), Mismatch: mismatch}
	}
	c.clientVersion = version
	return nil
}

// parseVersion checks an identification line without its line feed.
func parseVersion(line []byte) (version string, ok, mismatch bool) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	for _, b := range line {
		if b < 0x20 || b > 0x7e {
			return "", false, false
		}
	}
	s := string(line)
	rest, found := strings.CutPrefix(s, "SSH-")
	if !found {
		return "", false, false
	}
	proto, software, found := strings.Cut(rest, "-")
	if !found || software == "" || proto == "" {
		return "", false, false
	}
	major, minor, found := strings.Cut(proto, ".")
	if !found || !isNumber(major) || !isNumber(minor) {
		return "", false, false
	}
	if major != "2" && proto != "1.99" {
		return "", false, true
	}
	return s, true, false
}

func isNumber(s string) bool { return s != "" && len(s) < 10 && strings.Trim(s, "0123456789") == "" }
