package interop

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

// TestMosh logs in with mosh, which starts its own server through us and leaves us then.
func TestMosh(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		program := harness.Program(t, "mosh")
		s := harness.Start(t, harness.Options{Mode: m})
		c := openssh(t, s)
		cmd := exec.Command(program, "--ssh=ssh "+strings.Join(c.base, " "), "--server=LC_ALL=C.UTF-8 mosh-server",
			c.user+"@127.0.0.1", "--", "/bin/sh")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TERM=xterm"}
		term := openTerminal(t, cmd)
		term.wait(`[$#] `)
		s.Log.Wait(t, 0, `Accepted publickey for `+c.user)
		term.typed("echo over $((40+2)) mosh; id -un\r")
		// mosh draws differences: what stands there already may be missing.
		term.wait(`over 42 mosh`)
		term.typed("exit 0\r")
		term.exit(0)
	})
}

// TestProxyJump goes through one server to another.
func TestProxyJump(t *testing.T) {
	t.Parallel()
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		jump, target := harness.Start(t, harness.Options{Mode: m}), harness.Start(t, harness.Options{Mode: m})
		config := filepath.Join(t.TempDir(), "config")
		text := ""
		for name, s := range map[string]*harness.Server{"jump": jump, "target": target} {
			text += fmt.Sprintf("Host %s\n HostName 127.0.0.1\n Port %d\n User %s\n UserKnownHostsFile %s\n", name, s.Port, s.Account.Name, knownHosts(t, s))
		}
		text += "Host *\n IdentityFile " + harness.UserKey(t, "ed25519", "").Path +
			"\n IdentitiesOnly yes\n IdentityAgent none\n BatchMode yes\n StrictHostKeyChecking yes\n LogLevel ERROR\n"
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := finish(t, exec.Command("ssh", "-F", config, "-J", "jump", "target", "cat; exit 3"), stream(3<<20))
		if digest(strings.NewReader(r.Stdout)) != digest(stream(3<<20)) || r.Code != 3 {
			t.Errorf("exit %d, %d bytes; %s", r.Code, len(r.Stdout), r.Stderr)
		}
		target.Log.Wait(t, 0, `Accepted publickey for `)
	})
}

// TestTunnel joins two networks by `ssh -w`: this one, and one that has nothing else.
func TestTunnel(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	for _, program := range []string{"ip", "unshare", "nsenter", "bash"} {
		harness.Program(t, program)
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skip(err)
	} else {
		f.Close()
	}
	for i, kind := range []string{"point-to-point", "ethernet"} {
		t.Run(kind, func(t *testing.T) {
			s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "PermitTunnel " + kind + "\nPermitRootLogin yes"})
			c := openssh(t, s)
			c.user = "root"
			// A network that no other test has; .1 is the server's end.
			net := fmt.Sprintf("10.%d.%d", 200+s.Port>>8&31, s.Port&255)
			// The client's process has no way out but this one.
			c.base = append(c.base, "-o", "Tunnel="+kind, "-w", "any:any", "-o", "PermitLocalCommand=yes",
				"-o", "LocalCommand=ip addr add "+net+".2/24 dev %T && ip link set %T up",
				"-o", fmt.Sprintf("ProxyCommand=nsenter --net=/proc/%d/ns/net bash -c 'exec 3<>/dev/tcp/%%h/%%p; cat <&3 & exec cat >&3'", os.Getpid()))
			// Whoever asks for a port where nobody listens is told so by the other end's kernel.
			script := fmt.Sprintf(`for d in $(ls /sys/class/net); do case $d in %s*) dev=$d;; esac; done
				ip addr add %s.1/24 dev $dev && ip link set $dev up
				for i in 1 2 3 4 5 6 7 8 9; do timeout 5 bash -c 'echo >/dev/tcp/%s.2/9' 2>&1 | grep -q refused && exec echo refused; done`,
				[]string{"tun", "tap"}[i], net, net)
			cmd := c.cmd(nil, script)
			cmd.Args = append([]string{"unshare", "-n", "--"}, cmd.Args...)
			cmd.Path = harness.Program(t, "unshare")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// The client goes on as long as there is a tunnel.
			killer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			line, _ := bufio.NewReader(stdout).ReadString('\n')
			killer.Stop()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if line != "refused\n" {
				t.Errorf("%q, %s", line, stderr.String())
			}
		})
	}
}

// TestAnsible runs modules over Ansible's default connection: many short sessions, sftp
// and a connection that is kept, with and without pipelining.
func TestAnsible(t *testing.T) {
	t.Parallel()
	program := harness.Program(t, "ansible")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{Mode: m})
		c := openssh(t, s)
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte("content\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, pipelining := range []string{"False", "True"} {
			play := func(module, args string) {
				t.Helper()
				cmd := exec.Command(program, "all", "-i", fmt.Sprintf("%s@127.0.0.1,", c.user), "-m", module, "-a", args)
				cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8", "ANSIBLE_PIPELINING=" + pipelining,
					"ANSIBLE_SSH_COMMON_ARGS=" + strings.Join(c.base, " "), "ANSIBLE_LOCAL_TEMP=" + dir, "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3"}
				if r := finish(t, cmd, nil); r.Code != 0 || !strings.Contains(r.Stdout, "127.0.0.1 | ") {
					t.Errorf("%s %s: %+v", module, args, r)
				}
			}
			play("ping", "")
			copied := filepath.Join(s.Account.Home, "ansible-"+pipelining)
			play("copy", "src="+file+" dest="+copied)
			play("command", "cat "+copied)
			c.expect("cat "+copied, "content", 0)
		}
	})
}
