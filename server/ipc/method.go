package ipc

import "fmt"

// Method says what a frame is about. monitor/table.go says who may send which, in
// which phase of a connection, and how often.
type Method byte

// From the listener to a gate, to an account process, or to both.
const (
	Confine   Method = 1 + iota // gate, first: Confinement
	Become                      // account, first: Identity
	Configure                   // gate: GateSettings, for connections that come after it
	Connect                     // gate: Place and the connection's descriptors
	Serve                       // account: Serving and the connection's descriptors
	Drop                        // both: close this connection
	Keep                        // keeper: a Kept account process, with its link, pidfd and stderr

	// From the gate to the monitor.
	Sign          // SignRequest -> signature; the account process sends it for rekeying
	Start         // StartRequest -> Started
	Methods       // -> Names
	None          // -> Verdict
	Password      // the password -> Verdict
	Interactive   // the answer to the prompt of keyboard-interactive -> Verdict
	KeyAcceptable // KeyRequest -> Verdict
	KeySigned     // SignedRequest -> Verdict
	Hostbased     // HostbasedRequest -> Verdict
	Failed        // note: the method's name
	Moduli        // GroupRequest -> Group; the account process sends it as well
	Export        // note: the transport's state. The connection is no longer the gate's

	// From both roles to the monitor.
	Log   // note: LogLine
	Ended // note: End. The connection is over

	// From the account process to the monitor.
	Prove        // blob of a host key -> signature
	OpenPTY      // -> name, with master and slave
	ClosePTY     // note: name
	LoginMessage // -> text
	LoginRecord  // note: Login
	LogoutRecord // note: Login
	Nologin      // -> Closed
	MethodCount
)

var methodNames = [MethodCount]string{
	Confine: "confine", Become: "become", Configure: "configure", Connect: "connect", Serve: "serve", Drop: "drop", Keep: "keep",
	Sign: "sign", Start: "start", Methods: "methods", None: "none", Password: "password", Interactive: "interactive",
	KeyAcceptable: "key-acceptable", KeySigned: "key-signed", Hostbased: "hostbased", Failed: "failed", Moduli: "moduli", Export: "export",
	Log: "log", Ended: "ended",
	Prove: "prove", OpenPTY: "open-pty", ClosePTY: "close-pty", LoginMessage: "login-message",
	LoginRecord: "login-record", LogoutRecord: "logout-record", Nologin: "nologin",
}

// String is the name of the method in log lines and documents.
func (m Method) String() string {
	if m < MethodCount && methodNames[m] != "" {
		return methodNames[m]
	}
	return fmt.Sprintf("method %d", byte(m))
}
