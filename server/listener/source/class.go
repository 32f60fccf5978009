package source

import (
	"time"

	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/log"
)

// Class is what a connection did that its source is penalised for.
type Class uint8

// The classes of PerSourcePenalties. NoClass costs nothing.
const (
	NoClass          Class = iota
	Crash                  // the connection broke the process or goroutine that served it
	AuthFail               // tried to authenticate, did not succeed
	InvalidUser            // tried to authenticate as a user who does not exist
	NoAuth                 // ended without trying to authenticate
	GraceExceeded          // did not authenticate within LoginGraceTime
	RefuseConnection       // the configuration's RefuseConnection ended it
)

// Refusal is why Enter refuses a connection, in the words of sshd's line
// `drop connection #N from ...`; Admitted is none.
type Refusal string

// The refusals that are not a class's own. sshd reports those of PerSourceMaxStartups
// as it does those of MaxStartups, throttling lines included.
const (
	Admitted        Refusal = ""
	PastMaxStartups Refusal = log.PastMaxStartups
	TooManySources  Refusal = "too many penalised addresses" // overflow:deny-all
)

// Penalty reports whether a penalty is the reason: sshd logs each of those at Info,
// and none of them counts for the throttling of MaxStartups.
func (r Refusal) Penalty() bool { return r != Admitted && r != PastMaxStartups }

// reasons are the refusals of each class.
var reasons = [...]Refusal{
	Crash:            "penalty: caused crash",
	AuthFail:         "penalty: failed authentication",
	InvalidUser:      "penalty: attempted authentication by invalid user",
	NoAuth:           "penalty: connections without attempting authentication",
	GraceExceeded:    "penalty: exceeded LoginGraceTime",
	RefuseConnection: "penalty: connection prohibited by RefuseConnection",
}

// Refusal is what a source reads in the log that is refused for this class.
func (c Class) Refusal() Refusal {
	if int(c) >= len(reasons) {
		return Admitted
	}
	return reasons[c]
}

// cost is the configured duration of a class; 0 is no penalty.
func (c Class) cost(p *config.Penalties) time.Duration {
	switch c {
	case Crash:
		return p.Crash
	case AuthFail:
		return p.AuthFail
	case InvalidUser:
		return p.InvalidUser
	case NoAuth:
		return p.NoAuth
	case GraceExceeded:
		return p.GraceExceeded
	case RefuseConnection:
		return p.RefuseConnection
	}
	return 0
}
