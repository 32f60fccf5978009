package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"nano_ssh_server/server/proto/sshkey"
)

// principals asks AuthorizedPrincipalsFile, then AuthorizedPrincipalsCommand, for a
// line that names a principal of the certificate. used is false if the
// configuration has neither; the account's name counts then.
func (in *CertificateRequest) principals(ctx context.Context) (options *Permissions, used bool) {
	if isSet(in.PrincipalsFile) {
		used = true
		options = in.principalsFile()
	}
	if isSet(in.PrincipalsCommand) {
		used = true
		if options == nil {
			options = in.principalsCommand(ctx)
		}
	}
	return options, used
}

func (in *CertificateRequest) principalsFile() *Permissions {
	path, err := ExpandPath(in.PrincipalsFile, in.Account)
	if err != nil {
		in.Log.printf(Error, "%v", err)
		return nil
	}
	in.Log.printf(Debug, "trying authorized principals file %s", path)
	f, err := OpenTrusted(path, in.Account, in.Strict)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // most accounts have none
	}
	if err != nil {
		in.Log.open(in.Account, "authorized principals", path, err)
		return nil
	}
	defer f.Close()
	limited := &io.LimitedReader{R: f, N: maxKeysFile + 1}
	options, err := in.findPrincipal(limited, path)
	if err == nil && options == nil && limited.N <= 0 {
		err = errFileSize
	}
	if err != nil {
		in.Log.printf(Info, "Could not read user '%s' authorized principals '%s': %v", in.Account.Name, path, err)
		return nil
	}
	return options
}

// findPrincipal returns the options of the first line that names a principal of
// the certificate, nil if there is none. The error is r's own.
func (in *CertificateRequest) findPrincipal(r io.Reader, file string) (options *Permissions, err error) {
	number := 0
	err = eachLine(r, func(line []byte, tooLong bool) bool {
		number++
		place := fmt.Sprintf("%.200s:%d", file, number)
		if tooLong {
			in.Log.printf(Debug, "%s: line exceeds size limit", place)
			return true
		}
		options = in.principalLine(string(line), place)
		return options == nil
	})
	in.Log.printf(Debug2, "%s: processed %d lines", file, number)
	return options, err
}

// principalLine reads one line: options if there are any, and a name. A "#" begins
// a comment wherever it stands.
func (in *CertificateRequest) principalLine(line, place string) *Permissions {
	line, _, _ = strings.Cut(line, "#")
	if line = strings.Trim(line, " \t"); line == "" {
		return nil
	}
	name, field := line, ""
	last := strings.LastIndexByte(line, ' ')
	if last < 0 {
		last = strings.LastIndexByte(line, '\t')
	}
	if last >= 0 {
		name = strings.TrimLeft(line[last:], " \t")
		var err error
		if field, _, err = cutOptions(line); err != nil {
			field = line // for its error
		}
	}
	options, err := ParseOptions(field)
	if err != nil {
		in.Log.printf(Debug, "%s: bad principals options: %v", place, err)
		return nil
	}
	if !slices.Contains(in.Certificate.Principals, name) {
		return nil
	}
	in.Log.printf(Debug2, "%s: matched principal \"%.100s\"", place, name)
	return options
}

// principalsCommand runs AuthorizedPrincipalsCommand. What it says counts if it
// ends with status 0 only.
func (in *CertificateRequest) principalsCommand(ctx context.Context) *Permissions {
	command := prepareCommand("AuthorizedPrincipalsCommand", in.PrincipalsCommand, in.PrincipalsCommandUser,
		in.Account, in.Lookup, in.commandTokens(), in.Log)
	if command == nil {
		return nil
	}
	var options *Permissions
	err := command.Run(ctx, func(r io.Reader) (err error) {
		options, err = in.findPrincipal(r, "(command)")
		return err
	})
	if err != nil {
		in.Log.printf(Error, "%v", err)
		return nil
	}
	return options
}

// commandTokens are the tokens of AuthorizedPrincipalsCommand (sshd_config(5),
// TOKENS).
func (in *CertificateRequest) commandTokens() map[byte]string {
	c := in.Certificate
	encode := base64.StdEncoding.EncodeToString
	return map[byte]string{
		'h': in.Account.Home, 'u': in.Account.Name, 'U': strconv.FormatUint(uint64(in.Account.UID), 10),
		't': c.Type(), 'f': in.fingerprint(c.Key), 'k': encode(c.Blob()),
		'T': c.CA.Type(), 'F': in.fingerprint(c.CA), 'K': encode(c.CA.Blob()),
		'i': c.KeyID, 's': strconv.FormatUint(c.Serial, 10), 'C': in.Connection, 'D': "",
	}
}

// Why a CA is not listed in TrustedUserCAKeys, in the words of sshd's debug line.
var (
	errNotListed = errors.New("key not found")
	errBadLine   = errors.New("invalid format")
)

// listedIn looks for a key in a file with one key a line. The file is the
// administrator's. As in sshd, a line that is no key ends the search.
func listedIn(path string, key sshkey.PublicKey) error {
	f, err := OpenList(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return listed(f, key)
}

func listed(r io.Reader, key sshkey.PublicKey) error {
	found := errNotListed
	err := eachLine(r, func(line []byte, tooLong bool) bool {
		if tooLong {
			found = errBadLine
			return false
		}
		if line = bytes.Trim(line, " \t\r"); len(line) == 0 || line[0] == '#' {
			return true
		}
		ca, _, _, err := sshkey.ParseAuthorized(line)
		kind, _ := cutBlank(string(line))
		_, isCert := sshkey.PlainType(kind)
		switch {
		case err == nil && sshkey.Equal(ca, key):
			found = nil
			return false
		case err == nil || isCert || errors.Is(err, sshkey.ErrKeyLength):
			return true // a certificate is no CA; a short key is no good one
		}
		found = errBadLine
		return false
	})
	if err != nil {
		return err
	}
	return found
}

// expandTokens replaces percent tokens in a text that is one word.
func expandTokens(text string, tokens map[byte]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i++; i == len(text) {
			return "", fmt.Errorf("percent_expand: NULL pattern in \"%.100s\"", text)
		}
		value, known := tokens[text[i]]
		switch {
		case text[i] == '%':
			value = "%"
		case !known:
			return "", fmt.Errorf("percent_expand: unknown key %%%c", text[i])
		}
		b.WriteString(value)
	}
	return b.String(), nil
}
