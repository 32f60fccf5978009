package session

import (
	"fmt"
	"strings"
)

// kind is what a client asked a session for.
type kind uint8

const (
	kindShell kind = iota
	kindCommand
	kindSubsystem
)

// String is the kind's name in a Match sessiontype.
func (k kind) String() string { return [...]string{"shell", "exec", "subsystem"}[k] }

// internalSFTP is the name under which sshd_config(5) knows the sftp server that
// needs no program.
const internalSFTP = "internal-sftp"

// plan is what a session does after all rules are applied.
type plan struct {
	kind      kind    // what was asked for
	command   *string // nil: a login shell
	builtin   Builtin // not nil: instead of the command, with args
	args      []string
	sftpOnly  bool // a shell or a command was asked for where only sftp is allowed
	forced    string
	subsystem string
	original  *string // what was asked for where another command is forced
}

// plan applies ForceCommand, the key's command and the table of subsystems to a
// request. The error is the line to log when the request is refused.
func (p *Policy) plan(k kind, text string) (*plan, error) {
	pl := &plan{kind: k}
	switch k {
	case kindCommand:
		pl.command = &text
	case kindSubsystem:
		pl.subsystem = text
		command, ok := p.Subsystems[text]
		if !ok {
			return nil, p.noSubsystem(text)
		}
		pl.command = &command
	}
	forced := p.ForceCommand
	switch {
	case forced != "":
		pl.forced = "(config)"
	case p.HasKeyCommand:
		pl.forced, forced = "(key-option)", p.KeyCommand
	}
	if pl.forced != "" {
		pl.original, pl.command = pl.command, &forced
	}
	if pl.command == nil {
		return pl, nil
	}
	words := strings.Fields(*pl.command)
	if len(words) == 0 || (pl.forced == "" && k != kindSubsystem) {
		return pl, nil // a command of the client's own is the shell's
	}
	pl.builtin = p.Builtin[words[0]]
	pl.args = words
	switch {
	case pl.builtin != nil && k != kindSubsystem:
		pl.builtin, pl.sftpOnly = nil, true
	case pl.builtin == nil && words[0] == internalSFTP:
		return nil, p.noSubsystem(internalSFTP)
	}
	return pl, nil
}

func (p *Policy) noSubsystem(name string) error {
	return fmt.Errorf("subsystem request for %.100s by user %s failed, subsystem not found", name, p.Account.Name)
}

// describe is what the log says is started. A client's own command is not shown,
// to keep it private; one that is forced is.
func (pl *plan) describe() string {
	switch {
	case pl.forced != "":
		return fmt.Sprintf("forced-command %s '%.900s'", pl.forced, *pl.command)
	case pl.kind == kindSubsystem:
		return fmt.Sprintf("subsystem '%.900s'", pl.subsystem)
	case pl.kind == kindShell:
		return "shell"
	}
	return "command"
}
