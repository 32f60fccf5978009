package ipc

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// messages has an empty one of each kind.
func messages() []Message {
	return []Message{
		&Confinement{}, &Identity{}, &GateSettings{}, &Place{}, &Serving{}, &SignRequest{}, &StartRequest{}, &Started{},
		&Names{}, &Verdict{}, &KeyRequest{}, &SignedRequest{}, &HostbasedRequest{}, &GroupRequest{}, &Group{}, &LogLine{}, &End{}, &Login{},
		&Text{}, &Closed{}, &Kept{},
	}
}

func fresh(m Message) Message { return reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message) }

func TestMessages(t *testing.T) {
	for _, m := range messages() {
		var next int64
		fill(reflect.ValueOf(m).Elem(), &next)
		b := Marshal(m)
		got := fresh(m)
		if err := Unmarshal(b, got); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%T: %+v, want %+v, %v", m, got, m, err)
		}
		for n := range b {
			if err := Unmarshal(b[:n], fresh(m)); !errors.Is(err, ErrMessage) {
				t.Fatalf("%T: %d bytes of %d: %v", m, n, len(b), err)
			}
		}
		if err := Unmarshal(append(b, 0), fresh(m)); !errors.Is(err, ErrMessage) {
			t.Errorf("%T: a byte too many: %v", m, err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	for i, m := range messages() {
		var next int64
		fill(reflect.ValueOf(m).Elem(), &next)
		f.Add(byte(i), Marshal(m))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		all := messages()
		m := all[int(which)%len(all)]
		if Unmarshal(b, m) == nil && !bytes.Equal(Marshal(m), b) {
			t.Errorf("%T has two forms: %q", m, b)
		}
	})
}
