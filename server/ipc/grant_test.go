package ipc

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"nano_ssh_server/server/proto/wire"
)

// fill gives every field, in depth, a value that no other has.
func fill(v reflect.Value, next *int64) {
	*next++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{byte(*next), 0, '\n'})
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), next)
		fill(v.Index(1), next)
	case reflect.String:
		v.SetString(strings.Repeat("x", int(*next%7)) + "\x00\n" + string(rune('a'+*next%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(*next)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*next))
	default:
		panic(v.Kind())
	}
}

func full() *Grant {
	g := &Grant{}
	var next int64
	fill(reflect.ValueOf(g).Elem(), &next)
	return g
}

func TestGrant(t *testing.T) {
	for _, g := range []*Grant{full(), {}, {Permissions: Permissions{Tunnel: -1}}} {
		b, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := UnmarshalGrant(b)
		if err != nil || !reflect.DeepEqual(got, g) {
			t.Fatalf("got %+v, want %+v, %v", got, g, err)
		}
	}
}

func TestGrantMalformed(t *testing.T) {
	b, err := full().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := UnmarshalGrant(b[:n]); !errors.Is(err, ErrGrant) {
			t.Fatalf("%d bytes of %d: %v", n, len(b), err)
		}
	}
	empty, _ := (&Grant{}).Marshal()
	other := bytes.Clone(b)
	other[3] = 2
	badBool := bytes.Clone(empty)
	badBool[len(badBool)-1] = 2
	for name, b := range map[string][]byte{"longer": append(bytes.Clone(b), 0), "version": other, "bool": badBool, "too long": make([]byte, MaxGrant+1)} {
		if _, err := UnmarshalGrant(b); !errors.Is(err, ErrGrant) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := &codec{r: wire.NewReader(wire.AppendUint32(wire.AppendText(nil, "host"), 1<<16))}
	if c.permit(&Permit{}); c.r.Err() == nil {
		t.Error("port 65536 is accepted")
	}
	c = &codec{r: wire.NewReader(bytes.Repeat([]byte{0xff}, 8))}
	if d := time.Duration(0); true {
		if c.duration(&d); c.r.Err() == nil || d != 0 {
			t.Error("a negative duration is accepted")
		}
	}
	huge := &Grant{User: strings.Repeat("x", MaxGrant)}
	if _, err := huge.Marshal(); !errors.Is(err, ErrGrant) {
		t.Error(err)
	}
}

func FuzzGrant(f *testing.F) {
	for _, g := range []*Grant{full(), {}} {
		b, err := g.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := UnmarshalGrant(b)
		if err != nil {
			return
		}
		again, err := g.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another form: %q, %v", again, err)
		}
	})
}
