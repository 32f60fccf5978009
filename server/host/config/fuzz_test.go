package config

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// FuzzParse feeds the parser; what it accepts must dump to text that gives the
// same dump, and must resolve.
func FuzzParse(f *testing.F) {
	for name, sample := range samples {
		f.Add(name + " " + sample)
		f.Add("Match user x\n" + strings.ToLower(name) + "=" + sample)
	}
	f.Add("Match all\nPort 5\n\tMatch address 192.0.2.0/24,!::1 localport=22\nBanner 'x\\' y' # z\n\"Port\" = 7\r\n")
	f.Add("AcceptEnv A\nMatch sessiontype exec\nForceCommand x\nAcceptEnv B\nMatch user x\nAcceptEnv C\nForceCommand y\n")
	f.Fuzz(func(t *testing.T, text string) {
		lower := strings.ToLower(text)
		if strings.Contains(lower, "include") || strings.Contains(lower, "listenaddress") {
			return // would read files and ask name servers
		}
		file, err := Parse("fuzz", text, SshdProfile())
		if err != nil {
			return
		}
		info, _ := ParseConnectionSpec("user=x,host=h,addr=192.0.2.1,laddr=::1,lport=22")
		for _, m := range []*MatchInfo{info, NewTestInfo(), {User: "x"}} {
			c, err := file.Resolve(m)
			if err != nil {
				t.Fatal(err)
			}
			wholly(t, file, *m, "exec", "x y")
			var first, second bytes.Buffer
			if err := Dump(&first, c); err != nil {
				t.Fatal(err)
			}
			again, err := Parse("dump", first.String(), SshdProfile())
			if err != nil {
				if c.check() != nil {
					continue // Match blocks may combine to what cannot be started
				}
				t.Fatalf("%v in\n%s", err, first.String())
			}
			if err := Dump(&second, again.Base()); err != nil {
				t.Fatal(err)
			}
			if first.String() != second.String() {
				t.Fatalf("%v", diffLines(strings.Split(first.String(), "\n"), strings.Split(second.String(), "\n")))
			}
		}
	})
}

// FuzzSplitWords checks that quoting is the inverse of splitting.
func FuzzSplitWords(f *testing.F) {
	for _, s := range []string{`a b`, `'a b' "c d"`, `a\ b`, `a"b c"d`, `# x`, `x #y`, `"`, `'\''`, `\`, ` a	b `, `''`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words, ok := splitWords(s)
		if !ok {
			return
		}
		again, ok := splitWords(joinWords(words))
		if !ok || !slices.Equal(words, again) {
			t.Fatalf("%q -> %q -> %q -> %q", s, words, joinWords(words), again)
		}
		splitKeyword(s)
	})
}

// FuzzConnectionSpec feeds -C.
func FuzzConnectionSpec(f *testing.F) {
	for _, s := range []string{"user=x,host=h,addr=192.0.2.1,laddr=::1,lport=22,rdomain=r", "invalid-user,", "lport=x", "=", ",,"} {
		f.Add(s)
	}
	file, err := Parse("fuzz", "Match user a* address 192.0.2.0/24 localport 22\nBanner /x\n", SshdProfile())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "lport=") && strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") {
			s = strings.ReplaceAll(s, "lport=", "lport=1")
		}
		m, err := ParseConnectionSpec(s)
		if err != nil {
			return
		}
		if _, err := file.Resolve(m); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzMatch feeds Match lines and address lists.
func FuzzMatch(f *testing.F) {
	f.Add("user x address 192.0.2.0/24", "192.0.2.1")
	f.Add("host=*.example.com,!a.example.com", "::1")
	f.Add("localaddress ::1/128 localport = 22 group a,b", "UNKNOWN")
	f.Add("all", "fe80::1%eth0")
	f.Fuzz(func(t *testing.T, criteria, addr string) {
		MatchAddress(addr, criteria)
		words, ok := splitWords(criteria)
		if !ok {
			return
		}
		c, err := parseCondition(words)
		if err != nil {
			return
		}
		c.holds(&MatchInfo{User: addr, Host: addr, Addr: addr, LocalAddr: addr, Groups: func() []string { return []string{addr} }})
	})
}
