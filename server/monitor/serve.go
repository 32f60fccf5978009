package monitor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/ipc"
)

// Answer is what a request came to.
type Answer struct {
	Reply []byte
	// Files go with the reply, and are closed after it is sent.
	Files []*os.File
	// State is the transport's, after Export.
	State []byte
	Ended bool // the role is done with the connection
	Bug   bool // after a fault of its own
}

// Handle answers a request that another process sent. An error that IsOffence says
// is one ends that process; any other is the answer to it.
func (c *Connection) Handle(from Role, f *ipc.Frame) (a Answer, err error) {
	r := &requests[min(f.Method, ipc.MethodCount-1)]
	if f.Method >= ipc.MethodCount || r.from&from == 0 || r.call != f.WantsAnswer() {
		c.log.Fatal("monitor_read: unpermitted request %s", f.Method)
		return a, &Unpermitted{f.Method.String()}
	}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *Unpermitted:
			err = v
		default:
			panic(v)
		}
	}()
	handle := handlers[f.Method]
	if handle == nil {
		return a, &Unpermitted{f.Method.String()}
	}
	err = handle(c, f.Payload, &a)
	return a, err
}

// IsOffence reports an error for which the process that asked is ended.
func IsOffence(err error) bool {
	var u *Unpermitted
	return errors.As(err, &u) || errors.Is(err, ipc.ErrMessage) || errors.Is(err, ipc.ErrProtocol) ||
		errors.Is(err, errForeignSession) || errors.Is(err, errForeignTerminal)
}

// handlers decode a request, ask, and encode the answer.
var handlers = [ipc.MethodCount]func(c *Connection, payload []byte, a *Answer) error{
	ipc.Sign: func(c *Connection, payload []byte, a *Answer) (err error) {
		var q ipc.SignRequest
		if err = ipc.Unmarshal(payload, &q); err == nil {
			a.Reply, err = c.Sign(q.SessionID, q.Hash, q.Algorithm)
		}
		return err
	},
	ipc.Start:   handleStart,
	ipc.Methods: func(c *Connection, _ []byte, a *Answer) error { return a.set(&ipc.Names{Names: c.Methods()}) },
	ipc.None:    func(c *Connection, _ []byte, a *Answer) error { return a.verdict(c.None()) },
	ipc.Password: func(c *Connection, payload []byte, a *Answer) error {
		defer clear(payload)
		return a.verdict(c.Password(payload))
	},
	ipc.Interactive: func(c *Connection, payload []byte, a *Answer) error {
		defer clear(payload)
		return a.verdict(c.Interactive(payload))
	},
	ipc.KeyAcceptable: func(c *Connection, payload []byte, a *Answer) error {
		var q ipc.KeyRequest
		if err := ipc.Unmarshal(payload, &q); err != nil {
			return err
		}
		return a.verdict(c.KeyAcceptable(q.Algorithm, q.Blob), false)
	},
	ipc.KeySigned: func(c *Connection, payload []byte, a *Answer) error {
		var q ipc.SignedRequest
		if err := ipc.Unmarshal(payload, &q); err != nil {
			return err
		}
		return a.verdict(c.KeySigned(q.Algorithm, q.Blob, q.Data, q.Signature))
	},
	ipc.Hostbased: func(c *Connection, payload []byte, a *Answer) error {
		var q ipc.HostbasedRequest
		if err := ipc.Unmarshal(payload, &q); err != nil {
			return err
		}
		return a.verdict(c.Hostbased(q.Algorithm, q.Blob, q.Host, q.User, q.Signature))
	},
	ipc.Failed: func(c *Connection, payload []byte, _ *Answer) error { c.Failed(string(payload)); return nil },
	ipc.Moduli: func(c *Connection, payload []byte, a *Answer) error {
		var q ipc.GroupRequest
		if err := ipc.Unmarshal(payload, &q); err != nil {
			return err
		}
		p, g, err := c.Moduli(q.Least, q.Wanted, q.Most)
		if err != nil {
			return err
		}
		return a.set(&ipc.Group{P: p, G: g})
	},
	ipc.Export: func(c *Connection, payload []byte, a *Answer) error {
		a.State = payload
		return c.HandOver()
	},
	ipc.Log: handleLog,
	ipc.Ended: func(c *Connection, payload []byte, a *Answer) error {
		var e ipc.End
		err := ipc.Unmarshal(payload, &e)
		a.Ended, a.Bug = true, e.Bug
		return errors.Join(err, c.permit(ipc.Ended))
	},
	ipc.Prove: func(c *Connection, payload []byte, a *Answer) (err error) {
		var q ipc.KeyRequest
		if err = ipc.Unmarshal(payload, &q); err == nil {
			a.Reply, err = c.Prove(q.Algorithm, q.Blob)
		}
		return err
	},
	ipc.OpenPTY: func(c *Connection, _ []byte, a *Answer) error {
		master, slave, name, err := c.OpenPTY()
		if err != nil {
			return err
		}
		a.Files = []*os.File{master, slave}
		return a.set(&ipc.Text{Text: name})
	},
	ipc.ClosePTY:     func(c *Connection, payload []byte, _ *Answer) error { return c.closePTY(string(payload)) },
	ipc.LoginMessage: func(c *Connection, _ []byte, a *Answer) error { return a.set(&ipc.Text{Text: c.LoginMessage()}) },
	ipc.LoginRecord:  handleRecord((*Connection).loginRecord),
	ipc.LogoutRecord: handleRecord((*Connection).logoutRecord),
	ipc.Nologin: func(c *Connection, _ []byte, a *Answer) error {
		text, line, closed := c.Nologin()
		return a.set(&ipc.Closed{Closed: closed, Text: string(text), Line: line})
	},
}

func (a *Answer) set(m ipc.Message) error {
	a.Reply = ipc.Marshal(m)
	return nil
}

func (a *Answer) verdict(ok, partial bool) error {
	return a.set(&ipc.Verdict{OK: ok, Partial: partial})
}

func handleStart(c *Connection, payload []byte, a *Answer) error {
	var q ipc.StartRequest
	if err := ipc.Unmarshal(payload, &q); err != nil {
		return err
	}
	banner := c.Start(q.Name, q.Style, q.Service)
	return a.set(&ipc.Started{
		Banner: banner, MinimumTime: c.MinimumTime(q.Name), MaxAuthTries: int32(c.cfg.MaxAuthTries),
		Invalid: !c.valid, LogLevel: int32(c.log.Level()),
	})
}

func handleRecord(record func(c *Connection, tty string, pid int) error) func(*Connection, []byte, *Answer) error {
	return func(c *Connection, payload []byte, _ *Answer) error {
		var l ipc.Login
		if err := ipc.Unmarshal(payload, &l); err != nil {
			return err
		}
		return record(c, l.TTY, int(l.PID))
	}
}

// withoutPreauth are the only lines of a gate that do not end with [preauth]: those
// that sshd writes before it has split. A gate in foreign hands must not be able
// to write that it let somebody in.
var withoutPreauth = []string{"kex_exchange_identification: ", "banner exchange: ", "Protocol major versions differ: "}

func handleLog(c *Connection, payload []byte, _ *Answer) error {
	var l ipc.LogLine
	err := errors.Join(ipc.Unmarshal(payload, &l), c.permit(ipc.Log))
	if err != nil {
		return err
	}
	level := log.Level(l.Level)
	if level <= log.Quiet || level > log.Debug3 {
		return fmt.Errorf("%w: log level %d", ipc.ErrMessage, l.Level)
	}
	to := c.Log()
	if !c.served() && !hasPrefix(l.Text, withoutPreauth) {
		to = to.WithPreauth()
	}
	to.Relay(level, l.Text)
	return nil
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
