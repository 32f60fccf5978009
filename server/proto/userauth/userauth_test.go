package userauth

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

func TestNone(t *testing.T) {
	s, _, err := play(&decider{banner: "hello\n"}, request("alice", "none"))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthBanner, msg.UserauthFailure)
	if want := build(msg.UserauthFailure, "publickey,password", false); !bytes.Equal(s.out[2], want) {
		t.Errorf("%q, want %q", s.out[2], want)
	}
	if want := build(msg.UserauthBanner, "hello\n", ""); !bytes.Equal(s.out[1], want) {
		t.Errorf("%q, want %q", s.out[1], want)
	}
	s, r, err := play(&decider{empty: true}, request("alice", "none"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthSuccess)
	if err != nil || r != (Result{"alice", "ssh-connection", "none"}) {
		t.Error(r, err)
	}
	// A second one is as any method that does not exist.
	d := &decider{}
	_, _, _ = play(d, request("alice", "none"), request("alice", "none"))
	if want := []string{"start alice||ssh-connection", "none", "failed none"}; !slices.Equal(d.asked, want) {
		t.Errorf("%q, want %q", d.asked, want)
	}
}

func TestPassword(t *testing.T) {
	d := &decider{password: "right"}
	s, r, err := play(d, request("alice", "none"), password("alice", "wrong"), password("alice", "right"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthFailure, msg.UserauthSuccess)
	if err != nil || r != (Result{"alice", "ssh-connection", "password"}) {
		t.Error(r, err)
	}
	// A change is refused, and its passwords are not judged.
	d = &decider{password: "right"}
	s, _, _ = play(d, request("alice", "password", true, "right", "new"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure)
	if slices.Contains(d.asked, "password") {
		t.Error("the password of a change request was judged")
	}
	// A method that is not offered now is not tried.
	d = &decider{password: "right", methods: []string{"publickey"}}
	s, _, _ = play(d, password("alice", "right"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure)
	if slices.Contains(d.asked, "password") {
		t.Error("a method that is off was tried")
	}
}

// TestThreat09 sends megabyte passwords: only so much as tells that they are too
// long reaches the Decider.
func TestThreat09(t *testing.T) {
	d := &decider{}
	long := strings.Repeat("p", 200_000)
	s, _, _ := play(d, password("alice", long), password("alice", long[:1024]))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthFailure)
	if len(d.passwords) != 2 || len(d.passwords[0]) != 1025 || len(d.passwords[1]) != 1024 {
		t.Errorf("the Decider got %d passwords", len(d.passwords))
	}
}

func TestPasswordWiped(t *testing.T) {
	s := &server{d: &decider{methods: []string{"password"}}, table: methods}
	packet := build(0, true, "old secret", "new secret")[1:]
	if _, err := s.password(wire.NewReader(packet), "password"); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(packet, []byte("secret")) {
		t.Error("a password stays in the packet")
	}
}

func TestPublicKey(t *testing.T) {
	query := request("alice", "publickey", false, "ssh-ed25519", "blob")
	signed := request("alice", "publickey", true, "ssh-ed25519", "blob", "good")
	d := &decider{key: "blob"}
	s, r, err := play(d, query, signed)
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthPKOK, msg.UserauthSuccess)
	if want := build(msg.UserauthPKOK, "ssh-ed25519", "blob"); !bytes.Equal(s.out[1], want) {
		t.Errorf("%q", s.out[1])
	}
	if err != nil || r != (Result{"alice", "ssh-connection", "publickey"}) {
		t.Error(r, err)
	}
	want := wire.AppendString(nil, fakeSession)
	want = append(want, build(msg.UserauthRequest, "alice", "ssh-connection", "publickey", true, "ssh-ed25519", "blob")...)
	if !bytes.Equal(d.signedData, want) {
		t.Errorf("signed data %q, want %q", d.signedData, want)
	}
	// Directly, with a bad signature, and with another key.
	d = &decider{key: "blob"}
	s, _, _ = play(d, request("alice", "publickey", true, "ssh-ed25519", "blob", "bad"),
		request("alice", "publickey", true, "ssh-ed25519", "other", "good"),
		request("alice", "publickey", false, "ssh-ed25519", "other"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthFailure, msg.UserauthFailure)
}

func TestHostBound(t *testing.T) {
	d := &decider{key: "blob"}
	s, r, err := play(d, request("alice", hostBound, false, "ssh-ed25519", "blob", string(fakeHostKey)),
		request("alice", hostBound, true, "ssh-ed25519", "blob", string(fakeHostKey), "good"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthPKOK, msg.UserauthSuccess)
	if err != nil || r.Method != "publickey" {
		t.Error(r, err)
	}
	want := wire.AppendString(nil, fakeSession)
	want = append(want, build(msg.UserauthRequest, "alice", "ssh-connection", hostBound, true, "ssh-ed25519", "blob", string(fakeHostKey))...)
	if !bytes.Equal(d.signedData, want) {
		t.Errorf("signed data %q, want %q", d.signedData, want)
	}
	d = &decider{key: "blob"}
	_, _, err = play(d, request("alice", hostBound, true, "ssh-ed25519", "blob", "another host's key", "good"))
	wantEnd(t, err, msg.ReasonProtocolError, "publickey request contained wrong host key")
	if d.signedData != nil {
		t.Error("a signature for another host was judged")
	}
	d = &decider{key: "blob", methods: []string{"password"}}
	s, _, _ = play(d, request("alice", hostBound, true, "ssh-ed25519", "blob", string(fakeHostKey), "good"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure)
}

func TestPartial(t *testing.T) {
	d := &decider{key: "blob", password: "right", second: true}
	signed := request("alice", "publickey", true, "ssh-ed25519", "blob", "good")
	s, r, err := play(d, signed, signed, password("alice", "right"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthFailure, msg.UserauthSuccess)
	if want := build(msg.UserauthFailure, "password", true); !bytes.Equal(s.out[1], want) {
		t.Errorf("%q, want partial success", s.out[1])
	}
	if want := build(msg.UserauthFailure, "password", false); !bytes.Equal(s.out[2], want) {
		t.Errorf("%q: the method is done, another try of it fails", s.out[2])
	}
	if err != nil || r.Method != "password" {
		t.Error(r, err)
	}
}

func TestMaxAuthTries(t *testing.T) {
	query := request("alice", "publickey", false, "ssh-ed25519", "blob")
	wrong := password("alice", "wrong")
	cases := []struct {
		name     string
		packets  [][]byte
		failures int // answers before the end
		ends     bool
	}{
		{"a first none is free", [][]byte{request("alice", "none"), wrong, wrong}, 3, false},
		{"a later none is not", [][]byte{wrong, request("alice", "none"), wrong}, 2, true},
		{"accepted queries are free", [][]byte{query, query, query, query, wrong, wrong}, 2, false},
		{"three failures", [][]byte{wrong, wrong, wrong, wrong}, 2, true},
		{"refused queries count", [][]byte{request("alice", "publickey", false, "ssh-ed25519", "x"), wrong, wrong}, 2, true},
		{"unknown methods count", [][]byte{request("alice", "gssapi-with-mic", "x"), wrong, request("alice", "hostbased")}, 2, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, r, err := playWith(&decider{key: "blob"}, &Config{MaxAuthTries: func() int { return 3 }}, c.packets...)
			if got := bytes.Count(s.numbers(), []byte{msg.UserauthFailure}); got != c.failures {
				t.Errorf("%d failures answered, want %d", got, c.failures)
			}
			if !c.ends {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				return
			}
			wantEnd(t, err, msg.ReasonProtocolError, "Too many authentication failures")
			if !errors.Is(err, ErrTooManyFailures) || r.User != "alice" {
				t.Error(r, err)
			}
		})
	}
}

// TestManyQueries sees the end of a client that only ever asks.
func TestManyQueries(t *testing.T) {
	packets := slices.Repeat([][]byte{request("alice", "publickey", false, "ssh-ed25519", "blob")}, 2000)
	s, _, err := play(&decider{key: "blob"}, packets...)
	wantEnd(t, err, msg.ReasonProtocolError, "Too many authentication failures")
	if n := len(s.out) - 1; n != maxAttempts {
		t.Errorf("%d queries answered", n)
	}
}

func TestChangeOfUser(t *testing.T) {
	other := build(msg.UserauthRequest, "alice", "ssh-other", "none")
	for text, p := range map[string][]byte{
		"Change of username or service not allowed: (alice,ssh-connection) -> (bob,ssh-connection)":  password("bob", "right"),
		"Change of username or service not allowed: (alice,ssh-connection) -> (alice,ssh-other)":     other,
		"Change of username or service not allowed: (alice,ssh-connection) -> (b??b,ssh-connection)": password("b\x1b\nb", "x"),
	} {
		d := &decider{password: "right"}
		s, _, err := play(d, request("alice", "none"), p)
		wantEnd(t, err, msg.ReasonProtocolError, text)
		wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure)
	}
}

func TestStyle(t *testing.T) {
	d := &decider{key: "blob"}
	s, r, err := play(d, request("alice:skey", "none"), request("alice", "publickey", true, "ssh-ed25519", "blob", "good"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthSuccess)
	if err != nil || r.User != "alice:skey" || d.asked[0] != "start alice|skey|ssh-connection" {
		t.Error(r, err, d.asked)
	}
	if !bytes.Contains(d.signedData, []byte("\x00\x00\x00\x0aalice:skey")) {
		t.Errorf("the signature does not cover the style: %q", d.signedData)
	}
}

// TestLongNames sees that long names cost no memory and get ordinary answers.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	d := &decider{}
	s, r, err := play(d, request(long, "none"), password(long, "x"), request(long, strings.Repeat("m", 100_000)))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthFailure, msg.UserauthFailure)
	if !errors.Is(err, io.EOF) || len(r.User) != maxName+1 {
		t.Error(len(r.User), err)
	}
	if len(d.asked[0]) > maxName+100 {
		t.Error("the Decider got a name of 100 kB")
	}
}

func TestServiceRequest(t *testing.T) {
	for _, name := range []string{"ssh-connection", "", "ssh-userauth2", "SSH-USERAUTH"} {
		_, err := Serve(&script{in: [][]byte{build(msg.ServiceRequest, name)}}, &decider{}, &Config{})
		wantEnd(t, err, msg.ReasonServiceUnavailable, "bad service request "+name)
	}
	s, _, _ := play(&decider{}, serviceRequest, request("alice", "none"))
	wantNumbers(t, s, msg.ServiceAccept, msg.ServiceAccept, msg.UserauthFailure)
}

// TestThreat02And03 sends messages that have no place here, in each state.
func TestThreat02And03(t *testing.T) {
	for n := range 256 {
		lie := append([]byte{byte(n)}, make([]byte, 20)...)
		if n == msg.ServiceRequest || n == msg.UserauthRequest {
			continue
		}
		before := &script{in: [][]byte{lie, request("alice", "none")}}
		_, err := Serve(before, &decider{empty: true}, &Config{})
		wantEnd(t, err, msg.ReasonProtocolError, msg.Name(byte(n))+" not allowed here")
		d := &decider{empty: true}
		s, _, err := play(d, lie, request("alice", "none"))
		wantEnd(t, err, msg.ReasonProtocolError, "")
		wantNumbers(t, s, msg.ServiceAccept)
		if d.yes != 0 || len(before.out) != 0 {
			t.Fatal("went on after ", n)
		}
	}
	// A request before the service was accepted, and an empty message.
	s := &script{in: [][]byte{request("alice", "none")}}
	_, err := Serve(s, &decider{empty: true}, &Config{})
	wantEnd(t, err, msg.ReasonProtocolError, "USERAUTH_REQUEST not allowed here")
	_, err = Serve(&script{in: [][]byte{{}}}, &decider{}, &Config{})
	wantEnd(t, err, msg.ReasonProtocolError, "")
}

// TestThreat13 cuts and stretches every kind of request.
func TestThreat13(t *testing.T) {
	good := [][]byte{
		serviceRequest, request("alice", "none"), password("alice", "right"), request("alice", "password", true, "a", "b"),
		request("alice", "publickey", false, "ssh-ed25519", "blob"), request("alice", "publickey", true, "ssh-ed25519", "blob", "good"),
		request("alice", hostBound, true, "ssh-ed25519", "blob", string(fakeHostKey), "good"),
	}
	for _, p := range good {
		for n := range p {
			if _, _, err := play(&decider{key: "blob", password: "right", empty: true}, p[:n]); err == nil {
				t.Errorf("%q lets in", p[:n])
			}
		}
		_, _, err := play(&decider{key: "blob", password: "right", empty: true}, append(bytes.Clone(p), 0))
		wantEnd(t, err, msg.ReasonProtocolError, "")
	}
	for _, p := range [][]byte{
		request("ali\x00ce", "none"), request("alice", "no\x00ne"), build(msg.UserauthRequest, "alice", "ssh\x00", "none"),
		password("alice", "right\x00wrong"), request("alice", "publickey", false, "ssh\x00", "blob"), build(msg.ServiceRequest, "ssh-userauth\x00"),
		request("alice", "publickey", false, strings.Repeat("a", 1000), "blob"),
	} {
		_, _, err := play(&decider{key: "blob", password: "right", empty: true}, p)
		wantEnd(t, err, msg.ReasonProtocolError, "")
	}
}

// TestQuestionAndAnswer runs a method that asks back, as keyboard-interactive does.
func TestQuestionAndAnswer(t *testing.T) {
	ask := method{
		name: "keyboard-interactive",
		request: func(s *server, r *wire.Reader, _ string) (outcome, error) {
			return outcome{postponed: true}, s.t.Send([]byte{msg.UserauthInfoRequest})
		},
		answer: func(s *server, r *wire.Reader) (outcome, error) {
			return outcome{Verdict: s.d.Password(r.String())}, nil
		},
	}
	run := func(packets ...[]byte) (*script, error) {
		s := &server{
			t: &script{}, d: &decider{password: "right", methods: []string{"keyboard-interactive"}},
			cfg: &Config{MaxAuthTries: func() int { return 2 }}, table: append([]method{ask}, methods...),
		}
		for _, p := range append([][]byte{serviceRequest}, packets...) {
			if _, done, err := s.handle(p); err != nil || done {
				return s.t.(*script), err
			}
		}
		return s.t.(*script), nil
	}
	question, right := request("alice", "keyboard-interactive", "", ""), build(msg.UserauthInfoResponse, "right")
	s, err := run(question, right)
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthInfoRequest, msg.UserauthSuccess)
	if err != nil {
		t.Error(err)
	}
	_, err = run(right) // nobody asked
	wantEnd(t, err, msg.ReasonProtocolError, "")
	_, err = run(question, request("alice", "none"), right) // the question was dropped
	wantEnd(t, err, msg.ReasonProtocolError, "")
	wrong := build(msg.UserauthInfoResponse, "wrong")
	_, err = run(question, wrong, right) // one answer to a question
	wantEnd(t, err, msg.ReasonProtocolError, "")
	_, err = run(question, wrong, question, wrong) // every answer counts (THREATS row 10)
	wantEnd(t, err, msg.ReasonProtocolError, "Too many authentication failures")
}

func TestDelay(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ least, elapsed, want time.Duration }{
		{7 * ms, 0, 7 * ms}, {7 * ms, 3 * ms, 4 * ms}, {7 * ms, 7 * ms, 0}, {7 * ms, 8 * ms, 6 * ms},
		{7 * ms, 15 * ms, 13 * ms}, {7 * ms, 5*time.Second + 1, 0}, {0, ms, 0}, {-1, ms, 0}, {7 * ms, -ms, 8 * ms},
	} {
		if got := remaining(c.least, c.elapsed); got != c.want {
			t.Errorf("remaining(%v, %v) = %v, want %v", c.least, c.elapsed, got, c.want)
		}
	}
	now := &clock{at: time.Unix(1, 0)}
	asked := ""
	cfg := &Config{
		MaxAuthTries: func() int { return 6 }, Now: now.now, Sleep: now.sleep,
		MinimumTime: func(user string) time.Duration { asked = user; return 7 * ms },
	}
	_, _, err := playWith(&decider{password: "right", key: "blob"}, cfg, request("alice:style", "none"), password("alice", "wrong"),
		request("alice", "nonsense"), request("alice", "publickey", false, "ssh-ed25519", "blob"), password("alice", "right"))
	if err != nil || asked != "alice" || !slices.Equal(now.slept, []time.Duration{7 * ms, 7 * ms}) {
		t.Errorf("slept %v for %q, %v", now.slept, asked, err)
	}
}
