package sshkey

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"nano_ssh_server/cgo/libcrypto"
	"nano_ssh_server/server/proto/wire"
)

// krl builds a list by the letter of PROTOCOL.krl: type and data of sections.
func krl(sections ...any) []byte {
	b := append([]byte(KRLMagic), wire.AppendUint32(nil, 1)...)
	b = wire.AppendUint64(wire.AppendUint64(wire.AppendUint64(b, 7), 1_700_000_000), 0)
	b = wire.AppendText(wire.AppendText(b, "reserved"), "comment")
	return append(b, krlSections(sections...)...)
}

func krlSections(sections ...any) (b []byte) {
	for i := 0; i < len(sections); i += 2 {
		b = wire.AppendString(append(b, byte(sections[i].(int))), sections[i+1].([]byte))
	}
	return b
}

// certificates is the data of a section about certificates.
func certificates(ca []byte, sections ...any) []byte {
	return append(wire.AppendText(wire.AppendString(nil, ca), ""), krlSections(sections...)...)
}

func numbers(n ...uint64) (b []byte) {
	for _, n := range n {
		b = wire.AppendUint64(b, n)
	}
	return b
}

func bitmap(offset uint64, bits ...byte) []byte { return wire.AppendString(numbers(offset), bits) }

func texts(s ...string) (b []byte) {
	for _, s := range s {
		b = wire.AppendText(b, s)
	}
	return b
}

func extensionSection(critical byte) []byte {
	return wire.AppendText(append(wire.AppendText(nil, "name@example.com"), critical), "data")
}

func certificate(t testing.TB, serial uint64, id string) *Certificate {
	t.Helper()
	c, err := ParseCertificate(goCertificate(t, TypeEd25519, TypeECDSA256, func(c *ssh.Certificate) { c.Serial, c.KeyId = serial, id }))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKRLSerials(t *testing.T) {
	ca := certificate(t, 1, "").CA.Blob()
	for what, c := range map[string]struct {
		section         []byte
		revoked, others []uint64
	}{
		"list":             {certificates(ca, 0x20, numbers(5, 1, math.MaxUint64, 5)), []uint64{1, 5, math.MaxUint64}, []uint64{2, 4, 6, 0}},
		"ranges":           {certificates(ca, 0x21, numbers(10, 20), 0x21, numbers(15, 30), 0x21, numbers(12, 13), 0x21, numbers(31, 31)), []uint64{10, 14, 20, 21, 30, 31}, []uint64{9, 32}},
		"range to the end": {certificates(ca, 0x21, numbers(1<<63, math.MaxUint64)), []uint64{1 << 63, math.MaxUint64}, []uint64{1<<63 - 1}},
		"range of all":     {certificates(ca, 0x21, numbers(1, math.MaxUint64)), []uint64{1, 2, math.MaxUint64}, []uint64{0}},
		"bitmap":           {certificates(ca, 0x22, bitmap(61, 0, 0x81, 0x05)), []uint64{61, 63, 69, 76}, []uint64{60, 62, 64, 70, 77}},
		"bitmaps overlap":  {certificates(ca, 0x22, bitmap(64, 0x11), 0x22, bitmap(60, 1, 0x31)), []uint64{60, 64, 65, 68}, []uint64{61, 62, 63, 66, 69}},
		"bitmap of 0":      {certificates(ca, 0x22, bitmap(0, 2)), []uint64{1}, []uint64{0, 2}},
		"last serial":      {certificates(ca, 0x22, bitmap(math.MaxUint64-8, 1, 1)), []uint64{math.MaxUint64, math.MaxUint64 - 8}, []uint64{math.MaxUint64 - 1, 0}},
		"empty bitmap":     {certificates(ca, 0x22, bitmap(9), 0x22, bitmap(3, 0)), nil, []uint64{9, 3}},
		"any CA":           {certificates(nil, 0x20, numbers(3)), []uint64{3}, []uint64{4}},
		"other CA":         {certificates(goSigner(t, goKeys()[TypeEd25519]).PublicKey().Marshal(), 0x20, numbers(3), 0x23, texts("id")), nil, []uint64{3}},
		"mixed":            {certificates(ca, 0x20, numbers(3), 0x22, bitmap(100, 1), 0x21, numbers(50, 60), 0x39, extensionSection(0)), []uint64{3, 100, 55}, []uint64{99}},
	} {
		k, err := ParseKRL(krl(1, c.section))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, serial := range c.revoked {
			if !k.Revoked(certificate(t, serial, "id")) {
				t.Errorf("%s: %d is not revoked", what, serial)
			}
		}
		for _, serial := range c.others {
			if k.Revoked(certificate(t, serial, "id")) {
				t.Errorf("%s: %d is revoked", what, serial)
			}
		}
	}
}

// Random lists, against a set that is kept the simple way.
func TestKRLSerialsRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var sections []any
		want := map[uint64]bool{}
		for range 1 + random.IntN(20) {
			first := 1 + random.Uint64N(500)
			switch random.IntN(3) {
			case 0:
				sections = append(sections, 0x20, numbers(first))
				want[first] = true
			case 1:
				last := first + random.Uint64N(20)
				sections = append(sections, 0x21, numbers(first, last))
				for n := first; n <= last; n++ {
					want[n] = true
				}
			case 2:
				bits := []byte{byte(random.Uint32() & 0x7f), byte(random.Uint32()), byte(random.Uint32())}
				sections = append(sections, 0x22, bitmap(first, bits...))
				for i := range uint64(24) {
					if bits[2-i/8]>>(i%8)&1 != 0 {
						want[first+i] = true
					}
				}
			}
		}
		k, err := ParseKRL(krl(1, certificates(nil, sections...)))
		if err != nil {
			t.Fatal(err)
		}
		for n := range uint64(600) {
			if got := k.certificates[""].serials.contains(n); got != want[n] {
				t.Fatalf("%d: %v, want %v, in %x", n, got, want[n], sections)
			}
		}
	}
}

func TestKRLKeys(t *testing.T) {
	c := certificate(t, 9, "the id")
	other := privateKeys(t)[TypeRSA].Public()
	hash := func(name string, key PublicKey) []byte { return digest(t, name, key.Blob()) }
	all := []PublicKey{c.Key, c.CA, c, other}
	for what, l := range map[string]struct {
		data    []byte
		revoked string // one letter for each of all
	}{
		"nothing":       {krl(), "----"},
		"key":           {krl(2, wire.AppendString(texts("", "x"), c.Key.Blob())), "r-r-"},
		"CA":            {krl(2, wire.AppendString(nil, c.CA.Blob())), "-rr-"},
		"whole cert":    {krl(2, wire.AppendString(nil, c.Blob())), "----"}, // only plain keys are looked for
		"SHA-1":         {krl(3, wire.AppendString(nil, hash("sha1", c.Key))), "r-r-"},
		"SHA-256":       {krl(5, wire.AppendString(nil, hash("sha256", c.CA))), "-rr-"},
		"all kinds":     {krl(5, wire.AppendString(nil, hash("sha256", other)), 3, wire.AppendString(nil, hash("sha1", c.CA))), "-rrr"},
		"key id":        {krl(1, certificates(c.CA.Blob(), 0x23, texts("a", "the id", "z"))), "--r-"},
		"key id, C's":   {krl(1, certificates(nil, 0x23, texts("the id\x00"))), "--r-"},
		"other key id":  {krl(1, certificates(nil, 0x23, texts("the", "", "the id "))), "----"},
		"extension":     {krl(255, extensionSection(0), 2, wire.AppendString(nil, other.Blob())), "---r"},
		"signed":        {append(krl(2, wire.AppendString(nil, other.Blob())), append(wire.AppendString([]byte{4}, c.CA.Blob()), texts("signature")...)...), "---r"},
		"twice one CA":  {krl(1, certificates(c.CA.Blob(), 0x23, texts("x")), 1, certificates(c.CA.Blob(), 0x20, numbers(9))), "--r-"},
		"serial and id": {krl(1, certificates(nil, 0x20, numbers(8), 0x23, texts("the id"))), "--r-"},
	} {
		k, err := ParseKRL(l.data)
		if err != nil || k.Version != 7 || k.Generated != 1_700_000_000 || k.Comment != "comment" {
			t.Errorf("%s: %+v %v", what, k, err)
			continue
		}
		got := ""
		for _, key := range all {
			got += map[bool]string{true: "r", false: "-"}[k.Revoked(key)]
		}
		if got != l.revoked {
			t.Errorf("%s: %s, want %s", what, got, l.revoked)
		}
	}
}

func TestKRLRefuses(t *testing.T) {
	ca := certificate(t, 1, "").CA.Blob()
	inCA := func(sections ...any) []byte { return krl(1, certificates(ca, sections...)) }
	long := bytes.Repeat([]byte{1}, maxKRLBitmap+1)
	for what, c := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":            {nil, ErrKRLMagic},
		"text":               {[]byte("ssh-ed25519 AAAA"), ErrKRLMagic},
		"half the magic":     {[]byte(KRLMagic[:5]), ErrKRLMagic},
		"header only":        {[]byte(KRLMagic), ErrMalformed},
		"format 2":           {append([]byte(KRLMagic), wire.AppendUint32(nil, 2)...), ErrMalformed},
		"unknown section":    {krl(6, []byte{}), ErrMalformed},
		"unknown in CA":      {inCA(0x24, []byte{}), ErrMalformed},
		"short hash":         {krl(3, texts("1234567890123456789")), ErrMalformed},
		"long hash":          {krl(5, texts(strings.Repeat("x", 33))), ErrMalformed},
		"half a blob":        {krl(2, []byte{0, 0, 0, 9, 1}), ErrMalformed},
		"serial 0":           {inCA(0x20, numbers(1, 0)), ErrMalformed},
		"half a serial":      {inCA(0x20, numbers(1)[:7]), ErrMalformed},
		"range from 0":       {inCA(0x21, numbers(0, 9)), ErrMalformed},
		"range backwards":    {inCA(0x21, numbers(9, 8)), ErrMalformed},
		"range of three":     {inCA(0x21, numbers(1, 2, 3)), ErrMalformed},
		"bitmap, bit 0 at 0": {inCA(0x22, bitmap(0, 1)), ErrMalformed},
		"bitmap wraps":       {inCA(0x22, bitmap(math.MaxUint64, 2)), ErrMalformed},
		"negative bitmap":    {inCA(0x22, bitmap(1, 0x80)), ErrMalformed},
		"long bitmap":        {inCA(0x22, bitmap(1, long...)), ErrMalformed},
		"after a bitmap":     {inCA(0x22, append(bitmap(1, 1), 0)), ErrMalformed},
		"zero in a key id":   {inCA(0x23, texts("a\x00b")), ErrMalformed},
		"no CA":              {krl(1, []byte{}), ErrMalformed},
		"bad CA":             {krl(1, certificates([]byte("x"))), ErrMalformed},
		"CA of unknown type": {krl(1, certificates(texts("ssh-none", "x"))), ErrUnknownType},
		"critical extension": {krl(255, extensionSection(1)), ErrKRLFeature},
		"critical, of a CA":  {inCA(0x39, extensionSection(9)), ErrKRLFeature},
		"half an extension":  {krl(255, texts("name")), ErrMalformed},
		"no signature":       {krl(4, ca), ErrMalformed},
		"trailing byte":      {append(krl(), 2), ErrMalformed},
	} {
		if k, err := ParseKRL(c.data); !errors.Is(err, c.want) || k != nil {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	whole := krl(1, certificates(ca, 0x20, numbers(1, 2), 0x23, texts("id")), 2, texts("key"))
	ends := map[int]bool{len(krl()): true, len(krl(1, certificates(ca, 0x20, numbers(1, 2), 0x23, texts("id")))): true}
	for n := range whole {
		if _, err := ParseKRL(whole[:n]); (err == nil) != ends[n] {
			t.Errorf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// TestKRLMemory: lengths in a list do not make memory.
func TestKRLMemory(t *testing.T) {
	data := krl(1, certificates(nil, 0x21, numbers(1, math.MaxUint64), 0x22, bitmap(1<<40, bytes.Repeat([]byte{0x55}, maxKRLBitmap)...)))
	k, err := ParseKRL(data)
	if err != nil {
		t.Fatal(err)
	}
	s := &k.certificates[""].serials
	if n := 16 * (len(s.ranges) + len(s.words)); n > 3*len(data) {
		t.Errorf("%d bytes for a list of %d", n, len(data))
	}
	huge := append(krl(), 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	if n := testing.AllocsPerRun(5, func() { _, err = ParseKRL(huge) }); err == nil || n > 20 {
		t.Errorf("%v allocations, %v", n, err)
	}
}

// TestKeygenKRL has ssh-keygen make lists of every kind, and asks it about each
// key and certificate that it revokes or not.
func TestKeygenKRL(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		check(os.WriteFile(path(name), []byte(text), 0o600))
		return path(name)
	}
	read := func(name string) string {
		text, err := os.ReadFile(path(name))
		check(err)
		return string(text)
	}
	for _, name := range []string{"ca", "ca2", "alice", "bob", "carol"} {
		keygen(t, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path(name))
	}
	subjects := []string{"ca.pub", "ca2.pub", "alice.pub", "bob.pub", "carol.pub"}
	for i, c := range []struct{ ca, user, serial string }{
		{"ca", "alice", "1"}, {"ca", "bob", "20"}, {"ca", "carol", "0"}, {"ca2", "alice", "20"}, {"ca", "bob", "18446744073709551615"}, {"ca", "carol", "1003"},
	} {
		keygen(t, "-q", "-s", path(c.ca), "-I", fmt.Sprintf("id of %s", c.user), "-n", c.user, "-z", c.serial, path(c.user+".pub"))
		name := fmt.Sprintf("cert%d.pub", i)
		check(os.Rename(path(c.user+"-cert.pub"), path(name)))
		subjects = append(subjects, name)
	}
	digest := func(name, what string) string {
		fields := strings.Fields(string(keygen(t, "-l", "-E", what, "-f", path(name))))
		return fields[1]
	}
	var bits strings.Builder
	for n := 1000; n < 1200; n += 3 {
		fmt.Fprintf(&bits, "serial: %d\n", n)
	}
	specs := map[string]string{
		"empty": "", "key line": read("alice.pub"), "certificate line": read("cert1.pub"), "CA line": read("ca.pub"),
		"key": "key: " + read("bob.pub"), "sha1": "sha1: " + read("carol.pub"), "sha256": "sha256: " + read("alice.pub"),
		"hash": "hash: " + digest("bob.pub", "sha256") + "\n", "serial": "serial: 1\n", "range": "serial: 10-30\n",
		"range to the end": "serial: 18446744073709551610-18446744073709551615\n", "bitmap": bits.String(),
		"lists": "serial: 1\nserial: 100000\nserial: 20\nserial: 50000000000\n", "id": "id: id of alice\n",
		"all": "# comment\n" + bits.String() + "serial: 5-9\nid: id of bob\nkey: " + read("alice.pub") + "sha1: " + read("ca2.pub"),
	}
	for what, spec := range specs {
		file := write("spec", spec)
		for _, ca := range []string{"", "ca.pub", "ca2.pub", "NONE"} {
			arguments := []string{"-q", "-k", "-z", "12", "-f", path("krl")}
			switch {
			case ca == "NONE":
				arguments = append(arguments, "-s", ca)
			case ca != "":
				arguments = append(arguments, "-s", path(ca))
			case strings.Contains(spec, "serial:") || strings.Contains(spec, "id:"):
				continue // ssh-keygen wants a CA for those
			}
			keygen(t, append(arguments, file)...)
			k, err := ParseKRL([]byte(read("krl")))
			if err != nil || k.Version != 12 {
				t.Errorf("%s of %q: %v", what, ca, err)
				continue
			}
			compareWithKeygen(t, what+" of "+ca, k, path("krl"), dir, subjects)
		}
	}
}

// compareWithKeygen asks ssh-keygen -Q, which says "revoked" for what is.
func compareWithKeygen(t *testing.T, what string, k *KRL, file, dir string, subjects []string) {
	t.Helper()
	arguments := []string{"-Q", "-f", file}
	for _, name := range subjects {
		arguments = append(arguments, filepath.Join(dir, name))
	}
	out, err := exec.Command("ssh-keygen", arguments...).CombinedOutput() // its status tells whether any is revoked
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(subjects) {
		t.Fatalf("%s: ssh-keygen: %v\n%s", what, err, out)
	}
	for i, name := range subjects {
		text, err := os.ReadFile(filepath.Join(dir, name))
		check(err)
		var key PublicKey
		if strings.HasPrefix(name, "cert") {
			key, _, err = ParseAuthorizedCertificate(text)
		} else {
			key, _, _, err = ParseAuthorized(text)
		}
		check(err)
		want := strings.HasSuffix(lines[i], "REVOKED")
		if !want && !strings.HasSuffix(lines[i], "ok") {
			t.Fatalf("%s", lines[i])
		}
		if got := k.Revoked(key); got != want {
			t.Errorf("%s: %s: %v, want %v", what, name, got, want)
		}
	}
}

func digest(t testing.TB, name string, b []byte) []byte {
	t.Helper()
	sum, err := libcrypto.Digest(name, nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func FuzzKRL(f *testing.F) {
	ca := certificate(f, 1, "").CA.Blob()
	c := certificate(f, 5, "id")
	f.Add(krl())
	f.Add(krl(1, certificates(ca, 0x20, numbers(1, 5), 0x21, numbers(7, 9), 0x22, bitmap(60, 3, 1), 0x23, texts("id"), 0x39, extensionSection(0))))
	f.Add(krl(2, texts("a"), 3, texts(strings.Repeat("x", 20)), 5, texts(strings.Repeat("x", 32)), 255, extensionSection(0)))
	f.Add(append(krl(1, certificates(nil)), append(wire.AppendString([]byte{4}, ca), texts("s")...)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseKRL(data)
		if err != nil {
			if k != nil || !errors.Is(err, ErrKRLMagic) && !errors.Is(err, ErrKRLFeature) && !errors.Is(err, ErrMalformed) &&
				!errors.Is(err, ErrUnknownType) && !errors.Is(err, ErrKeyLength) {
				t.Fatalf("%v %v", k, err)
			}
			return
		}
		if size := len(k.keys) + len(k.sha1) + len(k.sha256); 4*size > len(data) {
			t.Fatalf("%d entries from %d bytes", size, len(data))
		}
		k.Revoked(c)
		k.Revoked(c.Key)
	})
}
