package auth

import (
	"strings"
	"testing"
)

var equivAlice = equivPeer{Host: "Client.example", Addr: "192.0.2.7", ClientUser: "alice", ServerUser: "alice"}

func TestEquiv(t *testing.T) {
	other := equivAlice
	other.ClientUser = "bob"
	for _, c := range []struct {
		text string
		peer equivPeer
		want equivAnswer
	}{
		{"client.example", equivAlice, equivAllowed},
		{"192.0.2.7", equivAlice, equivAllowed},
		{"  client.example \t alice \r", equivAlice, equivAllowed},
		{"+client.example +alice", equivAlice, equivAllowed},
		{"client.example", other, equivSilent},
		{"client.example bob", other, equivAllowed},
		{"client.example Alice", equivAlice, equivSilent},
		{"client.example alice bob", equivAlice, equivSilent},
		{"other.example\nclient.example", equivAlice, equivAllowed},
		{"-client.example\nclient.example", equivAlice, equivDenied},
		{"client.example -alice\nclient.example", equivAlice, equivDenied},
		{"client.example -bob\nclient.example", equivAlice, equivAllowed},
		{"client.example\n-client.example", equivAlice, equivAllowed},
		{"+", equivAlice, equivSilent},
		{"+ +", equivAlice, equivSilent},
		{"+ alice", equivAlice, equivSilent},
		{"client.example +", equivAlice, equivSilent},
		{"- alice\nclient.example", equivAlice, equivAllowed},
		{"*", equivAlice, equivSilent},
		{"@group", equivAlice, equivSilent},
		{"+@group alice", equivAlice, equivSilent},
		{"client.example @group", equivAlice, equivSilent},
		{"-@group\nclient.example", equivAlice, equivDenied},
		{"client.example -@group\nclient.example", equivAlice, equivDenied},
		{"other.example -@group\nclient.example", equivAlice, equivAllowed},
		{"-@group bob\nclient.example", equivAlice, equivAllowed},
		{"NO_PLUS\n# client.example\n\n", equivAlice, equivSilent},
		{"client.example\x00 bob", equivAlice, equivSilent},
		{strings.Repeat("x", maxLine+1) + "\nclient.example", equivAlice, equivDenied},
		{strings.Repeat("#\n", maxEquivFile/2) + "client.example bob", equivAlice, equivSilent},
		{strings.Repeat("\n", maxEquivFile-len("client.example")) + "client.example bob", equivAlice, equivSilent},
		{"", equivAlice, equivSilent},
	} {
		if got := readEquiv(strings.NewReader(c.text), "file", &c.peer, nil); got != c.want {
			t.Errorf("%.60q for %s: %d, want %d", c.text, c.peer.ClientUser, got, c.want)
		}
	}
}

func FuzzEquiv(f *testing.F) {
	for _, s := range []string{"client.example alice", "-@group\n+ +", "192.0.2.7\x00", "NO_PLUS", "\xff\xfe\n-"} {
		f.Add([]byte(s), "client.example", "alice")
	}
	f.Fuzz(func(t *testing.T, text []byte, host, user string) {
		p := &equivPeer{Host: host, Addr: host, ClientUser: user, ServerUser: "alice"}
		if readEquiv(strings.NewReader(string(text)), "file", p, nil) != equivAllowed {
			return
		}
		if !strings.Contains(strings.ToLower(string(text)), strings.ToLower(host)) && !strings.EqualFold(string(text), host) {
			// EqualFold knows more pairs than ToLower: look at each word.
			for _, word := range strings.Fields(string(text)) {
				if strings.EqualFold(strings.TrimPrefix(word, "+"), host) {
					return
				}
			}
			t.Errorf("%q lets in %q, which it does not name", text, host)
		}
	})
}
