package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

// withPassword returns a client that answers the password prompt through
// SSH_ASKPASS.
func withPassword(t *testing.T, s *harness.Server, password string) *client {
	t.Helper()
	script := filepath.Join(t.TempDir(), "askpass")
	text := "#!/bin/sh\ncat <<'END'\n" + password + "\nEND\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	c := openssh(t, s, "-o", "BatchMode=no", "-o", "PubkeyAuthentication=no",
		"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1")
	c.env = []string{"SSH_ASKPASS=" + script, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0"}
	return c
}

// TestPasswords logs in with a password of each hash type of /etc/shadow.
func TestPasswords(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "MaxStartups 100"})
	for _, hash := range harness.HashTypes {
		t.Run(hash, func(t *testing.T) {
			t.Parallel()
			c := withPassword(t, s, harness.Password)
			c.user = "nanohash-" + hash
			c.expect("id -un", c.user, 0)
			wrong := withPassword(t, s, harness.Password+"0")
			wrong.user = c.user
			wrong.refused()
		})
	}
	for user, why := range map[string]string{
		"nanolocked": "locked", "nanoexpired": "expired", "nanonoshell": "shell", "nanoempty": "empty password",
		"nosuchuser": "unknown", "root": "PermitRootLogin prohibit-password",
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			for _, password := range []string{harness.Password, ""} {
				c := withPassword(t, s, password)
				c.user = user
				c.refused()
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		off := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "PasswordAuthentication no"})
		if r := withPassword(t, off, harness.Password).refused(); !strings.Contains(r.Stderr, "publickey") ||
			strings.Contains(r.Stderr, "password") {
			t.Errorf("methods left: %s", r.Stderr)
		}
	})
}

// TestAccounts refuses keys of accounts that may not log in.
func TestAccounts(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "MaxStartups 100"})
	for _, user := range []string{"nanolocked", "nanoexpired", "nanonoshell", "nosuchuser"} {
		c := openssh(t, s)
		c.user = user
		c.refused()
	}
	c := openssh(t, s)
	c.user = "nanonologin" // its shell is /bin/false: logged in, and out again
	c.expect("echo in", "", 1)
	for config, ok := range map[string]bool{
		"AllowUsers nanoother": false, "AllowUsers nano*": true, "DenyUsers nanotest": false,
		"AllowUsers nanotest@127.0.0.1": true, "AllowUsers nanotest@10.0.0.0/8": false,
		"DenyUsers nanotest\nAllowUsers nanotest": false,
	} {
		s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: config})
		if ok {
			openssh(t, s).expect("echo in", "in", 0)
		} else {
			openssh(t, s).refused()
		}
	}
}

// TestExpiryWarnings: who logs in is told in a terminal what will expire, and nowhere else;
// of the password only who used it.
func TestExpiryWarnings(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: "MaxStartups 100"})
	for _, byPassword := range []bool{false, true} {
		c := openssh(t, s)
		if byPassword {
			c = withPassword(t, s, harness.Password)
		}
		c.user = "nanowarned"
		c.expect("echo in", "in", 0)
		term := openTerminal(t, c.cmd(nil, ""))
		term.wait(`Your account will expire in \d+ days\.\s`)
		term.wait(`[$#] $`)
		if regexp.MustCompile(`Your password will expire in \d+ days\.\s`).MatchString(term.shown()) != byPassword {
			t.Errorf("by password %v: %q", byPassword, term.shown())
		}
		term.typed("exit\r")
		term.exit(0)
	}
}

// TestOneTimePassword starts the server as a newcomer does: no configuration and
// no authorized_keys.
func TestOneTimePassword(t *testing.T) {
	t.Parallel()
	harness.SkipPeer(t, "it has no such password")
	home := filepath.Dir(sharedFile(t, harness.Prepare(t, harness.Options{NoConfig: true})))
	s := harness.Start(t, harness.Options{NoConfig: true, Env: []string{"XDG_STATE_HOME=" + home}})
	if keys, _ := os.ReadFile(s.Account.Home + "/.ssh/authorized_keys"); len(keys) > 0 {
		t.Skip("this account has authorized_keys")
	}
	password := oneTimePassword(t, s)
	if len(password) < 16 {
		t.Errorf("password %q is too short for 100 bits", password)
	}
	if strings.Count(s.Log.String(), password) != 1 {
		t.Errorf("the password was printed %d times", strings.Count(s.Log.String(), password))
	}
	login := func(password string) *client {
		c := withPassword(t, s, password)
		c.user = "user"
		c.base = append([]string{"-o", "StrictHostKeyChecking=no"}, c.base...)
		return c
	}
	login(password + "x").refused()
	login("").refused()
	login(password).expect("id -un", s.Account.Name, 0)
	own := login(password)
	own.user = "somebodyelse"
	own.refused()
	if files, _ := filepath.Glob(home + "/nano_ssh_server/ssh_host_*"); len(files) == 0 {
		t.Error("no host key in $XDG_STATE_HOME/nano_ssh_server")
	} else {
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || !strings.HasSuffix(f, ".pub") && info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v %v", f, info.Mode(), err)
			}
		}
	}
	key := s.Log.Find(0, `SHA256:\S+`)
	s.Stop()
	if again := harness.Start(t, harness.Options{NoConfig: true, Env: []string{"XDG_STATE_HOME=" + home}}); key == nil ||
		again.Log.Wait(t, 0, `SHA256:\S+`)[0] != key[0] {
		t.Errorf("the host key is not the same at the second start")
	} else if oneTimePassword(t, again) == password {
		t.Error("the one-time password is the same at the second start")
	}
}

// oneTimePassword reads the password from what the server prints.
func oneTimePassword(t *testing.T, s *harness.Server) string {
	t.Helper()
	return s.Log.Wait(t, 0, `(?i)password[^:]*:\s+(\S+)\s*$`)[1]
}

// TestAuthorizedKeysOptions uses the options of authorized_keys.
func TestAuthorizedKeysOptions(t *testing.T) {
	t.Parallel()
	key := harness.UserKey(t, "ed25519", "").Line
	start := func(t *testing.T, line string, config ...string) *client {
		return openssh(t, harness.Start(t, harness.Options{
			Authorized: []string{"# a comment", "", "not a key", line + " " + key}, Config: strings.Join(config, "\n"),
		}))
	}
	cases := map[string]func(t *testing.T){
		"command": func(t *testing.T) {
			c := start(t, `command="echo forced \"$SSH_ORIGINAL_COMMAND\"; exit 3"`)
			c.expect("ls -l", "forced ls -l", 3)
			c.expect("", "forced", 3, "-T")
		},
		"ForceCommand wins": func(t *testing.T) {
			c := start(t, `command="echo key"`, "ForceCommand echo config $SSH_ORIGINAL_COMMAND")
			c.expect("ls -l", "config ls -l", 0)
		},
		"from": func(t *testing.T) {
			start(t, `from="10.0.0.0/8,127.0.0.1"`).expect("echo in", "in", 0)
			start(t, `from="10.0.0.0/8"`).refused()
			start(t, `from="!127.0.0.1,*"`).refused()
		},
		"expiry-time": func(t *testing.T) {
			start(t, `expiry-time="20380101"`).expect("echo in", "in", 0)
			start(t, `expiry-time="20200101"`).refused()
		},
		"no-pty": func(t *testing.T) {
			for _, option := range []string{"no-pty", "restrict"} {
				r := start(t, option).run("tty", "-tt")
				if strings.Contains(r.Stdout, "/dev/") || !strings.Contains(r.Stderr, "PTY allocation request failed") {
					t.Errorf("%s: %+v", option, r)
				}
			}
		},
		"restrict,pty": func(t *testing.T) { start(t, "restrict,pty").expect("tty >/dev/null && echo a tty", "a tty", 0, "-tt") },
		"PermitTTY": func(t *testing.T) {
			if r := start(t, "restrict,pty", "PermitTTY no").run("tty", "-tt"); !strings.Contains(r.Stderr, "PTY allocation request failed") {
				t.Errorf("%+v", r)
			}
		},
		"environment": func(t *testing.T) {
			start(t, `environment="NANO=a b"`, "PermitUserEnvironment yes").expect("echo $NANO", "a b", 0)
			start(t, `environment="NANO=a b"`).expect("echo $NANO", "", 0)
		},
		"unknown option": func(t *testing.T) { start(t, "no-such-option").refused() },
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { t.Parallel(); run(t) })
	}
}

// TestStrictModes refuses an authorized_keys that others can write to.
func TestStrictModes(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	for _, strict := range []bool{true, false} {
		config := "StrictModes no"
		if strict {
			config = "StrictModes yes"
		}
		s := harness.Start(t, harness.Options{Mode: harness.AsRoot, Config: config})
		c := openssh(t, s)
		c.expect("echo in", "in", 0)
		if err := os.Chmod(s.KeysFile, 0o666); err != nil {
			t.Fatal(err)
		}
		if !strict {
			c.expect("echo in", "in", 0)
			continue
		}
		c.refused()
		s.Log.Wait(t, 0, `Authentication refused: bad ownership or modes for file `+s.KeysFile)
		if err := os.Chmod(s.KeysFile, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(s.Dir, 0o777); err != nil {
			t.Fatal(err)
		}
		c.refused()
		s.Log.Wait(t, 0, `Authentication refused: bad ownership or modes for directory `+s.Dir)
	}
}

// TestBanner shows the banner, whatever its size.
func TestBanner(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10, 100_000} {
		file := filepath.Join(t.TempDir(), "banner")
		text := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for d := filepath.Dir(file); d != "/tmp" && len(d) > 4; d = filepath.Dir(d) {
			_ = os.Chmod(d, 0o755)
		}
		s := harness.Start(t, harness.Options{Config: "Banner " + file})
		r := openssh(t, s, "-o", "LogLevel=INFO").run("echo in")
		if r.Stdout != "in\n" || strings.ReplaceAll(r.Stderr, "\r", "") != text {
			t.Errorf("%d bytes of banner: stdout %q, %d bytes of stderr", size, r.Stdout, len(r.Stderr))
		}
	}
}
