package forward

import (
	"bytes"
	"errors"
	"testing"

	"nano_ssh_server/server/proto/wire"
)

// TestHostKeys: the announcement has all keys; each is proved in its turn, over the
// request's name, the session and the key.
func TestHostKeys(t *testing.T) {
	one, two := []byte("key one"), []byte("key two")
	list := HostKeysAnnouncement([][]byte{one, two})
	if want := "\x00\x00\x00\x07key one\x00\x00\x00\x07key two"; string(list) != want {
		t.Errorf("%q", list)
	}
	sign := func(blob, data []byte) ([]byte, error) {
		want := wire.AppendText(nil, "hostkeys-prove-00@openssh.com")
		want = wire.AppendString(wire.AppendText(want, "session"), blob)
		if !bytes.Equal(data, want) {
			t.Errorf("signs %q", data)
		}
		if bytes.HasPrefix(blob, []byte("key ")) {
			return append([]byte("by "), blob[4:]...), nil
		}
		return nil, errors.New("none of ours")
	}
	reply, ok := HostKeysProve(list, []byte("session"), sign)
	if want := "\x00\x00\x00\x06by one\x00\x00\x00\x06by two"; !ok || string(reply) != want {
		t.Errorf("%v %q", ok, reply)
	}
	var many [][]byte
	for i := range maxProofs + 1 {
		many = append(many, append([]byte("key "), byte(i)))
	}
	for name, payload := range map[string][]byte{
		"another's key": HostKeysAnnouncement([][]byte{one, []byte("other")}),
		"twice":         HostKeysAnnouncement([][]byte{one, one}),
		"too many":      HostKeysAnnouncement(many),
		"cut off":       list[:len(list)-1],
	} {
		if reply, ok := HostKeysProve(payload, []byte("session"), sign); ok || reply != nil {
			t.Errorf("%s: %v %q", name, ok, reply)
		}
	}
}

func FuzzHostKeysProve(f *testing.F) {
	f.Add(HostKeysAnnouncement([][]byte{[]byte("a"), []byte("b")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_, ok := HostKeysProve(b, nil, func(blob, data []byte) ([]byte, error) { n++; return blob, nil })
		if n > maxProofs || !ok && n > 0 {
			t.Errorf("%d signatures, %v", n, ok)
		}
	})
}
