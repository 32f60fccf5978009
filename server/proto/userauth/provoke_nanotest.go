//go:build nanotest

package userauth

// provoke panics for the method "panic@nanotest": THREATS row 34 is tested with a
// server that is built with this tag.
func provoke(method string) {
	if method == "panic@nanotest" {
		panic("asked for by an authentication method")
	}
}
