package user

import (
	"fmt"
	"strings"
	"testing"
)

// vectors are hashes that libxcrypt 4.4 made of these passwords.
var vectors = []struct{ password, hash string }{
	{"correct horse", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79"},
	{"correct horse", "$y$j75$abcdefgh$Jakf0CHhzdQOivqISxvBXCIRIaxY0Fs1wJGsJSurry/"},
	{"correct horse", "$y$j9T$$VRWgiI/Aw3NHCcmxsqRb7HF5miOyCINwmBJDnIFabz2"},
	{"pw", "$y$j9T$k2XAnEHBqQ1Ct2aMXFKNa/$5Dhj9CFJAan/x9XCJ10MyOmpce2LDHg//3FMyevTOu3"},
	{"correct horse", "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0"},
	{"correct horse", "$6$rounds=1000$s$gC51uuPGp0wW9p4wxGiwgzgtBXlYNrzQnlQlAqf7A4fQPyVyb33F8PiSTLyPrNJSvn10/K6ZtSaA5JFsLFhO51"},
	{"correct horse", "$6$$6LUofpTKYGJWmsxkYcfhDE9wD283B.yVCb5N1sauapb401RaE4WCRGITJhyCTMm1Vn0P9o4AW6q0BRXpOJZc9."},
	{"correct horse", "$5$saltsaltsaltsalt$vzxOvVGSAthqKsVBFh1uWPorUBPL5g6mz42rSF1xpk5"},
	{"correct horse", "$1$saltsalt$NuzA7WTAelpl95xgBGWN60"},
	{"correct horse", "$1$$IfI/mw4YSCwcQoW.D.DSu1"},
	{"correct horse", "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"},
	{"correct horse", "$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{"correct horse", "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{"", "$y$j75$abcdefgh$dnXG1KuMBmwYrnuKh9nriQRakI62k6mwFrGgxhxYD/2"},
	{"", "$6$saltsalt$qkTgsCrWMTAS9gBGcf9W60sFfH.hU0oTCAOJjhbz5tSp/sU3/xXZK4OFwCtq8lIIdpJ6CatVdOTSHKp97TPkt/"},
	{"", "$5$rounds=1500$saltsalt$cWYBavXYj/.tGleQ7TqpYT/YYX76lZK3iu.5YbVeM/8"},
	{"", "$1$saltsalt$5Jhcit4zN9UlGiA0txPkO0"},
	{"", "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq"},
	{strings.Repeat("a", 72), "$y$j75$abcdefgh$E2XWj5ld/kNTsOtOos28iRj9dWcj2bI1k2TIQjSqPtD"},
	{strings.Repeat("a", 72), "$6$saltsalt$ARGYPellOIKlx4G0PZiA1hRPGGfZxiKH64cGm/b5GNPamJSitkW3JCH/perohJYbXxmLNDEZ02qUYTMPn75kk0"},
	{strings.Repeat("a", 72), "$5$rounds=1500$saltsalt$u2G2rJ0ELzXzWHlHyd8UzFH52pmx9c4twOG0JUoZnj9"},
	{strings.Repeat("a", 72), "$1$saltsalt$8tSBTVkxejGqp07aWEz.0/"},
	{strings.Repeat("a", 72), "$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe"},
	{strings.Repeat("a", 100), "$y$j75$abcdefgh$ZGvStKwIjirG1bZWZB2AuR/JEQqR9K7ajzSHlA1H7fC"},
	{strings.Repeat("a", 100), "$6$saltsalt$5pCfRkgyuHHfq5b9hyy4JzNVpGF3v5AtTammaiH6wcclJXBFFgRz2JEJV9vXQ6gjhY3KHa0P1SF0/yig4lmf/1"},
	{strings.Repeat("a", 100), "$5$rounds=1500$saltsalt$RG7B8VxDa9BNQu3wDFzDOEKyHH80CiriUAPCWc/k/xC"},
	{strings.Repeat("a", 100), "$1$saltsalt$qBcnIlWAJZ/sYLOaQoS7c."},
	{strings.Repeat("a", 100), "$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe"},
	{"päss wörd", "$y$j75$abcdefgh$UWvz.L2ZtmC/AyL.sqcRHO92SKWsiYTpG.igdZcqcj."},
	{"päss wörd", "$6$saltsalt$UNKVWpOZ8w3tzg0ZdBW7BH2uxxiRNkxJlImsKl/zDWhsXbhj3Qk0I9AKSN8PDH1NM1KpeJfhoGSI7.cxnxNAx/"},
	{"päss wörd", "$5$rounds=1500$saltsalt$luUcbhoNC/2z.vJdFmEyo9/nlWeuRLWTp4lEoOM9Gc2"},
	{"päss wörd", "$1$saltsalt$Wk1dz1qyyYpy942o6z/AS/"},
	{"päss wörd", "$2b$04$abcdefghijklmnopqrstuug0dDbOpa5ZqsJa.0FXc9Cfct0Dpi9wq"},
	{strings.Repeat("x", 200), "$y$j75$abcdefgh$yptucpOfIBBv0dgStxRpZwE.sICkiYkX5/0ENaovOO6"},
	{strings.Repeat("x", 200), "$6$saltsalt$W90KfnZDYZcPsGdi731h2UBWmplSflE78wuG5G5iBp4WQ9EpM6hCRhJ466Vv5mdpYE67aY0/qLij9kcIgyoQC/"},
	{strings.Repeat("x", 200), "$5$rounds=1500$saltsalt$.bgGwaOCyN6ZcOThBDQPlbkFK5LbMnr4mTeHIExTFTB"},
	{strings.Repeat("x", 200), "$1$saltsalt$aaDqEIrZqRHf3ikPIFH/I."},
	{strings.Repeat("x", 200), "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i"},
}

func TestVerifyHash(t *testing.T) {
	for _, v := range vectors {
		if !knownHash(v.hash) || !verifyHash(v.hash, []byte(v.password)) {
			t.Errorf("%s does not match its password", v.hash)
		}
		guesses := []string{v.password + "x", v.password + "\x00", "C" + v.password, "", v.password + "\x00junk"}
		if strings.HasPrefix(v.hash, "$y$j9") {
			guesses = guesses[:2] // the one that takes its time
		}
		for _, wrong := range guesses {
			// bcrypt looks at 72 bytes only, in every implementation.
			if len(wrong) > 72 && len(v.password) >= 72 && strings.HasPrefix(v.hash, "$2") && !strings.Contains(wrong, "\x00") && wrong[:72] == v.password[:72] {
				continue
			}
			if wrong != v.password && verifyHash(v.hash, []byte(wrong)) {
				t.Errorf("%s matches %q", v.hash, wrong)
			}
		}
		// One changed digit of the digest must not match.
		last := v.hash[len(v.hash)-2]
		changed := v.hash[:len(v.hash)-2] + string(rune('0'+(last+1)%8)) + v.hash[len(v.hash)-1:]
		if changed != v.hash && verifyHash(changed, []byte(v.password)) {
			t.Errorf("%s matches the password of %s", changed, v.hash)
		}
	}
}

func TestUnusableHashes(t *testing.T) {
	for _, hash := range []string{
		"", "*", "!", "!!", "x", "*LK*", "$", "$$", "$y$", "$6$", "$1$", "$2b$", "NP",
		"$7$CU..../....2Q9obwLhin8qvQl6sisAO/$E1HizYWxBmnIH4sdPkdXEdonIYSqbFQs7X3PFN1sQm4", // scrypt
		"$2x$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",                     // the broken bcrypt
		"$2b$31$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",                     // days
		"$2b$+5$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy",
		"$2b$05$abcdefghijklmnopqrstuu:NbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"$y$jFT$F5Jx5fExrKuPp53xLKQ..1$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79", // 1 GiB
		"$y$jzz$F5Jx5fExrKuPp53xLKQ..1$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79",
		"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU7",
		"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$",
		"$y$j9T$!$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79",
		"$y$j9T$a$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79", // half a byte of salt
		"$6$rounds=999999999$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0",
		"$6$rounds=10$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0",
		"$6$rounds=05000$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0",
		"$6$seventeen-letters$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0",
		"$1$ninechars$NuzA7WTAelpl95xgBGWN60",
	} {
		if knownHash(hash) || verifyHash(hash, []byte("correct horse")) || verifyHash(hash, []byte(hash)) {
			t.Errorf("%q is taken for a hash", hash)
		}
	}
}

// Every decoy must be a hash that really gets computed.
func TestDecoyHashes(t *testing.T) {
	settings := []string{"$6$", "$5$", "$1$", "$6$rounds=1234", "$5$rounds=1234", "$2b$04", "$2y$05"}
	for factor := range 10 {
		settings = append(settings, yescryptSetting(factor))
	}
	for _, setting := range settings {
		hash := decoyHash(setting)
		if !knownHash(hash) || settingOf(hash) != setting {
			t.Errorf("%s: %s", setting, hash)
			continue
		}
		if strings.HasPrefix(setting, "$2") || strings.HasPrefix(setting, "$y$jC") || strings.HasPrefix(setting, "$y$jD") {
			continue // returns nothing for a wrong password; costs too much here
		}
		if got := schemeOf(hash).compute(hash, []byte("x")); !strings.HasPrefix(string(got), setting) {
			t.Errorf("%s: computed %s", setting, got)
		}
	}
	for factor, want := range []string{"$y$j9T", "$y$j75", "$y$j85", "$y$j7T", "$y$j8T", "$y$j9T", "$y$jAT", "$y$jBT", "$y$jCT", "$y$jDT"} {
		if got := yescryptSetting(factor); got != want {
			t.Errorf("factor %d: %s, want %s", factor, got, want)
		}
	}
}

func TestDecoyFollowsHost(t *testing.T) {
	shadow := func(hashes ...string) string {
		var b strings.Builder
		for i, h := range hashes {
			fmt.Fprintf(&b, "u%d:%s:1::::::\n", i, h)
		}
		return b.String()
	}
	yes, sha, md5 := vectors[0].hash, vectors[4].hash, vectors[8].hash
	for _, c := range []struct{ shadow, defs, want string }{
		{shadow("*", "!", sha, md5, yes, sha), "ENCRYPT_METHOD YESCRYPT\n", "$y$j9T"},
		{shadow("*", "!", sha, md5, md5, sha, sha), "ENCRYPT_METHOD YESCRYPT\n", "$6$"},
		{shadow(vectors[5].hash), "", "$6$rounds=1000"},
		{shadow(vectors[10].hash), "", "$2b$05"},
		{shadow("*", "!"), "# ENCRYPT_METHOD MD5\nENCRYPT_METHOD SHA256\nSHA_CRYPT_MAX_ROUNDS 7000", "$5$rounds=7000"},
		{shadow(), "ENCRYPT_METHOD\tBCRYPT\nBCRYPT_MAX_ROUNDS 99\n", "$2b$13"},
		{shadow(), "ENCRYPT_METHOD YESCRYPT\nYESCRYPT_COST_FACTOR 6\n", "$y$jAT"},
		{shadow(), "ENCRYPT_METHOD DES\n", "$y$j9T"},
		{shadow(), "", "$y$j9T"},
	} {
		d := &Database{Shadow: write(t, "shadow", c.shadow, 0o600), LoginDefs: write(t, "login.defs", c.defs, 0o600)}
		if got := settingOf(d.decoy()); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.shadow, c.defs, got, c.want)
		}
	}
	if got := settingOf((&Database{}).decoy()); got != "$y$j9T" {
		t.Errorf("no files: %s", got)
	}
	// A changed file changes the decoy.
	d := &Database{Shadow: write(t, "shadow", shadow(yes), 0o600)}
	first := d.decoy()
	d.Shadow = write(t, "shadow", shadow(sha, sha), 0o600)
	if second := d.decoy(); settingOf(first) != "$y$j9T" || settingOf(second) != "$6$" {
		t.Errorf("%s %s", first, second)
	}
}

func FuzzVerifyHash(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash, []byte(v.password))
	}
	f.Add("$y$j..$$", []byte{})
	f.Add("$6$rounds=", []byte{0})
	f.Fuzz(func(t *testing.T, hash string, password []byte) {
		if !knownHash(hash) {
			if verifyHash(hash, password) {
				t.Errorf("%q matches %q", hash, password)
			}
			return
		}
		setting := settingOf(hash)
		if decoy := decoyHash(setting); !knownHash(decoy) || settingOf(decoy) != setting {
			t.Errorf("%q gives the decoy %q", hash, decoy)
		}
		if len(password) > 64 || strings.Contains(setting, "rounds=") || strings.HasPrefix(hash, "$2") && setting[4:] > "05" ||
			strings.HasPrefix(hash, "$y$") && setting[4] > '7' {
			return // too slow to fuzz
		}
		verifyHash(hash, password)
	})
}
