package session

import (
	"bytes"
	"strings"
	"testing"

	"nano_ssh_server/server/proto/wire"
)

// The fuzz targets check that what a parser accepts is exactly what it was given:
// encoded again it is the same payload.

func FuzzPTY(f *testing.F) {
	f.Add(ptyPayload("xterm-256color", 80, 24, append(modeBytes(1, 3), 0)))
	f.Add(ptyPayload("", 0, 0, nil))
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parsePTY(b)
		if err != nil {
			return
		}
		again := text(q.term)
		for _, n := range []uint32{q.size.Cols, q.size.Rows, q.size.Width, q.size.Height} {
			again = wire.AppendUint32(again, n)
		}
		if again = wire.AppendString(again, q.modes); !bytes.Equal(again, b) || len(q.term) > maxTerm {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzSize(f *testing.F) {
	f.Add(size(80, 24))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSize(b); err == nil {
			again := wire.AppendUint32(wire.AppendUint32(nil, s.Cols), s.Rows)
			if again = wire.AppendUint32(wire.AppendUint32(again, s.Width), s.Height); !bytes.Equal(again, b) {
				t.Fatalf("%x became %x", b, again)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add(text("ls -l"))
	f.Add(text(""))
	f.Add(append(text("a\x00b"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseText(b); err == nil && (!bytes.Equal(text(s), b) || strings.IndexByte(s, 0) >= 0) {
			t.Fatalf("%x became %q", b, s)
		}
	})
}

func FuzzEnv(f *testing.F) {
	f.Add(envPayload("LANG", "C.UTF-8"))
	f.Add(envPayload("", ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, value, err := parseEnv(b); err == nil && !bytes.Equal(envPayload(name, value), b) {
			t.Fatalf("%x became %q=%q", b, name, value)
		}
	})
}

func FuzzX11(f *testing.F) {
	f.Add(x11Payload("MIT-MAGIC-COOKIE-1", "0123456789abcdef"))
	f.Add(x11Payload("a b", "c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseX11(b)
		if err != nil {
			return
		}
		for _, s := range []string{q.Protocol, q.Cookie} {
			if s == "" || len(s) > maxXAuth || strings.ContainsAny(s, " \t\r\n\x00\"'\\;$`|&<>(){}") {
				t.Fatalf("%x gave %q", b, s)
			}
		}
	})
}

// FuzzRequest gives whole requests to a session that starts nothing.
func FuzzRequest(f *testing.F) {
	f.Add("env", envPayload("LANG", "C"))
	f.Add("window-change", size(1, 1))
	f.Add("break", []byte{0, 0, 0, 1})
	f.Add("signal", text("TERM"))
	f.Add("subsystem", text("sftp"))
	f.Add("x11-req", x11Payload("a", "b"))
	f.Add("auth-agent-req@openssh.com", []byte(nil))
	f.Add("shell", []byte{1})
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if name == "exec" || name == "shell" && len(b) == 0 || name == "pty-req" {
			return
		}
		p := testPolicy(t)
		p.AcceptEnv = []string{"*"}
		s := NewServer(p, Local{p.Account})
		x := s.admit()
		x.attach(newFakeChannel())
		if _, then := x.request(name, b); then != nil {
			t.Fatalf("%s %x starts something", name, b)
		}
		x.Closed()
		if s.Active() != 0 {
			t.Fatal("the session is still there")
		}
	})
}
