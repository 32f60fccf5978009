package algo

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestDefaultsExist(t *testing.T) {
	for _, f := range []*Family{Kex, Cipher, MAC, HostKey, Pubkey, CASignature, Compression} {
		for _, name := range f.Default {
			if !slices.Contains(f.All, name) {
				t.Errorf("%s: default %s is not in All", f.Complaint, name)
			}
		}
		for i, name := range f.All {
			if slices.Contains(f.All[i+1:], name) {
				t.Errorf("%s: %s twice", f.Complaint, name)
			}
		}
	}
	for _, name := range append(slices.Concat(DefaultKex, DefaultMACs, DefaultHostKey), DefaultCiphers...) {
		for _, weak := range []string{"sha1", "ssh-rsa", "diffie", "cbc", "md5"} {
			if strings.Contains(name, weak) {
				t.Errorf("%s is a default", name)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for _, name := range AllCiphers {
		s, ok := CipherInfo(name)
		if !ok || s.KeyLen < 16 || s.BlockLen < 8 || s.AEAD != (s.TagLen == 16) {
			t.Errorf("%s: %+v %v", name, s, ok)
		}
	}
	for _, name := range AllMACs {
		s, ok := MACInfo(name)
		if !ok || s.KeyLen < 16 || s.TagLen < 8 || s.ETM != strings.Contains(name, "-etm@") {
			t.Errorf("%s: %+v %v", name, s, ok)
		}
	}
	for _, name := range []string{"", "none", "umac-64", "hmac-sha2-256@openssh.com", "-etm@openssh.com", "hmac-sha2-256-etm@openssh.com-etm@openssh.com"} {
		if s, ok := MACInfo(name); ok || s != (MACSizes{}) {
			t.Errorf("%q: %+v", name, s)
		}
	}
	if _, ok := CipherInfo("none"); ok {
		t.Error("cipher none exists")
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct {
		client, server, want string
	}{
		{"a,b", "b,a", "a"}, {"x,b", "a,b", "b"}, {"x", "a", ""}, {"", "a", ""},
	} {
		got, ok := Negotiate(strings.Split(c.client, ","), strings.Split(c.server, ","))
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%q %q: %q %v", c.client, c.server, got, ok)
		}
	}
}

func TestExpand(t *testing.T) {
	defaults := []string{"a1", "a2", "b1"}
	all := []string{"c1", "a1", "a2", "a3", "b1"}
	for _, c := range []struct{ list, want string }{
		{"", "a1,a2,b1"},
		{"a3,a1", "a3,a1"},
		{"a3,a3,a3", "a3"},
		{"a*", "a1,a2,a3"},
		{"?1", "c1,a1,b1"},
		{"+c1", "a1,a2,b1,c1"},
		{"+a1,a*", "a1,a2,b1,a3"},
		{"-a*", "b1"},
		{"-a1,b1", "a2"},
		{"-*,!a1", "a1"},
		{"-nothing", "a1,a2,b1"},
		{"^b1,a3", "b1,a3,a1,a2"},
		{"^c*", "c1,a1,a2,b1"},
		{"zz,a1", "a1"},
		{"zz", "error"},
		{"-*", "error"},
		{"!a1", "error"},
		{"*,!a1", "error"},
		{",", "error"},
	} {
		got, err := Expand(c.list, defaults, all)
		text := strings.Join(got, ",")
		if err != nil {
			text = "error"
			var list *ListError
			if !errors.As(err, &list) || list.List != c.list {
				t.Errorf("%q: error %v", c.list, err)
			}
		}
		if text != c.want {
			t.Errorf("%q: %q, want %q", c.list, text, c.want)
		}
	}
	got, _ := Expand("", defaults, all)
	got[0] = "changed"
	if defaults[0] != "a1" {
		t.Error("Expand returned the defaults themselves")
	}
}

// The texts are those of sshd -t.
func TestFamilyErrors(t *testing.T) {
	for _, c := range []struct {
		f          *Family
		list, want string
	}{
		{MAC, "x", "Bad SSH2 mac spec 'x'."},
		{Cipher, "aes*", "Bad SSH2 cipher spec 'aes*'."},
		{Cipher, "+", "Bad SSH2 cipher spec '+'."},
		{Cipher, "aes128-ctr,", "Bad SSH2 cipher spec 'aes128-ctr,'."},
		{Kex, "^x", "Bad SSH2 KexAlgorithms '^x'."},
		{HostKey, "ssh-ed25519,x*", "Bad key types 'ssh-ed25519,x*'."},
		{Pubkey, "+ssh-*", ""},
		{Pubkey, "-ssh-dss,x", ""},
		{Cipher, "-aes*", ""},
		{MAC, "+hmac-sha1,hmac-md5-96-etm@openssh.com", ""},
	} {
		names, err := c.f.Expand(c.list, c.f.Default)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.want || (err == nil) != (len(names) > 0) {
			t.Errorf("%q: %v %q, want %q", c.list, names, text, c.want)
		}
	}
}

func TestMatchPattern(t *testing.T) {
	for _, c := range []struct {
		s, pattern string
		want       bool
	}{
		{"", "", true}, {"", "*", true}, {"", "?", false}, {"a", "", false},
		{"a", "a", true}, {"a", "b", false}, {"abc", "a*c", true}, {"abc", "a?c", true},
		{"abc", "a*", true}, {"abc", "*c", true}, {"abc", "*b", false}, {"abc", "**", true},
		{"abcabd", "*abd", true}, {"abcabd", "a*b*d", true}, {"aaa", "a*a*a*a", false},
		{"a*c", "a*c", true}, {"aab", "*?b", true}, {"b", "*?b", false}, {"abc", "???", true}, {"abc", "????", false},
		{"host.example.com", "*.example.com", true}, {"A", "a", false},
	} {
		if got := MatchPattern(c.s, c.pattern); got != c.want {
			t.Errorf("%q %q: %v", c.s, c.pattern, got)
		}
	}
	// A pattern that takes exponential time with a naive matcher.
	if MatchPattern(strings.Repeat("a", 5000), strings.Repeat("*a", 100)+"b") {
		t.Error("impossible match")
	}
}

func TestMatchPatternList(t *testing.T) {
	long := strings.Repeat("x", 1023)
	for _, c := range []struct {
		s, list string
		want    int
	}{
		{"a", "", 0}, {"a", "a", 1}, {"a", "b,a", 1}, {"a", "a,!a", -1}, {"a", "!a,a", -1},
		{"a", "!b", 0}, {"a", "*,!b", 1}, {"b", "*,!b", -1}, {"a", ",", 0}, {"", ",a", 1}, {"", "a,", 0},
		{"", "!", -1}, {"a", "!", 0}, {"a", "a,!!a", 1}, {"!a", "a,!!a", -1},
		{long, long, 0}, {long[1:], long[1:], 1}, {"a", "a," + long, 0}, {"a", long + ",a", 0},
	} {
		if got := MatchPatternList(c.s, c.list); got != c.want {
			t.Errorf("%.20q %.20q: %d, want %d", c.s, c.list, got, c.want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "+a", "-a*,!b", "^b,*", "a,,b", "!x", "*", "???", "+,+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		for _, family := range []*Family{Kex, Pubkey} {
			names, err := Expand(list, family.Default, family.All)
			if (err == nil) != (len(names) > 0) {
				t.Fatalf("%v, %v", names, err)
			}
			for i, name := range names {
				if !slices.Contains(family.All, name) || slices.Contains(names[i+1:], name) {
					t.Fatalf("%v", names)
				}
			}
			if _, err := family.Expand(list, family.Default); err == nil && family.Check(list) != nil {
				t.Fatal("expanded a bad list")
			}
		}
	})
}

func FuzzMatchPatternList(f *testing.F) {
	f.Add("host.example.com", "*.example.com,!bad.*")
	f.Add("", ",!")
	f.Add("aaaa", "*a*a*a?")
	f.Fuzz(func(t *testing.T, s, list string) {
		got := MatchPatternList(s, list)
		if len(s) > 30 || len(list) > 30 {
			return
		}
		want := 0
		parts := strings.Split(list, ",")
		for i, pattern := range parts {
			if pattern == "" && i == len(parts)-1 {
				break // a list ends with its last comma
			}
			pattern, negated := strings.CutPrefix(pattern, "!")
			if slowMatch(s, pattern) {
				if negated {
					want = -1
					break
				}
				want = 1
			}
		}
		if got != want {
			t.Fatalf("%q %q: %d, want %d", s, list, got, want)
		}
	})
}

// slowMatch is the definition of MatchPattern, word for word.
func slowMatch(s, pattern string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return slowMatch(s, pattern[1:]) || s != "" && slowMatch(s[1:], strings.TrimLeft(pattern, "*")) ||
			s != "" && slowMatch(s[1:], pattern)
	case s == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == s[0]) && slowMatch(s[1:], pattern[1:])
}
