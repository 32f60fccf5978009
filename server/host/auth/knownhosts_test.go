package auth

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nano_ssh_server/server/proto/sshkey"
)

func hostKeyLine(t testing.TB) (sshkey.PublicKey, string) {
	t.Helper()
	k, err := sshkey.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Wipe)
	return k.Public(), strings.TrimSpace(string(sshkey.MarshalAuthorized(k.Public(), "comment")))
}

// hashName is done by another library.
func hashName(name string) string {
	salt := []byte("salt of twenty bytes")
	h := hmac.New(sha1.New, salt)
	h.Write([]byte(name))
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestFindHost(t *testing.T) {
	key, line := hostKeyLine(t)
	_, other := hostKeyLine(t)
	fields := strings.Fields(line)
	for _, c := range []struct {
		text string
		want HostStatus
	}{
		{"", HostNew},
		{"client.example " + line, HostFound},
		{"CLIENT.Example " + line, HostFound},
		{"x,client.example,y " + line, HostFound},
		{"*.example " + line, HostFound},
		{"*.example,!client.* " + line, HostNew},
		{"!client.example,* " + line, HostNew},
		{"clien?.example " + line, HostFound},
		{"[client.example]:22 " + line, HostNew},
		{"[client.example]:2222 " + line, HostNew},
		{"client.example " + other, HostChanged},
		{"client.example " + other + "\nclient.example " + line, HostFound},
		{hashName("client.example") + " " + line, HostFound},
		{hashName("other.example") + " " + line, HostNew},
		{"@revoked " + hashName("client.example") + " " + line, HostRevoked},
		{"client.example " + line + "\n@revoked * " + line, HostRevoked},
		{"@revoked * " + line + "\nclient.example " + line, HostRevoked},
		{"@revoked other.example " + line + "\nclient.example " + line, HostFound},
		{"@revoked * " + other + "\nclient.example " + line, HostFound},
		{"@revoked\tclient.example\twrong-type " + fields[1], HostRevoked},
		{"@cert-authority client.example " + line, HostNew},
		{"@unknown client.example " + line, HostNew},
		{"@revoked @cert-authority client.example " + line, HostNew},
		{"client.example wrong-type " + fields[1], HostChanged},
		{"client.example ssh-ed25519", HostNew},
		{"client.example ssh-ed25519 !!!", HostNew},
		{"client.example 1024 35 " + strings.Repeat("7", 300), HostNew},
		{"# client.example " + line, HostNew},
		{"\x00\xff\xfe\nclient.example " + line, HostFound},
		{"|1|" + " " + line, HostNew},
		{"|1|AAAA|AAAA " + line, HostNew},
		{"|2|" + strings.TrimPrefix(hashName("client.example"), "|1|") + " " + line, HostNew},
	} {
		got, err := FindHost(strings.NewReader(c.text), "file", "Client.example", key, nil)
		if got != c.want || err != nil {
			t.Errorf("%.70q: %d, want %d, %v", c.text, got, c.want, err)
		}
	}
}

// TestFindHostLimits has files whose end nobody reads: what they find does not count.
func TestFindHostLimits(t *testing.T) {
	key, line := hostKeyLine(t)
	for name, more := range map[string]string{
		"too long a line":  strings.Repeat("x", maxLine+1) + "\n",
		"too large a file": strings.Repeat("#\n", maxKnownHosts/2+1),
	} {
		_, err := FindHost(strings.NewReader("h "+line+"\n"+more), "file", "h", key, nil)
		if !errors.Is(err, errFileSize) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzKnownHosts(f *testing.F) {
	key, line := hostKeyLine(f)
	for _, format := range []string{"client.example %s", "@revoked * %s", "@cert-authority *.example,!x %s", hashName("client.example") + " %s", "|1|x|y %s", "%s"} {
		f.Add([]byte(fmt.Sprintf(format, line)))
	}
	encoded := strings.Fields(line)[1]
	f.Fuzz(func(t *testing.T, text []byte) {
		status, err := FindHost(strings.NewReader(string(text)), "file", "client.example", key, nil)
		if err == nil && status == HostFound && !strings.Contains(string(text), encoded[:60]) {
			t.Errorf("%q has no such key", text)
		}
		if k, err := ParseKnownHost(text); err == nil && (k.Hosts == "" || k.Type == "" || k.Key == "") {
			t.Errorf("%q: %+v", text, k)
		}
	})
}
