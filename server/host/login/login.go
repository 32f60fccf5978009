// Package login is what happens between a granted login and a user's shell: the
// environment, the message of the day, the line about the last login, and the
// login records.
//
// The session service calls it in the process of the user, where it reads files and
// builds text. Recorder alone writes, to utmp and its kin, and belongs to the monitor.
// The package starts nothing, and decides about no login.
package login

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// maxMotd bounds what is shown of the message of the day, in bytes: far more than
// anybody reads, and no more than a session may cost.
const maxMotd = 1 << 20

// MotdFile is the message of the day that PrintMotd shows.
const MotdFile = "/etc/motd"

// Motd returns the first MiB of a message of the day, nothing if it cannot be read.
func Motd(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.IsDir() {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(f, maxMotd))
	return b
}

// Hushed reports whether a user wants a quiet login: .hushlogin is in the home.
func Hushed(home string) bool {
	_, err := os.Stat(filepath.Join(home, ".hushlogin"))
	return err == nil
}

// LastLogin is sshd's line about the previous login; empty if there was none (the
// zero time). It ends with CR LF, for a terminal. The host may be empty.
func LastLogin(at time.Time, host string) string {
	if at.IsZero() {
		return ""
	}
	when := at.Local().Format(time.ANSIC)
	if host == "" {
		return fmt.Sprintf("Last login: %s\r\n", when)
	}
	return fmt.Sprintf("Last login: %s from %s\r\n", when, host)
}
