package tun

import (
	"bytes"
	"errors"
	"testing"

	"nano_ssh_server/server/proto/wire"
)

func requestBytes(mode, unit uint32) []byte {
	return wire.AppendUint32(wire.AppendUint32(nil, mode), unit)
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		extra []byte
		want  request
		err   error
	}{
		{requestBytes(modePointToPoint, 0), request{modePointToPoint, 0}, nil},
		{requestBytes(modeEthernet, anyUnit), request{modeEthernet, anyUnit}, nil},
		{requestBytes(modePointToPoint, maxUnit), request{modePointToPoint, maxUnit}, nil},
		{requestBytes(modePointToPoint, maxUnit+1), request{}, errUnit},
		{requestBytes(modePointToPoint, 1<<31), request{}, errUnit},
		{requestBytes(modePointToPoint, 1<<32-1), request{}, errUnit},
		{requestBytes(0, 0), request{}, errMode},
		{requestBytes(3, 0), request{}, errMode},
		{requestBytes(1<<32-1, 0), request{}, errMode},
		{requestBytes(modeEthernet, 0)[:7], request{}, wire.ErrShort},
		{nil, request{}, errMode},
		{append(requestBytes(modeEthernet, 0), 0), request{}, wire.ErrTrailing},
	} {
		got, err := parseRequest(c.extra)
		if got != c.want || !errors.Is(err, c.err) && !(c.err == errMode && errors.Is(err, wire.ErrShort)) {
			t.Errorf("%x: %+v, %v", c.extra, got, err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(requestBytes(modePointToPoint, anyUnit))
	f.Add(requestBytes(modeEthernet, maxUnit))
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseRequest(b)
		if err != nil {
			if q != (request{}) {
				t.Fatalf("%+v beside %v", q, err)
			}
			return
		}
		if q.mode != modePointToPoint && q.mode != modeEthernet || q.unit > anyUnit || q.unit == anyUnit-1 {
			t.Fatalf("%+v", q)
		}
		if !bytes.Equal(requestBytes(q.mode, q.unit), b) {
			t.Fatalf("%+v of %x", q, b)
		}
	})
}

// FuzzUnpack: whatever a client's message holds, what goes to the interface is a part
// of it, within bounds, and packs to the same message again.
func FuzzUnpack(f *testing.F) {
	f.Add(uint32(modePointToPoint), []byte{0, 0, 0, familyIPv4, 0x45, 0})
	f.Add(uint32(modePointToPoint), []byte{0, 0, 0, familyIPv6, 0x60})
	f.Add(uint32(modePointToPoint), []byte{0, 0, 0, familyIPv6, 0x45})
	f.Add(uint32(modePointToPoint), []byte{0, 0, 0, familyIPv4})
	f.Add(uint32(modeEthernet), make([]byte, ethernetHeader))
	f.Add(uint32(modeEthernet), make([]byte, ethernetHeader-1))
	f.Fuzz(func(t *testing.T, mode uint32, data []byte) {
		if mode != modeEthernet {
			mode = modePointToPoint
		}
		packet, err := unpack(mode, data)
		if err != nil {
			return
		}
		if len(packet) == 0 || len(packet) > maxFrame || !bytes.HasSuffix(data, packet) {
			t.Fatalf("%x of %x", packet, data)
		}
		again, err := pack(mode, append(make([]byte, familySize), packet...))
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x becomes %x, %v", data, again, err)
		}
	})
}

func TestFrames(t *testing.T) {
	long := append([]byte{0, 0, 0, familyIPv4, 0x45}, make([]byte, maxFrame)...)
	for name, c := range map[string]struct {
		mode uint32
		data []byte
		want []byte // nil: refused
	}{
		"IPv4":              {modePointToPoint, []byte{0, 0, 0, 2, 0x45, 1}, []byte{0x45, 1}},
		"IPv6":              {modePointToPoint, []byte{0, 0, 0, 24, 0x60, 1}, []byte{0x60, 1}},
		"Linux' own IPv6":   {modePointToPoint, []byte{0, 0, 0, 10, 0x60, 1}, nil},
		"IPv6 said as IPv4": {modePointToPoint, []byte{0, 0, 0, 2, 0x60, 1}, nil},
		"version 5":         {modePointToPoint, []byte{0, 0, 0, 0, 0x50, 1}, nil},
		"no packet":         {modePointToPoint, []byte{0, 0, 0, 2}, nil},
		"nothing":           {modePointToPoint, nil, nil},
		"longest":           {modePointToPoint, long[:familySize+maxFrame], long[familySize : familySize+maxFrame]},
		"too long":          {modePointToPoint, long, nil},
		"frame":             {modeEthernet, long[:ethernetHeader], long[:ethernetHeader]},
		"short frame":       {modeEthernet, long[:ethernetHeader-1], nil},
		"no frame":          {modeEthernet, nil, nil},
		"longest frame":     {modeEthernet, long[:maxFrame], long[:maxFrame]},
		"too long a frame":  {modeEthernet, long[:maxFrame+1], nil},
	} {
		got, err := unpack(c.mode, c.data)
		if !bytes.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %.20x, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		mode   uint32
		packet []byte
		want   []byte
	}{
		"IPv4":        {modePointToPoint, []byte{0x45, 1}, []byte{0, 0, 0, 2, 0x45, 1}},
		"IPv6":        {modePointToPoint, []byte{0x60, 1}, []byte{0, 0, 0, 24, 0x60, 1}},
		"neither":     {modePointToPoint, []byte{0x00, 1}, nil},
		"nothing":     {modePointToPoint, nil, nil},
		"frame":       {modeEthernet, long[:20], long[:20]},
		"short frame": {modeEthernet, long[:5], nil},
	} {
		got, err := pack(c.mode, append(make([]byte, familySize), c.packet...))
		if !bytes.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}
