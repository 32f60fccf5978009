package account

import (
	"slices"
	"testing"

	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/service/session"
)

// TestSessionPolicy follows a Match block from the grant to a session's policy.
func TestSessionPolicy(t *testing.T) {
	sftp := []ipc.Subsystem{{Name: "sftp", Command: "/a"}, {Name: "other", Command: "/b"}}
	line := func(keyword, text string) ipc.SessionLine {
		return ipc.SessionLine{File: "f", Number: 1, Keyword: keyword, Text: text}
	}
	l := &Login{Grant: &ipc.Grant{
		Permissions: ipc.Permissions{PTY: true, UserRC: true},
		Settings: ipc.Settings{
			ForceCommand: "x", PermitUserRC: true, AcceptEnv: []string{"B"}, SetEnv: []string{"V=1"}, Subsystems: sftp, QoSInteractive: 8, QoSBulk: 16,
			SessionBlocks: []ipc.SessionBlock{
				{Criteria: []ipc.SessionCriterion{{Name: "sessiontype", Pattern: "exec"}, {Name: "command", Pattern: "a *"}}, Lines: []ipc.SessionLine{
					line("ForceCommand", "none"), line("PermitTTY", "yes"), line("AcceptEnv", "A"), line("Subsystem", "sftp /c"), line("IPQoS", "0x20"),
				}},
				{Criteria: []ipc.SessionCriterion{{Name: "sessiontype", Pattern: "*"}}, Lines: []ipc.SessionLine{
					line("PermitUserRC", "no"), line("AcceptEnv", "C"), line("SetEnv", "V=2"),
				}},
			},
		},
	}}
	policy := &session.Policy{}
	l.setSessions(policy)
	if !policy.PermitPTY || !slices.Equal(policy.AcceptEnv, []string{"A", "B", "C"}) {
		t.Errorf("before the program is known: %v %q", policy.PermitPTY, policy.AcceptEnv)
	}
	own := *policy
	if err := own.Match(&own, "exec", "a b"); err != nil {
		t.Fatal(err)
	}
	if own.ForceCommand != "" || !own.PermitPTY || own.PermitUserRC || !slices.Equal(own.AcceptEnv, []string{"A", "C"}) || own.SetEnv[0] != "V=2" ||
		own.Subsystems["sftp"] != "/c" || own.Subsystems["other"] != "/b" || own.QoSBulk != 0x20 || own.QoSInteractive != 0x20 {
		t.Errorf("exec: %+v", own)
	}
	own = *policy
	if err := own.Match(&own, "shell", ""); err != nil {
		t.Fatal(err)
	}
	if own.ForceCommand != "x" || own.PermitPTY || own.PermitUserRC || !slices.Equal(own.AcceptEnv, []string{"C"}) ||
		own.Subsystems["sftp"] != "/a" || own.QoSBulk != 16 || own.QoSInteractive != 8 {
		t.Errorf("shell: %+v", own)
	}
	l.Grant.Permissions = ipc.Permissions{}
	if l.setSessions(policy); policy.PermitPTY {
		t.Error("a terminal that the key forbids")
	}
	if err := policy.Match(policy, "exec", "a b"); err != nil || policy.PermitPTY || policy.PermitUserRC {
		t.Errorf("what the key forbids: %v %+v", err, policy)
	}
	l.Grant.Settings.SessionBlocks[1].Criteria[0].Name = "user"
	if err := policy.Match(policy, "exec", "a b"); err != nil {
		t.Error("the grant is read again")
	}
	l.setSessions(policy)
	if err := policy.Match(policy, "exec", "a b"); err == nil {
		t.Error("a block that cannot be resolved is passed over")
	}
}
