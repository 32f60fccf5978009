//go:build amd64 || arm64

package sandbox

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// call is struct seccomp_data (seccomp(2)).
type call struct {
	number, arch uint32
	args         [6]uint64
}

// word returns the part of a call at an offset, in bytes.
func (c *call) word(at uint32) (uint32, error) {
	switch {
	case at == offsetNumber:
		return c.number, nil
	case at == offsetArch:
		return c.arch, nil
	case at >= offsetArgs && at < offsetArgs+48 && at%4 == 0:
		i := (at - offsetArgs) / 8
		return uint32(c.args[i] >> (8 * (at % 8))), nil
	}
	return 0, fmt.Errorf("load from %d", at)
}

// interpret runs a program as the kernel would, as far as programs here go.
func interpret(p program, c *call) (action, error) {
	var a uint32
	for pc := 0; pc < len(p); pc++ {
		i := p[pc]
		var holds bool
		switch i.Code {
		case opRet:
			return action(i.K), nil
		case opLoad:
			var err error
			if a, err = c.word(i.K); err != nil {
				return 0, err
			}
			continue
		case opAnd:
			a &= i.K
			continue
		case opEqual:
			holds = a == i.K
		case opAbove:
			holds = a >= i.K
		default:
			return 0, fmt.Errorf("instruction %#x", i.Code)
		}
		if holds {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
	return 0, fmt.Errorf("no return at the end")
}

// decide says what a policy wants, read from its table.
func decide(p *policy, c *call) action {
	if c.arch != p.arch || p.x32 && c.number >= x32Bit {
		return kill
	}
	for _, r := range p.rules {
		if r.number != c.number {
			continue
		}
		if r.conditions == nil {
			return r.then
		}
		for _, condition := range r.conditions {
			holds := true
			for _, ch := range condition {
				holds = holds && c.args[ch.arg]&ch.mask == ch.value
			}
			if holds {
				return r.then
			}
		}
		return r.otherwise
	}
	return p.fallback
}

const testPID = 4711

func assembled(t testing.TB) (*policy, program) {
	t.Helper()
	p := gatePolicy(testPID)
	code, err := p.assemble()
	if err != nil {
		t.Fatal(err)
	}
	return p, code
}

func TestFilter(t *testing.T) {
	_, code := assembled(t)
	const executable, writable = unix.PROT_READ | unix.PROT_EXEC, unix.PROT_READ | unix.PROT_WRITE
	eperm, eacces, enosys := refuse(syscall.EPERM), refuse(syscall.EACCES), refuse(syscall.ENOSYS)
	for _, c := range []struct {
		name   string
		number uint32
		args   [6]uint64
		want   action
	}{
		{"read", unix.SYS_READ, [6]uint64{3}, allow},
		{"mmap", unix.SYS_MMAP, [6]uint64{0, 4096, writable}, allow},
		{"mmap of code", unix.SYS_MMAP, [6]uint64{0, 4096, executable}, kill},
		{"mmap of code, high bits", unix.SYS_MMAP, [6]uint64{0, 4096, 1<<40 | executable}, kill},
		{"mprotect", unix.SYS_MPROTECT, [6]uint64{1 << 40, 4096, unix.PROT_NONE}, allow},
		{"mprotect to code", unix.SYS_MPROTECT, [6]uint64{1 << 40, 4096, executable}, kill},
		{"a thread of musl's", unix.SYS_CLONE, [6]uint64{0x7d0f00}, allow},
		{"a thread of glibc's", unix.SYS_CLONE, [6]uint64{0x3d0f00}, allow},
		{"a thread of Go's", unix.SYS_CLONE, [6]uint64{0x50f00}, allow},
		{"fork", unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, kill},
		{"vfork", unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, kill},
		{"a thread in a user namespace", unix.SYS_CLONE, [6]uint64{threadMust | unix.CLONE_NEWUSER}, kill},
		{"a thread, high bits", unix.SYS_CLONE, [6]uint64{1<<33 | threadMust}, kill},
		{"clone3", unix.SYS_CLONE3, [6]uint64{}, enosys},
		{"tgkill", unix.SYS_TGKILL, [6]uint64{testPID, 4712, 23}, allow},
		{"tgkill, sign extended", unix.SYS_TGKILL, [6]uint64{0xffffffff<<32 | testPID, 4712, 23}, allow},
		{"tgkill of another", unix.SYS_TGKILL, [6]uint64{1, 1, 9}, kill},
		{"kill", unix.SYS_KILL, [6]uint64{testPID, 6}, allow},
		{"kill of all", unix.SYS_KILL, [6]uint64{0xffffffff, 9}, kill},
		{"kill of the group", unix.SYS_KILL, [6]uint64{0, 9}, kill},
		{"TCP_NODELAY", unix.SYS_SETSOCKOPT, [6]uint64{5, unix.IPPROTO_TCP, unix.TCP_NODELAY}, allow},
		{"IP_TOS", unix.SYS_SETSOCKOPT, [6]uint64{5, unix.IPPROTO_IP, unix.IP_TOS}, allow},
		{"SO_MARK", unix.SYS_SETSOCKOPT, [6]uint64{5, unix.SOL_SOCKET, unix.SO_MARK}, eperm},
		{"TCP_ULP", unix.SYS_SETSOCKOPT, [6]uint64{5, unix.IPPROTO_TCP, unix.TCP_ULP}, eperm},
		{"SO_ERROR", unix.SYS_GETSOCKOPT, [6]uint64{5, unix.SOL_SOCKET, unix.SO_ERROR}, allow},
		{"sendto", unix.SYS_SENDTO, [6]uint64{5, 1, 1}, allow},
		{"sendto somewhere", unix.SYS_SENDTO, [6]uint64{5, 1, 1, 0, 1 << 35}, kill},
		{"F_SETFL", unix.SYS_FCNTL, [6]uint64{5, unix.F_SETFL}, allow},
		{"F_SETOWN", unix.SYS_FCNTL, [6]uint64{5, unix.F_SETOWN}, eperm},
		{"getrlimit", unix.SYS_PRLIMIT64, [6]uint64{0, 7, 0, 1 << 35}, allow},
		{"setrlimit", unix.SYS_PRLIMIT64, [6]uint64{0, 7, 1 << 35}, eperm},
		{"a limit of another's", unix.SYS_PRLIMIT64, [6]uint64{1, 7}, eperm},
		{"PR_SET_NAME", unix.SYS_PRCTL, [6]uint64{unix.PR_SET_NAME}, allow},
		{"PR_SET_DUMPABLE", unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 1}, eperm},
		{"openat", unix.SYS_OPENAT, [6]uint64{}, eacces},
		{"socket", unix.SYS_SOCKET, [6]uint64{unix.AF_INET}, kill},
		{"execve", unix.SYS_EXECVE, [6]uint64{}, kill},
		{"seccomp", unix.SYS_SECCOMP, [6]uint64{}, eperm},
		{"a number of tomorrow", 9999, [6]uint64{}, enosys},
	} {
		got, err := interpret(code, &call{c.number, auditArch, c.args})
		if err != nil || got != c.want {
			t.Errorf("%s: %#x, %v; expected %#x", c.name, got, err, c.want)
		}
	}
}

// TestFilterNumbering sees that numbers of another meaning kill.
func TestFilterNumbering(t *testing.T) {
	_, code := assembled(t)
	for _, arch := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, 0} {
		if got, err := interpret(code, &call{number: unix.SYS_READ, arch: arch}); err != nil || got != kill {
			t.Errorf("architecture %#x: %#x, %v", arch, got, err)
		}
	}
	if got, err := interpret(code, &call{number: x32Bit | unix.SYS_READ, arch: auditArch}); err != nil || got == allow {
		t.Errorf("x32: %#x, %v", got, err)
	}
}

// TestFilterTable compares the program to its table: every number, with arguments
// that every check of it has been made for.
func TestFilterTable(t *testing.T) {
	p, code := assembled(t)
	values := []uint64{0, 1, ^uint64(0), 1 << 32, testPID}
	for _, r := range p.rules {
		for _, condition := range r.conditions {
			for _, c := range condition {
				values = append(values, c.value, c.value|^c.mask, c.value^1, c.value|1<<32)
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	compare := func(c *call) {
		got, err := interpret(code, c)
		if want := decide(p, c); err != nil || got != want {
			t.Fatalf("%+v: %#x, %v; the table says %#x", *c, got, err, want)
		}
	}
	for number := range uint32(1024) {
		compare(&call{number: number, arch: auditArch})
		compare(&call{number: number | x32Bit, arch: auditArch})
	}
	for _, r := range p.rules {
		// Each condition as it wants to be, then anything.
		for _, condition := range r.conditions {
			c := &call{number: r.number, arch: auditArch}
			for _, ch := range condition {
				c.args[ch.arg] = ch.value
			}
			compare(c)
		}
		for range 300 {
			c := &call{number: r.number, arch: auditArch}
			for i := range c.args {
				c.args[i] = values[random.IntN(len(values))]
			}
			compare(c)
		}
	}
}

// TestAssembleRefuses sees that a table which cannot be a program is none.
func TestAssembleRefuses(t *testing.T) {
	twice := &policy{rules: always(allow, 1, 1)}
	if _, err := twice.assemble(); err == nil {
		t.Error("two rules for one number")
	}
	var many [][]check
	for i := range 100 {
		many = append(many, all(is(0, uint32(i))))
	}
	long := &policy{rules: []rule{onlyIf(1, kill, many...)}}
	if _, err := long.assemble(); err == nil {
		t.Error("a block too long to jump over")
	}
	var numbers []uint32
	for i := range uint32(maxProgram) {
		numbers = append(numbers, i)
	}
	if _, err := (&policy{rules: always(kill, numbers...)}).assemble(); err == nil {
		t.Error("a program too long for the kernel")
	}
	if gatePolicy(1).assembleLength(t) > maxProgram/4 {
		t.Error("the gate's program is longer than it was thought of")
	}
}

func (p *policy) assembleLength(t *testing.T) int {
	code, err := p.assemble()
	if err != nil {
		t.Fatal(err)
	}
	return len(code)
}

func FuzzFilter(f *testing.F) {
	p, code := assembled(f)
	f.Add(uint32(unix.SYS_CLONE), uint32(auditArch), uint64(threadMust), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Add(uint32(unix.SYS_MMAP), uint32(auditArch), uint64(0), uint64(0), uint64(unix.PROT_EXEC), uint64(0), uint64(0))
	f.Add(uint32(unix.SYS_SETSOCKOPT), uint32(auditArch), uint64(5), uint64(6), uint64(1), uint64(0), uint64(0))
	f.Add(uint32(x32Bit), uint32(auditArch), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Add(uint32(unix.SYS_READ), uint32(unix.AUDIT_ARCH_I386), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, number, arch uint32, a, b, c, d, e uint64) {
		x := &call{number, arch, [6]uint64{a, b, c, d, e}}
		got, err := interpret(code, x)
		if want := decide(p, x); err != nil || got != want {
			t.Fatalf("%+v: %#x, %v; the table says %#x", *x, got, err, want)
		}
		if got == allow && arch != auditArch {
			t.Fatal("another architecture's call is allowed")
		}
	})
}
