package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

// hostbasedClient is OpenSSH's client on a machine of its own: a mount namespace in
// which /etc/ssh has this host key, and lets ssh-keysign use it. Its name for
// itself is that of 127.0.0.1 in /etc/hosts.
type hostbasedClient struct {
	*client
	dir  string
	user harness.Account
}

func newHostbasedClient(t *testing.T, s *harness.Server, key *harness.Key) *hostbasedClient {
	t.Helper()
	for _, program := range []string{"unshare", "setpriv", "mount"} {
		harness.Program(t, program)
	}
	if st, err := os.Stat("/usr/lib/openssh/ssh-keysign"); err != nil || st.Mode()&os.ModeSetuid == 0 {
		t.Skip("ssh-keysign is not there, or not setuid")
	}
	u := harness.Lookup(t, "nanohash-2b")
	h := &hostbasedClient{client: openssh(t, s), dir: filepath.Join(harness.SharedDir(), "hostbased"), user: u}
	h.client.user = u.Name
	for name, text := range map[string]string{
		"ssh_host_ed25519_key": string(key.PEM), "ssh_host_ed25519_key.pub": key.Line + "\n",
		"ssh_config": "Host *\n\tEnableSSHKeysign yes\n\tHostbasedAuthentication yes\n", "known_hosts": serverKeys(s),
	} {
		mode := os.FileMode(0o644)
		if name == "ssh_host_ed25519_key" {
			mode = 0o600
		}
		h.write(filepath.Join(h.dir, name), text, mode, 0)
	}
	t.Cleanup(func() {
		for _, path := range []string{h.dir, filepath.Join(u.Home, ".shosts"), filepath.Join(u.Home, ".ssh")} {
			_ = os.RemoveAll(path)
		}
	})
	return h
}

func serverKeys(s *harness.Server) string {
	var b strings.Builder
	for _, k := range s.HostKeys {
		fmt.Fprintf(&b, "[127.0.0.1]:%d %s\n", s.Port, k.Line)
	}
	return b.String()
}

// write writes a file that belongs to uid.
func (h *hostbasedClient) write(path, text string, mode os.FileMode, uid int) {
	h.t.Helper()
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		h.t.Fatal(err)
	}
	for _, name := range []string{dir, path} {
		if uid != 0 && name != h.user.Home {
			if err := os.Chown(name, uid, uid); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// trust writes the user's files: who is trusted, and the key of which names.
func (h *hostbasedClient) trust(shosts, knownHosts string) {
	h.t.Helper()
	h.write(filepath.Join(h.user.Home, ".shosts"), shosts, 0o600, h.user.UID)
	h.write(filepath.Join(h.user.Home, ".ssh", "known_hosts"), knownHosts, 0o644, h.user.UID)
}

// login runs a command by way of hostbased alone.
func (h *hostbasedClient) login(command string) result {
	h.t.Helper()
	ssh := h.cmd([]string{
		"-F", filepath.Join(h.dir, "ssh_config"), "-o", "PreferredAuthentications=hostbased",
		"-o", "UserKnownHostsFile=" + filepath.Join(h.dir, "known_hosts"),
	}, command)
	args := ssh.Args[1:]
	args = args[2:] // "-F /dev/null"
	for i := range args {
		if strings.HasPrefix(args[i], "UserKnownHostsFile=") {
			args[i] = "UserKnownHostsFile=" + filepath.Join(h.dir, "known_hosts")
		}
	}
	script := `mount --bind "$1" /etc/ssh && id=$2 && shift 2 && exec setpriv --reuid "$id" --regid "$id" --clear-groups ssh "$@"`
	ssh.Path, _ = filepath.Abs("/usr/bin/unshare")
	ssh.Args = append([]string{"unshare", "-m", "sh", "-c", script, "sh", h.dir, fmt.Sprint(h.user.UID)}, args...)
	return finish(h.t, ssh, nil)
}

// TestHostbased logs in with OpenSSH's client and its ssh-keysign.
func TestHostbased(t *testing.T) {
	harness.NeedRoot(t)
	key := harness.UserKey(t, "ed25519", "-machine")
	for _, c := range []struct {
		name, config, shosts, known string
		in                          bool
	}{
		{"name from packet", "HostbasedUsesNameFromPacketOnly yes", "localhost", "localhost", true},
		{"name from packet, hashed", "HostbasedUsesNameFromPacketOnly yes", "localhost", hashed(t, "localhost"), true},
		{"address", "UseDNS no", "127.0.0.1", "127.0.0.1", true},
		{"name from DNS", "UseDNS yes", "localhost", "localhost", true},
		{"name without DNS", "UseDNS no", "localhost", "localhost", false},
		{"unknown key", "HostbasedUsesNameFromPacketOnly yes", "localhost", "other", false},
		{"nobody trusted", "HostbasedUsesNameFromPacketOnly yes", "", "localhost", false},
		{"rhosts ignored", "HostbasedUsesNameFromPacketOnly yes\nIgnoreRhosts yes", "localhost", "localhost", false},
		{"shosts only", "HostbasedUsesNameFromPacketOnly yes\nIgnoreRhosts shosts-only", "localhost", "localhost", true},
		{"user's keys ignored", "HostbasedUsesNameFromPacketOnly yes\nIgnoreUserKnownHosts yes", "localhost", "localhost", false},
		{"algorithm", "HostbasedUsesNameFromPacketOnly yes\nHostbasedAcceptedAlgorithms ssh-rsa", "localhost", "localhost", false},
		{"other user", "HostbasedUsesNameFromPacketOnly yes\nMatch User nobody\nHostbasedAuthentication no\nMatch all", "localhost", "localhost", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := c.config
			if !strings.Contains(config, "IgnoreRhosts") {
				config = "IgnoreRhosts no\n" + config
			}
			s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "HostbasedAuthentication yes\nExposeAuthInfo yes\nLogLevel VERBOSE\n" + config})
			h := newHostbasedClient(t, s, key)
			h.trust(c.shosts+"\n", c.known+" "+key.Line+"\n")
			r := h.login("id -un; cat $SSH_USER_AUTH")
			if !c.in {
				if r.Code != 255 || r.Stdout != "" {
					t.Errorf("exit %d, stdout %q", r.Code, r.Stdout)
				}
				return
			}
			fields := strings.Fields(key.Line)
			want := fmt.Sprintf("%s\nhostbased %s %s\n", h.user.Name, fields[0], fields[1])
			if r.Code != 0 || r.Stdout != want {
				t.Errorf("exit %d, stdout %q, stderr %q; expected %q\n%s", r.Code, r.Stdout, r.Stderr, want, s.Log)
			}
			s.Log.Wait(t, 0, `Accepted ED25519 public key SHA256:\S+ from `+h.user.Name+`@(localhost|127\.0\.0\.1)`)
			s.Log.Wait(t, 0, `Accepted hostbased for `+h.user.Name+` from 127\.0\.0\.1 port \d+ ssh2: ED25519 SHA256:\S+$`)
		})
	}
}

// hashed is a name as ssh-keygen -H writes it.
func hashed(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(name+" "+harness.UserKey(t, "ed25519", "").Line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := finish(t, exec.Command(harness.Program(t, "ssh-keygen"), "-H", "-f", path), nil); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))[0]
}
