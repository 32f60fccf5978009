package sandbox

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// action is what the kernel does with a system call: one of the values that a
// filter returns (seccomp(2), "SECCOMP_RET_").
type action uint32

const (
	allow action = unix.SECCOMP_RET_ALLOW
	kill  action = unix.SECCOMP_RET_KILL_PROCESS
)

// refuse has the call fail with an error.
func refuse(e syscall.Errno) action { return action(unix.SECCOMP_RET_ERRNO | uint32(e)) }

// check compares one argument of a call: it holds if args[arg] & mask == value.
type check struct {
	arg         int
	mask, value uint64
}

// low is the mask for what the kernel takes as an int: it ignores the upper half
// of the register, and a caller may leave anything there.
const low = 1<<32 - 1

// is holds if an int argument has a value.
func is(arg int, value uint32) check { return check{arg, low, uint64(value)} }

// lacks holds if none of the bits is set in an argument.
func lacks(arg int, bits uint64) check { return check{arg, bits, 0} }

// null holds if a pointer argument is NULL.
func null(arg int) check { return check{arg, ^uint64(0), 0} }

// rule is one system call. Without conditions then is done. With them, then is
// done if every check of at least one of them holds, and otherwise if not.
type rule struct {
	number          uint32
	conditions      [][]check
	then, otherwise action
}

// always makes rules without conditions.
func always(a action, numbers ...uint32) []rule {
	rules := make([]rule, len(numbers))
	for i, n := range numbers {
		rules[i] = rule{number: n, then: a}
	}
	return rules
}

// onlyIf allows a call if one of the conditions holds.
func onlyIf(number uint32, otherwise action, conditions ...[]check) rule {
	return rule{number: number, conditions: conditions, then: allow, otherwise: otherwise}
}

// all is a condition of several checks.
func all(checks ...check) []check { return checks }

// policy is a whole filter.
type policy struct {
	arch     uint32 // AUDIT_ARCH_*: calls of any other kind kill
	x32      bool   // the architecture has a second numbering, which kills
	rules    []rule
	fallback action // for the numbers that no rule has
}

// Where struct seccomp_data (seccomp(2)) has its parts, in bytes. Both
// architectures of a policy are little-endian.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

const (
	// x32Bit marks the numbers of amd64's x32 calls.
	x32Bit = 0x40000000
	// maxProgram is the kernel's limit (BPF_MAXINSNS), in instructions.
	maxProgram = 4096
	// maxJump is how far a conditional jump reaches, in instructions.
	maxJump = 255
)

const (
	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opAbove = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opRet   = unix.BPF_RET | unix.BPF_K
)

type program []unix.SockFilter

func (p *program) add(code uint16, k uint32) {
	*p = append(*p, unix.SockFilter{Code: code, K: k})
}

// assemble makes the kernel's program of the policy: architecture, then number,
// then one block a rule. A block is jumped over as a whole and ends in returns, so
// the order of the rules is only a matter of speed.
func (p *policy) assemble() (program, error) {
	var out program
	out.add(opLoad, offsetArch)
	out = append(out, unix.SockFilter{Code: opEqual, K: p.arch, Jt: 1})
	out.add(opRet, uint32(kill))
	out.add(opLoad, offsetNumber)
	if p.x32 {
		out = append(out, unix.SockFilter{Code: opAbove, K: x32Bit, Jf: 1})
		out.add(opRet, uint32(kill))
	}
	seen := map[uint32]bool{}
	for _, r := range p.rules {
		if seen[r.number] {
			return nil, fmt.Errorf("sandbox: two rules for system call %d", r.number)
		}
		seen[r.number] = true
		block, err := r.assemble()
		if err != nil {
			return nil, err
		}
		out = append(out, unix.SockFilter{Code: opEqual, K: r.number, Jf: uint8(len(block))})
		out = append(out, block...)
	}
	out.add(opRet, uint32(p.fallback))
	if len(out) > maxProgram {
		return nil, fmt.Errorf("sandbox: the filter has %d instructions", len(out))
	}
	return out, nil
}

// assemble makes the block that decides a rule's call, its number being known.
func (r *rule) assemble() (program, error) {
	var out program
	for _, condition := range r.conditions {
		var tests program
		for _, c := range condition {
			tests.word(c.arg, 0, uint32(c.mask), uint32(c.value))
			tests.word(c.arg, 4, uint32(c.mask>>32), uint32(c.value>>32))
		}
		if len(tests) > maxJump {
			return nil, fmt.Errorf("sandbox: system call %d: condition too long", r.number)
		}
		// What does not hold goes on behind this condition's return.
		for i := range tests {
			if tests[i].Code == opEqual {
				tests[i].Jf = uint8(len(tests) - i)
			}
		}
		out = append(out, tests...)
		out.add(opRet, uint32(r.then))
	}
	if r.conditions == nil {
		out.add(opRet, uint32(r.then))
	} else {
		out.add(opRet, uint32(r.otherwise))
	}
	if len(out) > maxJump {
		return nil, fmt.Errorf("sandbox: system call %d: %d instructions", r.number, len(out))
	}
	return out, nil
}

// word tests one half of an argument; at is its offset in it.
func (p *program) word(arg, at int, mask, value uint32) {
	if mask == 0 {
		return
	}
	p.add(opLoad, uint32(offsetArgs+8*arg+at))
	if mask != low {
		p.add(opAnd, mask)
	}
	p.add(opEqual, value)
}
