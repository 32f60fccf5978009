package libcrypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"testing"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //lint:ignore SA1019 an independent Poly1305 is what this test wants
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newPacket returns length field, body and room for the tag.
func newPacket(body, tag int) []byte {
	p := random(4 + body + tag)
	binary.BigEndian.PutUint32(p, uint32(body))
	return p
}

func xorChaCha(t *testing.T, key []byte, seq uint32, block uint32, b []byte) {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint32(nonce[8:], seq)
	stream, err := chacha20.NewUnauthenticatedCipher(key, nonce)
	if err != nil {
		t.Fatal(err)
	}
	stream.SetCounter(block)
	stream.XORKeyStream(b, b)
}

// referenceChaChaPoly is OpenSSH's construction over golang.org/x/crypto.
func referenceChaChaPoly(t *testing.T, key *[64]byte, seq uint32, packet []byte) []byte {
	out := bytes.Clone(packet)
	end := len(out) - 16
	var polyKey [32]byte
	xorChaCha(t, key[:32], seq, 0, polyKey[:])
	xorChaCha(t, key[32:], seq, 0, out[:4])
	xorChaCha(t, key[:32], seq, 1, out[4:end])
	var tag [16]byte
	poly1305.Sum(&tag, out[:end], &polyKey)
	copy(out[end:], tag[:])
	return out
}

func TestChaCha20Poly1305AgainstXCrypto(t *testing.T) {
	key := [64]byte(random(64))
	c, err := NewChaCha20Poly1305(&key)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Free()
	for _, body := range []int{0, 1, 8, 12, 60, 63, 64, 65, 255, 1024, 35000} {
		for _, seq := range []uint32{0, 1, 0x01020304, 0xffffffff} {
			plain := newPacket(body, 16)
			packet := bytes.Clone(plain)
			if err := c.Seal(seq, packet); err != nil {
				t.Fatal(err)
			}
			if want := referenceChaChaPoly(t, &key, seq, plain); !bytes.Equal(packet, want) {
				t.Fatalf("body %d, seq %d: wrong ciphertext", body, seq)
			}
			head := bytes.Clone(packet[:4])
			if body%2 == 0 { // with and without asking for the length first
				if got := c.Length(seq, head); got != uint32(body) {
					t.Fatalf("length %d, want %d", got, body)
				}
				if !bytes.Equal(head, packet[:4]) {
					t.Fatal("Length wrote to the packet")
				}
			}
			if err := c.Open(seq, packet); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(packet[:4+body], plain[:4+body]) {
				t.Fatalf("body %d, seq %d: wrong plaintext", body, seq)
			}
		}
	}
}

// TestChaCha20Poly1305Length makes sure that the length remembered by Length is
// used only for the packet that it came from.
func TestChaCha20Poly1305Length(t *testing.T) {
	key := [64]byte(random(64))
	c, _ := NewChaCha20Poly1305(&key)
	defer c.Free()
	first, second := newPacket(16, 16), newPacket(32, 16)
	c.Seal(1, first)
	c.Seal(2, second)
	c.Length(1, first)
	if err := c.Open(2, second); err != nil || binary.BigEndian.Uint32(second) != 32 {
		t.Fatal("length of another packet used", err)
	}
}

// TestChaCha20Poly1305Keystream pins the stream to RFC 8439 appendix A.1 (test
// vector 1: all zeros; block 0 becomes the Poly1305 key, block 1 the body).
func TestChaCha20Poly1305Keystream(t *testing.T) {
	c, _ := NewChaCha20Poly1305(new([64]byte))
	defer c.Free()
	packet := make([]byte, 4+64+16)
	if err := c.Seal(0, packet); err != nil {
		t.Fatal(err)
	}
	block0 := unhex(t, "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
	block1 := unhex(t, "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"+
		"29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f")
	if !bytes.Equal(packet[:4], block0[:4]) || !bytes.Equal(packet[4:68], block1) {
		t.Fatalf("keystream %x", packet)
	}
	var tag [16]byte
	poly1305.Sum(&tag, packet[:68], (*[32]byte)(block0))
	if !bytes.Equal(packet[68:], tag[:]) {
		t.Fatal("tag")
	}
}

func goGCM(t *testing.T, key []byte) cipher.AEAD {
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(b)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

func TestGCMAgainstGo(t *testing.T) {
	for _, size := range []int{16, 32} {
		key, iv := random(size), random(12)
		copy(iv[4:], bytes.Repeat([]byte{0xff}, 8)) // the counter wraps at once
		iv[11] = 0xfe
		seal, err := NewGCM(key, iv, true)
		if err != nil {
			t.Fatal(err)
		}
		open, err := NewGCM(key, iv, false)
		if err != nil {
			t.Fatal(err)
		}
		reference := goGCM(t, key)
		counter := binary.BigEndian.Uint64(iv[4:])
		for _, body := range []int{0, 16, 64, 1024, 16, 35008} {
			nonce := binary.BigEndian.AppendUint64(bytes.Clone(iv[:4]), counter)
			if state := seal.State(); !bytes.Equal(state[:], nonce) {
				t.Fatalf("state %x, want %x", state, nonce)
			}
			plain := newPacket(body, 16)
			packet := bytes.Clone(plain)
			if err := seal.Seal(packet); err != nil {
				t.Fatal(err)
			}
			want := reference.Seal(bytes.Clone(plain[:4]), nonce, plain[4:4+body], plain[:4])
			if !bytes.Equal(packet, want) {
				t.Fatalf("AES-%d, body %d: wrong ciphertext", size*8, body)
			}
			if err := open.Open(packet); err != nil || !bytes.Equal(packet[:4+body], plain[:4+body]) {
				t.Fatalf("AES-%d, body %d: %v", size*8, body, err)
			}
			counter++
		}
		// A connection handed over goes on with the exported IV.
		state := seal.State()
		next, _ := NewGCM(key, state[:], true)
		a, b := newPacket(32, 16), make([]byte, 52)
		copy(b, a)
		seal.Seal(a)
		next.Seal(b)
		if !bytes.Equal(a, b) {
			t.Fatal("exported state does not continue")
		}
		seal.Free()
		open.Free()
		next.Free()
	}
}

// TestGCMVector is test case 4 of the GCM specification (McGrew and Viega) cut
// to what a packet can express: an AAD of four bytes does not occur there, so
// the ciphertext is compared, and the tag with Go's in the test above.
func TestGCMVector(t *testing.T) {
	c, err := NewGCM(unhex(t, "feffe9928665731c6d6a8f9467308308"), unhex(t, "cafebabefacedbaddecaf888"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Free()
	packet := append(make([]byte, 4), unhex(t, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"+
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255")...)
	packet = append(packet, make([]byte, 16)...)
	if err := c.Seal(packet); err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"+
		"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985")
	if !bytes.Equal(packet[4:68], want) {
		t.Fatalf("%x", packet)
	}
}

func TestCTRAgainstGo(t *testing.T) {
	for _, size := range []int{16, 24, 32} {
		key, iv := random(size), bytes.Repeat([]byte{0xff}, 16) // carries through all bytes
		iv[15] = 0xf0
		c, err := NewCTR(key, iv)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := aes.NewCipher(key)
		reference := cipher.NewCTR(b, iv)
		for _, n := range []int{16, 32, 0, 256, 4096, 65536} {
			data := random(n)
			want := bytes.Clone(data)
			reference.XORKeyStream(want, want)
			if err := c.XOR(data); err != nil || !bytes.Equal(data, want) {
				t.Fatalf("AES-%d, %d bytes: %v", size*8, n, err)
			}
		}
		state := c.State()
		next, _ := NewCTR(key, state[:])
		x, y := make([]byte, 64), make([]byte, 64)
		c.XOR(x)
		next.XOR(y)
		if !bytes.Equal(x, y) {
			t.Fatal("exported state does not continue")
		}
		if c.XOR(make([]byte, 15)) == nil {
			t.Fatal("part of a block accepted")
		}
		c.Free()
		next.Free()
	}
}

// TestCTRVector is NIST SP 800-38A section F.5.5.
func TestCTRVector(t *testing.T) {
	c, _ := NewCTR(unhex(t, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"),
		unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
	defer c.Free()
	data := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
	c.XOR(data)
	if got := hex.EncodeToString(data); got != "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5" {
		t.Fatal(got)
	}
}

func TestCBCAgainstGo(t *testing.T) {
	for name, info := range cbcCiphers {
		key, iv := random(info.key), random(info.block)
		var b cipher.Block
		if info.block == 8 {
			b, _ = des.NewTripleDESCipher(key)
		} else {
			b, _ = aes.NewCipher(key)
		}
		seal, err := NewCBC(name, key, iv, true)
		if err != nil {
			t.Logf("%s: %v", name, err) // a trimmed libcrypto may lack 3DES
			continue
		}
		open, err := NewCBC(name, key, iv, false)
		if err != nil {
			t.Fatal(err)
		}
		reference := cipher.NewCBCEncrypter(b, iv)
		for _, blocks := range []int{1, 2, 0, 7, 1000} {
			plain := random(blocks * info.block)
			data, want := bytes.Clone(plain), make([]byte, len(plain))
			reference.CryptBlocks(want, plain)
			if err := seal.Crypt(data); err != nil || !bytes.Equal(data, want) {
				t.Fatalf("%s: %v", name, err)
			}
			if blocks > 0 && !bytes.Equal(seal.State(), data[len(data)-info.block:]) {
				t.Fatalf("%s: state", name)
			}
			if err := open.Crypt(data); err != nil || !bytes.Equal(data, plain) {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(open.State(), seal.State()) {
				t.Fatalf("%s: state", name)
			}
		}
		if seal.Crypt(make([]byte, info.block+1)) == nil {
			t.Fatal("part of a block accepted")
		}
		seal.Free()
		open.Free()
	}
}

var goHashes = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

func TestHMACAgainstGo(t *testing.T) {
	for name, newHash := range goHashes {
		for _, keyLength := range []int{0, 16, 20, 32, 64, 65, 128, 129, 200} {
			key := random(keyLength)
			m, err := NewHMAC(name, key)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{0, 1, 63, 64, 1000, 40000} {
				data := random(n)
				reference := hmac.New(newHash, key)
				reference.Write([]byte{1, 2, 3, 4})
				reference.Write(data)
				want := reference.Sum(nil)
				tag := make([]byte, m.Size())
				if err := m.Sum(0x01020304, data, tag); err != nil || !bytes.Equal(tag, want) {
					t.Fatalf("%s: %x, %v", name, tag, err)
				}
				short := make([]byte, 12)
				if m.Sum(0x01020304, data, short); !bytes.Equal(short, want[:12]) {
					t.Fatal("truncation")
				}
				if m.Verify(0x01020304, data, tag) != nil || m.Verify(0x01020304, data, short) != nil {
					t.Fatal("right tag refused")
				}
				tag[len(tag)-1] ^= 1
				if !errors.Is(m.Verify(0x01020304, data, tag), ErrAuth) || !errors.Is(m.Verify(5, data, want), ErrAuth) {
					t.Fatal("wrong tag accepted")
				}
			}
			m.Free()
		}
	}
}
