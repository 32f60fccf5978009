package account

import (
	"os"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/pty"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/service/session"
)

// Monitor is what the role asks of the privileged side.
type Monitor interface {
	transport.Signer
	session.Opener
	// Moduli chooses a group (RFC 4419), sizes in bits.
	Moduli(least, wanted, most uint32) (p, g []byte, err error)
	// Prove signs that the server holds a host key (OpenSSH PROTOCOL 2.5).
	Prove(algorithm string, blob []byte) ([]byte, error)
	// Nologin is what nologin(5) has for the user.
	Nologin() (text []byte, line string, closed bool)
	Log() *log.Logger
}

// remote is the Monitor of one connection, in another process. When that is gone,
// the connection goes on without what only it can do: no host key signs a later
// key exchange, and logins are no longer recorded.
type remote struct {
	*ipc.Conversation
	keys []ipc.HostKey
	log  *log.Logger
}

// relay is a log's Sink in the listener's process, or in last after that, or the
// connection, is gone.
type relay struct {
	*ipc.Conversation
	last log.Sink // nil: nowhere
}

func (s relay) Write(level log.Level, id int, text string) {
	err := s.Note(ipc.Log, ipc.Marshal(&ipc.LogLine{Level: int32(level), Text: text}))
	if err != nil && s.last != nil {
		s.last.Write(level, id, text)
	}
}

// PublicKey implements transport.Signer.
func (r *remote) PublicKey(algorithm string) []byte {
	for _, k := range r.keys {
		if k.Algorithm == algorithm {
			return k.Blob
		}
	}
	return nil
}

// Sign implements transport.Signer.
func (r *remote) Sign(sessionID, hash []byte, algorithm string) ([]byte, error) {
	return r.bytes(ipc.Sign, &ipc.SignRequest{SessionID: sessionID, Hash: hash, Algorithm: algorithm})
}

func (r *remote) Prove(algorithm string, blob []byte) ([]byte, error) {
	return r.bytes(ipc.Prove, &ipc.KeyRequest{Algorithm: algorithm, Blob: blob})
}

func (r *remote) bytes(m ipc.Method, q ipc.Message) ([]byte, error) {
	f, err := r.Call(m, ipc.Marshal(q))
	if err != nil {
		return nil, err
	}
	return f.Payload, nil
}

func (r *remote) Moduli(least, wanted, most uint32) (p, g []byte, err error) {
	b, err := r.bytes(ipc.Moduli, &ipc.GroupRequest{Least: least, Wanted: wanted, Most: most})
	if err != nil {
		return nil, nil, err
	}
	var group ipc.Group
	err = ipc.Unmarshal(b, &group)
	return group.P, group.G, err
}

// OpenPTY implements session.Opener. Without the monitor the user's own rights
// have to do: they suffice where devpts gives terminals the group tty by itself.
func (r *remote) OpenPTY() (master, slave *os.File, name string, err error) {
	f, err := r.Call(ipc.OpenPTY, nil)
	if err == ipc.ErrClosed {
		return pty.Open()
	}
	var answer ipc.Text
	if err == nil {
		err = ipc.Unmarshal(f.Payload, &answer)
	}
	if err != nil {
		return nil, nil, "", err
	}
	if len(f.Files) != 2 {
		f.CloseFiles()
		return nil, nil, "", ipc.ErrProtocol
	}
	if master, err = pty.Wrap(f.Files[0]); err != nil {
		f.Files = f.Files[1:]
		f.CloseFiles()
		return nil, nil, "", err
	}
	return master, os.NewFile(uintptr(f.Files[1]), answer.Text), answer.Text, nil
}

// ClosePTY implements session.Opener.
func (r *remote) ClosePTY(name string) { _ = r.Note(ipc.ClosePTY, []byte(name)) }

// LoginMessage implements session.Opener.
func (r *remote) LoginMessage() string {
	f, err := r.Call(ipc.LoginMessage, nil)
	var answer ipc.Text
	if err != nil || ipc.Unmarshal(f.Payload, &answer) != nil {
		return ""
	}
	return answer.Text
}

// LoginRecord implements session.Opener.
func (r *remote) LoginRecord(tty string, pid int) {
	_ = r.Note(ipc.LoginRecord, ipc.Marshal(&ipc.Login{TTY: tty, PID: int32(pid)}))
}

// LogoutRecord implements session.Opener.
func (r *remote) LogoutRecord(tty string, pid int) {
	_ = r.Note(ipc.LogoutRecord, ipc.Marshal(&ipc.Login{TTY: tty, PID: int32(pid)}))
}

// Nologin asks the monitor. Where that is gone, so is who could have closed the
// machine to new connections: those that are there stay open.
func (r *remote) Nologin() (text []byte, line string, closed bool) {
	f, err := r.Call(ipc.Nologin, nil)
	var answer ipc.Closed
	if err != nil || ipc.Unmarshal(f.Payload, &answer) != nil {
		return nil, "", false
	}
	return []byte(answer.Text), answer.Line, answer.Closed
}

func (r *remote) Log() *log.Logger { return r.log }
