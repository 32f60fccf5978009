package harness

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// KeyTypes are the names of the key types that Key makes.
var KeyTypes = []string{"ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"}

// Key is a key pair in files of OpenSSH's formats.
type Key struct {
	Type    string
	Path    string // the private key, mode 0600, owned by whoever runs the tests
	Private crypto.Signer
	Public  ssh.PublicKey
	Line    string // as in authorized_keys, without a newline
	PEM     []byte // the private key's file
}

// Signer returns the key for x/crypto/ssh.
func (k *Key) Signer() ssh.Signer {
	s, err := ssh.NewSignerFromSigner(k.Private)
	if err != nil {
		panic(err) // the key was made here
	}
	return s
}

var keys = struct {
	sync.Mutex
	made map[string]*Key
}{made: map[string]*Key{}}

// UserKey returns the user key of a type. name tells several apart: "" is the one
// that servers accept by default.
func UserKey(t testing.TB, keyType, name string) *Key {
	t.Helper()
	return cachedKey(t, keyType, "user"+name)
}

// HostKey returns the host key of a type.
func HostKey(t testing.TB, keyType string) *Key {
	t.Helper()
	return cachedKey(t, keyType, "host")
}

func cachedKey(t testing.TB, keyType, name string) *Key {
	t.Helper()
	keys.Lock()
	defer keys.Unlock()
	id := name + "_" + keyType
	if k := keys.made[id]; k != nil {
		return k
	}
	dir := filepath.Join(base, "keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	k, err := makeKey(keyType, filepath.Join(dir, id))
	if err != nil {
		t.Fatal(err)
	}
	keys.made[id] = k
	return k
}

func makeKey(keyType, path string) (*Key, error) {
	private, err := generate(keyType)
	if err != nil {
		return nil, err
	}
	k := &Key{Type: keyType, Path: path, Private: private}
	if k.Public, err = ssh.NewPublicKey(private.Public()); err != nil {
		return nil, err
	}
	k.Line = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.Public)))
	block, err := ssh.MarshalPrivateKey(private, "test key")
	if err != nil {
		return nil, err
	}
	k.PEM = pem.EncodeToMemory(block)
	if err := os.WriteFile(path+".pub", []byte(k.Line+"\n"), 0o644); err != nil {
		return nil, err
	}
	return k, os.WriteFile(path, k.PEM, 0o600)
}

func generate(keyType string) (crypto.Signer, error) {
	switch keyType {
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "ecdsa256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("unknown key type %q", keyType)
}
