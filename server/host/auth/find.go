package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nano_ssh_server/server/host/textlines"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// maxLine is the longest line in bytes that is looked at. OpenSSH documents 8 KiB,
// which holds an RSA key of 16 kbit; the rest is for long commands and lists.
const maxLine = 64 << 10

// maxKeysFile is how far a file of a user's is read, in bytes: 1.5 million Ed25519 keys.
// Its owner can make it look as large as the file system allows, at no cost.
const maxKeysFile = 128 << 20

// ErrNoKey means that a line holds no public key.
var ErrNoKey = errors.New("auth: line without a public key")

// An Entry is one authorized_keys line.
type Entry struct {
	Key         sshkey.PublicKey
	Permissions Permissions // what its options say
	Comment     string
	File        string
	Line        int // from 1
}

// ParseLine reads one line: options if there are any, key type, key in base64,
// comment. Empty lines, comments and lines without a key are ErrNoKey; other
// errors concern the options, in OpenSSH's words.
func ParseLine(line []byte) (*Entry, error) {
	text := strings.Trim(string(line), " \t\r\n")
	if text == "" || text[0] == '#' {
		return nil, ErrNoKey
	}
	key, comment, ok := parseKey(text)
	options := ""
	if !ok {
		var rest string
		var err error
		if options, rest, err = cutOptions(text); err != nil {
			return nil, err
		}
		if key, comment, ok = parseKey(strings.TrimLeft(rest, " \t")); !ok {
			return nil, ErrNoKey
		}
	}
	permissions, err := ParseOptions(options)
	if err != nil {
		return nil, err
	}
	return &Entry{Key: key, Permissions: *permissions, Comment: comment}, nil
}

// parseKey reads key type, base64 and comment. The type must be that of the key.
func parseKey(text string) (key sshkey.PublicKey, comment string, ok bool) {
	cut := func(s string) (field, rest string) {
		if i := strings.IndexAny(s, " \t"); i >= 0 {
			return s[:i], strings.TrimLeft(s[i:], " \t")
		}
		return s, ""
	}
	kind, rest := cut(text)
	encoded, comment := cut(rest)
	if encoded == "" || strings.IndexByte(kind, '"') >= 0 {
		return nil, "", false
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, "", false
	}
	if key, err = sshkey.ParsePublic(blob); err != nil || key.Type() != kind {
		return nil, "", false
	}
	return key, comment, true
}

// cutOptions takes the options field from the front: up to the first blank
// outside of double quotes.
func cutOptions(text string) (options, rest string, err error) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && text[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			return text[:i], text[i:], nil
		}
	}
	if quoted {
		return "", "", errors.New("invalid key option string")
	}
	return text, "", nil
}

// Find returns the first line of r that names the key of the query and whose
// conditions (expiry-time, from, cert-authority) hold, nil if there is none. The
// file name is for log lines. Lines that are too long, or that name the key with
// options that cannot be understood, are skipped with sshd's debug line. That a key
// is accepted is the caller's to log. The error is r's own.
func Find(r io.Reader, file string, q *Query) (*Entry, error) {
	// Each line is searched for the key's base64 text, which has one spelling
	// only; just the lines that have it are parsed.
	encoded := []byte(base64.StdEncoding.EncodeToString(q.Blob))
	// A short needle from the end: the beginning is the same for all keys of a
	// type, and Go searches for up to 63 bytes with vector instructions.
	needle := encoded[max(0, len(encoded)-needleLen):]
	if len(encoded) == 0 {
		return nil, nil
	}
	var found *Entry
	number, named := 0, 0
	err := eachLine(r, func(line []byte, tooLong bool) bool {
		number++
		if tooLong {
			q.Log.printf(Debug, "%s: line %d exceeds size limit", file, number)
			return true
		}
		if !bytes.Contains(line, needle) || !bytes.Contains(line, encoded) {
			return true
		}
		if named++; named > maxNamed {
			q.Log.printf(Info, "%s: more than %d lines name the key, those from line %d on do not count", file, maxNamed, number)
			return false
		}
		found = q.check(line, file, number)
		return found == nil
	})
	q.Log.printf(Debug2, "%s: processed %d lines", file, number)
	return found, err
}

// maxNamed is how many lines that name the key are looked at in one file. Each costs as
// much as thousands of others, and a user's file can be full of them.
const maxNamed = 4096

// needleLen covers 36 bytes of the key: 288 bits that no two keys share by chance.
const needleLen = 48

// check parses a line that seems to name the key and applies its conditions.
func (q *Query) check(line []byte, file string, number int) *Entry {
	entry, err := ParseLine(line)
	switch {
	case errors.Is(err, ErrNoKey):
		return nil // a comment, or the text stands somewhere else in the line
	case err != nil:
		q.Log.printf(Debug, "%.200s:%d: bad key options: %v", file, number, err)
		return nil
	case !bytes.Equal(entry.Key.Blob(), q.Blob) || entry.Permissions.CertAuthority != q.CA:
		return nil
	}
	entry.File, entry.Line = file, number
	what := "key"
	if q.CA {
		what = "CA"
	}
	name, fingerprint := sshkey.TypeName(entry.Key.Type()), sshkey.FingerprintSHA256(q.Blob)
	q.Log.printf(Debug, "%.200s:%d: matching %s found: %s %s", file, number, what, name, fingerprint)
	if !q.conditionsHold(&entry.Permissions, q.CA, entry.place()) {
		q.Log.printf(Error, "Refused by key options at %.200s:%d", file, number)
		return nil
	}
	if q.further != nil && !q.further(entry) {
		return nil
	}
	return entry
}

// place is where a line stands, for log lines.
func (e *Entry) place() string { return fmt.Sprintf("%.200s:%d", e.File, e.Line) }

// conditionsHold applies expiry-time, principals, cert-authority, from and a
// certificate's source-address. ca says whether cert-authority may stand there;
// place is where the options come from, for log lines.
func (q *Query) conditionsHold(o *Permissions, ca bool, place string) bool {
	switch {
	case !o.ValidBefore.IsZero() && o.ValidBefore.Unix() < q.Now.Unix():
		q.Log.printf(Debug, "%s: entry expired at %s", place, o.ValidBefore.In(time.Local).Format("2006-01-02T15:04:05"))
		return false
	case o.HasPrincipals && !o.CertAuthority:
		q.Log.printf(Debug, "%s: principals on non-CA key", place)
		return false
	case o.CertAuthority && !ca:
		q.Log.printf(Debug, "%s: cert-authority flag invalid here", place)
		return false
	}
	if o.HasFrom {
		ok, err := user.MatchHostAndAddress(q.Peer, o.From)
		if err != nil {
			q.Log.printf(Debug, "%s: invalid from criteria", place)
		}
		if !ok {
			q.Log.printf(Info, "%s: Authentication tried for %.100s with correct key but not from a permitted "+
				"host (host=%.200s, ip=%.200s, required=%.200s).", place, q.Account.Name, q.Peer.Name(),
				q.Peer.Addr.Unmap().String(), o.From)
			return false
		}
	}
	if o.SourceAddress != "" {
		ok, err := user.MatchCIDRList(q.Peer.Addr, o.SourceAddress)
		if err != nil {
			q.Log.printf(Error, "%s: Certificate source-address invalid", place)
		}
		if !ok {
			q.Log.printf(Info, "%s: Authentication tried for %.100s with valid certificate but not from a permitted "+
				"source address (%.200s).", place, q.Account.Name, q.Peer.Addr.Unmap().String())
			return false
		}
	}
	return true
}

// eachLine calls f with every line until it returns false. A line over maxLine is
// reported as too long, without its text.
func eachLine(r io.Reader, f func(line []byte, tooLong bool) bool) error {
	return textlines.Each(r, maxLine, maxLine, f)
}
