package userauth

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"nano_ssh_server/server/proto/msg"
)

// corpus has one of each request.
func corpus() [][]byte {
	return [][]byte{
		serviceRequest, build(msg.ServiceRequest, "ssh-connection"),
		request("alice", "none"), request("bob", "none"), request("alice", "nonsense", "x"),
		password("alice", "right"), password("alice", "wrong"), request("alice", "password", true, "right", "new"),
		request("alice", "publickey", false, "ssh-ed25519", "blob"), request("alice", "publickey", false, "ssh-ed25519", "other"),
		request("alice", "publickey", true, "ssh-ed25519", "blob", "good"), request("alice", "publickey", true, "ssh-ed25519", "blob", "bad"),
		request("alice", "publickey", true, "ssh-ed25519", "other", "good"),
		request("alice", hostBound, false, "ssh-ed25519", "blob", string(fakeHostKey)),
		request("alice", hostBound, true, "ssh-ed25519", "blob", string(fakeHostKey), "good"),
		request("alice", hostBound, true, "ssh-ed25519", "blob", "other", "good"),
		request("alice", "hostbased", "ssh-ed25519", "blob", "host.", "bob", "good"), request("alice", "hostbased", "ssh-ed25519", "blob", "host.", "bob", "bad"),
		{msg.UserauthSuccess}, {msg.UserauthInfoResponse, 0, 0, 0, 0}, {msg.ChannelOpen}, {},
		interactiveRequest(""), interactiveRequest("none,of,these"), response("right"), response("wrong"), response("right", "right"),
	}
}

// check runs packets and holds the result against what the Decider said: a
// success is sent once, last, and only on its word.
func check(t *testing.T, d *decider, packets [][]byte) {
	t.Helper()
	s := &script{in: packets}
	if d.methods == nil {
		d.methods = []string{"publickey", "password", "keyboard-interactive", "hostbased"}
	}
	r, err := Serve(s, d, &Config{MaxAuthTries: func() int { return 4 }})
	sent := bytes.Count(s.numbers(), []byte{msg.UserauthSuccess})
	switch {
	case sent != d.yes || sent > 1 || (err == nil) != (sent == 1):
		t.Fatalf("%d successes sent, the Decider gave %d, error %v", sent, d.yes, err)
	case sent == 1 && s.out[len(s.out)-1][0] != msg.UserauthSuccess:
		t.Fatal("something was sent after the success")
	case sent == 1 && (r.User == "" || d.second && (!d.partial || r.Method != "password")):
		t.Fatalf("let in by %+v", r)
	}
	if n := bytes.Count(s.numbers(), []byte{msg.UserauthFailure}); n > 5 {
		t.Fatalf("%d failures with MaxAuthTries 4", n)
	}
}

func FuzzRequest(f *testing.F) {
	for _, p := range corpus() {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		check(t, &decider{}, [][]byte{serviceRequest, bytes.Clone(p), bytes.Clone(p)})
		check(t, &decider{empty: true, password: "right", key: "blob"}, [][]byte{serviceRequest, p})
		check(t, &decider{}, [][]byte{bytes.Clone(p)})
		check(t, &decider{password: "right"}, [][]byte{serviceRequest, interactiveRequest(""), bytes.Clone(p)})
	})
}

// FuzzSession strings requests of the corpus together: one byte chooses each.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 2, 8, 10}, byte(0))
	f.Add([]byte{0, 2, 10, 10, 5}, byte(4))
	f.Add([]byte{16, 0, 16, 5}, byte(3))
	f.Add([]byte{0, 20, 23, 20, 22}, byte(2))
	f.Fuzz(func(t *testing.T, choice []byte, kind byte) {
		packets := corpus()
		var in [][]byte
		for _, c := range choice[:min(len(choice), 64)] {
			in = append(in, packets[int(c)%len(packets)])
		}
		check(t, deciderOf(kind), in)
	})
}

func deciderOf(kind byte) *decider {
	d := &decider{empty: kind&1 != 0, second: kind&4 != 0}
	if kind&2 != 0 || d.second {
		d.password = "right"
	}
	if kind&8 != 0 || d.second {
		d.key = "blob"
	}
	if d.second {
		d.empty = false
	}
	return d
}

// TestThreat04AndOrder plays random sequences: without the Decider's word nobody
// gets in, whatever the order.
func TestThreat04AndOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	packets := corpus()
	for range 20_000 {
		in := [][]byte{serviceRequest}
		if random.IntN(10) == 0 {
			in = nil
		}
		for range random.IntN(12) {
			in = append(in, packets[random.IntN(len(packets))])
		}
		check(t, deciderOf(byte(random.IntN(16))), in)
	}
}
