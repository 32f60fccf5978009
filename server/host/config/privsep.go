package config

// Isolation says how far connections share a process: PreauthIsolation those whose
// users are not known yet, SessionIsolation those of one user.
type Isolation int

// The values of both keywords. IsolatePool is `pool`, and `user` of SessionIsolation.
const (
	IsolatePool       Isolation = iota
	IsolateConnection           // a process for each connection
)

// ours makes a keyword that OpenSSH does not have: it is dumped only where it is set
// to something else than its default, so that sshd takes a dump of a file of its own.
func ours(k keyword, isDefault func(*Config) bool) keyword {
	dump := k.dump
	k.dump = func(d *dumper, c *Config) {
		if !isDefault(c) {
			dump(d, c)
		}
	}
	return k
}

// privsepKeywords are those about the processes of the server.
func privsepKeywords() []keyword {
	isolation := func(name, shared string, field func(*Config) *Isolation) keyword {
		return ours(named(name, globalOnly, IsolatePool, []choice[Isolation]{
			{shared, IsolatePool}, {"connection", IsolateConnection},
		}, field), func(c *Config) bool { return *field(c) == IsolatePool })
	}
	return []keyword{
		ours(onOff("PrivilegeSeparation", globalOnly, true, func(c *Config) *bool { return &c.PrivilegeSeparation }),
			func(c *Config) bool { return c.PrivilegeSeparation }),
		ours(word("PrivilegeSeparationUser", globalOnly, "%s missing argument.", func(c *Config) *string { return &c.PrivilegeSeparationUser }),
			func(c *Config) bool { return c.PrivilegeSeparationUser == "" }),
		isolation("PreauthIsolation", "pool", func(c *Config) *Isolation { return &c.PreauthIsolation }),
		isolation("SessionIsolation", "user", func(c *Config) *Isolation { return &c.SessionIsolation }),
	}
}
