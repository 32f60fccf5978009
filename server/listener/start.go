package listener

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/config"
	"nano_ssh_server/server/host/hostkey"
	"nano_ssh_server/server/host/log"
	"nano_ssh_server/server/host/login"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/listener/source"
	"nano_ssh_server/server/monitor"
)

// Version is the product's; the identification line carries it.
const Version = "0.1.0"

// softwareVersion is what a client is told, and what Match version compares with.
const softwareVersion = "nano_ssh_server_" + Version

// localUser is the name of the account that the server runs as.
func localUser() string {
	if a, err := user.System.Current(); err == nil {
		return a.Name
	}
	return ""
}

// exitFault is the status after a fault of the configuration, the keys or the
// addresses, as sshd's.
const exitFault = 255

// maxHostLen is the most that sshd takes for -u, in bytes.
const maxHostLen = 65

// asSSHD is the name under which the server is a drop-in for OpenSSH's: its
// port, files and habits are the defaults then.
const asSSHD = "sshd"

// exitError carries an exit status to Run.
type exitError struct {
	status int
	text   string
}

func (e *exitError) Error() string { return e.text }

// Run is the whole server, started with a command line. title shows what ps(1) is to
// say, load is told how many connections there are. It returns the exit status.
func Run(args []string, serve Serve, title func(string), load func(connections int)) int {
	s := &server{serve: serve, name: filepath.Base(args[0]), setTitle: title, setLoad: load}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer s.cancel()
	s.args = args[1:]
	s.startDir, _ = os.Getwd()
	s.program = programFile()
	err := s.start(s.args)
	var exit *exitError
	switch {
	case err == nil:
		return s.status
	case errors.As(err, &exit):
		if exit.text != "" {
			fmt.Fprintln(os.Stderr, exit.text)
		}
		return exit.status
	}
	s.log.Fatal("%v", err)
	return exitFault
}

// start does what the command line asks for.
func (s *server) start(args []string) error {
	opts, err := parseFlags(args)
	if err != nil {
		return &exitError{1, fmt.Sprintf("%v\n%s\n"+usage, err, versionLine(), s.name)}
	}
	s.opts = opts
	if opts.version {
		return &exitError{0, versionLine()}
	}
	if n, err := strconv.Atoi(opts.hostLen); opts.hostLen != "" && (err != nil || n < 0 || n > maxHostLen) {
		return &exitError{1, "Invalid utmp length."}
	}
	s.profile = config.SshdProfile()
	if s.name != asSSHD {
		s.profile = config.NanoProfile(config.NanoDir())
	}
	// Sessions inherit it: never more open than sshd's.
	syscall.Umask(syscall.Umask(0o077) | 0o022)
	s.log = log.New(log.NewWriter(os.Stderr), s.level(nil))
	from, err := inherited()
	if err != nil {
		return err
	}
	s.notify, s.activated = from.notify, from.activated
	if err := s.openLogFile(); err != nil {
		return err
	}
	next, err := s.load()
	if err != nil {
		return s.faults(err)
	}
	if err := s.absolutePaths(); err != nil {
		return err
	}
	switch {
	case opts.dump || opts.dumpPlain:
		return s.dump(next.file)
	case len(opts.specs) > 0:
		return &exitError{1, "Config test connection parameter (-C) provided without test mode (-T)"}
	case opts.test:
		return nil
	}
	s.setSink(next.base)
	if err := s.prepareAccess(next); err != nil {
		return err
	}
	next.shared.ProgramDir = linkPrograms()
	s.separate = os.Geteuid() == 0 && next.base.PrivilegeSeparation
	s.apply(next)
	switch {
	case opts.inetd:
		s.catchSignals()
		return s.inetd()
	case from.sockets == nil:
		if from.sockets = s.bind(next.base); len(from.sockets) == 0 {
			s.log.CannotBind()
			return &exitError{status: exitFault}
		}
		if s.background() {
			return daemonize(from.sockets, s.notify.environment())
		}
	}
	if s.separate {
		_ = os.Chdir("/") // as sshd; gates are started from there
	}
	s.listeners = from.sockets
	s.catchSignals()
	go s.prestart()
	s.announce(next)
	if opts.debug > 0 {
		return s.single()
	}
	if err := writePidFile(next.base.PidFile); err != nil {
		s.log.Error("Couldn't create pid file %q: %s", next.base.PidFile, reason(err))
	}
	if from.ready != nil {
		from.ready()
	}
	s.notify.ready()
	s.status = s.run()
	return nil
}

func versionLine() string {
	return fmt.Sprintf("%s, %s, libsodium %s", softwareVersion, libcrypto.VersionText(), sodium.Version())
}

// background reports whether this process is to become a daemon: only as sshd,
// and not when told to stay.
func (s *server) background() bool {
	return s.name == asSSHD && !s.opts.foreground && s.opts.debug == 0
}

func (s *server) openLogFile() error {
	if s.opts.logFile == "" {
		return nil
	}
	f, err := log.OpenFile(s.opts.logFile)
	if err != nil {
		return &exitError{1, fmt.Sprintf("Couldn't open logfile %s: %s", s.opts.logFile, reason(err))}
	}
	s.logFile = f
	s.log = log.New(log.NewWriter(f), s.level(nil))
	return nil
}

// absolutePaths makes the files of the command line mean the same after the
// daemon's change of directory: a reload reads them again.
func (s *server) absolutePaths() error {
	paths := []*string{&s.opts.configFile}
	for _, list := range [][]string{s.opts.hostKeys, s.opts.certificate} {
		for i := range list {
			if !strings.HasPrefix(list[i], "~") { // a home, wherever this process is
				paths = append(paths, &list[i])
			}
		}
	}
	for _, p := range paths {
		if *p == "" || strings.EqualFold(*p, "none") {
			continue
		}
		absolute, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = absolute
	}
	return nil
}

// level is what is logged: as the flags say, else as the configuration does, which
// is nil as long as none is read.
func (s *server) level(c *config.Config) log.Level {
	switch {
	case s.opts.quiet:
		return log.Quiet
	case s.opts.debug > 0:
		return log.Debug1 + log.Level(s.opts.debug-1)
	case c == nil:
		return log.Info
	}
	return c.LogLevel
}

// setSink sends the log where the flags say: -E to a file, -e and -d to stderr,
// else syslog for sshd. Without a configuration nano_ssh_server logs to stderr.
func (s *server) setSink(c *config.Config) {
	level := s.level(c)
	s.syslog = -1
	if s.logFile == nil && s.name == asSSHD && !s.opts.stderr && s.opts.debug == 0 {
		s.log = log.New(log.NewSyslog(asSSHD, c.SyslogFacility), level)
		s.syslog = int32(c.SyslogFacility)
		return
	}
	s.log.SetLevel(level)
}

// configPath is the file to read: -f, or sshd's own. nano_ssh_server reads none
// unless told.
func (s *server) configPath() string {
	if s.opts.configFile == "" && s.name == asSSHD {
		return "/etc/ssh/sshd_config"
	}
	return s.opts.configFile
}

// load reads configuration and host keys.
func (s *server) load() (*settings, error) {
	o := config.Options{Path: s.configPath(), Profile: s.profile, Overrides: s.opts.overrides, Ports: s.opts.ports}
	set := func(keyword string, values ...string) {
		for _, v := range values {
			o.Settings = append(o.Settings, config.Setting{Keyword: keyword, Value: v})
		}
	}
	set("HostKey", s.opts.hostKeys...)
	set("HostCertificate", s.opts.certificate...)
	if s.opts.graceTime != "" {
		set("LoginGraceTime", s.opts.graceTime)
	}
	if s.opts.ipv4 != s.opts.ipv6 {
		set("AddressFamily", map[bool]string{true: "inet", false: "inet6"}[s.opts.ipv4])
	}
	file, err := config.Load(o)
	if err != nil {
		return nil, err
	}
	next := &settings{file: file, base: file.Base()}
	for _, n := range file.Notices() {
		if n.Debug {
			s.log.Debug("%s", n.Text)
		} else {
			s.log.Info("%s", n.Text)
		}
	}
	if s.opts.dump || s.opts.dumpPlain {
		return next, nil
	}
	keys, err := s.loadKeys(next.base)
	if err != nil {
		return nil, err
	}
	next.shared = s.share(file, keys)
	return next, nil
}

// loadKeys loads the host keys; without a configured one nano_ssh_server makes
// its own at the first start.
func (s *server) loadKeys(c *config.Config) (*hostkey.Set, error) {
	if s.ownKey(c) {
		key, path, created, err := hostkey.LoadOrCreate(filepath.Dir(c.HostKey[0]))
		if err != nil {
			return nil, &exitError{exitFault, fmt.Sprintf("host key: %v", err)}
		}
		if created {
			s.log.Info("Host key made: %s", path)
		}
		set := &hostkey.Set{}
		set.Add(key)
		return set, nil
	}
	agent := c.HostKeyAgent
	if agent == "SSH_AUTH_SOCK" {
		agent = os.Getenv(agent)
	}
	set, failed, notes := hostkey.LoadAll(&hostkey.Files{
		Keys: c.HostKey, Certificates: c.HostCertificate, Agent: agent, Provider: c.SecurityKeyProvider,
		MinRSABits: c.RequiredRSASize,
	})
	for _, note := range notes {
		s.log.Error("%s", note)
	}
	if set.Len() > 0 || s.name == asSSHD {
		for _, f := range failed {
			for _, line := range f.Lines() {
				s.log.Error("%s", line)
			}
		}
	}
	if set.Len() == 0 {
		text := strings.Replace(hostkey.NoHostKeys, asSSHD, s.name, 1)
		if s.name != asSSHD {
			for _, f := range failed {
				text += " " + f.Error() + "."
			}
		}
		return nil, &exitError{exitFault, text}
	}
	return set, nil
}

// ownKey reports whether the only host key is the default one of nano_ssh_server.
func (s *server) ownKey(c *config.Config) bool {
	return s.name != asSSHD && len(c.HostKey) == 1 && c.HostKey[0] == s.profile.HostKey[0]
}

// share makes what the monitor needs for a configuration.
func (s *server) share(file *config.File, keys *hostkey.Set) *monitor.Shared {
	sh := &monitor.Shared{File: file, Keys: keys, Users: user.System, Log: s.log, Version: softwareVersion, LocalUser: localUser()}
	if old := s.settings.Load(); old != nil {
		sh.Verifier, sh.Secret = old.shared.Verifier, old.shared.Secret
		sh.ProgramDir = old.shared.ProgramDir
		sh.Records = old.shared.Records
		sh.Only, sh.OneTime, sh.OneTimeAccount = old.shared.Only, old.shared.OneTime, old.shared.OneTimeAccount
		return sh
	}
	sh.Verifier = user.NewVerifier(user.System)
	if os.Geteuid() == 0 {
		sh.Records = login.NewRecorder()
		if n, err := strconv.Atoi(s.opts.hostLen); err == nil {
			sh.Records.HostLen = n
		}
	}
	sodium.Random(sh.Secret[:])
	return sh
}

// apply makes settings those of new connections.
func (s *server) apply(next *settings) {
	m := affordable(next.base.MaxStartups)
	s.startups.set(m.Begin, m.Rate, m.Full)
	if s.sources == nil {
		s.sources = source.New(source.ConfigOf(next.file), s.log)
	} else {
		s.sources.Configure(source.ConfigOf(next.file))
	}
	next.shared.Log = s.log
	next.shared.Chroots, next.shared.NoShell = s.separate, s.name != asSSHD && s.opts.configFile == ""
	next.gate = next.shared.GateSettings(Identification(next.base.VersionAddendum))
	s.settings.Store(next)
}

// spareFiles are descriptors that startups must leave for everything else.
const spareFiles = 512

// affordable is MaxStartups as far as the limit of open files goes: a connection has
// one here. Beyond it the server could not even start a user's process.
func affordable(m config.MaxStartups) config.MaxStartups {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return m
	}
	most := int(min(limit.Cur, 1<<30)) / 2
	if limit.Cur > 2*spareFiles {
		most = int(min(limit.Cur, 1<<30)) - spareFiles
	}
	m.Full = max(min(m.Full, most), 1)
	m.Begin = min(m.Begin, m.Full)
	return m
}

// faults prints what is wrong with a configuration and gives the exit status.
func (s *server) faults(err error) error {
	var lines config.Errors
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return err
	case errors.As(err, &lines):
		s.logFaults(lines)
		return &exitError{status: lines.ExitStatus()}
	}
	return &exitError{1, err.Error()}
}

// logFaults gives each a line of its own.
func (s *server) logFaults(faults config.Errors) {
	for line := range strings.Lines(faults.Error()) {
		s.log.Error("%s", strings.TrimRight(line, "\n"))
	}
}

func (s *server) dump(file *config.File) error {
	c, origin := file.Base(), file.Origin
	if len(s.opts.specs) > 0 || s.opts.dump {
		info := config.NewTestInfo()
		info.Version, info.LocalUser = softwareVersion, localUser()
		for _, spec := range s.opts.specs {
			if err := info.AddSpec(spec); err != nil {
				return &exitError{1, err.Error()}
			}
		}
		var err error
		if c, origin, err = file.ResolveOrigins(info); err != nil {
			return err
		}
	}
	if !s.opts.origins {
		origin = nil
	}
	return config.DumpOrigins(os.Stdout, c, origin)
}

// prepareAccess says who may log in to a server that an ordinary user started:
// that account alone. And it makes a one-time password where nobody could get in:
// for that account, or, if root started the server without a configuration, for
// the account "user" or else root itself.
func (s *server) prepareAccess(next *settings) error {
	sh := next.shared
	account, err := user.Current()
	if err != nil {
		return err
	}
	root := os.Geteuid() == 0
	if !root {
		sh.Only = account
	}
	switch {
	case s.name == asSSHD || s.opts.inetd || !next.base.PasswordAuthentication:
		return nil
	case !root && hasKeys(next.base, account):
		return nil
	case root && (s.opts.configFile != "" || somebodyCanLogIn(next.base)):
		return nil
	case root:
		if a, err := user.Lookup("user"); err == nil {
			account = a
		}
	}
	sh.OneTimeAccount = account
	sh.OneTime, err = user.NewOneTimePassword()
	return err
}

// somebodyCanLogIn reports whether an account of the machine has a shell and a
// password or keys to reach it by.
func somebodyCanLogIn(c *config.Config) bool {
	found := false
	// Without the file there is nobody.
	_ = user.System.Each(func(a *user.Account) bool {
		if shell := filepath.Base(a.LoginShell()); shell == "nologin" || shell == "false" || shell == "sync" {
			return true
		}
		if st, err := os.Stat(a.LoginShell()); err != nil || st.IsDir() {
			return true
		}
		shadow, err := user.LookupShadow(a)
		if err != nil || shadow.Locked() {
			shadow = nil
		}
		byPassword := shadow != nil && shadow.Hash != "" && shadow.HasPassword() && (a.UID != 0 || c.PermitRootLogin == config.RootYes)
		found = byPassword || hasKeys(c, a) && (shadow != nil || err != nil)
		return !found
	})
	return found
}

// hasKeys reports whether one of AuthorizedKeysFile is there and not empty.
func hasKeys(c *config.Config, a *user.Account) bool {
	for _, pattern := range c.AuthorizedKeysFile {
		path, err := auth.ExpandPath(pattern, a)
		if err != nil {
			continue
		}
		if st, err := os.Stat(path); err == nil && st.Size() > 0 || errors.Is(err, fs.ErrPermission) {
			return true
		}
	}
	return false
}
