package config

import (
	"fmt"
	"strings"
)

// SessionBlock is a Match block on what a session is for (sessiontype, command), for
// a connection of which all other criteria hold; without criteria it always counts.
// It is plain data: the process that serves the user has no File.
type SessionBlock struct {
	Criteria []SessionCriterion // all of which must hold
	Lines    []SessionLine
}

// SessionCriterion is one pair of a Match line.
type SessionCriterion struct{ Name, Pattern string }

// SessionLine is a line of a block, as it was written.
type SessionLine struct {
	File          string
	Number        int
	Keyword, Text string
}

// SessionBlocks returns what Resolve has to leave open until a session of the
// connection asks for its program: blocks for ForSession, in the order of the file.
// There are none where the program makes no difference.
func (f *File) SessionBlocks(m *MatchInfo) []SessionBlock {
	var blocks []SessionBlock
	settled := map[*keyword]bool{} // by a line that counts for every session
	var last, begun *condition
	var criteria []SessionCriterion
	holds, open := false, false
	for i := range f.entries {
		e := &f.entries[i]
		if e.when != last {
			last = e.when
			criteria, holds = e.when.undecided(m)
		}
		if !holds || e.key.where != inSession || settled[e.key] {
			continue
		}
		if len(criteria) == 0 && !e.key.list {
			settled[e.key] = true
			continue
		}
		open = open || len(criteria) > 0
		if e.when != begun {
			begun = e.when
			blocks = append(blocks, SessionBlock{Criteria: criteria})
		}
		b := &blocks[len(blocks)-1]
		b.Lines = append(b.Lines, SessionLine{e.line.file, e.line.number, e.key.name, e.line.text})
	}
	if !open {
		return nil
	}
	return blocks
}

// ForSession returns c, the configuration of a connection as Resolve made it, for one
// session: kind is shell, exec or subsystem, command what the client asked for. It
// equals what Resolve returns with SessionType and Command.
func (c *Config) ForSession(blocks []SessionBlock, kind, command string) (*Config, error) {
	var entries []entry
	for _, b := range blocks {
		when := &condition{}
		for _, cr := range b.Criteria {
			k := findKind(cr.Name)
			if k == nil || !k.session {
				return nil, fmt.Errorf("criterion %q is none of sessions", cr.Name)
			}
			when.criteria = append(when.criteria, criterion{k, cr.Pattern})
		}
		for _, l := range b.Lines {
			row := lookup(strings.ToLower(l.Keyword))
			words, ok := splitWords(l.Text)
			if row == nil || row.where != inSession || row.key.set == nil || !ok {
				return nil, fmt.Errorf("%s line %d: %q cannot be set for a session", l.File, l.Number, l.Keyword)
			}
			kept := line{file: l.File, number: l.Number, keyword: l.Keyword, text: l.Text, words: words}
			entries = append(entries, entry{when, row.key, kept})
		}
	}
	own := *c
	if _, err := own.apply(entries, &MatchInfo{SessionType: kind, Command: command}); err != nil {
		return nil, err
	}
	return &own, nil
}

// undecided returns the criteria on the session of a condition and of those around it;
// holds is false if another one does not hold.
func (c *condition) undecided(m *MatchInfo) (criteria []SessionCriterion, holds bool) {
	for ; c != nil; c = c.outer {
		for _, cr := range c.criteria {
			switch {
			case cr.kind.session:
				criteria = append(criteria, SessionCriterion{cr.kind.name, cr.pattern})
			case !cr.kind.evaluate(m, cr.pattern):
				return nil, false
			}
		}
	}
	return criteria, true
}

// onSession reports whether the condition, or one around it, looks at the session.
func (c *condition) onSession() bool {
	for ; c != nil; c = c.outer {
		for _, cr := range c.criteria {
			if cr.kind.session {
				return true
			}
		}
	}
	return false
}
