//go:build !nanotest

package session

// provoke does nothing. A build for the test of THREATS row 34 panics here for a
// request of a certain name.
func provoke(string) {}
