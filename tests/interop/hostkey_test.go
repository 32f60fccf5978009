package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nano_ssh_server/tests/harness"
)

// hostKeys makes host keys with the real ssh-keygen, in a folder that the server may read.
func hostKeys(t *testing.T, s *harness.Server, types ...string) string {
	t.Helper()
	dir := filepath.Join(s.Dir, "keys")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range append(types, "ca") {
		of := map[string]string{"ca": "ed25519"}[kind]
		if of == "" {
			of = kind
		}
		out, err := exec.Command("ssh-keygen", "-q", "-t", of, "-N", "", "-C", "", "-f", filepath.Join(dir, kind)).CombinedOutput()
		if err != nil {
			t.Skipf("this ssh-keygen makes no %s keys: %s", of, out)
		}
		if s.Mode == harness.AsUser && harness.HasRoot() {
			for _, name := range []string{kind, kind + ".pub"} {
				if err := os.Chown(filepath.Join(dir, name), s.Account.UID, s.Account.GID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return dir
}

// TestHostCertificate: a client that knows the authority only takes the certificate, in
// the first key exchange and in later ones; so do clients that know the key only.
func TestHostCertificate(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		harness.Program(t, "ssh-keygen")
		o := harness.Options{Mode: m}
		s := harness.Prepare(t, o)
		dir := hostKeys(t, s, "ed25519", "rsa")
		config := "RekeyLimit 64K\n"
		for _, kind := range []string{"ed25519", "rsa"} {
			cmd := exec.Command("ssh-keygen", "-q", "-s", "ca", "-h", "-I", "host", "-n", "127.0.0.1", kind+".pub")
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			config += "HostKey " + filepath.Join(dir, kind) + "\nHostCertificate " + filepath.Join(dir, kind+"-cert.pub") + "\n"
		}
		o.Config = config
		s = harness.Start(t, o)
		ca, err := os.ReadFile(filepath.Join(dir, "ca.pub"))
		if err != nil {
			t.Fatal(err)
		}
		known := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(known, append([]byte("@cert-authority * "), ca...), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, names := range []string{"ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"} {
			c := openssh(t, s, "-o", "UserKnownHostsFile="+known, "-o", "HostKeyAlgorithms="+names)
			both(t, c, 300<<10)
		}
		plain := filepath.Join(t.TempDir(), "known_hosts")
		key, err := os.ReadFile(filepath.Join(dir, "rsa.pub"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(plain, append([]byte("* "), key...), 0o644); err != nil {
			t.Fatal(err)
		}
		both(t, openssh(t, s, "-o", "UserKnownHostsFile="+plain, "-o", "HostKeyAlgorithms=rsa-sha2-512"), 1000)
	})
}

// TestHostKeyAgent: the private half is with an agent; when that goes, logins fail
// with a line in the log, and when it is back they work again.
func TestHostKeyAgent(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		harness.Program(t, "ssh-agent")
		harness.Program(t, "ssh-add")
		o := harness.Options{Mode: m}
		s := harness.Prepare(t, o)
		dir := hostKeys(t, s, "ecdsa")
		socket := filepath.Join(dir, "agent")
		agent := func() *exec.Cmd {
			_ = os.Remove(socket)
			cmd := s.Command("ssh-agent", "-D", "-a", socket)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, limit, "the agent's socket", func() bool {
				_, err := os.Stat(socket)
				return err == nil
			})
			add := s.Command("ssh-add", "-q", filepath.Join(dir, "private"))
			add.Env = append(add.Env, "SSH_AUTH_SOCK="+socket)
			if out, err := add.CombinedOutput(); err != nil {
				t.Fatalf("ssh-add: %v: %s", err, out)
			}
			return cmd
		}
		stop := func(cmd *exec.Cmd) {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
		if err := os.Chmod(dir, 0o777); err != nil { // the server's account makes the socket
			t.Fatal(err)
		}
		// Of the key that the configuration names only the public half is there.
		if err := os.Rename(filepath.Join(dir, "ecdsa"), filepath.Join(dir, "private")); err != nil {
			t.Fatal(err)
		}
		running := agent()
		defer func() { stop(running) }()
		o.Config = "HostKey " + filepath.Join(dir, "ecdsa") + "\nHostKeyAgent " + socket + "\nHostKeyAlgorithms ecdsa-sha2-nistp256\n"
		s = harness.Start(t, o)
		key, err := os.ReadFile(filepath.Join(dir, "ecdsa.pub"))
		if err != nil {
			t.Fatal(err)
		}
		known := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(known, append([]byte("* "), key...), 0o644); err != nil {
			t.Fatal(err)
		}
		c := openssh(t, s, "-o", "UserKnownHostsFile="+known)
		both(t, c, 1000)
		stop(running)
		mark := s.Log.Len()
		if out, err := c.cmd(nil, "true").CombinedOutput(); err == nil {
			t.Errorf("a login without the agent: %s", out)
		}
		s.Log.Wait(t, mark, `agent "`+socket+`": `)
		running = agent()
		both(t, c, 1000)
	})
}

// TestDSA: the oldest keys work for hosts and users once the configuration names them,
// and only then.
func TestDSA(t *testing.T) {
	if out, err := exec.Command("ssh", "-Q", "key").Output(); err != nil || !strings.Contains(string(out), "ssh-dss") {
		t.Skip("this ssh has no ssh-dss")
	}
	o := harness.Options{}
	s := harness.Prepare(t, o)
	dir := hostKeys(t, s, "dsa", "ed25519")
	line, err := os.ReadFile(filepath.Join(dir, "dsa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	// The client is this test's account.
	private, err := os.ReadFile(filepath.Join(dir, "dsa"))
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(identity, private, 0o600); err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, append([]byte("* "), line...), 0o644); err != nil {
		t.Fatal(err)
	}
	try := func(config string) error {
		s := harness.Start(t, harness.Options{
			Config:     "HostKey " + filepath.Join(dir, "dsa") + "\n" + config,
			Authorized: []string{strings.TrimSpace(string(line))},
		})
		c := openssh(t, s, "-i", identity, "-o", "UserKnownHostsFile="+known,
			"-o", "HostKeyAlgorithms=ssh-dss", "-o", "PubkeyAcceptedAlgorithms=ssh-dss")
		return c.cmd(nil, "true").Run()
	}
	if err := try("HostKeyAlgorithms +ssh-dss\nPubkeyAcceptedAlgorithms +ssh-dss"); err != nil {
		t.Error(err)
	}
	if try("HostKeyAlgorithms +ssh-dss") == nil {
		t.Error("a user's DSA key is accepted by default")
	}
	if try("PubkeyAcceptedAlgorithms +ssh-dss") == nil {
		t.Error("a host's DSA key is offered by default")
	}
}
