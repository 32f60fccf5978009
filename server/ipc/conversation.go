package ipc

import "sync"

// A Conversation is what a process says of one connection over its link. Goroutines of
// a connection may outlive it by a moment, a name being looked up or a program being
// waited for: what they have to say after the last word stays here, for the listener
// ends a process that speaks of a connection which it does not have.
type Conversation struct {
	link       *Link
	connection uint32

	mu   sync.RWMutex
	over bool
}

// NewConversation begins one.
func NewConversation(l *Link, connection uint32) *Conversation {
	return &Conversation{link: l, connection: connection}
}

// Note is Link.Note; ErrClosed after the last word.
func (c *Conversation) Note(m Method, payload []byte) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.over {
		return ErrClosed
	}
	return c.link.Note(m, c.connection, payload)
}

// Call is Link.Call; ErrClosed after the last word, which waits for the answer.
func (c *Conversation) Call(m Method, payload []byte) (*Frame, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.over {
		return nil, ErrClosed
	}
	return c.link.Call(m, c.connection, payload)
}

// Last is the last word.
func (c *Conversation) Last(m Method, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return ErrClosed
	}
	c.over = true
	return c.link.Note(m, c.connection, payload)
}
