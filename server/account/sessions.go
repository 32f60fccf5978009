package account

import (
	"slices"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/service/session"
)

// setSessions fills in what a Match on a session's program may change. A terminal and
// the variables of the environment are asked for before the program: what any block
// might allow is taken at first, and what counts in the end is known at the start.
func (l *Login) setSessions(p *session.Policy) {
	base := sessionConfig(&l.Grant.Settings)
	l.applySession(p, base)
	blocks := sessionBlocks(l.Grant.Settings.SessionBlocks)
	if len(blocks) == 0 {
		return
	}
	p.Match = func(p *session.Policy, kind, command string) error {
		c, err := base.ForSession(blocks, kind, command)
		if err == nil {
			l.applySession(p, c)
		}
		return err
	}
	p.AcceptEnv = slices.Clone(p.AcceptEnv)
	for _, b := range blocks {
		c, err := base.ForSession([]config.SessionBlock{{Lines: b.Lines}}, "", "")
		if err != nil {
			continue // Match refuses every session
		}
		p.PermitPTY = p.PermitPTY || c.PermitTTY && l.Grant.Permissions.PTY
		p.AcceptEnv = append(p.AcceptEnv, c.AcceptEnv...)
	}
	slices.Sort(p.AcceptEnv)
	p.AcceptEnv = slices.Compact(p.AcceptEnv)
}

// applySession stores what configuration and key leave of these keywords.
func (l *Login) applySession(p *session.Policy, c *config.Config) {
	key := &l.Grant.Permissions
	p.ForceCommand, p.SetEnv, p.AcceptEnv = c.ForceCommand, c.SetEnv, c.AcceptEnv
	p.PermitPTY, p.PermitUserRC = c.PermitTTY && key.PTY, c.PermitUserRC && key.UserRC
	p.QoSInteractive, p.QoSBulk = c.IPQoS.Interactive, c.IPQoS.Bulk
	p.Subsystems = map[string]string{}
	for _, sub := range c.Subsystem {
		p.Subsystems[sub.Name] = sub.Command
	}
}

// sessionConfig has the keywords that a session block may hold.
func sessionConfig(s *ipc.Settings) *config.Config {
	c := &config.Config{
		ForceCommand: s.ForceCommand, SetEnv: s.SetEnv, AcceptEnv: s.AcceptEnv,
		PermitTTY: s.PermitTTY, PermitUserRC: s.PermitUserRC,
		IPQoS: config.IPQoS{Interactive: int(s.QoSInteractive), Bulk: int(s.QoSBulk)},
	}
	for _, sub := range s.Subsystems {
		c.Subsystem = append(c.Subsystem, config.Subsystem(sub))
	}
	return c
}

func sessionBlocks(plain []ipc.SessionBlock) []config.SessionBlock {
	var blocks []config.SessionBlock
	for _, p := range plain {
		var b config.SessionBlock
		for _, cr := range p.Criteria {
			b.Criteria = append(b.Criteria, config.SessionCriterion(cr))
		}
		for _, l := range p.Lines {
			b.Lines = append(b.Lines, config.SessionLine{File: l.File, Number: int(l.Number), Keyword: l.Keyword, Text: l.Text})
		}
		blocks = append(blocks, b)
	}
	return blocks
}
