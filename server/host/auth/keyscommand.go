package auth

import (
	"context"
	"encoding/base64"
	"io"
	"strconv"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// KeysCommand is AuthorizedKeysCommand, to be asked about one key. Line and User
// are the configuration's, with tokens.
type KeysCommand struct {
	Line string // AuthorizedKeysCommand
	User string // AuthorizedKeysCommandUser

	Account *user.Account
	Key     sshkey.PublicKey // or a certificate
	// Connection is what %C stands for: the peer's address and port, and the server's.
	Connection string
	Lookup     func(name string) (*user.Account, error)
	// Fingerprint is that of FingerprintHash; nil means sshkey.FingerprintSHA256.
	Fingerprint func(blob []byte) string
	Log         Log
}

const keysCommandTag = "AuthorizedKeysCommand"

// Run lets read have the program's output, in the format of authorized_keys, with
// the name that log lines have for it. It reports whether the output counts: not
// if the program ended with another status than 0. Without a command it does
// nothing. ctx bounds the program.
func (k *KeysCommand) Run(ctx context.Context, read func(r io.Reader, name string) error) bool {
	if !isSet(k.Line) {
		return false
	}
	command := prepareCommand(keysCommandTag, k.Line, k.User, k.Account, k.Lookup, k.tokens(), k.Log)
	if command == nil {
		return false
	}
	if len(command.Argv) == 1 {
		command.Argv = append(command.Argv, k.Account.Name)
	}
	k.Log.printf(Debug2, "Running %s: %q as \"%s\"", keysCommandTag, command.Argv, command.As.Name)
	if err := command.Run(ctx, func(r io.Reader) error { return read(r, k.Line) }); err != nil {
		k.Log.printf(Error, "%v", err)
		return false
	}
	return true
}

// tokens are those of sshd_config(5), TOKENS. As there is no routing domain that
// this server knows, %D is empty.
func (k *KeysCommand) tokens() map[byte]string {
	public := k.Key
	if c, ok := k.Key.(*sshkey.Certificate); ok {
		public = c.Key
	}
	fingerprint := k.Fingerprint
	if fingerprint == nil {
		fingerprint = sshkey.FingerprintSHA256
	}
	return map[byte]string{
		'h': k.Account.Home, 'u': k.Account.Name, 'U': strconv.FormatUint(uint64(k.Account.UID), 10),
		't': k.Key.Type(), 'f': fingerprint(public.Blob()), 'k': base64.StdEncoding.EncodeToString(k.Key.Blob()),
		'C': k.Connection, 'D': "",
	}
}

// prepareCommand is what both commands have in common: whom to run as, and the
// words of the command line. nil means that there is nothing to run; why is logged.
func prepareCommand(tag, line, as string, a *user.Account, lookup func(string) (*user.Account, error),
	tokens map[byte]string, log Log) *Command {
	if !isSet(as) || lookup == nil {
		log.printf(Error, "No user for %s specified, skipping", tag)
		return nil
	}
	name, err := expandTokens(as, map[byte]string{'u': a.Name})
	if err != nil {
		log.printf(Error, "%v", err)
		return nil
	}
	account, err := lookup(name)
	if err != nil {
		log.printf(Error, "%sUser \"%s\" not found: %v", tag, name, err)
		return nil
	}
	argv, err := SplitCommand(line, tokens)
	switch {
	case err != nil:
		log.printf(Error, "%s \"%s\" contains invalid quotes", tag, line)
		return nil
	case len(argv) == 0:
		log.printf(Error, "%s \"%s\" yielded no arguments", tag, line)
		return nil
	}
	return &Command{Tag: tag, Argv: argv, As: account}
}
