package user

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of one getent run. It stands between a login and its answer, and a peer
// chooses how often it happens.
const (
	getentTimeout   = 2 * time.Second
	getentOutput    = 1 << 20 // bytes read of one answer
	getentRuns      = 4       // at the same time; more wait
	negativeTTL     = 30 * time.Second
	negativeEntries = 1024
)

var getentSlots = make(chan struct{}, getentRuns)

// negativeCache remembers for a short while the names that getent did not know,
// so that guessing names costs a process at the first try only.
type negativeCache struct {
	until map[string]time.Time
}

func (c *negativeCache) has(name string, now time.Time) bool {
	t, ok := c.until[name]
	return ok && now.Before(t)
}

func (c *negativeCache) add(name string, now time.Time) {
	if len(c.until) >= negativeEntries || c.until == nil {
		c.until = make(map[string]time.Time)
	}
	c.until[name] = now.Add(negativeTTL)
}

// foreign reports whether nsswitch.conf names a source for the database
// ("passwd", "group", "shadow") that the files do not cover.
func (d *Database) foreign(database string) bool {
	if d.Nsswitch == "" || d.getentPath() == "" {
		return false
	}
	found := false
	// Without the file the C library's default is "files".
	_ = eachLineOf(d.Nsswitch, func(line []byte) bool {
		text, _, _ := strings.Cut(string(line), "#")
		name, sources, ok := strings.Cut(strings.TrimSpace(text), ":")
		if !ok || strings.TrimSpace(name) != database {
			return true
		}
		found = d.anyForeign(sources)
		return false
	})
	return found
}

func (d *Database) anyForeign(sources string) bool {
	for _, s := range strings.Fields(sources) {
		switch {
		case strings.HasPrefix(s, "["), strings.HasSuffix(s, "]"): // [NOTFOUND=return]
		case s == "files", s == "cache", s == "db":
		case s == "systemd":
			if _, err := os.Stat(d.UserDB); d.UserDB != "" && err == nil {
				return true
			}
		default:
			return true
		}
	}
	return false
}

func (d *Database) getentPath() string {
	for _, p := range d.Getent {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && filepath.IsAbs(p) {
			return p
		}
	}
	return ""
}

// foreignAccount asks getent for a name that ValidName accepted.
func (d *Database) foreignAccount(name string) (*Account, error) {
	if !d.foreign("passwd") {
		return nil, ErrUnknown
	}
	now := time.Now()
	d.mu.Lock()
	known := d.negative.has(name, now)
	d.mu.Unlock()
	if known {
		return nil, ErrUnknown
	}
	a, err := d.getentAccount(name)
	if errors.Is(err, ErrUnknown) {
		d.mu.Lock()
		d.negative.add(name, now)
		d.mu.Unlock()
	}
	return a, err
}

func (d *Database) foreignID(id string) (*Account, error) {
	if !d.foreign("passwd") {
		return nil, ErrUnknown
	}
	a, err := d.getentAccount(id)
	if err == nil && strconv.FormatUint(uint64(a.UID), 10) != id {
		return nil, ErrUnknown
	}
	return a, err
}

func (d *Database) getentAccount(key string) (*Account, error) {
	out, err := d.getent("passwd", key)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(out, "\n")
	a := parsePasswd(line)
	// A directory may answer with its own spelling of the name (SSSD folds the
	// case, or adds a domain); that one counts from here on, as in sshd.
	if a == nil || !ValidName(a.Name) {
		return nil, ErrUnknown
	}
	return a, nil
}

// foreignGroups asks getent for supplementary groups; nil when there is no other
// source or it does not answer.
func (d *Database) foreignGroups(name string) []uint32 {
	if !ValidName(name) || !d.foreign("group") && !d.foreign("initgroups") {
		return nil
	}
	out, err := d.getent("initgroups", name)
	if err != nil {
		return nil
	}
	line, _, _ := strings.Cut(out, "\n")
	rest, ok := strings.CutPrefix(line, name)
	if !ok || rest != "" && rest[0] != ' ' {
		return nil
	}
	var groups []uint32
	for _, f := range strings.Fields(rest) {
		if gid, err := parseID(f); err == nil {
			groups = append(groups, gid)
		}
	}
	return groups
}

func (d *Database) foreignGroupName(gid uint32) string {
	if !d.foreign("group") {
		return ""
	}
	out, err := d.getent("group", strconv.FormatUint(uint64(gid), 10))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(out, "\n")
	g, ok := parseGroup([]byte(line))
	if !ok || g.gid != gid {
		return ""
	}
	return string(g.name)
}

// getent runs the program on one key and returns its output. The arguments go
// straight to execve; the environment is empty but for PATH and the C locale, so
// nothing of the server's own reaches the modules that getent loads.
func (d *Database) getent(database, key string) (string, error) {
	path := d.getentPath()
	if path == "" {
		return "", ErrUnknown
	}
	ctx, cancel := context.WithTimeout(context.Background(), getentTimeout)
	defer cancel()
	select {
	case getentSlots <- struct{}{}:
		defer func() { <-getentSlots }()
	case <-ctx.Done():
		return "", fmt.Errorf("%w: getent is overloaded", ErrLookup)
	}
	cmd := exec.CommandContext(ctx, path, database, key)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.WaitDelay = 100 * time.Millisecond
	// A group of its own, so that children of a module end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out := &boundedBuffer{}
	cmd.Stdout = out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%w: getent took longer than %v", ErrLookup, getentTimeout)
	case errors.As(err, &exit) && exit.ExitCode() == 2: // "key not found"
		return "", ErrUnknown
	case err != nil:
		return "", fmt.Errorf("%w: getent: %w", ErrLookup, err)
	}
	return string(out.text), nil
}

// boundedBuffer keeps up to getentOutput bytes and fails after them, which ends the
// program by SIGPIPE. The buffer is no embedded one: io.Copy would find its
// ReadFrom and never come here.
type boundedBuffer struct{ text []byte }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > getentOutput {
		return 0, io.ErrShortWrite
	}
	b.text = append(b.text, p...)
	return len(p), nil
}
