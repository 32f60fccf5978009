package user

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// MaxPassword is the longest password in bytes that is hashed at all, as in sshd
// (CVE-2016-6515: hashing megabytes for anyone who asks).
const MaxPassword = 1024

// maxWaiting is how many checks may stand in line for a processor. At some 50 ms
// each on two processors the last waits 6 s, well inside LoginGraceTime; a line
// that is longer is a flood, and those behind it are refused.
const maxWaiting = 256

// ErrBusy means that too many passwords are being checked.
var ErrBusy = errors.New("user: too many passwords are being checked")

// A Verifier checks passwords, as many at a time as there are processors. It is
// safe for concurrent use; a process needs one.
type Verifier struct {
	db      *Database
	slots   chan struct{}
	waiting atomic.Int64
}

// NewVerifier returns a Verifier whose decoys look like the database's hashes.
func NewVerifier(d *Database) *Verifier {
	return &Verifier{db: d, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// A Check is one question to a Verifier.
type Check struct {
	// Shadow is the entry to check against; nil for a name that does not exist or
	// may not log in. The answer is then no, and costs what a real one costs.
	Shadow *Shadow
	// PermitEmpty lets an empty password match an empty hash
	// (PermitEmptyPasswords).
	PermitEmpty bool
}

// Verify reports whether the password is right. The work, and so the time, is
// that of one hash of the host's usual type and cost unless the account has a
// hash of its own: unknown, locked and password-less accounts cannot be told
// apart from others by it. Passwords over MaxPassword bytes are refused without
// any work, whoever they are for. ErrBusy, or ctx's error, means that nothing was
// checked. The caller wipes the password.
func (v *Verifier) Verify(ctx context.Context, password []byte, c Check) (bool, error) {
	if len(password) > MaxPassword {
		return false, nil
	}
	release, err := v.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	s := c.Shadow
	if s == nil || s.Locked() || !knownHash(string(s.Hash)) {
		verifyHash(v.db.decoy(), password)
		return c.PermitEmpty && s != nil && s.Hash == "" && len(password) == 0, nil
	}
	ok := verifyHash(string(s.Hash), password)
	if len(password) == 0 && !c.PermitEmpty {
		return false, nil
	}
	return ok, nil
}

// Do runs f, another costly check of a secret, under the same limits.
func (v *Verifier) Do(ctx context.Context, f func()) error {
	release, err := v.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	f()
	return nil
}

// acquire waits for a slot; release gives it back.
func (v *Verifier) acquire(ctx context.Context) (release func(), err error) {
	if v.waiting.Add(1) > maxWaiting {
		v.waiting.Add(-1)
		return nil, ErrBusy
	}
	defer v.waiting.Add(-1)
	select {
	case v.slots <- struct{}{}:
		return func() { <-v.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// usualSetting caches the decoy until the shadow file changes.
type usualSetting struct {
	hash    string
	changed time.Time
	size    int64
}

// decoy returns a hash of the type that login.defs gives new passwords, with the
// cost that this host's accounts have most often; where none has that type, of the
// most common type. No password matches it.
func (d *Database) decoy() string {
	st, err := os.Stat(d.Shadow)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		st = nil
	}
	if u := &d.usual; u.hash != "" && (st == nil || st.ModTime().Equal(u.changed) && st.Size() == u.size) {
		return u.hash
	}
	configured := d.defaultSetting()
	setting := d.commonSetting(configured[:3])
	if setting == "" {
		setting = d.commonSetting("$")
	}
	if setting == "" {
		setting = configured
	}
	d.usual = usualSetting{hash: decoyHash(setting)}
	if st != nil {
		d.usual.changed, d.usual.size = st.ModTime(), st.Size()
	}
	return d.usual.hash
}

// commonSetting is the setting (prefix and cost, without salt) that most usable
// hashes of the shadow file that begin with prefix share, or "".
func (d *Database) commonSetting(prefix string) string {
	count := make(map[string]int)
	best := ""
	// A file that cannot be read has no passwords to hide.
	_ = eachLineOf(d.Shadow, func(line []byte) bool {
		s := parseShadow(line)
		if s == nil || !knownHash(string(s.Hash)) || !strings.HasPrefix(string(s.Hash), prefix) {
			return true
		}
		setting := settingOf(string(s.Hash))
		count[setting]++
		if count[setting] > count[best] {
			best = setting
		}
		return true
	})
	return best
}

// settingOf cuts a known hash down to what decides its cost.
func settingOf(hash string) string {
	switch {
	case strings.HasPrefix(hash, "$y$"):
		return hash[:6]
	case strings.HasPrefix(hash, "$2"):
		return hash[:6]
	case strings.HasPrefix(hash, "$1$"):
		return hash[:3]
	}
	if rest, ok := strings.CutPrefix(hash[3:], "rounds="); ok {
		number, _, _ := strings.Cut(rest, "$")
		return hash[:3] + "rounds=" + number
	}
	return hash[:3]
}

// defaultSetting is what a new password on this host would get. Where login.defs
// does not say, it is yescrypt at its default cost, as in today's distributions.
func (d *Database) defaultSetting() string {
	defs := make(map[string]string)
	// Without the file the defaults below count.
	_ = eachLineOf(d.LoginDefs, func(line []byte) bool {
		if f := strings.Fields(string(line)); len(f) >= 2 && f[0][0] != '#' {
			defs[f[0]] = f[1]
		}
		return true
	})
	number := func(name string, low, high int) int {
		n, err := strconv.Atoi(defs[name])
		if err != nil || n < low || n > high {
			return 0
		}
		return n
	}
	rounds := ""
	if n := number("SHA_CRYPT_MAX_ROUNDS", minSHARounds, maxSHARounds); n != 0 {
		rounds = "rounds=" + strconv.Itoa(n)
	}
	switch strings.ToUpper(defs["ENCRYPT_METHOD"]) {
	case "SHA512":
		return "$6$" + rounds
	case "SHA256":
		return "$5$" + rounds
	case "MD5":
		return "$1$"
	case "BCRYPT":
		cost := number("BCRYPT_MAX_ROUNDS", minBcryptCost, maxBcryptCost)
		if cost == 0 {
			cost = 13 // shadow-utils' own default
		}
		return "$2b$" + string([]byte{byte('0' + cost/10), byte('0' + cost%10)})
	}
	return yescryptSetting(number("YESCRYPT_COST_FACTOR", 1, 9))
}

// yescryptSetting is libxcrypt's table of cost factors: below 3 r is 8 and N
// 512 << factor, from 3 on r is 32 and N 128 << factor.
func yescryptSetting(factor int) string {
	switch factor {
	case 0:
		factor = 5
	case 1, 2:
		return "$y$j" + string("./0123456789"[9+factor-1]) + "5"
	}
	return "$y$j" + string("./0123456789ABCDEF"[7+factor-1]) + "T"
}

// decoyHash completes a setting to a hash. Its salt and digest are fixed: it is
// only ever computed, and the digest's digits do not come from any password.
func decoyHash(setting string) string {
	const digits = "decoyDECOYdecoyDECOYdecoyDECOYdecoyDECOYdecoyDECOYdecoyDECOYdecoyDECOYdecoyDECOYdecoyD"
	switch {
	case strings.HasPrefix(setting, "$y$"):
		return setting + "$" + "F5Jx5fExrKuPp53xLKQ..1" + "$" + digits[:43]
	case strings.HasPrefix(setting, "$2"):
		return setting + "$" + digits[:53]
	case strings.HasPrefix(setting, "$1$"):
		return setting + "decoydec$" + digits[:22]
	}
	if !strings.HasSuffix(setting, "$") {
		setting += "$"
	}
	if strings.HasPrefix(setting, "$5$") {
		return setting + "decoydecoydecoy1$" + digits[:43]
	}
	return setting + "decoydecoydecoy1$" + digits[:86]
}
