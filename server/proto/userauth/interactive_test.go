package userauth

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

func interactiveRequest(devices string) []byte {
	return request("alice", "keyboard-interactive", "en", devices)
}

func response(answers ...string) []byte {
	b := wire.AppendUint32([]byte{msg.UserauthInfoResponse}, uint32(len(answers)))
	for _, a := range answers {
		b = wire.AppendText(b, a)
	}
	return b
}

func interactiveDecider() *decider {
	return &decider{password: "right", methods: []string{"keyboard-interactive"}}
}

func TestInteractive(t *testing.T) {
	d := interactiveDecider()
	s, r, err := play(d, interactiveRequest(""), response("wrong"), interactiveRequest("pam,password"), response("right"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthInfoRequest, msg.UserauthFailure, msg.UserauthInfoRequest, msg.UserauthSuccess)
	if err != nil || r.Method != "keyboard-interactive" {
		t.Error(r, err)
	}
	want := append(build(msg.UserauthInfoRequest, "", "", ""), 0, 0, 0, 1)
	if want = append(want, build(0, "Password: ", false)[1:]...); !bytes.Equal(s.out[1], want) {
		t.Errorf("%q, want %q", s.out[1], want)
	}
	// Devices that do not exist; a password too long; a method that is off.
	d = interactiveDecider()
	s, _, _ = play(d, interactiveRequest("pam,bsdauth"), interactiveRequest(""), response(strings.Repeat("p", 5000)))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthInfoRequest, msg.UserauthFailure)
	if len(d.passwords) != 1 || len(d.passwords[0]) != maxPassword+1 || !slices.Contains(d.asked, "failed keyboard-interactive") {
		t.Errorf("%q", d.asked)
	}
	d = &decider{password: "right"}
	s, _, err = play(d, interactiveRequest(""), response("right"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure)
	wantEnd(t, err, msg.ReasonProtocolError, "USERAUTH_INFO_RESPONSE not allowed here")
}

func TestInteractiveMalformed(t *testing.T) {
	for name, packets := range map[string][][]byte{
		"no request":        {response("right")},
		"answered already":  {interactiveRequest(""), response("wrong"), response("right")},
		"abandoned":         {interactiveRequest(""), request("alice", "none"), response("right")},
		"no answer":         {interactiveRequest(""), response()},
		"two answers":       {interactiveRequest(""), response("right", "right")},
		"four billion":      {interactiveRequest(""), {msg.UserauthInfoResponse, 255, 255, 255, 255}},
		"empty":             {interactiveRequest(""), {msg.UserauthInfoResponse}},
		"more":              {interactiveRequest(""), append(response("right"), 0)},
		"NUL":               {interactiveRequest(""), response("right\x00")},
		"request with more": {append(interactiveRequest(""), 0)},
		"devices with NUL":  {interactiveRequest("password\x00")},
		"request cut":       {request("alice", "keyboard-interactive", "en")},
	} {
		d := interactiveDecider()
		s, _, err := play(d, packets...)
		if d.yes != 0 || bytes.Contains(s.numbers(), []byte{msg.UserauthSuccess}) {
			t.Errorf("%s: let in", name)
		}
		wantEnd(t, err, msg.ReasonProtocolError, "")
	}
}

func TestInteractiveWiped(t *testing.T) {
	s := &server{d: interactiveDecider(), table: methods}
	packet := response("a secret")[1:]
	if _, err := s.interactiveAnswer(wire.NewReader(packet)); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(packet, []byte("secret")) {
		t.Error("an answer stays in the packet")
	}
}

// TestThreat10 names devices many times, and leaves prompts without an answer: each
// prompt counts.
func TestThreat10(t *testing.T) {
	many := interactiveRequest(strings.Repeat("password,", 10_000) + "password")
	d := interactiveDecider()
	s, _, err := play(d, many, response("0"), many, response("1"), many, response("2"), response("3"))
	wantEnd(t, err, msg.ReasonProtocolError, "USERAUTH_INFO_RESPONSE not allowed here")
	if n := bytes.Count(s.numbers(), []byte{msg.UserauthInfoRequest}); n != 3 || len(d.passwords) != 3 {
		t.Errorf("%d prompts and %d answers for three requests", n, len(d.passwords))
	}
	var guesses, prompts [][]byte
	for range 20 {
		guesses = append(guesses, many, response("wrong"))
		prompts = append(prompts, many)
	}
	for name, packets := range map[string][][]byte{"answered": guesses, "not answered": prompts} {
		d := interactiveDecider()
		s, _, err := play(d, packets...)
		if n := bytes.Count(s.numbers(), []byte{msg.UserauthInfoRequest}); !errors.Is(err, ErrTooManyFailures) || n != 6 {
			t.Errorf("%s: %d prompts with MaxAuthTries 6, %v", name, n, err)
		}
	}
	// A prompt that waits is no failure yet.
	if _, _, err := play(interactiveDecider(), prompts[:6]...); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
