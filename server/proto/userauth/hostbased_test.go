package userauth

import (
	"slices"
	"strings"
	"testing"

	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/wire"
)

func TestHostbased(t *testing.T) {
	good := []any{"ssh-ed25519", "blob", "client.example.", "alice", "good"}
	d := &decider{key: "blob", methods: []string{"hostbased"}}
	s, r, err := play(d, request("alice", "hostbased", "ssh-ed25519", "blob", "client.example.", "bob", "bad"), request("alice", "hostbased", good...))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure, msg.UserauthSuccess)
	if err != nil || r != (Result{"alice", "ssh-connection", "hostbased"}) {
		t.Error(r, err)
	}
	if want := "hostbased ssh-ed25519|client.example.|alice"; d.asked[len(d.asked)-1] != want {
		t.Errorf("asked %q", d.asked)
	}
	// Not offered: not asked.
	d = &decider{key: "blob", methods: []string{"publickey"}}
	s, _, _ = play(d, request("alice", "hostbased", good...))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure)
	if !slices.Equal(d.asked[1:], []string{"failed hostbased"}) {
		t.Errorf("asked %q", d.asked)
	}
	// Longer than any name: a failure, of which the Decider hears no more than that.
	d = &decider{key: "blob", methods: []string{"hostbased"}}
	s, _, _ = play(d, request("alice", "hostbased", "ssh-ed25519", "blob", strings.Repeat("h", maxClientName+1), "alice", "good"))
	wantNumbers(t, s, msg.ServiceAccept, msg.UserauthFailure)
	if !slices.Equal(d.asked[1:], []string{"failed hostbased"}) {
		t.Errorf("asked %q", d.asked)
	}
	for name, fields := range map[string][]any{
		"nothing":        {},
		"no signature":   good[:4],
		"more":           append(slices.Clone(good), "x"),
		"NUL in a host":  {"ssh-ed25519", "blob", "client\x00.example", "alice", "good"},
		"NUL in a user":  {"ssh-ed25519", "blob", "client.example", "alice\x00", "good"},
		"NUL in a name":  {"ssh-ed25519\x00", "blob", "client.example", "alice", "good"},
		"a long length":  {"ssh-ed25519", []byte{0xff, 0xff, 0xff, 0xff}},
		"a flag, as key": {true, "ssh-ed25519", "blob", "client.example.", "alice", "good"},
	} {
		d := &decider{key: "blob", methods: []string{"hostbased"}}
		_, _, err := play(d, request("alice", "hostbased", fields...))
		if len(d.asked) > 1 {
			t.Errorf("%s: asked %q", name, d.asked)
		}
		wantEnd(t, err, msg.ReasonProtocolError, "malformed hostbased request")
	}
}

func FuzzHostbasedRequest(f *testing.F) {
	f.Add(build(0, "ssh-ed25519", "blob", "client.example.", "alice", "good")[1:])
	f.Add(build(0, "", "", "", "", "")[1:])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, fits, ok := parseHostbased(wire.NewReader(b))
		if fits && !ok || len(q.Host) > maxClientName || len(q.User) > maxClientName || len(q.Algorithm) > maxAlgorithm {
			t.Fatalf("%+v %v %v", q, fits, ok)
		}
		if !fits {
			return
		}
		if again := build(0, q.Algorithm, string(q.Blob), q.Host, q.User, string(q.Signature))[1:]; string(again) != string(b) {
			t.Errorf("%q has two forms: %q", b, again)
		}
	})
}
