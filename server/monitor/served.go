package monitor

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"nano_ssh_server/server/host/hostkey"
	"nano_ssh_server/server/host/login"
	"nano_ssh_server/server/host/pty"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/wire"
)

// What the account role asks for once it has a connection.

var (
	errForeignTerminal = errors.New("monitor: not a terminal of this connection")
	errNoKey           = errors.New("monitor: no such host key")
	errManyTerminals   = errors.New("too many terminals")
)

// HandOver says that the account role has the connection from here on.
func (c *Connection) HandOver() error {
	if err := c.permit(ipc.Export); err != nil {
		return err
	}
	c.enter(phaseServed)
	return nil
}

// Moduli chooses a group for diffie-hellman-group-exchange (RFC 4419): sizes in bits.
func (c *Connection) Moduli(least, wanted, most uint32) (p, g []byte, err error) {
	if err := c.permit(ipc.Moduli); err != nil {
		return nil, nil, err
	}
	return Moduli(c.cfg.ModuliFile)(least, wanted, most)
}

// Prove signs that this server holds a host key, for this session and no other
// (OpenSSH PROTOCOL 2.5, hostkeys-prove-00@openssh.com).
func (c *Connection) Prove(algorithm string, blob []byte) ([]byte, error) {
	if err := c.permit(ipc.Prove); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(c.shared.Keys.Announced(), func(k hostkey.Announcement) bool {
		return k.Algorithm == algorithm && bytes.Equal(k.Blob, blob)
	}) {
		return nil, errNoKey
	}
	data := wire.AppendText(nil, "hostkeys-prove-00@openssh.com")
	data = wire.AppendString(wire.AppendString(data, c.sessionID), blob)
	return c.shared.Keys.SignWith(blob, algorithm, data)
}

// Nologin is what nologin(5) has for the user: the account process may be in a
// ChrootDirectory, where the file is not.
func (c *Connection) Nologin() (text []byte, line string, closed bool) {
	c.must(ipc.Nologin)
	return c.shared.Users.Nologin(c.account)
}

// terminals are those that a connection has.
type terminals struct {
	mu      sync.Mutex
	names   map[string]*recorded
	message *string // what LoginMessage says; nil: not made
}

// recorded is a terminal and the login that was recorded on it.
type recorded struct{ pid int }

// OpenPTY opens a terminal that belongs to the user, as session.Opener has it.
func (c *Connection) OpenPTY() (master, slave *os.File, name string, err error) {
	if err := c.permit(ipc.OpenPTY); err != nil {
		return nil, nil, "", err
	}
	t := &c.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	// Channels that are closed may keep theirs for a moment.
	if len(t.names) >= 2*max(c.cfg.MaxSessions, 1) {
		return nil, nil, "", errManyTerminals
	}
	c.noteMessage()
	master, slave, name, err = pty.Open()
	if err != nil {
		return nil, nil, "", err
	}
	if err := pty.SetOwner(slave, c.account.UID, c.account.GID); err != nil {
		master.Close()
		slave.Close()
		return nil, nil, "", err
	}
	if t.names == nil {
		t.names = map[string]*recorded{}
	}
	t.names[name] = &recorded{}
	return master, slave, name, nil
}

// ClosePTY takes a terminal back.
func (c *Connection) ClosePTY(name string) { _ = c.closePTY(name) }

func (c *Connection) closePTY(name string) error {
	if err := c.permit(ipc.ClosePTY); err != nil {
		return err
	}
	t := &c.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.names[name]
	if r == nil {
		return errForeignTerminal
	}
	c.logout(name, r)
	delete(t.names, name)
	_ = pty.Release(name)
	return nil
}

// noteMessage makes what the user is told at the login, once: that the account or the
// password will expire, and when the user was here before, before the login that is
// being recorded replaces that. The lock is held.
func (c *Connection) noteMessage() {
	t := &c.terminals
	if t.message != nil {
		return
	}
	t.message = new(string)
	if c.shadow != nil {
		byPassword := slices.ContainsFunc(c.authInfo, func(method string) bool {
			return strings.HasPrefix(method, "password") || strings.HasPrefix(method, interactive)
		})
		*t.message = c.shadow.Warnings(time.Now(), byPassword)
	}
	if c.shared.Records == nil || !c.cfg.PrintLastLog {
		return
	}
	at, host, err := c.shared.Records.LastLogin(c.account.UID)
	if err != nil {
		c.log.Info("%v", err)
		return
	}
	*t.message += login.LastLogin(at, host)
}

// LoginMessage is what the user sees before the message of the day.
func (c *Connection) LoginMessage() string {
	c.must(ipc.LoginMessage)
	t := &c.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.message == nil {
		return ""
	}
	return *t.message
}

// LoginRecord and LogoutRecord note that a session's first process runs on a
// terminal, and that it has ended.
func (c *Connection) LoginRecord(tty string, pid int)  { _ = c.loginRecord(tty, pid) }
func (c *Connection) LogoutRecord(tty string, pid int) { _ = c.logoutRecord(tty, pid) }

func (c *Connection) loginRecord(tty string, pid int) error {
	if err := c.permit(ipc.LoginRecord); err != nil {
		return err
	}
	t := &c.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.names[tty]
	if r == nil {
		return errForeignTerminal
	}
	r.pid = pid
	c.record(c.shared.Records.Login(c.entry(tty, pid)))
	return nil
}

// entry is a login of this connection's as the records have it.
func (c *Connection) entry(tty string, pid int) login.Entry {
	addr, _ := netip.ParseAddr(c.peer.RemoteHost)
	return login.Entry{User: c.account.Name, Line: tty, Addr: addr, Host: c.resolved, PID: pid, UID: c.account.UID, Time: time.Now()}
}

// record logs what is wrong with the records: a login goes on without them.
func (c *Connection) record(err error) {
	if err != nil {
		c.log.Info("%v", err)
	}
}

func (c *Connection) logout(tty string, r *recorded) {
	if r.pid != 0 {
		c.record(c.shared.Records.Logout(tty, r.pid, time.Now()))
		r.pid = 0
	}
}

func (c *Connection) logoutRecord(tty string, _ int) error {
	if err := c.permit(ipc.LogoutRecord); err != nil {
		return err
	}
	t := &c.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.names[tty]
	if r == nil {
		return errForeignTerminal
	}
	c.logout(tty, r)
	return nil
}

// Over takes back what a connection leaves: terminals and their records. It is
// called when no role has the connection any more.
func (c *Connection) Over() {
	t := &c.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, r := range t.names {
		c.logout(name, r)
		delete(t.names, name)
		_ = pty.Release(name)
	}
}
