package threats

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"nano_ssh_server/tests/harness"
	"nano_ssh_server/tests/raw"
)

// TestThreat01 is prefix truncation (Terrapin): with strict key exchange nothing
// may be slipped in before the first NEWKEYS, and numbers start again after it.
func TestThreat01(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "MaxStartups 100"})
	extras := map[string][]byte{
		"IGNORE": raw.Msg(raw.Ignore, "x"), "DEBUG": raw.Msg(raw.Debug, false, "x", ""),
		"UNIMPLEMENTED": raw.Msg(raw.Unimplemented, 0), "EXT_INFO": raw.Msg(raw.ExtInfo, 0),
		"unknown": {99}, "PING": raw.Msg(raw.Ping, "x"), "SERVICE_REQUEST": raw.Msg(raw.ServiceRequest, "ssh-userauth"),
	}
	type step func(c *raw.Conn) error
	k := raw.DefaultKexInit()
	steps := []step{
		func(c *raw.Conn) error { return c.Versions() },
		func(c *raw.Conn) error { return c.SendKexInit(k) },
		func(c *raw.Conn) error {
			if err := c.ReadKexInit(); err != nil {
				return err
			}
			return c.SendKexECDHInit()
		},
	}
	for name, extra := range extras {
		for position := 1; position <= len(steps); position++ {
			t.Run(fmt.Sprintf("%s after step %d", name, position), func(t *testing.T) {
				t.Parallel()
				c := connect(t, s)
				for i, run := range steps {
					if err := run(c); err != nil && (i < position || !ended(err) && !isWriteError(err)) {
						t.Fatal(err)
					}
					if i+1 == position {
						send(c, extra)
					}
				}
				// What is left of the exchange, as an unsuspecting client goes on.
				err := c.ReadKexReply()
				if err == nil {
					err = c.SendNewKeys()
				}
				if err == nil {
					err = c.ReadNewKeys()
				}
				if err == nil {
					err = c.RequestService("ssh-userauth")
				}
				if err == nil {
					t.Error("the key exchange succeeds in spite of the extra packet")
				} else if peerIsOurs() && !ended(err) && !isWriteError(err) {
					t.Errorf("not an end of the connection: %v", err)
				}
			})
		}
	}
	t.Run("numbers", func(t *testing.T) {
		t.Parallel()
		c := encrypted(t, s, nil)
		if !c.Strict() {
			t.Fatal("the server does not offer strict key exchange")
		}
		c.SkipOut() // a packet taken away by somebody in between
		send(c, raw.Msg(raw.ServiceRequest, "ssh-userauth"))
		if numbers := mustEnd(t, c, "a missing packet"); slices.Contains(numbers, raw.ServiceAccept) {
			t.Error("a request with a number left out was answered")
		}
	})
	t.Run("without strict", func(t *testing.T) {
		t.Parallel()
		c := connect(t, s)
		plain := raw.DefaultKexInit().Without(raw.StrictMarker)
		if err := c.Login(plain, s.Account.Name, harness.UserKey(t, "ed25519", "").Private); err != nil {
			t.Error(err)
		}
	})
	t.Run("marker in a rekeying", func(t *testing.T) {
		t.Parallel()
		// Only the first KEXINIT can ask for strict key exchange.
		c := connect(t, s)
		if err := c.Login(raw.DefaultKexInit().Without(raw.StrictMarker), s.Account.Name,
			harness.UserKey(t, "ed25519", "").Private); err != nil {
			t.Fatal(err)
		}
		if err := c.Exchange(raw.DefaultKexInit()); err != nil {
			t.Fatal(err)
		}
		if r, err := c.Run(0, "echo on"); err != nil || string(r.Stdout) != "on\n" {
			t.Errorf("%v %+v", err, r)
		}
	})
	t.Cleanup(func() { mustBeWell(t, s) })
}

func isWriteError(err error) bool {
	return bytes.Contains([]byte(err.Error()), []byte("broken pipe")) || bytes.Contains([]byte(err.Error()), []byte("reset by peer"))
}

// TestThreat06 is a key exchange that never finishes.
func TestThreat06(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Config: "LoginGraceTime 2"})
	t.Run("other packets", func(t *testing.T) {
		t.Parallel()
		harness.SkipPeer(t, "Debian 12's still lets them in")
		for name, extra := range map[string]func(ch *raw.Channel) []byte{
			"data":           func(ch *raw.Channel) []byte { return ch.Data([]byte("x")) },
			"global request": func(*raw.Channel) []byte { return raw.Msg(raw.GlobalRequest, "x", true) },
			"ignore":         func(*raw.Channel) []byte { return raw.Msg(raw.Ignore, "x") },
			"channel":        func(*raw.Channel) []byte { return raw.OpenRequest("session", 2, 1000, 1000) },
			"KEXINIT again":  func(*raw.Channel) []byte { return raw.DefaultKexInit().Marshal() },
		} {
			c, ch := session(t, s)
			if err := c.SendKexInit(raw.DefaultKexInit()); err != nil {
				t.Fatal(err)
			}
			send(c, extra(ch))
			if numbers := mustEnd(t, c, name); slices.Contains(numbers, raw.ChannelConfirmation) || slices.Contains(numbers, raw.RequestFailure) {
				t.Errorf("%s was answered during a key exchange", name)
			}
		}
	})
	t.Run("output waits", func(t *testing.T) {
		t.Parallel()
		c, ch := session(t, s)
		if err := c.Send(ch.Adjust(1 << 30)); err != nil {
			t.Fatal(err)
		}
		if err := c.Exec(ch, "cat /dev/zero"); err != nil {
			t.Fatal(err)
		}
		before := s.RSS()
		if err := c.SendKexInit(raw.DefaultKexInit()); err != nil {
			t.Fatal(err)
		}
		// Data that was on its way may come; after the server's KEXINIT none.
		for {
			p, err := c.Read()
			if err != nil {
				t.Fatal(err)
			}
			if p[0] == raw.KexInitMsg {
				break
			}
			if p[0] != raw.ChannelData && p[0] != raw.ChannelWindowAdjust {
				t.Fatalf("message %d before the server's KEXINIT", p[0])
			}
		}
		c.Timeout = time.Second
		if p, err := c.Read(); err == nil {
			t.Errorf("message %d comes while a key exchange is under way", p[0])
		} else if !raw.IsTimeout(err) && !ended(err) {
			t.Error(err)
		}
		if after := s.RSS(); after > before+16<<10 {
			t.Errorf("the server grew from %d to %d kB", before, after)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		c := connect(t, s)
		if err := c.Versions(); err != nil {
			t.Fatal(err)
		}
		if err := c.SendKexInit(raw.DefaultKexInit()); err != nil {
			t.Fatal(err)
		}
		mustEnd(t, c, "a key exchange that stops after KEXINIT")
	})
	t.Cleanup(func() { mustBeWell(t, s) })
}

// TestThreat12 sends public values that are not.
func TestThreat12(t *testing.T) {
	t.Parallel()
	methods := "curve25519-sha256,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group14-sha256,diffie-hellman-group16-sha512"
	if peerIsOurs() {
		methods += ",mlkem768x25519-sha256"
	}
	s := harness.Start(t, harness.Options{Config: "MaxStartups 100\nKexAlgorithms " + methods})
	offer := func(t *testing.T, kex, what string, field any) {
		t.Helper()
		c := connect(t, s)
		if err := c.Versions(); err != nil {
			t.Fatal(err)
		}
		k := raw.DefaultKexInit()
		k.Kex = []string{kex, raw.StrictMarker}
		if err := c.SendKexInit(k); err != nil {
			t.Fatal(err)
		}
		if err := c.ReadKexInit(); err != nil {
			t.Fatal(err)
		}
		send(c, raw.Msg(raw.KexECDHInit, field))
		if numbers := mustEnd(t, c, kex+", "+what); slices.Contains(numbers, raw.KexECDHReply) {
			t.Errorf("%s, %s: the server replied", kex, what)
		}
	}
	filled := func(n int, first, rest byte) []byte {
		b := bytes.Repeat([]byte{rest}, n)
		if n > 0 {
			b[0] = first
		}
		return b
	}
	t.Run("x25519", func(t *testing.T) {
		t.Parallel()
		for i, point := range lowOrder {
			if i == len(lowOrder)-1 && harness.PeerIsSSHD() {
				continue // Debian 12's does not ignore the highest bit
			}
			b, _ := new(big.Int).SetString(point, 16)
			offer(t, "curve25519-sha256", fmt.Sprintf("low-order point %d", i), b.FillBytes(make([]byte, 32)))
		}
		for _, n := range []int{0, 1, 31, 33, 64, 1000} {
			offer(t, "curve25519-sha256", fmt.Sprintf("%d bytes", n), filled(n, 9, 0))
		}
	})
	t.Run("nist", func(t *testing.T) {
		t.Parallel()
		for kex, size := range map[string]int{"ecdh-sha2-nistp256": 32, "ecdh-sha2-nistp384": 48, "ecdh-sha2-nistp521": 66} {
			for what, point := range map[string][]byte{
				"empty": {}, "infinity": {0}, "not on the curve": filled(1+2*size, 4, 1), "coordinates too large": filled(1+2*size, 4, 0xff),
				"zeros": filled(1+2*size, 4, 0), "compressed": filled(1+size, 2, 1), "hybrid": filled(1+2*size, 6, 1),
				"short": filled(2*size, 4, 1), "long": filled(2+2*size, 4, 1), "one byte": {4},
			} {
				offer(t, kex, what, point)
			}
		}
	})
	t.Run("dh", func(t *testing.T) {
		t.Parallel()
		p, _ := new(big.Int).SetString(group14, 16)
		one := big.NewInt(1)
		for what, e := range map[string]any{
			"0": big.NewInt(0), "1": one, "p-1": new(big.Int).Sub(p, one), "p": p, "p+1": new(big.Int).Add(p, one),
			"huge": new(big.Int).Lsh(one, 20000), "negative": filled(256, 0x80, 1), "nothing": raw.Raw(nil),
		} {
			offer(t, "diffie-hellman-group14-sha256", what, e)
		}
	})
	t.Run("mlkem", func(t *testing.T) {
		t.Parallel()
		harness.SkipPeer(t, "Debian 12's does not have it")
		const size = 1184 + 32
		good := filled(size, 0, 0)
		good[size-32] = 9
		for what, blob := range map[string][]byte{
			"empty": {}, "short": good[:size-1], "long": append(slices.Clone(good), 0), "only x25519": filled(32, 9, 0),
			"only ml-kem": filled(1184, 0, 0), "coefficients not reduced": append(filled(1184, 0xff, 0xff), filled(32, 9, 0)...),
			"low-order point": filled(size, 0, 0),
		} {
			offer(t, "mlkem768x25519-sha256", what, blob)
		}
	})
	t.Cleanup(func() { mustBeWell(t, s) })
}

// lowOrder are u-coordinates on Curve25519 and its twist whose order divides the
// cofactor, as little-endian bytes, and with values of p and above for the same.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080", // the highest bit does not count
}

// group14 is the prime of RFC 3526 section 3.
const group14 = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD" +
	"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5" +
	"AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB" +
	"9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9" +
	"DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF"
