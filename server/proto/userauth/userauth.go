// Package userauth is the server side of the SSH authentication protocol
// (RFC 4252; keyboard-interactive of RFC 4256; publickey-hostbound-v00@openssh.com
// of OpenSSH's PROTOCOL).
//
// The gate runs it. It reads requests, keeps count of tries, and puts every
// question to a Decider, which is the monitor's side and remembers by itself what it
// granted. Nothing here looks at a key, a password or a user's file. Names and
// secrets of a peer are never logged here.
package userauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

// Transport is what the protocol needs of transport.Conn.
type Transport interface {
	Receive() ([]byte, error)
	Send(payload []byte) error
	SessionID() []byte
	HostKey() []byte // wire form of the host key of the first key exchange
}

// Verdict is the Decider's answer to a try. The zero value is a no.
type Verdict struct {
	OK      bool // the user is in
	Partial bool // this method is done, another must follow (AuthenticationMethods)
}

// Decider says who may log in. One value serves one connection, and remembers:
// after Start all questions are about that user, and what a success permits
// comes only from the try that succeeded. Byte slices are valid until it returns.
type Decider interface {
	// Start names the user, once, with the first request. Users that do not
	// exist are started too, and their tries fail like others'. It returns the
	// banner to show, if any. style is what stood behind a colon in the name.
	Start(user, style, service string) (banner string)
	// Methods are those that may be tried now, in the order to announce.
	Methods() []string
	None() Verdict
	// Password judges a password. One longer than 1024 bytes comes cut to 1025:
	// enough to refuse it, and to log that.
	Password(password []byte) Verdict
	// Interactive judges the answer to PasswordPrompt, cut as in Password.
	Interactive(response []byte) Verdict
	// KeyAcceptable answers whether a signature by this key would be accepted.
	KeyAcceptable(algorithm string, blob []byte) bool
	// KeySigned verifies the signature over data (RFC 4252 section 7) and decides.
	KeySigned(algorithm string, blob, data, signature []byte) Verdict
	// Hostbased verifies the signature of the client's host and decides.
	Hostbased(q *HostbasedRequest) Verdict
	// Failed is told of each try that failed without the Decider being asked,
	// so that it can count: a method that may not be tried, or that this server lacks.
	Failed(method string)
}

// Config is what the protocol needs beside the Decider.
type Config struct {
	// MaxAuthTries is asked at each failure: a Match block may change it once
	// the user is known.
	MaxAuthTries func() int
	// MinimumTime is how long a failed try takes at least, for the user of that name;
	// it blurs what an answer's time could tell. nil: no minimum.
	MinimumTime func(user string) time.Duration
	// Sleep waits; nil is time.Sleep. Now is the clock; nil is time.Now.
	Sleep func(time.Duration)
	Now   func() time.Time
}

// Result says who got in, and how. After an error it says who tried.
type Result struct {
	User    string // as the client named it, with a style if it gave one
	Service string
	Method  string // as RFC 4250 names it: "publickey" for each of its forms
}

// ErrTooManyFailures ends a connection after MaxAuthTries failures.
var ErrTooManyFailures = errors.New("too many authentication failures")

const (
	serviceName = "ssh-userauth"
	// maxAttempts bounds requests of all kinds, failed or not, as sshd does:
	// queries for keys that are accepted are no failures.
	maxAttempts = 1024
	// maxName is how much of a user or service name is kept, in bytes: no account
	// has a name of more than 256, and what an idle connection pins must be small.
	// Longer names get sshd's answers for an unknown user.
	maxName = 1024
)

// server is one connection's authentication.
//
//	          SERVICE_REQUEST ssh-userauth                      USERAUTH_REQUEST
//	(start) ───────────────────────────────► ready ◄──────────┐   of another user
//	   │                                      │               │   or service
//	   │ another service     USERAUTH_REQUEST │ FAILURE,      ├──────────► DISCONNECT
//	   ▼                                      ▼ PK_OK, partial│
//	DISCONNECT                               tried ───────────┘
//	                                 OK of    │    │
//	                                 Decider  ▼    ▼ MaxAuthTries failures
//	                                    SUCCESS    DISCONNECT
//
// Any other message, and any malformed one, ends the connection in every state.
type server struct {
	t     Transport
	d     Decider
	cfg   *Config
	table []method

	accepted bool   // the service was accepted
	user     string // as first named, with its style
	service  string
	attempts int
	failures int
	noneUsed bool    // "none" works once, as in sshd
	pending  *method // a method that waits for the client's answer
}

// outcome is what a method made of a request.
type outcome struct {
	Verdict
	postponed bool // answered already; neither success nor failure
}

// Serve authenticates a user. On an error the connection must be closed; a
// *transport.PeerError carries the reason to give, and wraps ErrTooManyFailures
// where that is it.
func Serve(t Transport, d Decider, cfg *Config) (Result, error) {
	s := &server{t: t, d: d, cfg: cfg, table: methods}
	for {
		payload, err := t.Receive()
		if err != nil {
			return Result{User: s.user, Service: s.service}, err
		}
		method, done, err := s.handle(payload)
		if err != nil || done {
			return Result{User: s.user, Service: s.service, Method: method}, err
		}
	}
}

func protocolError(format string, args ...any) error {
	return &transport.PeerError{Reason: msg.ReasonProtocolError, Text: fmt.Sprintf(format, args...)}
}

// handle handles one message. The transport has checked the phase already; what
// may arrive here is checked again.
func (s *server) handle(payload []byte) (method string, done bool, err error) {
	if len(payload) == 0 {
		return "", false, protocolError("empty message")
	}
	r := wire.NewReader(payload[1:])
	switch {
	case payload[0] == msg.ServiceRequest:
		return "", false, s.serviceRequest(r)
	case payload[0] == msg.UserauthRequest && s.accepted:
		return s.request(r)
	case payload[0] == msg.UserauthInfoResponse && s.pending != nil:
		m := s.pending
		s.pending = nil
		began := s.now()
		o, err := m.answer(s, r)
		return s.finish(m, m.name, o, began, err)
	}
	return "", false, protocolError("%s not allowed here", msg.Name(payload[0]))
}

// serviceRequest is RFC 4253 section 10. sshd accepts a repetition, and so do we.
func (s *server) serviceRequest(r *wire.Reader) error {
	name := text(r)
	if r.End() != nil {
		return protocolError("malformed SERVICE_REQUEST")
	}
	if name != serviceName {
		return &transport.PeerError{Reason: msg.ReasonServiceUnavailable, Text: "bad service request " + printable(name)}
	}
	s.accepted = true
	return s.t.Send(wire.AppendText([]byte{msg.ServiceAccept}, serviceName))
}

// request handles a USERAUTH_REQUEST (RFC 4252 section 5).
func (s *server) request(r *wire.Reader) (method string, done bool, err error) {
	began := s.now()
	user, service, method := text(r), text(r), text(r)
	if r.Err() != nil {
		return "", false, protocolError("malformed USERAUTH_REQUEST")
	}
	if s.attempts >= maxAttempts {
		return "", false, tooMany()
	}
	if err := s.abandon(); err != nil {
		return "", false, err
	}
	if s.attempts++; s.attempts == 1 {
		if err := s.start(user, service); err != nil {
			return "", false, err
		}
	} else if plainName(user) != plainName(s.user) || service != s.service {
		return "", false, protocolError("Change of username or service not allowed: (%s,%s) -> (%s,%s)",
			printable(plainName(s.user)), printable(s.service), printable(plainName(user)), printable(service))
	}
	provoke(method)
	m := s.find(method)
	if m == nil {
		s.d.Failed(method)
		return s.finish(nil, method, outcome{}, began, nil)
	}
	o, err := m.request(s, r, method)
	return s.finish(m, method, o, began, err)
}

// abandon counts a prompt that a new request leaves without an answer: whoever may
// be asked for ever may try for ever (THREATS row 10).
func (s *server) abandon() error {
	if s.pending == nil {
		return nil
	}
	s.d.Failed(s.pending.name)
	s.pending = nil
	if s.failures++; s.failures >= s.cfg.MaxAuthTries() {
		return tooMany()
	}
	return nil
}

// start names the user to the Decider and shows the banner.
func (s *server) start(user, service string) error {
	s.user, s.service = user, service
	name, style, _ := strings.Cut(user, ":")
	banner := s.d.Start(name, style, service)
	if banner == "" {
		return nil
	}
	return s.t.Send(wire.AppendText(wire.AppendText([]byte{msg.UserauthBanner}, banner), ""))
}

// find returns the method of a name if it may be tried now. "none" always may,
// once: it is how a client asks for the list.
func (s *server) find(name string) *method {
	for i := range s.table {
		m := &s.table[i]
		if m.name != name && (m.alias == "" || m.alias != name) {
			continue
		}
		if m.name == "none" && !s.noneUsed || slices.Contains(s.d.Methods(), m.name) {
			return m
		}
	}
	return nil
}

// finish answers a try: m is the row of its method, nil if there was none.
func (s *server) finish(m *method, name string, o outcome, began time.Time, err error) (string, bool, error) {
	switch {
	case err != nil:
		return "", false, err
	case o.postponed:
		if m.answer != nil {
			s.pending = m
		}
		return "", false, nil
	case o.OK && !o.Partial:
		return m.name, true, s.t.Send([]byte{msg.UserauthSuccess})
	}
	if name != "none" {
		s.wait(began)
	}
	if !o.Partial && (s.attempts > 1 || name != "none") { // a first "none" costs nothing
		s.failures++
	}
	if s.failures >= s.cfg.MaxAuthTries() {
		return "", false, tooMany()
	}
	b := wire.AppendNameList([]byte{msg.UserauthFailure}, s.d.Methods())
	return "", false, s.t.Send(wire.AppendBool(b, o.Partial))
}

// tooMany is how sshd ends a connection after MaxAuthTries.
func tooMany() error {
	return &transport.PeerError{Reason: msg.ReasonProtocolError, Text: "Too many authentication failures", Err: ErrTooManyFailures}
}

// errNUL refuses what C would cut short.
var errNUL = errors.New("userauth: NUL byte in a name")

// text takes a name, of which no more than maxName bytes and one more are kept.
// As in sshd a NUL byte in it is a malformed message.
func text(r *wire.Reader) string {
	b := r.String()
	if slices.Contains(b, 0) {
		r.Fail(errNUL)
		return ""
	}
	return string(b[:min(len(b), maxName+1)])
}

// plainName is a user name without its style.
func plainName(user string) string {
	name, _, _ := strings.Cut(user, ":")
	return name
}

// printable makes a peer's name fit to be sent back: 100 bytes, as sshd, no
// control bytes.
func printable(s string) string {
	s = s[:min(len(s), 100)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
