package msg

import "testing"

// TestThreat02And03Table checks the table that keeps a message of the wrong
// phase or direction out: no server message is ever accepted, and nothing of
// the connection protocol before authentication.
func TestThreat02And03Table(t *testing.T) {
	all := []Phase{BeforeKex, InFirstKexBare, InKex, Service, Userauth, Connection}
	for _, n := range []byte{ServiceAccept, UserauthFailure, UserauthSuccess, UserauthBanner, UserauthInfoRequest} {
		for _, p := range all {
			if Allowed(n, p) {
				t.Errorf("%s allowed in phase %d", Name(n), p)
			}
		}
		if !Known(n) {
			t.Errorf("%s is taken for an unknown message", Name(n))
		}
	}
	for n := 80; n <= 100; n++ {
		for _, p := range all[:5] {
			if Allowed(byte(n), p) {
				t.Errorf("%s allowed in phase %d", Name(byte(n)), p)
			}
		}
	}
}

// TestThreat01And06Table: inside a strict or later key exchange nothing but its
// own messages and DISCONNECT may arrive.
func TestThreat01And06Table(t *testing.T) {
	for n := 0; n < 256; n++ {
		want := n == Disconnect || n == NewKeys || n >= KexFirst && n <= KexLast
		if got := Allowed(byte(n), InKex); got != want {
			t.Errorf("%s in key exchange: %v, want %v", Name(byte(n)), got, want)
		}
	}
}
