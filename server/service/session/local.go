package session

import (
	"os"

	"nano_ssh_server/server/host/pty"
	"nano_ssh_server/server/host/user"
)

// Local is the Opener of a process that needs nobody else's privileges: one that
// runs as the user, or root with Policy.Credential. It records no logins.
type Local struct{ Account *user.Account }

// OpenPTY opens a terminal and gives it to the account.
func (l Local) OpenPTY() (master, slave *os.File, name string, err error) {
	master, slave, name, err = pty.Open()
	if err != nil {
		return nil, nil, "", err
	}
	if err := pty.SetOwner(slave, l.Account.UID, l.Account.GID); err != nil {
		master.Close()
		slave.Close()
		return nil, nil, "", err
	}
	return master, slave, name, nil
}

// ClosePTY takes the terminal back if the process is root.
func (l Local) ClosePTY(name string) { _ = pty.Release(name) }

// LoginMessage has nothing to say.
func (l Local) LoginMessage() string { return "" }

// LoginRecord records nothing.
func (l Local) LoginRecord(string, int) {}

// LogoutRecord records nothing.
func (l Local) LogoutRecord(string, int) {}
