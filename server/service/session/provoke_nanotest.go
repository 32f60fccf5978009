//go:build nanotest

package session

// provoke panics for the request "panic@nanotest": THREATS row 34 is tested with a
// server that is built with this tag.
func provoke(request string) {
	if request == "panic@nanotest" {
		panic("asked for by a channel request")
	}
}
