package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

const (
	namespaceVar = "NANOBENCH_NAMESPACE" // "1": this process lives in the private namespace
	accounts     = 20                    // each can be logged in to "for the first time" once a measurement
	firstUID     = 20601
)

// place is where a run keeps its files, and who logs in.
type place struct {
	base    string
	private bool // root, in a mount namespace of its own with accounts of its own
	users   []string
	uid     int
	home    string // of users[0]; servers' users can write there
	shell   string // resolved, to know it in /proc
	key     ssh.Signer
	keyFile string
	line    string // of authorized_keys
	helper  string // this program, where the users can start it
	hostKey string // file
}

func newPlace() (*place, error) {
	if os.Geteuid() == 0 && os.Getenv(namespaceVar) == "" {
		if err := enterNamespace(); err != nil {
			fmt.Fprintln(os.Stderr, "nanobench: no private mount namespace:", err)
		}
	}
	p := &place{private: os.Getenv(namespaceVar) == "1"}
	err := p.makeBase()
	if err == nil {
		err = p.makeKeys()
	}
	if err == nil {
		err = p.makeUsers()
	}
	if err == nil {
		p.helper = filepath.Join(p.base, "nanobench")
		err = copyFile("/proc/self/exe", p.helper, 0o755)
	}
	if err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

// remove takes away all files. A private folder goes with the namespace.
func (p *place) remove() {
	if !p.private && p.base != "" {
		_ = os.RemoveAll(p.base)
	}
}

// enterNamespace starts this program again in a mount namespace of its own, as the
// same process. It returns only if that is not possible.
func enterNamespace() error {
	runtime.LockOSThread() // the namespace belongs to this thread until the exec
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), namespaceVar+"=1"))
}

func (p *place) makeBase() (err error) {
	if !p.private {
		if p.base, err = os.MkdirTemp("", "nanobench-"); err != nil {
			return err
		}
		return os.Chmod(p.base, 0o755)
	}
	if parent := os.Getenv(linkVar); parent != "" {
		p.base = filepath.Join(parent, "link")
		if err := os.MkdirAll(p.base, 0o755); err != nil {
			return err
		}
	}
	// A folder that only root can write to, all the way from the top: StrictModes.
	for _, dir := range []string{"/srv", "/mnt", "/media", "/opt"} {
		if list, err := os.ReadDir(dir); p.base == "" && err == nil && len(list) == 0 {
			p.base = dir
		}
	}
	if p.base == "" {
		return errors.New("no empty folder of /srv, /mnt, /media, /opt to mount on")
	}
	// Files of sftp are in memory, so that no disk is measured; records of logins
	// and links of servers stay in the namespace.
	for _, dir := range []string{p.base, "/run", "/var/log"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	pts := "newinstance,ptmxmode=0666,mode=0620,gid=5,max=20000"
	if err := syscall.Mount("devpts", "/dev/pts", "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, pts); err != nil {
		return fmt.Errorf("mount /dev/pts: %w", err)
	}
	return os.Mkdir("/run/sshd", 0o755)
}

func (p *place) makeKeys() error {
	for _, name := range []string{"user_key", "host_key"} {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		if err != nil {
			return err
		}
		file := filepath.Join(p.base, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
		if name == "host_key" {
			p.hostKey = file
			continue
		}
		p.keyFile = file
		if p.key, err = ssh.NewSignerFromKey(private); err != nil {
			return err
		}
		wire, err := ssh.NewPublicKey(public)
		if err != nil {
			return err
		}
		p.line = string(ssh.MarshalAuthorizedKey(wire))
	}
	return os.WriteFile(filepath.Join(p.base, "authorized_keys"), []byte(p.line), 0o644)
}

// makeUsers makes accounts in the private namespace; without it the own one serves.
func (p *place) makeUsers() error {
	shell := "/bin/sh"
	if !p.private {
		u, err := user.Current()
		if err != nil {
			return err
		}
		p.users, p.uid, p.home = []string{u.Username}, os.Getuid(), filepath.Join(p.base, "files")
		if s := loginShell(u.Username); s != "" {
			shell = s
		}
		p.shell, err = filepath.EvalSymlinks(shell)
		return errors.Join(err, os.Mkdir(p.home, 0o700))
	}
	first, prefix := firstUID, "bench"
	if os.Getenv(linkVar) != "" { // the other accounts are there already
		first, prefix = first+accounts, "link"
	}
	var passwd, shadow, group strings.Builder
	for i := range accounts {
		name, id := fmt.Sprintf("%s%02d", prefix, i), first+i
		home := filepath.Join(p.base, "home", name)
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:%s\n", name, id, id, home, shell)
		fmt.Fprintf(&shadow, "%s:*:20000:0:99999:7:::\n", name)
		fmt.Fprintf(&group, "%s:x:%d:\n", name, id)
		keys := filepath.Join(home, ".ssh", "authorized_keys")
		if err := os.MkdirAll(filepath.Dir(keys), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(keys, []byte(p.line), 0o644); err != nil {
			return err
		}
		for _, path := range []string{home, filepath.Dir(keys), keys} {
			if err := os.Chown(path, id, id); err != nil {
				return err
			}
		}
		p.users = append(p.users, name)
	}
	p.uid, p.home = first, filepath.Join(p.base, "home", p.users[0])
	for _, f := range []struct {
		name, lines string
		mode        os.FileMode
	}{{"passwd", passwd.String(), 0o644}, {"shadow", shadow.String(), 0o600}, {"group", group.String(), 0o644}} {
		if err := p.extend("/etc/"+f.name, f.lines, f.mode); err != nil {
			return err
		}
	}
	var err error
	p.shell, err = filepath.EvalSymlinks(shell)
	return err
}

// extend puts a longer copy of a file over it, in this namespace.
func (p *place) extend(path, lines string, mode os.FileMode) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	with := filepath.Join(p.base, filepath.Base(path))
	if err := os.WriteFile(with, append(text, lines...), mode); err != nil {
		return err
	}
	return syscall.Mount(with, path, "", syscall.MS_BIND, "")
}

func loginShell(name string) string {
	text, _ := os.ReadFile("/etc/passwd")
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[0] == name {
			return f[6]
		}
	}
	return ""
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
