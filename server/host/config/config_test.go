package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	f := mustParse(t, `
PasswordAuthentication no
AllowUsers one
Subsystem sftp /global/sftp
Subsystem other /global/other
Match Group admins,!guests Host *.example.com
	PasswordAuthentication yes
	AllowUsers two
Match Address 192.0.2.0/24,!192.0.2.9
	Banner /banner
	Subsystem sftp /match/sftp
Match LocalPort 2222 Invalid-User
	RefuseConnection yes
Match Version OpenSSH_10.* User=root
	PermitRootLogin no
Match SessionType exec Command "rsync *"
	PermitTTY no
Match all
	PasswordAuthentication yes
	AllowUsers three
`)
	resolve := func(m MatchInfo) *Config {
		t.Helper()
		c, err := f.Resolve(&m)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	groups := func(names ...string) func() []string { return func() []string { return names } }
	c := resolve(MatchInfo{User: "a", Groups: groups("users", "admins"), Host: "Box.Example.COM", Addr: "192.0.2.7"})
	if !c.PasswordAuthentication || c.Banner != "/banner" || !slices.Equal(c.AllowUsers, []string{"two", "three"}) {
		t.Errorf("%v %q %q", c.PasswordAuthentication, c.Banner, c.AllowUsers)
	}
	if want := []Subsystem{{"sftp", "/match/sftp"}, {"other", "/global/other"}}; !slices.Equal(c.Subsystem, want) {
		t.Errorf("subsystems %v", c.Subsystem)
	}
	for _, m := range []MatchInfo{
		{User: "a", Groups: groups("admins", "guests"), Host: "x.example.com", Addr: "UNKNOWN"},
		{User: "a", Host: "x.example.com", Addr: "192.0.2.9"},
		{User: "a", Groups: groups("admins"), Host: "example.com", Addr: ""},
	} {
		if c := resolve(m); !slices.Equal(c.AllowUsers, []string{"three"}) || c.Banner != "" || !c.PermitTTY {
			t.Errorf("%+v: %q %q", m, c.AllowUsers, c.Banner)
		}
	}
	if c := resolve(MatchInfo{LocalPort: 2222, InvalidUser: true}); !c.RefuseConnection {
		t.Error("invalid-user")
	}
	if c := resolve(MatchInfo{User: "root", Version: "OpenSSH_10.0"}); c.PermitRootLogin != RootNo {
		t.Error("version")
	}
	if c := resolve(MatchInfo{SessionType: "exec", Command: "rsync --server"}); c.PermitTTY {
		t.Error("command")
	}
	if b := f.Base(); b.PasswordAuthentication || !slices.Equal(b.AllowUsers, []string{"one", "three"}) {
		t.Errorf("base: %v %q", b.PasswordAuthentication, b.AllowUsers)
	}
}

func TestConnectionSpec(t *testing.T) {
	m, err := ParseConnectionSpec("lport=22,addr=192.0.2.1,user=x,,rdomain=r,laddr=::1,host=h,invalid-user,")
	if err != nil {
		t.Fatal(err)
	}
	if m.User != "x" || m.Addr != "192.0.2.1" || m.LocalPort != 22 || m.RDomain != "r" || m.LocalAddr != "::1" || m.Host != "h" || !m.InvalidUser {
		t.Errorf("%+v", m)
	}
	for spec, want := range map[string]string{
		"foo":            "Invalid test mode specification foo",
		"user=x,foo=y":   "Invalid test mode specification foo=y",
		"lport=none":     "Invalid port 'none' in test mode specification lport=none",
		"user=a,lport=0": "Invalid port '0' in test mode specification lport=0",
	} {
		if _, err := ParseConnectionSpec(spec); err == nil || err.Error() != want {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestAllProblemsReported(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo.conf")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	write("b.conf", "\n\nPort x\nUnknown y\n")
	main := write("sshd_config", "Foo bar\nInclude "+dir+"/*.conf\nMatch user x\nCiphers aes128-ctr\nMaxAuthTries many\nMatch\n\"Port 5\n")
	_, err := Load(Options{Path: main, Profile: SshdProfile()})
	var list Errors
	if !errors.As(err, &list) {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"$/sshd_config: line 1: Bad configuration option: Foo",
		"$/b.conf line 3: Badly formatted port number.",
		"$/b.conf: line 4: Bad configuration option: Unknown",
		"$/sshd_config line 4: Directive 'Ciphers' is not allowed within a Match block",
		"$/sshd_config line 5: MaxAuthTries integer value invalid.",
		"$/sshd_config line 6: no argument after keyword \"Match\"",
		"$/sshd_config line 7: invalid quotes",
		"$/sshd_config: terminating, 7 bad configuration options",
	}, "\n")
	if got := strings.ReplaceAll(list.Error(), dir, "$"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if list[1].File != filepath.Join(dir, "b.conf") || list[1].Line != 3 || list.ExitStatus() != 255 {
		t.Errorf("%+v, status %d", list[1], list.ExitStatus())
	}
}

func TestUnreadable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := Load(Options{Path: missing, Profile: SshdProfile()})
	var list Errors
	if !errors.As(err, &list) || list.Error() != missing+": No such file or directory" || list.ExitStatus() != 1 {
		t.Errorf("%v", err)
	}
	for _, path := range []string{t.TempDir(), "none", "", os.DevNull} {
		if _, err := Load(Options{Path: path, Profile: SshdProfile()}); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestIncludeRelative(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"sshd_config": "Include sub/*.conf\n", "sub/a.conf": "Include b\nPort 1\n", "sub/b": "Port 2\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := SshdProfile()
	p.IncludeDir = ""
	f, err := Load(Options{Path: filepath.Join(dir, "sshd_config"), Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Base().Port; !slices.Equal(got, []int{2, 1}) {
		t.Errorf("relative to the including file: %v", got)
	}
	p.IncludeDir = dir
	os.WriteFile(filepath.Join(dir, "b"), []byte("Port 3\n"), 0o600)
	if f, err = Load(Options{Path: filepath.Join(dir, "sshd_config"), Profile: p}); err != nil {
		t.Fatal(err)
	}
	if got := f.Base().Port; !slices.Equal(got, []int{3, 1}) {
		t.Errorf("relative to one folder: %v", got)
	}
}

func TestCommandLine(t *testing.T) {
	f, err := Load(Options{
		Profile:   SshdProfile(),
		Ports:     []string{"77", "78"},
		Settings:  []Setting{{"HostKey", "/a b#c"}, {"LoginGraceTime", "2m"}, {"LogLevel", "DEBUG2"}, {"AddressFamily", "inet"}},
		Overrides: []string{"Port 9", "logingracetime=5", "Banner = /x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := f.Base()
	if !slices.Equal(c.Port, []int{77, 78}) || !slices.Equal(c.HostKey, []string{"/a b#c"}) || c.LoginGraceTime != 2*time.Minute ||
		c.Banner != "/x" || c.LogLevel.String() != "DEBUG2" || c.AddressFamily != FamilyIPv4 {
		t.Errorf("%+v", c)
	}
	if p, b, m := f.Origin("port"), f.Origin("Banner"), f.Origin("MaxSessions"); p != "command-line:0" || b != "command-line:0" || m != "" {
		t.Errorf("origins %q %q %q", p, b, m)
	}
	if got := mustParse(t, "\nBanner /x\nBanner /y").Origin("banner"); got != "test:2" {
		t.Errorf("origin %q", got)
	}
	_, err = Load(Options{Profile: SshdProfile(), Ports: []string{"0"}, Settings: []Setting{{"LoginGraceTime", "x"}}})
	if err == nil || err.Error() != "Bad port number.\ncommand-line line 0: invalid time value." {
		t.Errorf("%v", err)
	}
}

func TestListen(t *testing.T) {
	lookup := func(host string) ([]netip.Addr, error) {
		if host != "box" {
			return nil, errors.New("none")
		}
		return []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}, nil
	}
	for text, want := range map[string]string{
		"":                              "[::]:22 0.0.0.0:22",
		"Port 1\nPort 2":                "[::]:1 0.0.0.0:1 [::]:2 0.0.0.0:2",
		"AddressFamily inet":            "0.0.0.0:22",
		"AddressFamily inet6":           "[::]:22",
		"ListenAddress box:5":           "[2001:db8::1]:5 192.0.2.1:5",
		"ListenAddress ::1\nPort 7":     "[::1]:7",
		"ListenAddress [::1]:8\nPort 7": "[::1]:8",
		"ListenAddress nowhere":         "bad addr or host: nowhere (Name or service not known)",
		"ListenAddress 192.0.2.1\nAddressFamily inet6": "bad addr or host: 192.0.2.1 (Address family for hostname not supported)",
	} {
		addrs, err := mustParse(t, text).Base().Listen(lookup)
		var got []string
		for _, a := range addrs {
			got = append(got, a.Addr.String())
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestProfiles(t *testing.T) {
	f, err := Load(Options{Profile: NanoProfile("/state")})
	if err != nil {
		t.Fatal(err)
	}
	c := f.Base()
	if !slices.Equal(c.Port, []int{2222}) || !slices.Equal(c.HostKey, []string{"/state/ssh_host_ed25519_key"}) || c.PidFile != "" {
		t.Errorf("%v %v %q", c.Port, c.HostKey, c.PidFile)
	}
	if os.Geteuid() != 0 {
		t.Setenv("XDG_STATE_HOME", "/s")
		if d := NanoDir(); d != "/s/nano_ssh_server" {
			t.Error(d)
		}
	} else if d := NanoDir(); d != "/etc/nano_ssh_server" {
		t.Error(d)
	}
}

func TestMatchAddress(t *testing.T) {
	for _, c := range []struct {
		addr, list string
		want       int
	}{
		{"192.0.2.1", "192.0.2.0/24", 1},
		{"192.0.2.1", "192.0.2.1", 1},
		{"::ffff:192.0.2.1", "192.0.2.0/24", 1},
		{"192.0.2.1", "192.0.2.*", 1},
		{"192.0.2.1", "!192.0.2.1,192.0.2.0/24", AddressNegated},
		{"192.0.2.1", "192.0.2.0/24,!192.0.2.1", AddressNegated},
		{"192.0.2.1", "198.51.100.0/24,2001:db8::/32", 0},
		{"2001:db8::5", "2001:db8::/32", 1},
		{"192.0.2.1", "192.0.2.1/24", AddressInvalid},
		{"192.0.2.1", "192.0.2.0/33", AddressInvalid},
		{"2001:db8::5", "2001:db8::1/64", AddressInvalid},
		{"192.0.2.1", "", AddressInvalid},
		{"192.0.2.1", "*,", AddressInvalid},
		{"UNKNOWN", "*", 0},
		{"", "*", 0},
		{"192.0.2.1", "0.0.0.0/0", 1},
		{"fe80::1%lo", "fe80::/10", 1},
	} {
		if got := MatchAddress(c.addr, c.list); got != c.want {
			t.Errorf("MatchAddress(%q, %q) = %d, want %d", c.addr, c.list, got, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	tokens := map[byte]string{'u': "a b", 'h': "/home/%u"}
	for text, want := range map[string]string{
		"plain": "plain", "%h/.ssh/%u%%": "/home/%u/.ssh/a b%", "": "",
	} {
		if got, err := Expand(text, tokens); err != nil || got != want {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	for _, text := range []string{"%", "x%", "%x", "%%%"} {
		if got, err := Expand(text, tokens); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "600": 600 * time.Second, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1W2D": 9 * 24 * time.Hour,
		"1m30": 90 * time.Second, "2147483647": 2147483647 * time.Second,
	} {
		if got, ok := ParseTime(text); !ok || got != want {
			t.Errorf("%q: %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "+", "-1", "m", "1x", "1.5h", "2147483648", "35000w", " 1", "1 m"} {
		if got, ok := ParseTime(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
