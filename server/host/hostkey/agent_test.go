package hostkey

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/wire"
)

// agent answers each request on a socket with what answer makes of it.
func agent(t *testing.T, answer func(request []byte) []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var length [4]byte
			if _, err := io.ReadFull(c, length[:]); err == nil {
				request := make([]byte, binary.BigEndian.Uint32(length[:]))
				_, _ = io.ReadFull(c, request)
				_, _ = c.Write(answer(request))
			}
			c.Close()
		}
	}()
	return path
}

// signed is an answer with a signature.
func signed(signature []byte) []byte {
	return wire.AppendString(nil, wire.AppendString([]byte{agentSignResponse}, signature))
}

func TestAgent(t *testing.T) {
	dir := t.TempDir()
	path := keyFile(t, dir)
	key, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(dir, "only.pub")
	if err := os.WriteFile(public, sshkey.MarshalAuthorized(key.Public(), "x"), 0o644); err != nil {
		t.Fatal(err)
	}
	data := []byte("exchange hash")
	good := func(request []byte) []byte {
		r := wire.NewReader(request)
		if kind, blob, what, flags := r.Byte(), r.String(), r.String(), r.Uint32(); r.End() != nil || kind != agentSignRequest ||
			!bytes.Equal(blob, key.Public().Blob()) || flags != 0 {
			t.Errorf("request % x", request)
		} else if signature, err := key.Sign("ssh-ed25519", what); err == nil {
			return signed(signature)
		}
		return nil
	}
	load := func(socket string) (*Set, []string) {
		set, failed, notes := LoadAll(&Files{Keys: []string{strings.TrimSuffix(public, ".pub")}, Agent: socket})
		if set.Len()+len(failed) != 1 {
			t.Fatalf("%d keys, %v", set.Len(), failed)
		}
		return set, notes
	}
	set, notes := load(agent(t, good))
	if len(notes) != 0 || set.Len() != 1 {
		t.Fatal(notes)
	}
	signature, err := set.Sign("ssh-ed25519", data)
	if err != nil || key.Public().Verify("ssh-ed25519", data, signature) != nil {
		t.Error(err)
	}
	other, err := key.Sign("ssh-ed25519", []byte("something else"))
	if err != nil {
		t.Fatal(err)
	}
	for what, answer := range map[string][]byte{
		"a foreign signature": signed(other),
		"no":                  wire.AppendString(nil, []byte{5}),
		"too much":            wire.AppendUint32(nil, 1<<30),
		"nothing":             nil,
		"an empty answer":     {0, 0, 0, 0},
		"half an answer":      signed(other)[:20],
		"more than it says":   wire.AppendString(nil, append(wire.AppendString([]byte{agentSignResponse}, other), 1)),
	} {
		set, _ := load(agent(t, func([]byte) []byte { return answer }))
		if _, err := set.Sign("ssh-ed25519", data); err == nil {
			t.Errorf("%s is a signature", what)
		}
	}
	// Without an agent the file is not enough.
	missing := filepath.Join(dir, "no-agent")
	if set, notes := load(missing); set.Len() != 0 || len(notes) != 1 || !strings.HasPrefix(notes[0], "Could not connect to agent \""+missing+"\": No such file") {
		t.Errorf("%d keys, %q", set.Len(), notes)
	}
}
