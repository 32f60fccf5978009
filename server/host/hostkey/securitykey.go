package hostkey

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

// Signatures of security keys are made by OpenSSH's ssh-sk-helper(8), which talks to the
// authenticator in a process of its own. A request is
//
//	uint32 length, byte version, uint32 command, byte log to stderr, uint32 log level,
//	string key, string provider, string data, string algorithm, uint32 compatibility, string PIN
//
// and an answer: uint32 length, byte version, uint32 command, string signature.
const (
	skVersion = 5
	skSign    = 1
	skError   = 0

	// skQuiet is its log level.
	skQuiet = 0
	// skTime is how long a signature may take: nobody touches a host's key.
	skTime = 20 * time.Second
	// maxSKAnswer bounds an answer in bytes.
	maxSKAnswer = 16 << 10
)

// skHelper is where Debian has it; SSH_SK_HELPER in the environment names another.
const skHelper = "/usr/lib/openssh/ssh-sk-helper"

var errSKHelper = errors.New("ssh-sk-helper: malformed answer")

// signBySKHelper is a Signer of sshkey.SecurityKeyPrivate. provider is that of
// SecurityKeyProvider.
func signBySKHelper(provider string) func(serialized, data []byte) ([]byte, error) {
	return func(serialized, data []byte) ([]byte, error) {
		helper := os.Getenv("SSH_SK_HELPER")
		if helper == "" {
			helper = skHelper
		}
		if !filepath.IsAbs(helper) {
			return nil, fmt.Errorf("helper %q unusable: not an absolute path", helper)
		}
		b := wire.AppendUint32([]byte{skVersion}, skSign)
		b = wire.AppendUint32(append(b, 0), skQuiet)
		b = wire.AppendText(wire.AppendString(b, serialized), provider)
		b = wire.AppendText(wire.AppendString(b, data), "")
		b = wire.AppendText(wire.AppendUint32(b, 0), "")
		ctx, cancel := context.WithTimeout(context.Background(), skTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, helper)
		cmd.Stdin = bytes.NewReader(wire.AppendString(nil, b))
		answer := &bounded{most: maxSKAnswer}
		cmd.Stdout = answer
		cmd.WaitDelay = time.Second
		// It ends with status 0 after an error too.
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("helper %q: %w", helper, err)
		}
		return parseSKAnswer(answer.b)
	}
}

func parseSKAnswer(b []byte) ([]byte, error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) != uint64(len(b)-4) {
		return nil, errSKHelper
	}
	r := wire.NewReader(b[4:])
	version, command := r.Byte(), r.Uint32()
	switch {
	case r.Err() != nil || version != skVersion:
		return nil, errSKHelper
	case command == skError:
		return nil, fmt.Errorf("ssh-sk-helper: error %d", int32(r.Uint32()))
	case command != skSign:
		return nil, errSKHelper
	}
	signature := r.String()
	if r.End() != nil {
		return nil, errSKHelper
	}
	return signature, nil
}

// bounded keeps what is written, up to a size; more is an error.
type bounded struct {
	b    []byte
	most int
}

func (w *bounded) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > w.most {
		return 0, errSKHelper
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

// prepare gives a security key the way to its authenticator.
func prepare(key sshkey.PrivateKey, provider string) {
	if sk, ok := key.(*sshkey.SecurityKeyPrivate); ok {
		sk.WithoutTouch()
		sk.Signer = signBySKHelper(provider)
	}
}
