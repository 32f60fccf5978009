package monitor

import "fmt"

// phase is how far a connection has come. Values are bits, for the table.
type phase uint8

const (
	phaseNew          phase = 0         // nothing is signed yet
	phaseKeyExchanged phase = 1 << iota // the session has its identifier
	phaseNamed                          // the user is named and tries to get in
	phaseGranted                        // the user is in
)

// The requests that change or judge something. Others only read what the
// configuration says.
const (
	reqSign = iota
	reqStart
	reqMethods
	reqNone
	reqPassword
	reqKeyAcceptable
	reqKeySigned
	reqFailed
	requestCount
)

// maxRequests bounds the tries of one kind: userauth ends the connection after as
// many requests.
const maxRequests = 1024

// request is a row of the table.
type request struct {
	name  string
	new   bool  // allowed before anything is signed
	when  phase // allowed in these phases
	most  int   // times in a connection; 0: any number
	judge bool  // a try that MaxAuthTries counts
}

// requests is the one table of what may be asked, and when. Whoever asks for
// anything else has a bug or is in an attacker's hands: it is ended.
var requests = [requestCount]request{
	reqSign:          {name: "sign", new: true, when: phaseKeyExchanged | phaseNamed | phaseGranted},
	reqStart:         {name: "start", when: phaseKeyExchanged, most: 1},
	reqMethods:       {name: "methods", when: phaseNamed},
	reqNone:          {name: "none", when: phaseNamed, most: maxRequests, judge: true},
	reqPassword:      {name: "password", when: phaseNamed, most: maxRequests, judge: true},
	reqKeyAcceptable: {name: "key-acceptable", when: phaseNamed, most: maxRequests, judge: true},
	reqKeySigned:     {name: "key-signed", when: phaseNamed, most: maxRequests, judge: true},
	reqFailed:        {name: "failed", when: phaseNamed, most: maxRequests},
}

// Unpermitted is a request that the table does not allow now. Requests without an
// error among their results panic with it: in memory that is a bug, and ends the
// connection like any; between processes it ends the one that asked.
type Unpermitted struct{ Request string }

func (u *Unpermitted) Error() string {
	return fmt.Sprintf("monitor: unpermitted request %s", u.Request)
}

// permit is the one place that applies the table.
func (c *Connection) permit(number int) error {
	r := &requests[number]
	c.asked[number]++
	switch {
	case c.phase == phaseNew && !r.new,
		c.phase != phaseNew && r.when&c.phase == 0,
		r.most > 0 && c.asked[number] > r.most,
		r.judge && c.tries >= max(c.cfg.MaxAuthTries, 1):
		c.log.Fatal("monitor_read: unpermitted request %s", r.name)
		return &Unpermitted{r.name}
	}
	return nil
}

// must is permit for requests that cannot say no otherwise.
func (c *Connection) must(number int) {
	if err := c.permit(number); err != nil {
		panic(err)
	}
}
