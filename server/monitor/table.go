package monitor

import (
	"fmt"

	"nano_ssh_server/server/ipc"
)

// phase is how far a connection has come. Values are bits, for the table.
type phase uint8

const (
	phaseNew          phase = 1 << iota // nothing is signed yet
	phaseKeyExchanged                   // the session has its identifier
	phaseNamed                          // the user is named and tries to get in
	phaseGranted                        // the user is in
	phaseServed                         // the account role has the connection
)

// Role is a kind of process that asks.
type Role uint8

// The roles that ask.
const (
	Gate Role = 1 << iota
	Account
)

// maxRequests bounds the tries of one kind: userauth ends the connection after as
// many requests.
const maxRequests = 1024

// request is a row of the table.
type request struct {
	from  Role
	when  phase // allowed in these phases
	most  int   // times in a connection; 0: any number
	judge bool  // a try that MaxAuthTries counts
	call  bool  // it has an answer
}

// beforeLogin are the phases of the gate.
const beforeLogin = phaseNew | phaseKeyExchanged | phaseNamed | phaseGranted

// requests is the one table of what may be asked, by whom, and when. Whoever asks
// for anything else has a bug or is in an attacker's hands: it is ended. PRIVSEP.md
// shows the table to people.
var requests = [ipc.MethodCount]request{
	ipc.Sign:          {from: Gate | Account, when: phaseNew | phaseKeyExchanged | phaseNamed | phaseServed, call: true},
	ipc.Start:         {from: Gate, when: phaseKeyExchanged, most: 1, call: true},
	ipc.Methods:       {from: Gate, when: phaseNamed, call: true},
	ipc.None:          {from: Gate, when: phaseNamed, most: maxRequests, judge: true, call: true},
	ipc.Password:      {from: Gate, when: phaseNamed, most: maxRequests, judge: true, call: true},
	ipc.Interactive:   {from: Gate, when: phaseNamed, most: maxRequests, judge: true, call: true},
	ipc.KeyAcceptable: {from: Gate, when: phaseNamed, most: maxRequests, judge: true, call: true},
	ipc.KeySigned:     {from: Gate, when: phaseNamed, most: maxRequests, judge: true, call: true},
	ipc.Hostbased:     {from: Gate, when: phaseNamed, most: maxRequests, judge: true, call: true},
	ipc.Failed:        {from: Gate, when: phaseNamed, most: maxRequests},
	ipc.Moduli:        {from: Gate | Account, when: beforeLogin | phaseServed, call: true},
	ipc.Export:        {from: Gate, when: phaseGranted, most: 1},
	ipc.Log:           {from: Gate | Account, when: beforeLogin | phaseServed},
	ipc.Ended:         {from: Gate | Account, when: beforeLogin | phaseServed, most: 1},
	ipc.Prove:         {from: Account, when: phaseServed, call: true},
	ipc.OpenPTY:       {from: Account, when: phaseServed, call: true},
	ipc.ClosePTY:      {from: Account, when: phaseServed},
	ipc.LoginMessage:  {from: Account, when: phaseServed, call: true},
	ipc.LoginRecord:   {from: Account, when: phaseServed},
	ipc.LogoutRecord:  {from: Account, when: phaseServed},
	ipc.Nologin:       {from: Account, when: phaseServed, call: true},
}

// Unpermitted is a request that the table does not allow now. Requests without an
// error among their results panic with it: in memory that is a bug, and ends the
// connection like any; between processes it ends the one that asked.
type Unpermitted struct{ Request string }

func (u *Unpermitted) Error() string {
	return fmt.Sprintf("monitor: unpermitted request %s", u.Request)
}

// permit is the one place that applies the table.
func (c *Connection) permit(m ipc.Method) error {
	c.table.Lock()
	defer c.table.Unlock()
	r := &requests[m]
	c.asked[m]++
	if r.when&c.phase == 0 || r.most > 0 && c.asked[m] > r.most || r.judge && c.tries >= max(c.cfg.MaxAuthTries, 1) {
		c.log.Fatal("monitor_read: unpermitted request %s", m)
		return &Unpermitted{m.String()}
	}
	return nil
}

// must is permit for requests that cannot say no otherwise.
func (c *Connection) must(m ipc.Method) {
	if err := c.permit(m); err != nil {
		panic(err)
	}
}

// enter moves the connection to a phase.
func (c *Connection) enter(p phase) {
	c.table.Lock()
	c.phase = p
	c.table.Unlock()
}

// served reports whether the account role has the connection.
func (c *Connection) served() bool {
	c.table.Lock()
	defer c.table.Unlock()
	return c.phase == phaseServed
}
