package userauth

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/transport"
	"nano_ssh_server/server/proto/wire"
)

var (
	fakeSession = []byte("session identifier")
	fakeHostKey = []byte("host key")
)

// script is a Transport that plays packets and keeps the answers.
type script struct {
	in  [][]byte
	out [][]byte
}

func (s *script) Receive() ([]byte, error) {
	if len(s.in) == 0 {
		return nil, io.EOF
	}
	p := bytes.Clone(s.in[0])
	s.in = s.in[1:]
	return p, nil
}

func (s *script) Send(p []byte) error { s.out = append(s.out, bytes.Clone(p)); return nil }
func (s *script) SessionID() []byte   { return fakeSession }
func (s *script) HostKey() []byte     { return fakeHostKey }

// decider says what its fields say and remembers what it was asked.
type decider struct {
	banner     string
	methods    []string
	password   string // right if not empty
	empty      bool   // "none" lets in
	key        string // blob that is authorized
	second     bool   // publickey is only half of it
	partial    bool
	yes        int // times it said OK
	asked      []string
	signedData []byte
	passwords  []string
}

func (d *decider) Start(user, style, service string) string {
	d.asked = append(d.asked, "start "+user+"|"+style+"|"+service)
	return d.banner
}

func (d *decider) Methods() []string { return d.methods }

func (d *decider) verdict(right bool) Verdict {
	if right {
		d.yes++
	}
	return Verdict{OK: right}
}

func (d *decider) None() Verdict {
	d.asked = append(d.asked, "none")
	return d.verdict(d.empty)
}

func (d *decider) Password(p []byte) Verdict {
	d.asked = append(d.asked, "password")
	d.passwords = append(d.passwords, string(p))
	return d.verdict(d.password != "" && string(p) == d.password && (!d.second || d.partial))
}

func (d *decider) Interactive(p []byte) Verdict {
	d.asked = append(d.asked, "interactive")
	d.passwords = append(d.passwords, string(p))
	return d.verdict(d.password != "" && string(p) == d.password && (!d.second || d.partial))
}

func (d *decider) KeyAcceptable(algorithm string, blob []byte) bool {
	d.asked = append(d.asked, "acceptable "+algorithm)
	return d.key != "" && string(blob) == d.key
}

func (d *decider) KeySigned(algorithm string, blob, data, signature []byte) Verdict {
	d.asked = append(d.asked, "signed "+algorithm)
	d.signedData = bytes.Clone(data)
	right := d.key != "" && string(blob) == d.key && string(signature) == "good"
	if right && d.second {
		d.partial = true
		d.methods = []string{"password"}
		return Verdict{Partial: true}
	}
	return d.verdict(right)
}

func (d *decider) Hostbased(q *HostbasedRequest) Verdict {
	d.asked = append(d.asked, "hostbased "+q.Algorithm+"|"+q.Host+"|"+q.User)
	return d.verdict(d.key != "" && string(q.Blob) == d.key && string(q.Signature) == "good" && !d.second)
}

func (d *decider) Failed(method string) { d.asked = append(d.asked, "failed "+method) }

// str builds fields: strings and bools, and bytes as they are.
func build(number byte, fields ...any) []byte {
	b := []byte{number}
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = wire.AppendText(b, f)
		case bool:
			b = wire.AppendBool(b, f)
		case []byte:
			b = append(b, f...)
		}
	}
	return b
}

var serviceRequest = build(msg.ServiceRequest, "ssh-userauth")

func request(user, method string, fields ...any) []byte {
	return build(msg.UserauthRequest, append([]any{user, "ssh-connection", method}, fields...)...)
}

func password(user, p string) []byte { return request(user, "password", false, p) }

// play runs the protocol over packets behind the service request.
func play(d *decider, packets ...[]byte) (*script, Result, error) {
	return playWith(d, &Config{MaxAuthTries: func() int { return 6 }}, packets...)
}

func playWith(d *decider, cfg *Config, packets ...[]byte) (*script, Result, error) {
	t := &script{in: append([][]byte{serviceRequest}, packets...)}
	if d.methods == nil {
		d.methods = []string{"publickey", "password"}
	}
	r, err := Serve(t, d, cfg)
	return t, r, err
}

// numbers are the message numbers that were sent.
func (s *script) numbers() []byte {
	var n []byte
	for _, p := range s.out {
		n = append(n, p[0])
	}
	return n
}

func wantNumbers(t *testing.T, s *script, want ...byte) {
	t.Helper()
	if got := s.numbers(); !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

// wantEnd wants the connection to end for an offence of the peer.
func wantEnd(t *testing.T, err error, reason uint32, text string) {
	t.Helper()
	var offence *transport.PeerError
	if !errors.As(err, &offence) {
		t.Fatalf("ended with %v, want an offence", err)
	}
	if offence.Reason != reason || text != "" && offence.Text != text {
		t.Errorf("reason %d %q, want %d %q", offence.Reason, offence.Text, reason, text)
	}
}

// clock is a time that only passes when somebody sleeps or works.
type clock struct {
	at    time.Time
	slept []time.Duration
}

func (c *clock) now() time.Time        { return c.at }
func (c *clock) sleep(d time.Duration) { c.slept = append(c.slept, d); c.at = c.at.Add(d) }
