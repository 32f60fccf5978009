package ipc

// Kept is an account process that a listener leaves to a keeper: what the monitor
// has to remember to go on answering it. It holds no secret.
type Kept struct {
	PID         uint32
	Account     Account
	Unread      []byte // of its link
	Connections []KeptConnection
}

func (m *Kept) fields(c *codec) {
	c.uint32(&m.PID)
	c.account(&m.Account)
	c.bytes(&m.Unread)
	list(c, &m.Connections, func(k *KeptConnection) { k.fields(c) })
}

// KeptConnection is a connection of the process.
type KeptConnection struct {
	ID          uint32
	LogID       uint32 // its number in the log
	LogLevel    int32
	Place       Place
	User        string // as the client named it
	Host        string // the peer's name, if UseDNS found one
	SessionID   []byte
	MaxSessions int32
	HasMessage  bool   // Message is made
	Message     string // what the user is told at the login
	Terminals   []KeptTerminal
}

func (m *KeptConnection) fields(c *codec) {
	c.uint32(&m.ID, &m.LogID)
	c.int32(&m.LogLevel)
	m.Place.fields(c)
	c.text(&m.User, &m.Host)
	c.bytes(&m.SessionID)
	c.int32(&m.MaxSessions)
	c.bool(&m.HasMessage)
	c.text(&m.Message)
	list(c, &m.Terminals, func(t *KeptTerminal) { c.text(&t.Name); c.uint32(&t.PID) })
}

// KeptTerminal is a terminal of a connection; PID is the process whose login is
// recorded on it, 0 if none is.
type KeptTerminal struct {
	Name string
	PID  uint32
}
