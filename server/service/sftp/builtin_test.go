package sftp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"nano_ssh_server/server/service/session"
)

// fakeChannel is a session's channel with a client whose requests are all there.
type fakeChannel struct {
	pieces
	stderr bytes.Buffer
}

var _ session.Channel = (*fakeChannel)(nil)

func (c *fakeChannel) WriteExtended(p []byte) (int, error)            { return c.stderr.Write(p) }
func (c *fakeChannel) ReadFrom(io.Reader) (int64, error)              { return 0, errors.ErrUnsupported }
func (c *fakeChannel) ExtendedReadFrom(io.Reader) (int64, error)      { return 0, errors.ErrUnsupported }
func (c *fakeChannel) CloseWrite() error                              { return nil }
func (c *fakeChannel) SendRequest(string, bool, []byte) (bool, error) { return true, nil }
func (c *fakeChannel) SetInteractive(bool)                            {}
func (c *fakeChannel) SetUse(string)                                  {}
func (c *fakeChannel) Close() error                                   { panic("not its own to close") }

// TestBuiltin runs internal-sftp as a session does.
func TestBuiltin(t *testing.T) {
	home := t.TempDir()
	put(t, home+"/file", "at home", 0o644)
	put(t, home+"/sub/file", "below", 0o644)
	var fallback lines
	login := &Login{Account: options(home).Account, Client: "192.0.2.7", Fallback: &fallback}
	s := newScript()
	s.add(fxpOpen, str("file"), u32(openRead), noAttrs())
	s.add(fxpRead, hnd(0), u64(0), u32(100))
	s.add(fxpOpen, str("file"), u32(openWrite), noAttrs())
	for _, x := range []struct {
		args, data, stderr string
		status             int
	}{
		{"internal-sftp", "at home", "", -1},
		{"internal-sftp -d %d/sub", "below", "", -1},
		{"internal-sftp -R -e -l INFO", "at home", "session opened for local user alice from [192.0.2.7]\r\n", statusPermissionDenied},
		{"internal-sftp -e -d ~/none", "", `chdir to "` + home + `/none" failed: No such file or directory`, statusNoSuchFile},
	} {
		ch := &fakeChannel{pieces: pieces{in: s.requests}}
		exit := Builtin(login)(context.Background(), ch, strings.Fields(x.args))
		got := parse(t, ch.out.Bytes())
		if exit != exitOK || len(got) != 4 || !strings.Contains(ch.stderr.String(), x.stderr) {
			t.Fatalf("%s: exit %d, %v, stderr %q", x.args, exit, got, ch.stderr.String())
		}
		if x.data != "" && string(got[2].body) != string(str(x.data)) || got[3].status() != x.status {
			t.Errorf("%s: %v", x.args, got)
		}
	}
	if cwd, err := os.Getwd(); err != nil || strings.HasPrefix(cwd, home) {
		t.Errorf("the process is in %s, %v", cwd, err)
	}
}

// TestBuiltinArguments: a wrong command line is told the client.
func TestBuiltinArguments(t *testing.T) {
	login := &Login{Account: options("/").Account}
	for _, x := range []struct {
		args, out, err string
		exit           int
	}{
		{"internal-sftp -h", "", "usage: internal-sftp [-ehR]", exitFailed},
		{"internal-sftp -x", "", "usage: internal-sftp [-ehR]", exitFailed},
		{"internal-sftp -Q requests", "open\nclose\nread\n", "", exitOK},
		{"internal-sftp -u 9", "", "Invalid umask \"9\"\n", exitFatal},
	} {
		ch := &fakeChannel{}
		exit := Builtin(login)(context.Background(), ch, strings.Fields(x.args))
		if exit != x.exit || !strings.HasPrefix(ch.out.String(), x.out) || !strings.HasPrefix(ch.stderr.String(), x.err) || (x.err == "") != (ch.stderr.Len() == 0) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", x.args, exit, ch.out.String(), ch.stderr.String())
		}
	}
}

// TestLevels: -l lets lines through, whatever the log behind takes.
func TestLevels(t *testing.T) {
	for _, x := range []struct {
		args string
		want string
	}{
		{"", ""},
		{"-l QUIET", ""},
		{"-l ERROR", "error: malformed"},
		{"-l INFO", "info: session opened|error: malformed|info: sent status Bad message|info: session closed"},
		{"-l VERBOSE", "info: session opened|verbose: received client version 3|verbose: stat name|error: malformed|info: sent status Bad message|info: session closed"},
	} {
		var l lines
		dir := t.TempDir()
		o, _, _ := ParseArgs(append([]string{"sftp-server"}, strings.Fields(x.args)...), options(dir).Account)
		o.StartDir, o.Log = dir, &l
		_, exit := serve(t, o, [][]byte{initFrame, frame(fxpStat, u32(1), str(".")), frame(fxpStat, u32(1))})
		if x.args == "" {
			x.want = "error: malformed"
		}
		ok := exit == exitOK && len(l.all) == len(strings.Split(x.want, "|")) || x.want == "" && len(l.all) == 0
		for i, want := range strings.Split(x.want, "|") {
			ok = ok && (x.want == "" || strings.HasPrefix(l.all[i], want))
		}
		if !ok {
			t.Errorf("%q: %q", x.args, l.all)
		}
	}
}

func TestClientAddress(t *testing.T) {
	for in, want := range map[string]string{"": "", "192.0.2.1 1 192.0.2.2 22": "192.0.2.1", "::1 x": "::1"} {
		if got, ok := clientAddress(in); got != want || !ok {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
	if _, ok := clientAddress("word"); ok {
		t.Error("one word")
	}
}
