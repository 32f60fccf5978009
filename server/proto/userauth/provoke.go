//go:build !nanotest

package userauth

// provoke does nothing. A build for the test of THREATS row 34 panics here for a
// method of a certain name.
func provoke(string) {}
