package bench

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/host/auth"
	"nano_ssh_server/server/host/user"
	"nano_ssh_server/server/proto/msg"
	"nano_ssh_server/server/proto/sshkey"
	"nano_ssh_server/server/proto/userauth"
	"nano_ssh_server/server/proto/wire"
)

func newKey(tb testing.TB) sshkey.PrivateKey {
	tb.Helper()
	key, err := sshkey.GenerateEd25519()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// keysFile is an authorized_keys of n keys, the last of which is key.
func keysFile(tb testing.TB, key sshkey.PublicKey, n int) []byte {
	tb.Helper()
	other := newKey(tb).Public()
	var b bytes.Buffer
	for i := range n - 1 {
		b.Write(sshkey.MarshalAuthorized(other, fmt.Sprintf("user%05d@host.example", i)))
	}
	b.WriteString(`from="192.0.2.*,!192.0.2.9",no-agent-forwarding,environment="A=b",expiry-time="20991231" `)
	b.Write(sshkey.MarshalAuthorized(key, "me@host.example"))
	return b.Bytes()
}

func query(tb testing.TB, key sshkey.PublicKey) *auth.Query {
	tb.Helper()
	address, ok := user.ParsePeerAddress("192.0.2.1")
	if !ok {
		tb.Fatal("no address")
	}
	return &auth.Query{Account: &user.Account{Name: "alice"}, Blob: key.Blob(), Peer: user.Peer{Addr: address},
		Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
}

func BenchmarkAuthorizedKeys(b *testing.B) {
	key := newKey(b).Public()
	for _, n := range []int{1, 10, 1000} {
		file := keysFile(b, key, n)
		for _, present := range []bool{true, false} {
			name := fmt.Sprintf("%d/found", n)
			q := query(b, key)
			if !present {
				name = fmt.Sprintf("%d/missing", n)
				q = query(b, newKey(b).Public())
			}
			b.Run(name, func(b *testing.B) {
				b.SetBytes(int64(len(file)))
				b.ReportAllocs()
				for b.Loop() {
					if e, err := auth.Find(bytes.NewReader(file), "keys", q); err != nil || (e != nil) != present {
						b.Fatal(e, err)
					}
				}
			})
		}
	}
}

func BenchmarkKeyLine(b *testing.B) {
	line := bytes.TrimSpace(keysFile(b, newKey(b).Public(), 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := auth.ParseLine(line); err != nil {
			b.Fatal(err)
		}
	}
}

// played is a transport of userauth that plays requests.
type played struct {
	requests [][]byte
	next     int
	answers  int
}

var benchSession = []byte("session identifier")

func (p *played) Receive() ([]byte, error) {
	if p.next == len(p.requests) {
		return nil, io.EOF
	}
	p.next++
	return p.requests[p.next-1], nil
}

func (p *played) Send([]byte) error { p.answers++; return nil }
func (*played) SessionID() []byte   { return benchSession }
func (*played) HostKey() []byte     { return []byte("host key") }

// decider lets in who has signed with a key of a file. Methods that the benchmark
// does not try are those of the embedded nil: they would panic.
type decider struct {
	userauth.Decider
	file []byte
	q    *auth.Query
}

func (*decider) Start(_, _, _ string) string { return "" }
func (*decider) Methods() []string           { return []string{"publickey", "password"} }
func (*decider) None() userauth.Verdict      { return userauth.Verdict{} }

func (d *decider) KeyAcceptable(_ string, blob []byte) bool {
	q := *d.q
	q.Blob = blob
	e, err := auth.Find(bytes.NewReader(d.file), "keys", &q)
	return e != nil && err == nil
}

func (d *decider) KeySigned(algorithm string, blob, data, signature []byte) userauth.Verdict {
	key, err := sshkey.ParsePublic(blob)
	return userauth.Verdict{OK: err == nil && d.KeyAcceptable(algorithm, blob) && key.Verify(algorithm, data, signature) == nil}
}

// BenchmarkUserauth is an ordinary login by key: none, may I use this key, and the
// signature, with the key's search in a file of ten, but without the file system
// and without the requests between processes.
func BenchmarkUserauth(b *testing.B) {
	key := newKey(b)
	request := func(method string) []byte {
		p := wire.AppendText([]byte{msg.UserauthRequest}, "alice")
		return wire.AppendText(wire.AppendText(p, "ssh-connection"), method)
	}
	withKey := func(signed bool) []byte {
		p := wire.AppendText(wire.AppendBool(request("publickey"), signed), "ssh-ed25519")
		return wire.AppendString(p, key.Public().Blob())
	}
	signature, err := key.Sign("ssh-ed25519", append(wire.AppendString(nil, benchSession), withKey(true)...))
	if err != nil {
		b.Fatal(err)
	}
	service := wire.AppendText([]byte{msg.ServiceRequest}, "ssh-userauth")
	requests := [][]byte{service, request("none"), withKey(false), wire.AppendString(withKey(true), signature)}
	d := &decider{file: keysFile(b, key.Public(), 10), q: query(b, key.Public())}
	config := &userauth.Config{MaxAuthTries: func() int { return 6 }, Sleep: func(time.Duration) {}}
	b.ReportAllocs()
	for b.Loop() {
		p := &played{requests: requests}
		got, err := userauth.Serve(p, d, config)
		if err != nil || got.Method != "publickey" || !strings.HasPrefix(got.User, "alice") {
			b.Fatal(got, err)
		}
	}
}
