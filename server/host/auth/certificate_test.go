package auth

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

var june = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// An office is where certificates are made, by the real ssh-keygen: the CAs "ca",
// "ca2" and "rsa", and an account with its home.
type office struct {
	t       testing.TB
	dir     string
	account *user.Account
	keys    string // the account's authorized_keys
	key     sshkey.PublicKey
}

func newOffice(t *testing.T) *office {
	t.Helper()
	account, keys := testHome(t)
	o := &office{t: t, dir: t.TempDir(), account: account, keys: keys}
	o.keygen("-q", "-t", "ed25519", "-N", "", "-f", "ca")
	o.keygen("-q", "-t", "ed25519", "-N", "", "-f", "ca2")
	key, text := newKey(t)
	o.key = key
	o.write("user.pub", text+"\n")
	return o
}

func (o *office) keygen(arguments ...string) {
	o.t.Helper()
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		o.t.Skip("no ssh-keygen")
	}
	command := exec.Command(path, arguments...)
	command.Dir = o.dir
	if out, err := command.CombinedOutput(); err != nil {
		o.t.Fatalf("ssh-keygen %v: %v\n%s", arguments, err, out)
	}
}

func (o *office) write(name, text string) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

func (o *office) read(name string) string {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}

// sign makes a certificate of the year 2026 for alice, unless the arguments say
// otherwise.
func (o *office) sign(ca string, arguments ...string) *sshkey.Certificate {
	o.t.Helper()
	all := []string{"-q", "-s", ca, "-I", "an id", "-z", "77", "-n", "alice", "-V", "20260101000000Z:20270101000000Z"}
	o.keygen(append(append(all, arguments...), "user.pub")...)
	c, _, err := sshkey.ParseAuthorizedCertificate([]byte(o.read("user-cert.pub")))
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

// authorize writes the account's authorized_keys: lines of options, CA's name.
func (o *office) authorize(lines ...string) {
	o.t.Helper()
	text := "# lines\n"
	for i := 0; i < len(lines); i += 2 {
		text += lines[i] + " " + o.read(lines[i+1]+".pub")
	}
	if err := os.WriteFile(o.keys, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) request(c *sshkey.Certificate, l *lines) *CertificateRequest {
	addr, _ := user.ParsePeerAddress("192.0.2.1")
	return &CertificateRequest{
		Certificate: c, Account: o.account, Peer: user.Peer{Addr: addr}, Now: june, Strict: true, Log: l.log,
		Files: []string{".ssh/authorized_keys", "none", ".ssh/authorized_keys2"}, TrustedUserCAKeys: "none",
		CASignatureAlgorithms: []string{"ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"},
		PrincipalsFile:        "none", PrincipalsCommand: "none",
	}
}

func TestCertificateByLine(t *testing.T) {
	o := newOffice(t)
	for _, c := range []struct {
		options, sign string
		want          error
		log           string // which the log must have; of Accepted if want is nil
	}{
		{"cert-authority", "", nil, `Accepted certificate ID "an id" (serial 77) signed by CA ED25519 SHA256:`},
		{"", "", ErrUnknownCA, ""},
		{"cert-authority", "-n carol,alice", nil, ""},
		{"cert-authority", "-n carol,alic", sshkey.ErrPrincipal, `0 Refusing certificate ID "an id" serial=77 signed by ED25519 CA SHA256:`},
		{"cert-authority", "-n carol,ALICE", sshkey.ErrPrincipal, ": Certificate invalid: name is not a listed principal"},
		{"cert-authority", "-n *", sshkey.ErrPrincipal, ""},
		{"cert-authority", "-h", ErrCertificateOptions, ": Invalid certificate options"},
		{`cert-authority,principals="bob,carol"`, "-n carol", nil, ""},
		{`cert-authority,principals="bob,carol"`, "-n alice", ErrAuthorizedPrincipal, ": Certificate does not contain an authorized principal"},
		{`cert-authority,principals=""`, "-n alice", ErrAuthorizedPrincipal, ""},
		{`cert-authority,principals=",alice"`, "-n alice", ErrAuthorizedPrincipal, ""},
		{`cert-authority,principals="al*"`, "-n alice", ErrAuthorizedPrincipal, ""},
		{`principals="alice"`, "", ErrUnknownCA, ""},
		{`cert-authority,from="192.0.2.0/24"`, "", nil, ""},
		{`cert-authority,from="198.51.100.1"`, "", ErrUnknownCA, "but not from a permitted host"},
		{`cert-authority,expiry-time="20260101"`, "", ErrUnknownCA, "entry expired at"},
		{"cert-authority", "-O source-address=192.0.2.0/24,10.0.0.0/8", nil, ""},
		{"cert-authority", "-O source-address=10.0.0.0/8", ErrRefusedByCertificate,
			"Authentication tried for alice with valid certificate but not from a permitted source address (192.0.2.1)."},
		{`cert-authority,command="a"`, "-O force-command=a", nil, ""},
		{`cert-authority,command="a"`, "-O force-command=b", ErrForceCommands, ": forced command options do not match"},
		{`cert-authority,command="a"`, "", nil, ""},
		{"cert-authority,nonsense", "", ErrUnknownCA, "bad key options: unknown key option"},
		{"cert-authority", "-O extension:x@example.com=1", nil, `1 Certificate extension "x@example.com" is not supported`},
		{"cert-authority", "-O critical:x@example.com=1", ErrCertificateOptions, `0 Certificate critical option "x@example.com" is not supported`},
		{"cert-authority", "-O critical:permit-pty", ErrCertificateOptions, `"permit-pty" is not supported`},
		{"cert-authority", "-O critical:source-address=10.0.0.1/8", ErrCertificateOptions, "0 Certificate source-address contents invalid"},
		{"cert-authority", "-O critical:verify-required=1", ErrCertificateOptions, `0 Certificate option "verify-required" corrupt (extra data)`},
		{"cert-authority", "-O clear -O extension:permit-pty=1", ErrCertificateOptions, `0 Certificate option "permit-pty" corrupt (extra data)`},
		{"cert-authority", "-V 20200101000000Z:20210101000000Z", sshkey.ErrExpired, ": Certificate invalid: expired"},
		{"cert-authority", "-V 20270101000000Z:20280101000000Z", sshkey.ErrNotYetValid, ": Certificate invalid: not yet valid"},
	} {
		o.authorize(c.options, "ca")
		l := &lines{}
		in := o.request(o.sign("ca", strings.Fields(c.sign)...), l)
		grant, err := AuthorizeCertificate(context.Background(), in)
		if !errors.Is(err, c.want) || (grant == nil) != (c.want != nil) {
			t.Errorf("%s, %s: %v, want %v", c.options, c.sign, err, c.want)
			continue
		}
		if grant != nil {
			l.text = append(l.text, grant.Accepted)
			if !strings.HasSuffix(grant.Accepted, " found at "+o.keys+":2") {
				t.Errorf("%s", grant.Accepted)
			}
		}
		if !l.has(c.log) {
			t.Errorf("%s, %s: no %q in\n%s", c.options, c.sign, c.log, strings.Join(l.text, "\n"))
		}
		// The other CA's certificates are nobody's.
		if grant, err := AuthorizeCertificate(context.Background(), o.request(o.sign("ca2"), &lines{})); grant != nil || !errors.Is(err, ErrUnknownCA) {
			t.Errorf("%s: other CA: %v", c.options, err)
		}
	}
}

// A line that names the CA but does not let a certificate in is not the last word.
func TestCertificateLines(t *testing.T) {
	o := newOffice(t)
	o.authorize("cert-authority,no-pty", "ca2", `cert-authority,principals="bob"`, "ca", "cert-authority,no-agent-forwarding", "ca", "cert-authority", "ca")
	l := &lines{}
	grant, err := AuthorizeCertificate(context.Background(), o.request(o.sign("ca"), l))
	if err != nil || !strings.HasSuffix(grant.Accepted, ":4") || grant.Permissions.AgentForwarding || !grant.Permissions.PTY {
		t.Fatalf("%+v %v", grant, err)
	}
	if !l.has(o.keys+":3: Certificate does not contain an authorized principal") || l.has(":4: Cert") {
		t.Errorf("%q", l.text)
	}
	// The output of AuthorizedKeysCommand.
	text := "nonsense\ncert-authority " + o.read("ca.pub")
	for _, name := range []string{"alice", "bob"} {
		grant, err := o.request(o.sign("ca", "-n", name), l).FindCA(strings.NewReader(text), "/bin/keys")
		if want := name == "alice"; (grant != nil) != want || (err == nil) != want || want && !strings.HasSuffix(grant.Accepted, " found at /bin/keys:2") {
			t.Errorf("%s: %v %v", name, grant, err)
		}
	}
}

// A comma in a principal's name is part of it.
func TestThreat25CommaInPrincipal(t *testing.T) {
	c := &sshkey.Certificate{Principals: []string{"alice,root", "x"}}
	for list, want := range map[string]bool{"root": false, "alice": false, "alice,root": false, "x": true, "a,x": true, "a,,x": false, "": false} {
		if got := listedPrincipal(list, c); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

func TestCertificatePermissions(t *testing.T) {
	o := newOffice(t)
	bools := func(p *Permissions) string {
		s := ""
		for _, b := range []bool{p.X11Forwarding, p.AgentForwarding, p.PortForwarding, p.PTY, p.UserRC, p.NoTouchRequired, p.VerifyRequired} {
			s += map[bool]string{true: "+", false: "-"}[b]
		}
		return s
	}
	for _, c := range []struct{ options, sign, want, command string }{
		{"", "", "+++++--", ""},
		{"", "-O clear", "-------", ""},
		{"", "-O clear -O permit-pty -O permit-X11-forwarding", "+--+---", ""},
		{"", "-O no-agent-forwarding -O no-user-rc", "+-++---", ""},
		{",restrict,pty", "", "---+---", ""},
		{",no-pty", "", "+++-+--", ""},
		{",no-touch-required", "", "+++++--", ""},
		{"", "-O no-touch-required", "+++++--", ""},
		{",no-touch-required", "-O no-touch-required", "++++++-", ""},
		{",verify-required", "", "+++++-+", ""},
		{"", "-O verify-required", "+++++-+", ""},
		{`,command="x y"`, "", "+++++--", "x y"},
		{"", "-O force-command=x", "+++++--", "x"},
		{`,command="x"`, "-O force-command=x", "+++++--", "x"},
	} {
		o.authorize("cert-authority"+c.options, "ca")
		grant, err := AuthorizeCertificate(context.Background(), o.request(o.sign("ca", strings.Fields(c.sign)...), &lines{}))
		if err != nil {
			t.Errorf("%s, %s: %v", c.options, c.sign, err)
			continue
		}
		p := &grant.Permissions
		if got := bools(p); got != c.want || p.ForceCommand != c.command || p.HasForceCommand != (c.command != "") || p.CertAuthority {
			t.Errorf("%s, %s: %s %q, want %s %q", c.options, c.sign, got, p.ForceCommand, c.want, c.command)
		}
	}
}

// THREATS row 25, with the real ssh-keygen's certificates, by both ways in.
func TestThreat25(t *testing.T) {
	o := newOffice(t)
	o.keygen("-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa")
	o.authorize("cert-authority", "ca", "cert-authority", "rsa")
	trusted := o.write("trusted", "# CAs\n"+o.read("ca2.pub")+o.read("ca.pub")+o.read("rsa.pub"))
	refuse := func(what string, c *sshkey.Certificate, line, file error, change func(*CertificateRequest)) {
		t.Helper()
		for _, by := range []string{"line", "TrustedUserCAKeys"} {
			l := &lines{}
			in, want := o.request(c, l), line
			if by == "TrustedUserCAKeys" {
				in.Files, in.TrustedUserCAKeys, want = nil, trusted, file
			}
			if change != nil {
				change(in)
			}
			grant, err := AuthorizeCertificate(context.Background(), in)
			if (grant == nil) != (want != nil) || want != nil && !strings.Contains(fmt.Sprint(err), want.Error()) {
				t.Errorf("%s by %s: %v, want %v", what, by, err, want)
			}
			if want != nil && !l.has(want.Error()) {
				t.Errorf("%s by %s: not in the log: %q", what, by, l.text)
			}
		}
	}
	refuse("good", o.sign("ca"), nil, nil, nil)
	refuse("host", o.sign("ca", "-h"), ErrCertificateOptions, sshkey.ErrNotUserCertificate, nil)
	refuse("expired", o.sign("ca", "-V", "20200101:20210101"), sshkey.ErrExpired, sshkey.ErrExpired, nil)
	refuse("not yet", o.sign("ca", "-V", "20270101:20280101"), sshkey.ErrNotYetValid, sshkey.ErrNotYetValid, nil)
	refuse("other principal", o.sign("ca", "-n", "root"), sshkey.ErrPrincipal, sshkey.ErrPrincipal, nil)
	refuse("critical", o.sign("ca", "-O", "critical:y=1"), ErrCertificateOptions, ErrCertificateOptions, nil)
	refuse("address", o.sign("ca", "-O", "source-address=10.0.0.0/8"), ErrRefusedByCertificate, ErrRefusedByCertificate, nil)
	refuse("the peer's address is unknown", o.sign("ca", "-O", "source-address=0.0.0.0/0"), ErrRefusedByCertificate, ErrRefusedByCertificate,
		func(in *CertificateRequest) { in.Peer = user.Peer{} })
	o.keygen("-q", "-s", "ca", "-I", "nobody", "-V", "20260101:20270101", "user.pub")
	nobody, _, err := sshkey.ParseAuthorizedCertificate([]byte(o.read("user-cert.pub")))
	if err != nil {
		t.Fatal(err)
	}
	refuse("no principals", nobody, sshkey.ErrNoPrincipals, sshkey.ErrNoPrincipals, nil)
	// SHA-1, and what the configuration leaves out.
	sha1 := errors.New("certificate signature algorithm ssh-rsa: signature algorithm not supported")
	refuse("SHA-1", o.sign("rsa", "-t", "ssh-rsa"), sha1, sha1, nil)
	sha2 := errors.New("certificate signature algorithm rsa-sha2-256: signature algorithm not supported")
	refuse("SHA-2", o.sign("rsa", "-t", "rsa-sha2-256"), nil, nil, nil)
	refuse("SHA-2, excluded", o.sign("rsa", "-t", "rsa-sha2-256"), sha2, sha2, func(in *CertificateRequest) {
		in.CASignatureAlgorithms = []string{"ssh-ed25519", "rsa-sha2-512"}
	})

	// What never becomes a certificate.
	c := o.sign("ca")
	field := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	nested := bytes.Replace(c.Blob(), field(c.CA.Blob()), field(c.Blob()), 1)
	if _, err := sshkey.ParseCertificate(nested); !errors.Is(err, sshkey.ErrNestedCA) {
		t.Errorf("nested CA: %v", err)
	}
	for _, change := range [][2]string{{"alice", "root\x00"}, {"an id", "AN ID"}} {
		forged := bytes.Replace(c.Blob(), []byte(change[0]), []byte(change[1]), 1)
		if _, err := sshkey.ParseCertificate(forged); !errors.Is(err, sshkey.ErrCASignature) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
	other := o.sign("ca2")
	swapped := bytes.Replace(other.Blob(), other.CA.Blob(), c.CA.Blob(), 1)
	if _, err := sshkey.ParseCertificate(swapped); !errors.Is(err, sshkey.ErrCASignature) {
		t.Errorf("another CA's name: %v", err)
	}
	if !slices.Equal(c.Principals, []string{"alice"}) {
		t.Errorf("%q", c.Principals)
	}
}
