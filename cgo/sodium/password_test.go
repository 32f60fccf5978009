package sodium

import (
	"bytes"
	"strings"
	"testing"
)

func TestPasswords(t *testing.T) {
	for _, password := range [][]byte{[]byte("VCAN-2KQX-7JZM"), {}, {0}, []byte("a\x00b"), bytes.Repeat([]byte{0xff}, 1024)} {
		hash, err := PasswordHash(password)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(hash, "$argon2id$v=19$m=8,t=1,p=1$") {
			t.Fatal(hash)
		}
		if !PasswordVerify(hash, password) {
			t.Errorf("right password %q refused", password)
		}
		if PasswordVerify(hash, append(bytes.Clone(password), 'x')) {
			t.Errorf("wrong password accepted for %q", password)
		}
		if again, _ := PasswordHash(password); again == hash {
			t.Error("no salt")
		}
	}
	for _, hash := range []string{"", "x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$", strings.Repeat("a", 127),
		strings.Repeat("a", 5000), "$argon2id$v=19$m=8,t=1,p=1$\x00", "*", "$6$abc$def"} {
		if PasswordVerify(hash, nil) || PasswordVerify(hash, []byte("x")) {
			t.Errorf("%q matches", hash)
		}
	}
}

func FuzzPasswordVerify(f *testing.F) {
	hash, err := PasswordHash([]byte("password"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hash, []byte("password"))
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, text string, password []byte) {
		PasswordVerify(hash, password)
		if strings.HasPrefix(text, "$argon2") {
			return // a hash may ask for gigabytes; only our own are ever checked
		}
		if PasswordVerify(text, password) {
			t.Fatal("matches")
		}
	})
}

func BenchmarkPasswordVerify(b *testing.B) {
	password := []byte("VCAN-2KQX-7JZM")
	hash, err := PasswordHash(password)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !PasswordVerify(hash, password) {
			b.Fatal("refused")
		}
	}
}
