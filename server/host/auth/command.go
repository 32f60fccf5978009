package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/server/host/user"
)

// maxCommandOutput bounds what a command may print: a million lines of keys.
const maxCommandOutput = 100 << 20

// A Command is a program that the administrator named to answer for a file:
// AuthorizedKeysCommand or AuthorizedPrincipalsCommand.
type Command struct {
	Tag  string   // the keyword, for log lines
	Argv []string // see SplitCommand; the first is an absolute path
	// As is the account of the keyword that ends in User. The program runs with its
	// user id, its group id and its groups, and with nothing of the server's own
	// (CVE-2021-41617: sshd once left it the groups of root).
	As *user.Account
}

// Run starts the program and gives its output to read. The program and all its
// folders must belong to root and be writable by nobody else. When read returns,
// the rest of the output is thrown away, so that the program ends by itself; when
// ctx ends, it is killed with all that it started. The error is sshd's line.
func (c *Command) Run(ctx context.Context, read func(io.Reader) error) error {
	if len(c.Argv) == 0 || !filepath.IsAbs(c.Argv[0]) {
		return fmt.Errorf("%s path is not absolute", c.Tag)
	}
	path := c.Argv[0]
	if err := checkProgram(path); err != nil {
		//lint:ignore ST1005 sshd's line
		return fmt.Errorf("Unsafe %s \"%s\": %w", c.Tag, path, err)
	}
	cmd := exec.CommandContext(ctx, path, c.Argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin",
		"USER=" + c.As.Name, "LOGNAME=" + c.As.Name, "HOME=" + c.As.Home,
	}
	if lang := os.Getenv("LANG"); lang != "" {
		cmd.Env = append(cmd.Env, "LANG="+lang)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.As.UID, Gid: c.As.GID, Groups: c.As.Groups}
	} else if uint32(os.Geteuid()) != c.As.UID {
		return fmt.Errorf("%s: cannot run as %q without being root", c.Tag, c.As.Name)
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", c.Tag, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s %s failed: %w", c.Tag, path, err)
	}
	limited := io.LimitReader(out, maxCommandOutput)
	readErr := read(limited)
	// Read on, up to the bound; a program that prints more dies of the closed pipe.
	_, _ = io.Copy(io.Discard, limited)
	out.Close()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && !exit.Exited():
		status, _ := exit.Sys().(syscall.WaitStatus)
		return fmt.Errorf("%s %s exited on signal %d", c.Tag, path, status.Signal())
	case errors.As(err, &exit):
		return fmt.Errorf("%s %s failed, status %d", c.Tag, path, exit.ExitCode())
	case err != nil:
		return fmt.Errorf("%s %s failed: %w", c.Tag, path, err)
	}
	return readErr
}

// checkProgram applies the rules of StrictModes with root as the only owner.
func checkProgram(path string) error {
	dir, real, bad, err := walk(path, "/", 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	switch err := unix.Fstatat(dir, filepath.Base(real), &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err != nil:
		return &os.PathError{Op: "stat", Path: real, Err: err}
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &Refused{Reason: real + " is not a regular file", Irregular: true}
	case !trusted(&st, 0):
		bad = "file " + real
	}
	if bad != "" {
		return &Refused{Reason: "bad ownership or modes for " + bad}
	}
	return nil
}

// SplitCommand splits a command line into words as sshd does (argv_split): blanks
// between words, single and double quotes around blanks, a backslash before a
// quote, a backslash or, outside of quotes, a blank. Tokens such as %u are
// replaced in each word by their values, which can so never become more words.
func SplitCommand(line string, tokens map[byte]string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
			continue
		case c == '\\' && i+1 < len(line) && (strings.IndexByte(`'"\`, line[i+1]) >= 0 || quote == 0 && line[i+1] == ' '):
			i++
			word.WriteByte(line[i])
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '%':
			if i++; i == len(line) {
				return nil, fmt.Errorf("percent_expand: NULL pattern in \"%.100s\"", line)
			}
			value, known := tokens[line[i]]
			switch {
			case line[i] == '%':
				word.WriteByte('%')
			case !known:
				return nil, fmt.Errorf("percent_expand: unknown key %%%c", line[i])
			}
			word.WriteString(value)
		default:
			word.WriteByte(c)
		}
		inWord = true
	}
	if quote != 0 {
		return nil, errors.New("unterminated quote")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
