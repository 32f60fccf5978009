package login

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"nano_ssh_server/server/proto/algo"
)

// The search paths that Debian's sshd starts with.
const (
	userPath = "/usr/local/bin:/usr/bin:/bin:/usr/games"
	rootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	mailDir  = "/var/mail"
)

// Variable is one variable of an environment.
type Variable struct{ Name, Value string }

// Split makes a Variable of "name=value"; ok is false without a "=".
func Split(s string) (v Variable, ok bool) {
	v.Name, v.Value, ok = strings.Cut(s, "=")
	return v, ok
}

// Env is an environment. A name that is set again keeps its place and gets the
// new value, so of several settings the last one counts.
type Env struct {
	list  []string
	index map[string]int
}

// Set sets a variable. It returns false, and does nothing, if the environment
// cannot hold it: an empty name, "=" in the name, a NUL anywhere.
func (e *Env) Set(name, value string) bool {
	if name == "" || strings.ContainsAny(name, "=\x00") || strings.IndexByte(value, 0) >= 0 {
		return false
	}
	if i, ok := e.index[name]; ok {
		e.list[i] = name + "=" + value
		return true
	}
	if e.index == nil {
		e.index = make(map[string]int)
	}
	e.index[name] = len(e.list)
	e.list = append(e.list, name+"="+value)
	return true
}

// List returns the variables as "name=value", in the order in which each name was
// first set.
func (e *Env) List() []string { return e.list }

// AcceptEnv reports whether one of AcceptEnv's patterns matches the name of a
// variable that a client sends, and the variable may be set at all.
func AcceptEnv(v Variable, patterns []string) bool {
	if Forbidden(v.Name, v.Value) {
		return false
	}
	for _, p := range patterns {
		if algo.MatchPattern(v.Name, p) {
			return true
		}
	}
	return false
}

// Environment is all that a session's environment is made of. Empty fields leave
// their variable out.
type Environment struct {
	User, Home, Shell string // of the account; the shell that is started
	UID               uint32
	TimeZone          string     // the server's own TZ
	Client            []Variable // accepted requests, in their order
	Term              string
	Display           string // of X11 forwarding
	AgentSocket       string
	// User settings: those of the key's options, then those of ~/.ssh/environment.
	// The caller leaves them out unless PermitUserEnvironment allows them;
	// UserPattern is its list of patterns, empty for any name.
	UserSettings []Variable
	UserPattern  string
	SetEnv       []string // SetEnv of the configuration, "name=value"

	RemoteAddr, RemotePort, LocalAddr, LocalPort string

	Tunnel   string // interfaces of tun forwarding
	AuthInfo string // the file of ExposeAuthInfo
	TTY      string // path
	// OriginalCommand is what the client asked for when another command is forced;
	// nil if nothing is forced or the client asked for a shell.
	OriginalCommand *string
}

// Build returns the environment as "name=value". The order of settings is sshd's:
// the client's variables cannot replace those of the account, a user's own may
// (PATH, for one), and nothing replaces what describes the connection.
func (in *Environment) Build() []string {
	var e Env
	set := func(name, value string) {
		if value != "" {
			e.Set(name, value)
		}
	}
	set("TZ", in.TimeZone)
	for _, v := range in.Client {
		if !Forbidden(v.Name, v.Value) {
			e.Set(v.Name, v.Value)
		}
	}
	e.Set("USER", in.User)
	e.Set("LOGNAME", in.User)
	e.Set("HOME", in.Home)
	e.Set("MAIL", fmt.Sprintf("%.200s/%.50s", mailDir, in.User))
	if in.UID == 0 {
		e.Set("PATH", rootPath)
	} else {
		e.Set("PATH", userPath)
	}
	e.Set("SHELL", in.Shell)
	set("TERM", in.Term)
	set("DISPLAY", in.Display)
	set("SSH_AUTH_SOCK", in.AgentSocket)
	for _, v := range in.UserSettings {
		if in.UserPattern != "" && algo.MatchPatternList(v.Name, in.UserPattern) != 1 {
			continue
		}
		if !Forbidden(v.Name, v.Value) {
			e.Set(v.Name, v.Value)
		}
	}
	for _, s := range in.SetEnv {
		if v, ok := Split(s); ok {
			e.Set(v.Name, v.Value)
		}
	}
	e.Set("SSH_CLIENT", in.RemoteAddr+" "+in.RemotePort+" "+in.LocalPort)
	e.Set("SSH_CONNECTION", in.RemoteAddr+" "+in.RemotePort+" "+in.LocalAddr+" "+in.LocalPort)
	set("SSH_TUNNEL", in.Tunnel)
	set("SSH_USER_AUTH", in.AuthInfo)
	set("SSH_TTY", in.TTY)
	if in.OriginalCommand != nil {
		e.Set("SSH_ORIGINAL_COMMAND", *in.OriginalCommand)
	}
	return e.List()
}

const (
	// maxFileLines is sshd's bound for an environment file.
	maxFileLines = 1000
	// maxFileLine is the longest line of one, in bytes: the kernel takes no
	// variable of more than 128 KiB.
	maxFileLine = 128 << 10
)

// ErrTooManyLines means that an environment file has over 1000 lines, or one of
// over 128 KiB.
var ErrTooManyLines = errors.New("too many lines in environment file")

// ReadEnvironment reads a file such as ~/.ssh/environment: lines "name=value",
// blank lines and comments; no quoting, and blanks before a name are skipped. A
// line without "=" is left out and named in warnings, in sshd's words, each with
// its line end, for the user to see. With an error, what was read before it is
// returned too.
func ReadEnvironment(r io.Reader, path string) (vars []Variable, warnings []string, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxFileLine)
	for n := 1; lines.Scan(); n++ {
		if n > maxFileLines {
			return vars, warnings, ErrTooManyLines
		}
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		v, ok := Split(line)
		if !ok {
			warnings = append(warnings, fmt.Sprintf("Bad line %d in %.100s\n", n, path))
			continue
		}
		vars = append(vars, v)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return vars, warnings, ErrTooManyLines
	}
	return vars, warnings, lines.Err()
}
