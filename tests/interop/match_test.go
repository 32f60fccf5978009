package interop

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
)

const sessionBlocks = `
SetEnv KIND=global
Match sessiontype exec command "echo mine,echo $KIND *"
	ForceCommand none
	AcceptEnv NANO_EXEC
	SetEnv KIND=allowed
Match sessiontype exec
	ForceCommand echo "forced [$SSH_ORIGINAL_COMMAND] $KIND [$NANO_ALL$NANO_EXEC]"; tty
	PermitTTY no
Match sessiontype shell
	SetEnv KIND=shell
	PermitUserRC no
Match sessiontype subsystem command files
	Subsystem files internal-sftp -R
Match sessiontype none
	ForceCommand false
`

// TestSessionMatch: Match sessiontype and Match command decide when a session asks for
// its program, by what the client asked for.
func TestSessionMatch(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "sshd has no such criteria")
	harness.Program(t, "sftp")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := harness.Start(t, harness.Options{
			Mode: m, Config: "AcceptEnv NANO_ALL\nSubsystem sftp internal-sftp\nSubsystem files internal-sftp", Match: sessionBlocks,
		})
		// One connection, made with -N, serves them all.
		c := master(t, s, "-o", "SendEnv=NANO_*")
		c.env = []string{"NANO_ALL=all", "NANO_EXEC=exec"}
		forced := func(command string) string { return "forced [" + command + "] global [all]\nnot a tty" }
		each := func(t *testing.T) {
			c.expect("echo mine", "mine", 0)
			c.expect("echo $KIND $NANO_ALL-$NANO_EXEC", "allowed -exec", 0)
			for _, command := range []string{"id", "echo mine too", " echo mine", "echo", "files"} {
				c.expect(command, forced(command), 1)
			}
			r := finish(t, c.cmd([]string{"-T"}, ""), strings.NewReader("echo $KIND $NANO_ALL-$NANO_EXEC\n"))
			if r.Code != 0 || r.Stdout != "shell all-\n" {
				t.Errorf("shell: %+v", r)
			}
		}
		each(t)
		// A terminal that was granted before the program was known is gone.
		r := c.run("x", "-tt")
		if !strings.HasPrefix(r.Stdout, forced("x")) || !strings.Contains(r.Stderr, "A terminal is not permitted for this session.") {
			t.Errorf("with -tt: %+v", r)
		}
		local, remote := t.TempDir(), remoteFolder(t, s)
		if err := os.WriteFile(filepath.Join(local, "in"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		for subsystem, writes := range map[string]bool{"sftp": true, "files": false} {
			out := filepath.Join(remote, subsystem)
			r := c.batch(local, []string{"-s", subsystem}, "put in "+out)
			if _, err := os.Stat(out); writes != (r.Code == 0 && err == nil) || !writes && !strings.Contains(r.Stderr, "ermission denied") {
				t.Errorf("subsystem %s: %+v, %v", subsystem, r, err)
			}
		}
		// The connection keeps what it was made with, whatever becomes of the server.
		s.Configure(harness.Options{Mode: m, Config: "ForceCommand echo new"})
		s.Signal(syscall.SIGHUP)
		fresh := openssh(t, s)
		harness.Eventually(t, 15*time.Second, "the new configuration", func() bool { return fresh.run("x").Stdout == "new\n" })
		each(t)
		if m == harness.AsRoot {
			s.Signal(syscall.SIGTERM)
			if code, err := s.Wait(15 * time.Second); err != nil || code != 0 {
				t.Fatalf("exit %d, %v", code, err)
			}
			each(t)
		}
	})
}

// TestMatchServer: criteria about the server and the socket that took the connection.
func TestMatchServer(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "it has another version")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		user := "root"
		if m == harness.AsUser {
			user = "*,!root"
		}
		port := strconv.Itoa(harness.FreePort(t))
		s := harness.Start(t, harness.Options{Mode: m, Config: "ListenAddress 127.0.0.1:" + port + " rdomain lo", Match: "" +
			"Match version OpenSSH_*,!nano*\n ForceCommand echo wrong\n" +
			"Match version nano_ssh_server_* localuser " + user + " rdomain lo\n ForceCommand echo bound\n" +
			"Match version nano_ssh_server_* localuser " + user + "\n ForceCommand echo free\n"})
		openssh(t, s).expect("true", "free", 0)
		openssh(t, s, "-p", port, "-o", "HostKeyAlias=[127.0.0.1]:"+strconv.Itoa(s.Port)).expect("true", "bound", 0)
	})
}
