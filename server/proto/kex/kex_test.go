package kex

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/algo"
	"nano_ssh_server/server/proto/wire"
)

func TestEveryNameHasItsMethod(t *testing.T) {
	for _, name := range algo.AllKex {
		if _, err := New(name, testParams()); err != nil || HashName(name) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(algo.AllKex) != len(methods) {
		t.Errorf("%d names, %d methods", len(algo.AllKex), len(methods))
	}
	if _, err := New("none", testParams()); !errors.Is(err, ErrUnknown) || HashName("none") != "" {
		t.Errorf("none: %v", err)
	}
}

func oneStepNames() (names []string) {
	for _, name := range algo.AllKex {
		if !strings.Contains(name, "exchange") {
			names = append(names, name)
		}
	}
	return names
}

func start(t testing.TB, name string, p *Params) Exchange {
	t.Helper()
	e, err := New(name, p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func initMessage(number byte, public []byte) []byte {
	return wire.AppendString([]byte{number}, public)
}

func TestExchanges(t *testing.T) {
	for _, name := range oneStepNames() {
		rounds := 20 // numbers with leading zeros want several
		if strings.HasPrefix(name, "diffie") {
			rounds = 2
		}
		for range rounds {
			c, p := newClient(t, name), testParams()
			e := start(t, name, p)
			reply, result, err := e.Step(initMessage(30, c.public))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			c.check(t, name, p, 31, nil, reply, result)
			if _, _, err := e.Step(initMessage(30, c.public)); !errors.Is(err, ErrPeer) {
				t.Fatalf("%s: second INIT: %v", name, err)
			}
			e.Free()
		}
	}
}

func TestGroupExchange(t *testing.T) {
	for _, c := range []struct {
		least, best, most uint32
		bits              int
		method            string
		moduli            bool
	}{
		{2048, 2048, 2048, 2048, "sha256", false},
		{1024, 1024, 8192, 8192, "sha256", false},
		{2048, 3072, 8192, 4096, "sha1", true},
		{1, 2, 5000, 4096, "sha256", false},
		{8192, 8192, 16384, 8192, "sha256", false},
	} {
		name := "diffie-hellman-group-exchange-" + c.method
		p := testParams()
		if c.moduli {
			p.Moduli = func(least, best, most uint32) ([]byte, []byte, error) {
				if least != c.least || best != c.best || most != c.most {
					t.Errorf("asked for %d %d %d", least, best, most)
				}
				return libcrypto.Group("group16")
			}
		}
		e := start(t, name, p)
		sizes := wire.AppendUint32(wire.AppendUint32(wire.AppendUint32(nil, c.least), c.best), c.most)
		group, result, err := e.Step(append([]byte{34}, sizes...))
		if err != nil || result != nil || group[0] != 31 {
			t.Fatalf("%v: %v", c, err)
		}
		r := wire.NewReader(group[1:])
		prime, generator := new(big.Int).SetBytes(r.Mpint()), new(big.Int).SetBytes(r.Mpint())
		if err := r.End(); err != nil || prime.BitLen() != c.bits {
			t.Fatalf("%v: group of %d bits, %v", c, prime.BitLen(), err)
		}
		client := newClient(t, name)
		public, secret := dhClient(t, prime, generator)
		client.public = public
		client.secret = func(server []byte) []byte { return field(number(new(big.Int).SetBytes(secret(server)))) }
		reply, result, err := e.Step(initMessage(32, public))
		if err != nil {
			t.Fatal(err)
		}
		extra := append(append(sizes, field(number(prime))...), field(number(generator))...)
		client.check(t, name, p, 33, extra, reply, result)
		if _, _, err := e.Step(initMessage(32, public)); !errors.Is(err, ErrPeer) {
			t.Errorf("second INIT: %v", err)
		}
	}
}

func TestGroupExchangeRefuses(t *testing.T) {
	const name = "diffie-hellman-group-exchange-sha256"
	request := func(sizes ...uint32) []byte {
		b := []byte{34}
		for _, n := range sizes {
			b = wire.AppendUint32(b, n)
		}
		return b
	}
	for _, payload := range [][]byte{
		request(1024, 1024, 2047), request(8193, 9000, 9000), request(3000, 2048, 8192), request(2048, 8192, 4096),
		request(0, 0, 0), request(2048, 2048), request(2048, 2048, 2048, 0), nil, {34},
		initMessage(32, []byte{5}), initMessage(30, []byte{0, 0, 8, 0}), {30, 0, 0, 8, 0},
	} {
		e := start(t, name, testParams())
		if reply, result, err := e.Step(payload); !errors.Is(err, ErrPeer) || reply != nil || result != nil {
			t.Errorf("%x: %v", payload, err)
		}
		if _, _, err := e.Step(request(2048, 2048, 2048)); !errors.Is(err, ErrPeer) {
			t.Errorf("went on after %x", payload)
		}
	}
	e := start(t, name, testParams())
	if _, _, err := e.Step(request(2048, 2048, 2048)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Step(request(2048, 2048, 2048)); !errors.Is(err, ErrPeer) {
		t.Errorf("second REQUEST: %v", err)
	}
	for _, group := range [][]byte{{23}, bytes.Repeat([]byte{255}, 1025), bytes.Repeat([]byte{255}, 128)} {
		p := testParams()
		p.Moduli = func(_, _, _ uint32) ([]byte, []byte, error) { return group, []byte{2}, nil }
		if _, _, err := start(t, name, p).Step(request(2048, 2048, 8192)); err == nil || errors.Is(err, ErrPeer) {
			t.Errorf("group of %d bytes: %v", len(group), err)
		}
	}
}

// THREATS row 12: values that are not valid end the exchange.
func TestThreat12BadValues(t *testing.T) {
	p14, _, _ := libcrypto.Group("group14")
	prime := new(big.Int).SetBytes(p14)
	add := func(n int64) []byte { return number(new(big.Int).Add(prime, big.NewInt(n))) }
	bad := map[string][][]byte{
		"diffie-hellman-group14-sha256": {
			{}, {0}, {1}, {2}, {0, 5}, {0x80}, {0xff}, add(-1), add(0), add(1), append([]byte{0}, add(-5)...),
			bytes.Repeat([]byte{0x7f}, 3000),
		},
	}
	// All points of low order and their non-canonical twins.
	low := [][]byte{make([]byte, 32), append([]byte{1}, make([]byte, 31)...)}
	for _, text := range []string{
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	} {
		point, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		low = append(low, point)
	}
	field25519 := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	for _, d := range []int64{-1, 0, 1} {
		low = append(low, littleEndian(new(big.Int).Add(field25519, big.NewInt(d))))
	}
	for _, point := range low {
		high := bytes.Clone(point)
		high[31] |= 0x80
		bad["curve25519-sha256"] = append(bad["curve25519-sha256"], point, high)
	}
	bad["curve25519-sha256"] = append(bad["curve25519-sha256"], nil, make([]byte, 31), append(bytes.Repeat([]byte{9}, 32), 0))
	for _, curve := range []struct {
		name string
		size int
	}{{"ecdh-sha2-nistp256", 32}, {"ecdh-sha2-nistp384", 48}, {"ecdh-sha2-nistp521", 66}} {
		good := newClient(t, curve.name).public
		off := bytes.Clone(good)
		off[len(off)-1] ^= 1
		compressed := append([]byte{2 + good[2*curve.size]&1}, good[1:1+curve.size]...)
		hybridForm := append([]byte{6 + good[2*curve.size]&1}, good[1:]...)
		bad[curve.name] = [][]byte{
			nil, {0}, {4}, off, compressed, hybridForm, good[:len(good)-1], append(bytes.Clone(good), 0),
			append([]byte{4}, make([]byte, 2*curve.size)...), append([]byte{4}, bytes.Repeat([]byte{255}, 2*curve.size)...),
			make([]byte, len(good)),
		}
	}
	for _, name := range []string{"mlkem768x25519-sha256", "mlkem768nistp256-sha256"} {
		good := newClient(t, name).public
		outOfRange := bytes.Clone(good)
		outOfRange[0], outOfRange[1] = 0xff, outOfRange[1]|0x0f // a coefficient of 4095
		atModulus := bytes.Clone(good)
		atModulus[0], atModulus[1] = 0x01, atModulus[1]&0xf0|0x0d // 3329
		lastOne := bytes.Clone(good)
		lastOne[1151], lastOne[1150] = 0xff, lastOne[1150]|0xf0
		bad[name] = [][]byte{
			nil, good[:1184], good[:1183], good[:len(good)-1], append(bytes.Clone(good), 0), outOfRange, atModulus, lastOne,
			append(bytes.Clone(good[:1184]), make([]byte, len(good)-1184)...),
		}
	}
	for _, name := range []string{"sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"} {
		good := newClient(t, name).public
		bad[name] = [][]byte{
			nil, good[:1158], good[:1157], good[:len(good)-1], append(bytes.Clone(good), 0), good[32:],
			append(bytes.Clone(good[:1158]), make([]byte, 32)...),
		}
	}
	for name, values := range bad {
		for _, value := range values {
			e := start(t, name, testParams())
			reply, result, err := e.Step(initMessage(30, value))
			if !errors.Is(err, ErrPeer) || reply != nil || result != nil {
				t.Errorf("%s: %d bytes %.40x: %v", name, len(value), value, err)
			}
		}
	}
}

func littleEndian(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	return b
}

func TestMalformedMessages(t *testing.T) {
	for _, name := range oneStepNames() {
		c := newClient(t, name)
		for _, payload := range [][]byte{
			nil, {}, {30}, {30, 0, 0}, {30, 255, 255, 255, 255}, initMessage(31, c.public), initMessage(32, c.public),
			append(initMessage(30, c.public), 0), initMessage(30, c.public)[:20],
		} {
			e := start(t, name, testParams())
			if reply, result, err := e.Step(payload); !errors.Is(err, ErrPeer) || reply != nil || result != nil {
				t.Errorf("%s: %.20x: %v", name, payload, err)
			}
			if _, _, err := e.Step(initMessage(30, c.public)); !errors.Is(err, ErrPeer) {
				t.Errorf("%s: went on after %.20x", name, payload)
			}
		}
	}
}

func TestSignerFails(t *testing.T) {
	p := testParams()
	broken := errors.New("no key")
	p.Sign = func([]byte) ([]byte, error) { return nil, broken }
	_, result, err := start(t, "curve25519-sha256", p).Step(initMessage(30, newClient(t, "curve25519-sha256").public))
	if result != nil || !errors.Is(err, broken) || errors.Is(err, ErrPeer) {
		t.Errorf("%v", err)
	}
}

func TestDeriveKeyEdges(t *testing.T) {
	for _, n := range []int{0, -1} {
		if key := DeriveKey("sha256", nil, nil, 'A', nil, n); len(key) != 0 {
			t.Errorf("%d bytes: %x", n, key)
		}
	}
	if key := DeriveKey("none", nil, nil, 'A', nil, 16); key != nil {
		t.Errorf("unknown hash: %x", key)
	}
}

func TestResultHidesSecret(t *testing.T) {
	r := &Result{Hash: []byte{0xab}, Secret: []byte("hidden"), HashName: "sha256"}
	if s := r.String(); strings.Contains(s, "hidden") || strings.Contains(s, "68696464656e") {
		t.Error(s)
	}
}

func FuzzStep(f *testing.F) {
	for i, name := range algo.AllKex {
		c := newClient(f, name)
		f.Add(i, initMessage(30, c.public), []byte{})
		f.Add(i, []byte{34, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 32, 0}, initMessage(32, []byte{12, 34}))
	}
	f.Fuzz(func(t *testing.T, which int, first, second []byte) {
		name := algo.AllKex[uint(which)%uint(len(algo.AllKex))]
		e := start(t, name, testParams())
		for _, payload := range [][]byte{first, second} {
			reply, result, err := e.Step(payload)
			if err != nil && (reply != nil || result != nil || !errors.Is(err, ErrPeer)) {
				t.Fatalf("%s: %v", name, err)
			}
			if result != nil && (len(result.Hash) == 0 || len(result.Secret) < 5 || reply == nil) {
				t.Fatalf("%s: %v", name, result)
			}
		}
	})
}

func BenchmarkStep(b *testing.B) {
	for _, name := range oneStepNames() {
		b.Run(name, func(b *testing.B) {
			c := newClient(b, name)
			for b.Loop() {
				if _, _, err := start(b, name, testParams()).Step(initMessage(30, c.public)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
