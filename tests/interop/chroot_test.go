package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

// TestChroot: a user of ChrootDirectory sees that directory and nothing else, with
// no program in it; a directory that others may write to is refused.
func TestChroot(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	harness.Program(t, "sftp")
	// SharedDir is root's, all the way from the top.
	jail, err := os.MkdirTemp(harness.SharedDir(), "jail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(jail) })
	if err := os.Chmod(jail, 0o755); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Options{
		Mode: harness.AsRoot, Config: "Subsystem sftp internal-sftp\nChrootDirectory " + jail + "\nForceCommand internal-sftp",
	})
	up := filepath.Join(jail, "up")
	if err := os.Mkdir(up, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(up, s.Account.UID, s.Account.GID); err != nil {
		t.Fatal(err)
	}
	c := openssh(t, s)
	local := t.TempDir()
	if err := os.WriteFile(filepath.Join(local, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := c.works(local, "put file /up/file", "ls -1 /")
	if !strings.Contains(out, "/up") || strings.Contains(out, "etc") {
		t.Errorf("%q", out)
	}
	if b, err := os.ReadFile(filepath.Join(up, "file")); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
	if r := c.run("id"); !strings.Contains(r.Stdout+r.Stderr, "This service allows sftp connections only.") {
		t.Errorf("a command: %+v", r)
	}
	// The user's process goes on for a while; a new one looks at the directory again.
	if harness.PeerIsSSHD() {
		return
	}
	if err := os.Chmod(jail, 0o777); err != nil {
		t.Fatal(err)
	}
	other := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "ChrootDirectory " + jail})
	if r := openssh(t, other).run("true"); r.Code == 0 {
		t.Errorf("a directory that everybody may write to: %+v", r)
	}
	other.Log.Wait(t, 0, `bad ownership or modes for chroot directory "`)
}
