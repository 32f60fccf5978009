package monitor

import (
	"bytes"
	"errors"
	"testing"

	"nano_ssh_server/server/ipc"
)

// TestKeep: what is kept of a connection answers as the connection did, for the same
// session only, and nothing that belongs to a login.
func TestKeep(t *testing.T) {
	w := newWorld(t, "MaxSessions 3\nMatch User alice\nLogLevel VERBOSE\n")
	c := w.start("alice")
	if ok, _ := w.login(c, "alice", w.alice); !ok {
		t.Fatal("no login")
	}
	must(t, c.HandOver())
	w.log.take()
	c.terminals.names = map[string]*recorded{"/dev/pts/none-such": {pid: 0}}
	kept := c.Keep()
	kept.ID = 9
	if len(c.terminals.names) != 0 {
		t.Error("the terminals are still here")
	}
	var k ipc.Kept
	a := c.Plain().Account
	must(t, ipc.Unmarshal(ipc.Marshal(&ipc.Kept{PID: 7, Account: a, Connections: []ipc.KeptConnection{kept}}), &k))
	// The configuration of today says something else.
	now := *w.shared
	now.File = w.parse("MaxSessions 1\n")
	r := Resume(&now, &k.Account, &k.Connections[0])
	if r.LogPeer() != c.LogPeer() || r.Log().Level() != c.Log().Level() || r.cfg.MaxSessions != 3 || r.logID != c.logID {
		t.Errorf("%+v", r)
	}
	later := bytes.Repeat([]byte{7}, 32)
	signature, err := r.Sign(testHash, later, "ssh-ed25519")
	if err != nil || w.host.Public().Verify("ssh-ed25519", later, signature) != nil {
		t.Error(err)
	}
	if _, err := r.Sign(later, later, "ssh-ed25519"); !errors.Is(err, errForeignSession) {
		t.Error("another session is signed for:", err)
	}
	if err := r.closePTY("/dev/pts/0"); !errors.Is(err, errForeignTerminal) {
		t.Error("a terminal of another's is closed:", err)
	}
	must(t, r.closePTY("/dev/pts/none-such"))
	for _, m := range []ipc.Method{ipc.Export, ipc.Start, ipc.Password, ipc.KeySigned} {
		if r.permit(m) == nil {
			t.Errorf("%s is permitted", m)
		}
	}
}
