package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/login"
)

// changePassword lets a user whose password has expired change it, and nothing else.
func (x *session) changePassword(std *stdio) syscall.WaitStatus {
	_, _ = io.WriteString(std.stderr, "WARNING: Your password has expired.\n")
	if std.pty == nil {
		_, _ = io.WriteString(std.stderr, "Password change required but no TTY available.\n")
		return exitFailed
	}
	_, _ = io.WriteString(std.stderr, "You must change your password now and login again!\n")
	return x.startProgram(std, "/usr/bin/passwd", []string{"passwd"}, x.environment(std), "/")
}

// welcome greets a login shell on a terminal, unless the user wants it quiet.
func (x *session) welcome(tty io.Writer) {
	p := x.policy
	if login.Hushed(p.Account.Home) {
		return
	}
	_, _ = io.WriteString(tty, x.server.loginMessage())
	if p.PrintMotd {
		_, _ = tty.Write(login.Motd(login.MotdFile))
	}
}

// homeDirectory returns where programs start: the home, or / with sshd's
// complaint.
func (x *session) homeDirectory(stderr io.Writer) string {
	home := x.policy.Account.Home
	st, err := os.Stat(home)
	switch {
	case err != nil:
	case !st.IsDir():
		err = unix.ENOTDIR
	default:
		err = unix.Access(home, unix.X_OK)
	}
	// Root may see less than the user (a home on NFS): the program's own change of
	// directory, with the user's rights, has the last word then.
	asOther := x.policy.Credential != nil && errors.Is(err, unix.EACCES)
	if err == nil || asOther {
		return home
	}
	complain(stderr, home, err)
	return "/"
}

func complain(stderr io.Writer, home string, err error) {
	fmt.Fprintf(stderr, "Could not chdir to home directory %s: %s\n", home, reason(err))
}

// environment builds the program's environment; it tells the user of bad lines
// in ~/.ssh/environment.
func (x *session) environment(std *stdio) []string {
	p := x.policy
	in := &login.Environment{
		User: p.Account.Name, Home: p.Account.Home, Shell: p.Account.LoginShell(), UID: p.Account.UID,
		TimeZone: os.Getenv("TZ"), Client: x.client, Term: x.term, AgentSocket: x.server.agentSocket(),
		UserPattern: p.UserEnvironmentPatterns, SetEnv: p.SetEnv,
		RemoteAddr: p.RemoteAddr, RemotePort: p.RemotePort, LocalAddr: p.LocalAddr, LocalPort: p.LocalPort,
		AuthInfo: p.AuthInfoFile, OriginalCommand: x.plan.original,
	}
	if x11 := x.display(); x11 != nil {
		in.Display = x11.Display
	}
	if std.pty != nil {
		in.TTY = std.pty.name
	}
	if p.PermitUserEnvironment {
		for _, s := range p.KeyEnvironment {
			if v, ok := login.Split(s); ok {
				in.UserSettings = append(in.UserSettings, v)
			}
		}
		in.UserSettings = append(in.UserSettings, x.userEnvironment(std.stderr)...)
	}
	if p.Interfaces != nil {
		in.Tunnel = p.Interfaces()
	}
	env := in.Build()
	if c := x.plan.command; p.ProgramDir != "" && c != nil && strings.HasPrefix(strings.TrimSpace(*c), "scp ") {
		appendPath(env, p.ProgramDir)
	}
	return env
}

// appendPath puts a folder at the end of the search path.
func appendPath(env []string, dir string) {
	for i, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			env[i] = "PATH=" + path + ":" + dir
		}
	}
}

// userEnvironment reads ~/.ssh/environment with the user's rights.
func (x *session) userEnvironment(stderr io.Writer) []login.Variable {
	name := path.Join(x.policy.Account.Home, ".ssh/environment")
	f, err := auth.OpenTrusted(name, x.policy.Account, false)
	if err != nil {
		return nil
	}
	defer f.Close()
	vars, warnings, err := login.ReadEnvironment(f, name)
	if err != nil {
		x.server.log.Errorf("%s: %v", name, err)
	}
	_, _ = io.WriteString(stderr, strings.Join(warnings, ""))
	return vars
}
