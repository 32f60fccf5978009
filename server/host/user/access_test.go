package user

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func peer(addr, host string) Peer {
	a, _ := ParsePeerAddress(addr)
	return Peer{Addr: a, Host: host}
}

func TestMatchAddressList(t *testing.T) {
	for _, c := range []struct {
		addr, list string
		want       Match
	}{
		{"192.0.2.1", "192.0.2.1", Matches},
		{"192.0.2.1", "192.0.2.0/24", Matches},
		{"192.0.3.1", "192.0.2.0/24", NoMatch},
		{"192.0.2.1", "10.0.0.0/8,192.0.2.*", Matches},
		{"192.0.2.1", "192.0.2.0/24,!192.0.2.1", Excluded},
		{"192.0.2.1", "!192.0.2.1,192.0.2.0/24", Excluded},
		{"192.0.2.2", "!192.0.2.1,192.0.2.0/24", Matches},
		{"192.0.2.2", "!192.0.2.1", NoMatch},
		{"192.0.2.1", "!192.0.2.?", Excluded},
		{"192.0.2.1", "*", Matches},
		{"192.0.2.1", "0.0.0.0/0", Matches},
		{"192.0.2.1", "::/0", NoMatch},
		{"::ffff:192.0.2.1", "192.0.2.0/24", Matches},
		{"::ffff:192.0.2.1", "192.0.2.*", Matches},
		{"192.0.2.1", "::ffff:192.0.2.0/120", Matches},
		{"2001:db8::1", "2001:db8::/32", Matches},
		{"2001:db8::1", "2001:0DB8:0::1", Matches},
		{"2001:db8::1", "2001:db8::*", Matches},
		{"2001:db9::1", "2001:db8::/32", NoMatch},
		{"fe80::1%lo", "fe80::/10", Matches},
		{"192.0.2.1", "host.example", NoMatch},
		{"192.0.2.1", "192.0.2.1/x", NoMatch}, // a pattern that cannot match
		{"", "192.0.2.0/24,!10.0.0.1,*", NoMatch},
	} {
		got, err := MatchAddressList(peer(c.addr, "").Addr, c.list)
		if err != nil || got != c.want {
			t.Errorf("%s in %q: %d %v, want %d", c.addr, c.list, got, err, c.want)
		}
	}
	for _, list := range []string{"", ",", "192.0.2.1,", "!", "192.0.2.1/24", "192.0.2.0/33", "::1/64", "2001:db8::/129x,!"} {
		for _, addr := range []string{"203.0.113.9", ""} {
			if _, err := MatchAddressList(peer(addr, "").Addr, list); !errors.Is(err, ErrAddressList) {
				t.Errorf("%q: %v", list, err)
			}
		}
	}
}

func TestMatchCIDRList(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	if ok, err := MatchCIDRList(a, "10.0.0.0/8,192.0.2.0/24"); !ok || err != nil {
		t.Error(ok, err)
	}
	if ok, err := MatchCIDRList(a, "10.0.0.0/8"); ok || err != nil {
		t.Error(ok, err)
	}
	for _, list := range []string{"", "192.0.2.*", "!192.0.2.1", "192.0.2.0/24,", "192.0.2.1/24", "192.0.2.0/24,zz"} {
		if ok, err := MatchCIDRList(a, list); ok || !errors.Is(err, ErrAddressList) {
			t.Errorf("%q: %v %v", list, ok, err)
		}
	}
}

func TestMatchUser(t *testing.T) {
	p := peer("192.0.2.1", "Gate.Example.org")
	for pattern, want := range map[string]bool{
		"alice": true, "al*": true, "alic?": true, "bob": false, "Alice": false, "": false,
		"alice@192.0.2.1": true, "alice@192.0.2.0/24": true, "*@10.0.0.0/8": false,
		"alice@gate.example.org": true, "alice@*.EXAMPLE.org": true, "bob@*": false, "alice@": false,
		"alice@192.0.2.*,!*.example.org": false, "alice@*,!192.0.2.1": false,
	} {
		got, err := MatchUser("alice", p, pattern)
		if got != want || (err != nil) != (pattern == "alice@") {
			t.Errorf("%q: %v %v", pattern, got, err)
		}
	}
}

func TestAccess(t *testing.T) {
	dir := t.TempDir()
	shell := filepath.Join(dir, "shell")
	text := filepath.Join(dir, "text")
	for path, mode := range map[string]os.FileMode{shell: 0o755, text: 0o644} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	d := testDatabase(t)
	home := peer("192.0.2.1", "")
	groups := []uint32{1000, 10, 100}
	type lines = []string
	for name, c := range map[string]struct {
		account Account
		shadow  *Shadow
		rules   Rules
		want    lines
	}{
		"plain":          {},
		"password-less":  {shadow: &Shadow{Hash: "*", Expire: -1}},
		"locked":         {shadow: &Shadow{Hash: "!$6$x", Expire: -1}, want: lines{"User alice not allowed because account is locked"}},
		"expired":        {shadow: &Shadow{Hash: "*", Expire: 1}, want: lines{"Account alice has expired", "User alice not allowed because account is locked"}},
		"no shell":       {account: Account{Shell: dir + "/none"}, want: lines{"User alice not allowed because shell " + dir + "/none does not exist"}},
		"text for shell": {account: Account{Shell: text}, want: lines{"User alice not allowed because shell " + text + " is not executable"}},
		"dir for shell":  {account: Account{Shell: dir}, want: lines{"User alice not allowed because shell " + dir + " is not executable"}},
		"chroot":         {account: Account{Shell: dir + "/none"}, rules: Rules{Chroot: true}},
		"denied user":    {rules: Rules{DenyUsers: lines{"bob", "al*"}, AllowUsers: lines{"alice"}}, want: lines{"User alice from 192.0.2.1 not allowed because listed in DenyUsers"}},
		"denied host":    {rules: Rules{DenyUsers: lines{"alice@192.0.2.0/24"}}, want: lines{"User alice from 192.0.2.1 not allowed because listed in DenyUsers"}},
		"other host":     {rules: Rules{DenyUsers: lines{"alice@10.0.0.0/8"}}},
		"allowed":        {rules: Rules{AllowUsers: lines{"bob", "alice@192.0.2.*"}, AllowGroups: lines{"whe?l"}}},
		"not allowed":    {rules: Rules{AllowUsers: lines{"bob", "alice@10.*"}}, want: lines{"User alice from 192.0.2.1 not allowed because not listed in AllowUsers"}},
		"bad pattern":    {rules: Rules{DenyUsers: lines{"alice@192.0.2.1/24"}}, want: lines{`Invalid DenyUsers pattern "alice@192.0.2.1/24"`}},
		"bad allow":      {rules: Rules{AllowUsers: lines{"alice@192.0.2.1/24", "alice"}}, want: lines{`Invalid AllowUsers pattern "alice@192.0.2.1/24"`}},
		"denied group":   {rules: Rules{DenyGroups: lines{"wheel"}, AllowGroups: lines{"users"}}, want: lines{"User alice from 192.0.2.1 not allowed because a group is listed in DenyGroups"}},
		"no such group":  {rules: Rules{AllowGroups: lines{"staff"}}, want: lines{"User alice from 192.0.2.1 not allowed because none of user's groups are listed in AllowGroups"}},
		"groupless":      {account: Account{Groups: []uint32{55555}}, rules: Rules{AllowGroups: lines{"*"}}, want: lines{"User alice from 192.0.2.1 not allowed because not in any group"}},
	} {
		a := c.account
		a.Name = "alice"
		if a.Shell == "" {
			a.Shell = shell
		}
		if a.Groups == nil {
			a.Groups = groups
		}
		got := d.Access(&a, c.shadow, &c.rules, home, time.Now())
		if got.Allowed != (c.want == nil) || strings.Join(got.Lines, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: %v %q, want %q", name, got.Allowed, got.Lines, c.want)
		}
	}
	long := &Account{Name: strings.Repeat("n", 200), Shell: "/none"}
	if got := d.Access(long, nil, &Rules{}, home, time.Now()); len(got.Lines) != 1 || strings.Count(got.Lines[0], "n") > 120 {
		t.Errorf("a long name is not cut: %q", got.Lines)
	}
}

func FuzzMatchAddressList(f *testing.F) {
	f.Add("192.0.2.1", "192.0.2.0/24,!192.0.2.1")
	f.Add("2001:db8::1%eth0", "::/0,*,!")
	f.Fuzz(func(t *testing.T, addr, list string) {
		if len(list) > 256 {
			return
		}
		p := peer(addr, "")
		m, err := MatchAddressList(p.Addr, list)
		if _, other := MatchAddressList(netip.Addr{}, list); (err == nil) != (other == nil) && m != Excluded {
			t.Errorf("%q: %v for an address, %v without", list, err, other)
		}
		MatchCIDRList(p.Addr, list)
		MatchUser("alice", p, list)
	})
}
