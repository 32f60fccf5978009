package session

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// systemRC is run for users who have no ~/.ssh/rc; the tests put another in its place.
var systemRC = "/etc/ssh/sshrc"

// runRC runs, before the session's program, the first that there is of ~/.ssh/rc,
// /etc/ssh/sshrc and xauth(1) (sshd(8), SSHRC). Its input is what it needs to know of X11 forwarding,
// its output the session's.
//
// With sshd it shares the terminal with the program that follows. Here it leads a
// session of its own, without a controlling terminal: the kernel takes a terminal
// from everybody when the leader of its session ends.
func (x *session) runRC(std *stdio, shell, dir string, env []string) {
	p := x.policy
	file, argv, input := x.rcCommand(shell)
	if file == "" {
		return
	}
	stdin, w, err := os.Pipe()
	if err != nil {
		x.server.log.Errorf("session %d: rc: %v", x.id, err)
		return
	}
	defer stdin.Close()
	_, _ = w.WriteString(input) // some KiB at most: the pipe takes it
	w.Close()
	proc, err := x.launch(&programSpec{
		path: file, argv: argv, env: env, dir: dir, stdin: stdin, stdout: std.stdout, stderr: std.stderr,
		credential: p.Credential,
	}, false)
	if err != nil {
		fmt.Fprintf(std.stderr, "Could not run %s\n", argv[len(argv)-1])
		return
	}
	x.wait(proc)
}

// rcCommand chooses what to run: the program, its arguments and what it reads. An
// empty name means nothing.
func (x *session) rcCommand(shell string) (file string, argv []string, input string) {
	p := x.policy
	x11 := x.display()
	if x11 != nil {
		input = fmt.Sprintf("%s %s\n", x.x11Req.Protocol, x.x11Req.Cookie)
	}
	userRC := path.Join(p.Account.Home, ".ssh/rc")
	if p.PermitUserRC && x.plan.kind != kindSubsystem && !x.plan.sftpOnly && p.ForceCommand == "" && exists(userRC) {
		return shell, []string{path.Base(shell), "-c", "/bin/sh " + quote(userRC)}, input
	}
	if exists(systemRC) {
		return "/bin/sh", []string{"sh", systemRC}, input
	}
	if x11 != nil && p.XAuthLocation != "" {
		display := x11.AuthDisplay
		return p.XAuthLocation, []string{p.XAuthLocation, "-q", "-"},
			fmt.Sprintf("remove %s\nadd %s %s %s\n", display, display, x.x11Req.Protocol, x.x11Req.Cookie)
	}
	return "", nil, ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// quote makes a word of the shell of any text.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
