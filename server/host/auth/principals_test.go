package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

func TestPrincipalLines(t *testing.T) {
	l := &lines{}
	in := &CertificateRequest{Certificate: &sshkey.Certificate{Principals: []string{"alice", "b c", "d\te", "#x", ""}}, Log: l.log}
	long := strings.Repeat("x", maxLine+10)
	for text, want := range map[string]string{
		"alice":                          "1:",
		"\n# alice\n \t alice \t# why\n": "3:",
		"bob\nalice\n":                   "2:",
		"bob\nali\nALICE\nalice2":        "",
		"":                               "",
		"#alice":                         "",
		"#x":                             "",
		"alice\r\n":                      "",
		`command="x y" alice`:            "1:x y",
		"command=\"x\"\talice":           "1:x",
		`command="x",no-pty  alice`:      "1:x",
		`command="x" bob` + "\nalice":    "2:",
		`command="x#" alice`:             "", // the comment begins at the #
		"nonsense alice\nalice":          "2:",
		`command="x alice` + "\n":        "",
		"no-pty, alice":                  "", // the options end with a comma
		"no-pty ignored alice":           "1:",
		"b c":                            "", // options b
		"d\te":                           "",
		long + "\nalice":                 "2:",
		strings.Repeat("x\n", 100_000):   "",
		`permitopen="[" alice` + "\nbob": "",
	} {
		options, err := in.findPrincipal(strings.NewReader(text), "f")
		got := ""
		if options != nil {
			got = fmt.Sprintf("%s:%s", placeOf(l, "matched principal"), options.ForceCommand)
		}
		if got != want || err != nil {
			t.Errorf("%.60q: %q %v, want %q", text, got, err, want)
		}
	}
	for _, line := range []string{
		"3 f:1: bad principals options: unknown key option", "3 f:1: bad principals options: missing end quote",
		"3 f:1: line exceeds size limit", "4 f: processed 2 lines", `4 f:1: matched principal "alice"`,
	} {
		if !l.has(line) {
			t.Errorf("no line %q", line)
		}
	}
}

// placeOf is the number in the last logged line "f:number: " with that text.
func placeOf(l *lines, text string) string {
	for i := len(l.text) - 1; i >= 0; i-- {
		if _, rest, ok := strings.Cut(l.text[i], " f:"); ok && strings.Contains(rest, text) {
			number, _, _ := strings.Cut(rest, ":")
			return number
		}
	}
	return ""
}

func TestTrustedUserCA(t *testing.T) {
	o := newOffice(t)
	trusted := o.write("trusted", "# ours\n\n  "+o.read("ca.pub"))
	principals := filepath.Join(o.account.Home, "principals")
	put := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(principals, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(principals, mode); err != nil {
			t.Fatal(err)
		}
		give(t, principals, o.account)
	}
	for _, c := range []struct {
		file, sign string // file: the principals', "-" for no keyword
		want       error
		log        string
	}{
		{"-", "", nil, `Accepted certificate ID "an id" (serial 77) signed by ED25519 CA SHA256:`},
		{"-", "-n bob", sshkey.ErrPrincipal, "0 Certificate invalid: name is not a listed principal"},
		{"bob", "", ErrAuthorizedPrincipal, "0 Certificate does not contain an authorized principal"},
		{"bob", "-n bob", nil, ""},
		{"# x\nno-pty  bob # y", "-n x,bob", nil, `matched principal "bob"`},
		{"bob", "-n bob -h", sshkey.ErrNotUserCertificate, "0 Certificate invalid: not a user certificate"},
		{"bob", "-n bob -V 20200101:20210101", sshkey.ErrExpired, ""},
		{`from="198.51.100.0/24" bob`, "-n bob", ErrRefusedByPrincipals, "principals: Authentication tried for alice with correct key but not from"},
		{"cert-authority bob", "-n bob", ErrRefusedByPrincipals, "principals: cert-authority flag invalid here"},
		{`principals="x" bob`, "-n bob", ErrRefusedByPrincipals, "principals: principals on non-CA key"},
		{`expiry-time="20200101" bob`, "-n bob", ErrRefusedByPrincipals, "principals: entry expired at"},
		{`command="x" bob`, "-n bob -O force-command=y", ErrForceCommands, "0 forced command options do not match"},
		{"bob", "-n bob -O source-address=10.0.0.1", ErrRefusedByCertificate, "cert: Authentication tried for alice with valid certificate"},
	} {
		l := &lines{}
		in := o.request(o.sign("ca", strings.Fields(c.sign)...), l)
		in.TrustedUserCAKeys = trusted
		if c.file != "-" {
			in.PrincipalsFile = "%h/principals"
			put(c.file, 0o600)
		}
		grant, err := AuthorizeCertificate(context.Background(), in)
		if !errors.Is(err, c.want) || (grant == nil) != (c.want != nil) {
			t.Errorf("%s, %s: %v, want %v", c.file, c.sign, err, c.want)
			continue
		}
		if grant != nil {
			l.text = append(l.text, grant.Accepted)
			if !strings.HasSuffix(grant.Accepted, " via "+trusted) || grant.Permissions.PTY == strings.Contains(c.file, "no-pty") {
				t.Errorf("%s: %+v", c.file, grant)
			}
		}
		if !l.has(c.log) {
			t.Errorf("%s, %s: no %q in\n%s", c.file, c.sign, c.log, strings.Join(l.text, "\n"))
		}
	}
	// A file that others may write, that is no file, or that is not there.
	try := func(log string) {
		t.Helper()
		l := &lines{}
		in := o.request(o.sign("ca", "-n", "bob"), l)
		in.TrustedUserCAKeys, in.PrincipalsFile = trusted, "principals"
		if grant, err := AuthorizeCertificate(context.Background(), in); grant != nil || !errors.Is(err, ErrAuthorizedPrincipal) || !l.has(log) {
			t.Errorf("%v %v, no %q in\n%s", grant, err, log, strings.Join(l.text, "\n"))
		}
		if log == "" && l.has("authorized principals '") {
			t.Errorf("%q", l.text)
		}
	}
	put("bob", 0o622)
	try("1 Authentication refused: bad ownership or modes for file")
	if err := os.Remove(principals); err != nil {
		t.Fatal(err)
	}
	try("")
	if err := os.Mkdir(principals, 0o700); err != nil {
		t.Fatal(err)
	}
	try("1 User 'alice' authorized principals '" + principals + "' is not a regular file")
}

func TestListedIn(t *testing.T) {
	o := newOffice(t)
	ca, _, _, err := sshkey.ParseAuthorized([]byte(o.read("ca.pub")))
	if err != nil {
		t.Fatal(err)
	}
	o.sign("ca")
	line, other, cert := o.read("ca.pub"), o.read("ca2.pub"), o.read("user-cert.pub")
	short := "ssh-rsa AAAAB3NzaC1yc2EAAAABAwAAAEEA" + strings.Repeat("/", 85) + "w==\n"
	for text, want := range map[string]error{
		line: nil, "# x\n\n\t" + other + line: nil, cert + line: nil, short + line: nil, strings.TrimSuffix(line, "\n"): nil,
		strings.ReplaceAll(line, "\n", "\r\n"): nil,
		"":                                     errNotListed, other: errNotListed, cert: errNotListed, "#" + line: errNotListed,
		"garbage\n" + line: errBadLine, "cert-authority " + line: errBadLine, strings.Repeat("x", maxLine+1) + "\n" + line: errBadLine,
	} {
		if err := listedIn(o.write("list", text), ca); !errors.Is(err, want) {
			t.Errorf("%.60q: %v, want %v", text, err, want)
		}
	}
	if err := listedIn(filepath.Join(o.dir, "missing"), ca); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	l := &lines{}
	in := o.request(o.sign("ca"), l)
	in.TrustedUserCAKeys = filepath.Join(o.dir, "ca2.pub")
	if grant, err := AuthorizeCertificate(context.Background(), in); grant != nil || !errors.Is(err, ErrUnknownCA) ||
		!l.has("4 user_cert_trusted_ca: CA ED25519 "+sshkey.FingerprintSHA256(ca.Blob())+" is not listed in "+in.TrustedUserCAKeys+": key not found") {
		t.Errorf("%v %q", err, l.text)
	}
}

// FuzzListed: whatever a file of CAs holds, a key is found only if its text stands there.
func FuzzListed(f *testing.F) {
	key, text := newKey(f)
	_, other := newKey(f)
	for _, s := range []string{text, other + "\n" + text + " comment\r\n", "# " + text, "cert-authority " + text, "\x00", text[:40], "\v\n\f" + text} {
		f.Add(s)
	}
	_, encoded, _ := strings.Cut(text, " ")
	f.Fuzz(func(t *testing.T, file string) {
		if err := listed(strings.NewReader(file), key); err == nil && !strings.Contains(file, encoded) {
			t.Errorf("found in %q", file)
		}
	})
}

func TestPrincipalsCommand(t *testing.T) {
	o := newOffice(t)
	self := &user.Account{Name: "helper", Home: "/", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	trusted := o.write("trusted", o.read("ca.pub"))
	c := o.sign("ca", "-n", "bob")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, test := range []struct {
		command, as, file string
		want              error
		log               string
	}{
		{"/bin/echo bob", "helper", "", nil, ""},
		{"/bin/echo alice", "helper", "", ErrAuthorizedPrincipal, ""},
		{`/bin/sh -c "echo bob; exit 1"`, "helper", "", ErrAuthorizedPrincipal, "0 AuthorizedPrincipalsCommand /bin/sh failed, status 1"},
		{`/bin/sh -c 'test "$1" = alice && test "$2" = 77 && test "$3" = "an id" && echo bob' x %u %s %i`, "helper", "", nil, ""},
		{`/bin/sh -c 'test "$1" = "$4" && test "$2" = "$5" && test "$3" = "$6" && echo bob' x %t %f %K ` +
			c.Type() + " " + sshkey.FingerprintSHA256(o.key.Blob()) + " " + strings.Fields(o.read("ca.pub"))[1], "helper", "", nil, ""},
		{`/bin/sh -c 'test "$1" = "$4" && test "$2" = "$5" && test "$3" = "$6" && echo bob' x %T %F %k ssh-ed25519 ` +
			sshkey.FingerprintSHA256(c.CA.Blob()) + " " + strings.Fields(o.read("user-cert.pub"))[1], "helper", "", nil, ""},
		{"/bin/echo bob", "%u", "", ErrAuthorizedPrincipal, `0 AuthorizedPrincipalsCommandUser "alice" not found: user: unknown account`},
		{"/bin/echo bob", "%h", "", ErrAuthorizedPrincipal, "0 percent_expand: unknown key %h"},
		{"/bin/echo bob", "", "", ErrAuthorizedPrincipal, "0 No user for AuthorizedPrincipalsCommand specified, skipping"},
		{`/bin/echo "bob`, "helper", "", ErrAuthorizedPrincipal, `0 AuthorizedPrincipalsCommand "/bin/echo "bob" contains invalid quotes`},
		{" ", "helper", "", ErrAuthorizedPrincipal, "yielded no arguments"},
		{"/nonexistent/x", "helper", "", ErrAuthorizedPrincipal, "0 Unsafe AuthorizedPrincipalsCommand"},
		{"/bin/false", "helper", "bob", nil, ""}, // the file comes first
		{"/bin/echo bob", "helper", "carol", nil, ""},
	} {
		l := &lines{}
		in := o.request(c, l)
		in.TrustedUserCAKeys, in.PrincipalsCommand, in.PrincipalsCommandUser = trusted, test.command, test.as
		in.Lookup = func(name string) (*user.Account, error) {
			if name == "helper" {
				return self, nil
			}
			return nil, user.ErrUnknown
		}
		if test.file != "" {
			in.Strict = false
			path := filepath.Join(o.account.Home, "principals")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			give(t, path, o.account)
			in.PrincipalsFile = path
		}
		grant, err := AuthorizeCertificate(ctx, in)
		if !errors.Is(err, test.want) || (grant == nil) != (test.want != nil) {
			t.Errorf("%s: %v, want %v\n%s", test.command, err, test.want, strings.Join(l.text, "\n"))
		}
		if test.want != nil && !l.has(test.log) {
			t.Errorf("%s: no %q in\n%s", test.command, test.log, strings.Join(l.text, "\n"))
		}
	}
}

func FuzzPrincipals(f *testing.F) {
	for _, s := range []string{"alice", `command="x y",no-pty alice # c`, "\t\"\\\" alice", "a\tb c", "#", "\x00 alice"} {
		f.Add(s)
	}
	in := &CertificateRequest{Certificate: &sshkey.Certificate{Principals: []string{"alice"}}}
	f.Fuzz(func(t *testing.T, text string) {
		options, err := in.findPrincipal(strings.NewReader(text), "f")
		if err != nil || options != nil && !strings.Contains(text, "alice") {
			t.Fatalf("%+v %v", options, err)
		}
	})
}
