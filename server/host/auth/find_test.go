package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/sshkey"
)

// newKey returns a public key and its "type base64" text.
func newKey(t testing.TB) (sshkey.PublicKey, string) {
	t.Helper()
	k, err := sshkey.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	public := k.Public()
	return public, public.Type() + " " + base64.StdEncoding.EncodeToString(public.Blob())
}

// lines collects what is logged.
type lines struct{ text []string }

func (l *lines) log(level Level, format string, args ...any) {
	l.text = append(l.text, fmt.Sprintf("%d ", level)+fmt.Sprintf(format, args...))
}

func (l *lines) has(part string) bool { return strings.Contains(strings.Join(l.text, "\n"), part) }

func newQuery(key sshkey.PublicKey, l *lines) *Query {
	addr, _ := user.ParsePeerAddress("192.0.2.1")
	return &Query{
		Account: &user.Account{Name: "alice"}, Blob: key.Blob(), Peer: user.Peer{Addr: addr},
		Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), Log: l.log,
	}
}

func TestFind(t *testing.T) {
	key, text := newKey(t)
	_, other := newKey(t)
	encoded := strings.Fields(text)[1]
	for _, c := range []struct {
		file string
		line int // 0: not found
		log  string
	}{
		{text, 1, "3 keys:1: matching key found: ED25519 SHA256:"},
		{text + "\n", 1, ""},
		{text + " a comment\r\n", 1, ""},
		{"\n# x\n  \t" + text + "\n", 3, ""},
		{other + "\n" + text + "\n" + text, 2, "keys:2: matching key found"},
		{"#" + text, 0, ""},
		{other, 0, ""},
		{"", 0, ""},
		{other + " " + text, 0, ""},
		{"ssh-rsa " + encoded, 0, ""},
		{"ssh-ed25519 " + encoded[:len(encoded)-4], 0, ""},
		{"ssh-ed25519 " + encoded + "AAAA", 0, ""},
		{`command="x" ` + text, 1, ""},
		{"unknown " + text + "\n" + "no-pty " + text, 2, "keys:1: bad key options: unknown key option"},
		{`command="x ` + text, 0, "bad key options: invalid key option string"},
		{`command="` + text + `" ` + other, 0, ""},
		{`command="` + text + `" ` + text, 1, ""},
		{"cert-authority " + text, 0, ""},
		{`principals="a" ` + text, 0, "principals on non-CA key"},
		{`expiry-time="20260531Z" ` + text, 0, "keys:1: entry expired at 2026-05-31T"},
		{`expiry-time="20260602Z" ` + text, 1, ""},
		{`expiry-time="20260531Z" ` + text + "\n" + text, 2, "0 Refused by key options at keys:1"},
		{`from="192.0.2.0/24" ` + text, 1, ""},
		{`from="10.*" ` + text, 0, "1 keys:1: Authentication tried for alice with correct key but not from a permitted host (host=192.0.2.1, ip=192.0.2.1, required=10.*)."},
		{`from="!192.0.2.1,*" ` + text, 0, "not from a permitted"},
		{`from="192.0.2.1/24" ` + text, 0, "invalid from criteria"},
		{`from="" ` + text, 0, "invalid from criteria"},
		{strings.Repeat("x", maxLine+1) + " " + text + "\n" + text, 2, "keys: line 1 exceeds size limit"},
		{strings.Repeat("x\n", maxLine) + text, maxLine + 1, ""},
		{"\xff\x00\n" + text, 2, ""},
		{text + "\x00", 0, ""},
	} {
		var l lines
		entry, err := Find(iotest.OneByteReader(strings.NewReader(c.file)), "keys", newQuery(key, &l))
		if len(c.file) > 1000 {
			entry, err = Find(strings.NewReader(c.file), "keys", newQuery(key, &l))
		}
		if err != nil {
			t.Errorf("%.80q: %v", c.file, err)
			continue
		}
		if got := lineOf(entry); got != c.line {
			t.Errorf("%.80q: line %d, want %d", c.file, got, c.line)
		}
		if !l.has(c.log) {
			t.Errorf("%.80q: no %q in %q", c.file, c.log, l.text)
		}
	}
}

func lineOf(e *Entry) int {
	if e == nil {
		return 0
	}
	return e.Line
}

func TestFindEntry(t *testing.T) {
	key, text := newKey(t)
	var l lines
	entry, err := Find(strings.NewReader(`restrict,command="run \"me\"" `+text+"  alice at home \n"), "keys", newQuery(key, &l))
	if err != nil || entry == nil {
		t.Fatal(entry, err)
	}
	if entry.Comment != "alice at home" || entry.Permissions.ForceCommand != `run "me"` || entry.Permissions.PTY || !bytes.Equal(entry.Key.Blob(), key.Blob()) || entry.File != "keys" {
		t.Errorf("%+v %+v", entry, entry.Permissions)
	}
	q := newQuery(key, &l)
	q.CA = true
	if entry, _ := Find(strings.NewReader(text+"\ncert-authority "+text), "keys", q); lineOf(entry) != 2 {
		t.Errorf("CA: line %d", lineOf(entry))
	}
	q.Blob = nil
	if entry, _ := Find(strings.NewReader(text), "keys", q); entry != nil {
		t.Error("no key matches a line")
	}
	q.Blob, q.Log = key.Blob(), nil
	if _, err := Find(io.MultiReader(strings.NewReader("x\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), "keys", q); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a read error: %v", err)
	}
}

// bigFile is 10 MB in 100,000 lines with the key at the end.
func bigFile(t testing.TB, last string) []byte {
	_, other := newKey(t)
	var b bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&b, "%s user%05d@host.example\n", other, i)
	}
	b.WriteString(last + "\n")
	return b.Bytes()
}

func TestFindBig(t *testing.T) {
	key, text := newKey(t)
	file := bigFile(t, text)
	var l lines
	allocations := testing.AllocsPerRun(1, func() {
		if e, err := Find(bytes.NewReader(file), "keys", newQuery(key, &l)); err != nil || lineOf(e) != 100_001 {
			t.Errorf("line %d %v", lineOf(e), err)
		}
	})
	if allocations > 200 {
		t.Errorf("%v allocations for %d bytes", allocations, len(file))
	}
}

// TestFindNamed: a file in which every line names the key, but does not let it in, is
// looked at up to a point.
func TestFindNamed(t *testing.T) {
	key, text := newKey(t)
	refused := `expiry-time="20200101" ` + text + "\n"
	for n, want := range map[int]int{maxNamed - 1: maxNamed, maxNamed: 0} {
		var l lines
		e, err := Find(strings.NewReader(strings.Repeat(refused, n)+text), "keys", newQuery(key, &l))
		if err != nil || lineOf(e) != want {
			t.Errorf("%d: line %d, %v", n, lineOf(e), err)
		}
		if told := l.has("keys: more than 4096 lines name the key, those from line 4097 on do not count"); told != (want == 0) {
			t.Errorf("%d: told %v", n, told)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	key, text := newKey(b)
	file := bigFile(b, text)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	q := newQuery(key, &lines{})
	q.Log = nil
	for b.Loop() {
		if e, _ := Find(bytes.NewReader(file), "keys", q); e == nil {
			b.Fatal("not found")
		}
	}
}

func TestExpandPath(t *testing.T) {
	a := &user.Account{Name: "alice", Home: "/home/alice", UID: 1000}
	for pattern, want := range map[string]string{
		".ssh/authorized_keys":   "/home/alice/.ssh/authorized_keys",
		"%h/.ssh/keys":           "/home/alice/.ssh/keys",
		"/etc/ssh/keys/%u-%U":    "/etc/ssh/keys/alice-1000",
		"/etc/100%%":             "/etc/100%",
		"/etc/%":                 "",
		"/etc/%x":                "",
		strings.Repeat("x", 5e3): "",
	} {
		if got, err := ExpandPath(pattern, a); got != want || (err != nil) != (want == "") {
			t.Errorf("%.50s: %q %v", pattern, got, err)
		}
	}
	// The tokens of a name are not expanded again.
	if got, _ := ExpandPath("/k/%u", &user.Account{Name: "%h"}); got != "/k/%h" {
		t.Errorf("%q", got)
	}
	if got, err := ExpandPath(".ssh/keys", &user.Account{Name: "x"}); err == nil {
		t.Errorf("without a home: %q", got)
	}
}

func FuzzParseLine(f *testing.F) {
	_, text := newKey(f)
	for _, s := range []string{"", "# x", text, "no-pty " + text + " comment", `command="a b" ` + text, `command="a ` + text, "ssh-rsa AAAA", text + "=", "\x00 \x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := ParseLine(line)
		if err != nil {
			return
		}
		// What was parsed is found by its blob.
		q := &Query{Account: &user.Account{}, Blob: e.Key.Blob(), CA: e.Permissions.CertAuthority, Peer: user.Peer{}, Now: time.Unix(1, 0)}
		got, ferr := Find(bytes.NewReader(line), "f", q)
		if ferr != nil || got == nil && !e.Permissions.HasFrom && !e.Permissions.HasPrincipals && !bytes.Contains(line, []byte("\n")) && len(line) < maxLine {
			t.Errorf("%q is parsed but not found: %v", line, ferr)
		}
	})
}

// FuzzFind: what is found in a file is the key that was asked for, on a line that stands
// there.
func FuzzFind(f *testing.F) {
	key, text := newKey(f)
	for _, s := range []string{
		"", "\n", text, "#" + text + "\n" + text, "no-pty " + text + "\n\n", `from="192.0.2.*" ` + text + "\nx",
		`expiry-time="20200101" ` + text + "\ncert-authority " + text, "\x00\n" + text + "\r\n", `environment="A=B` + "\n" + text,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	// The fuzzer does not guess a key: this stands for one.
	f.Add([]byte("KEY\nno-pty KEY\nKEY KEY"), false)
	f.Fuzz(func(t *testing.T, file []byte, ca bool) {
		file = bytes.ReplaceAll(file, []byte("KEY"), []byte(text))
		var l lines
		q := newQuery(key, &l)
		q.CA = ca
		e, err := Find(bytes.NewReader(file), "keys", q)
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			return
		}
		all := bytes.Split(file, []byte("\n"))
		if !bytes.Equal(e.Key.Blob(), key.Blob()) || e.Permissions.CertAuthority != ca || e.Line < 1 || e.Line > len(all) {
			t.Fatalf("%+v", e)
		}
		again, err := ParseLine(all[e.Line-1])
		if err != nil || !bytes.Equal(again.Key.Blob(), key.Blob()) {
			t.Fatalf("line %d is %q: %v", e.Line, all[e.Line-1], err)
		}
	})
}
