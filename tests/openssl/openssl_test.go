//go:build spacemonkey

package openssl

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/spacemonkeygo/openssl"

	"nano_ssh_server/cgo/libcrypto"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestDigests(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 1000, 100000} {
		data := random(n)
		sha1, err := openssl.SHA1(data)
		if err != nil {
			t.Fatal(err)
		}
		sha256, err := openssl.SHA256(data)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string][]byte{"sha1": sha1[:], "sha256": sha256[:]} {
			if got, err := libcrypto.Digest(name, nil, data); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %x, want %x (%v)", name, n, got, want, err)
			}
		}
	}
}

func TestHMAC(t *testing.T) {
	for name, md := range map[string]openssl.EVP_MD{"md5": openssl.EVP_MD5, "sha1": openssl.EVP_SHA1,
		"sha256": openssl.EVP_SHA256, "sha512": openssl.EVP_SHA512} {
		for _, n := range []int{4, 64, 1000, 40000} {
			key, data := random(32), random(n)
			reference, err := openssl.NewHMAC(key, md)
			if err != nil {
				t.Fatal(err)
			}
			reference.Write([]byte{0, 0, 0, 9})
			reference.Write(data)
			want, err := reference.Final()
			if err != nil {
				t.Fatal(err)
			}
			mac, err := libcrypto.NewHMAC(name, key)
			if err != nil {
				t.Fatal(err)
			}
			tag := make([]byte, mac.Size())
			if err := mac.Sum(9, data, tag); err != nil || !bytes.Equal(tag, want) {
				t.Errorf("%s of %d bytes: %x, want %x (%v)", name, n, tag, want, err)
			}
			mac.Free()
			reference.Close()
		}
	}
}

// encrypt runs one of the other binding's ciphers.
func encrypt(t *testing.T, name string, key, iv, plain []byte) []byte {
	t.Helper()
	cipher, err := openssl.GetCipherByName(name)
	if err != nil {
		t.Fatal(name, err)
	}
	ctx, err := openssl.NewEncryptionCipherCtx(cipher, nil, key, iv)
	if err != nil {
		t.Fatal(name, err)
	}
	out, err := ctx.EncryptUpdate(plain)
	if err != nil {
		t.Fatal(name, err)
	}
	return out
}

func TestCTR(t *testing.T) {
	for size, name := range map[int]string{16: "aes-128-ctr", 24: "aes-192-ctr", 32: "aes-256-ctr"} {
		key, iv, data := random(size), random(16), random(16*70)
		want := encrypt(t, name, key, iv, data)
		c, err := libcrypto.NewCTR(key, iv)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.XOR(data); err != nil || !bytes.Equal(data, want) {
			t.Error(name, err)
		}
		c.Free()
	}
}

func TestCBC(t *testing.T) {
	for name, other := range map[string]string{"aes128-cbc": "aes-128-cbc", "aes192-cbc": "aes-192-cbc",
		"aes256-cbc": "aes-256-cbc", "3des-cbc": "des-ede3-cbc"} {
		size, block := map[string]int{"aes128-cbc": 16, "aes192-cbc": 24, "aes256-cbc": 32, "3des-cbc": 24}[name], 16
		if name == "3des-cbc" {
			block = 8
		}
		key, iv, data := random(size), random(block), random(block*70)
		want := encrypt(t, other, key, iv, data)[:len(data)]
		c, err := libcrypto.NewCBC(name, key, iv, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Crypt(data); err != nil || !bytes.Equal(data, want) {
			t.Error(name, err)
		}
		c.Free()
	}
}

func TestGCM(t *testing.T) {
	for _, size := range []int{16, 32} {
		key, iv := random(size), random(12)
		c, err := libcrypto.NewGCM(key, iv, true)
		if err != nil {
			t.Fatal(err)
		}
		packet := random(4 + 512 + libcrypto.TagSize)
		binary.BigEndian.PutUint32(packet, 512)
		other, err := openssl.NewGCMEncryptionCipherCtx(size*8, nil, key, iv)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.ExtraData(packet[:4]); err != nil {
			t.Fatal(err)
		}
		want, err := other.EncryptUpdate(packet[4 : 4+512])
		if err != nil {
			t.Fatal(err)
		}
		rest, err := other.EncryptFinal()
		if err != nil {
			t.Fatal(err)
		}
		tag, err := other.GetTag()
		if err != nil {
			t.Fatal(err)
		}
		want = append(append(want, rest...), tag...)
		if err := c.Seal(packet); err != nil || !bytes.Equal(packet[4:], want) {
			t.Errorf("AES-%d: %v", size*8, err)
		}
		c.Free()
	}
}

// rsaPEM writes k as PEM, for the other binding to read.
func rsaPEM(t *testing.T, k *libcrypto.RSAKey) []byte {
	t.Helper()
	d, _, p, q, err := k.Secrets()
	if err != nil {
		t.Fatal(err)
	}
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).SetBytes(k.N()), E: int(new(big.Int).SetBytes(k.E()).Int64())},
		D:         new(big.Int).SetBytes(d),
		Primes:    []*big.Int{new(big.Int).SetBytes(p), new(big.Int).SetBytes(q)},
	}
	private.Precompute()
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
}

func TestRSA(t *testing.T) {
	k, err := libcrypto.GenerateRSA(2048)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Free()
	other, err := openssl.LoadPrivateKeyFromPEM(rsaPEM(t, k))
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("exchange hash")
	for digest, method := range map[string]openssl.Method{"sha1": openssl.SHA1_Method,
		"sha256": openssl.SHA256_Method, "sha512": openssl.SHA512_Method} {
		want, err := other.SignPKCS1v15(method, message)
		if err != nil {
			t.Fatal(digest, err)
		}
		sig, err := k.Sign(digest, message)
		if err != nil || !bytes.Equal(sig, want) {
			t.Errorf("%s: %x, want %x (%v)", digest, sig, want, err)
		}
		if !k.Verify(digest, message, want) {
			t.Errorf("%s: the other's signature refused", digest)
		}
		if err := other.VerifyPKCS1v15(method, message, sig); err != nil {
			t.Errorf("%s: our signature refused: %v", digest, err)
		}
	}
	// And a key that the other one made, its public half as PEM.
	made, err := openssl.GenerateRSAKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.MarshalPKIXPublicKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public := parsed.(*rsa.PublicKey)
	ours, err := libcrypto.NewRSAPublic(public.N.Bytes(), big.NewInt(int64(public.E)).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Free()
	sig, err := made.SignPKCS1v15(openssl.SHA256_Method, message)
	if err != nil || !ours.Verify("sha256", message, sig) {
		t.Error("signature of a key made by the other binding refused", err)
	}
}

func TestECDSA(t *testing.T) {
	message := []byte("exchange hash")
	for _, c := range []struct {
		name   string
		curve  elliptic.Curve
		digest string
		method openssl.Method
	}{{"nistp256", elliptic.P256(), "sha256", openssl.SHA256_Method}, {"nistp521", elliptic.P521(), "sha512", openssl.SHA512_Method}} {
		k, err := libcrypto.GenerateECDSA(c.name)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Free()
		private, err := ecdsa.ParseRawPrivateKey(c.curve, k.Scalar())
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalECPrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		other, err := openssl.LoadPrivateKeyFromPEM(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
		if err != nil {
			t.Fatal(err)
		}
		sig, err := other.SignPKCS1v15(c.method, message) // signs with whatever the key is
		if err != nil {
			t.Fatal(err)
		}
		var pair struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &pair); err != nil {
			t.Fatal(err)
		}
		if !k.Verify(c.digest, message, pair.R.Bytes(), pair.S.Bytes()) {
			t.Errorf("%s: the other's signature refused", c.name)
		}
		r, s, err := k.Sign(c.digest, message)
		if err != nil {
			t.Fatal(err)
		}
		pair.R.SetBytes(r)
		pair.S.SetBytes(s)
		if sig, err = asn1.Marshal(pair); err != nil {
			t.Fatal(err)
		}
		if err := other.VerifyPKCS1v15(c.method, message, sig); err != nil {
			t.Errorf("%s: our signature refused: %v", c.name, err)
		}
	}
}

func TestECDH(t *testing.T) {
	own, err := libcrypto.GenerateECDH("nistp256")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Free()
	other, err := openssl.GenerateECKey(openssl.Prime256v1)
	if err != nil {
		t.Fatal(err)
	}
	der, err := other.MarshalPKIXPublicKeyDER()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := parsed.(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := own.Shared(peer.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	point, err := ecdh.P256().NewPublicKey(own.Public())
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKIXPublicKey(point)
	if err != nil {
		t.Fatal(err)
	}
	public, err := openssl.LoadPublicKeyFromDER(der)
	if err != nil {
		t.Fatal(err)
	}
	want, err := openssl.DeriveSharedSecret(other, public)
	if err != nil || !bytes.Equal(secret, want) {
		t.Fatalf("%x, want %x (%v)", secret, want, err)
	}
}
