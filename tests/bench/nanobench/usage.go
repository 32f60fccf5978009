package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nano_ssh_server/tests/harness"
)

// The processor time of a server is that of all its processes, those included that
// have ended. A control group knows it exactly, in microseconds, whoever has waited
// for whom, so it is used wherever one can be made: as root, or where the system
// has delegated one. Otherwise it is summed up: the processor clock of each living
// process below this one, in nanoseconds and with its ended threads, and what it
// has of children that it waited for, which the kernel counts exactly but shows in
// steps of 10 ms. A process that nobody waits for is lost then.

// group is a control group for one server; the zero value means there is none.
type group struct {
	path string
	dir  *os.File
}

// newGroup makes a control group below the one that this process is in.
func newGroup() group {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	own, _ := os.ReadFile("/proc/self/cgroup")
	below, found := "", false
	for line := range strings.Lines(string(own)) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			below, found = strings.TrimSpace(rest), true
		}
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if !found || len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		path := filepath.Join(f[1], below, fmt.Sprintf("nanobench-%d", os.Getpid()))
		if os.Mkdir(path, 0o755) != nil {
			continue
		}
		dir, err := os.Open(path)
		g := group{path, dir}
		if _, counts := g.used(); err != nil || !counts {
			g.remove()
			continue
		}
		return g
	}
	return group{}
}

func (g group) used() (time.Duration, bool) {
	text, _ := os.ReadFile(filepath.Join(g.path, "cpu.stat"))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "usage_usec" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return time.Duration(n) * time.Microsecond, err == nil
		}
	}
	return 0, false
}

// remove takes the group away; all of its processes must have ended.
func (g group) remove() {
	if g.path == "" {
		return
	}
	if g.dir != nil {
		_ = g.dir.Close()
	}
	harness.Within(2*time.Second, func() bool { return os.Remove(g.path) == nil })
}

// cpu returns the processor time of a server so far.
func (s *server) cpu() time.Duration {
	if s.group.path != "" {
		used, _ := s.group.used()
		return used
	}
	var sum time.Duration
	for _, p := range harness.Descendants(os.Getpid()) {
		sum += processClock(p.PID) + waitedFor(p.PID)
	}
	return sum
}

// settled returns the processor time as soon as it stands still: a server is not
// done with a connection when its client is.
func (s *server) settled() time.Duration {
	const (
		still = 30 * time.Millisecond
		limit = 2 * time.Second // a server that is never idle is measured all the same
	)
	last := s.cpu()
	for end := time.Now().Add(limit); time.Now().Before(end); {
		time.Sleep(still)
		now := s.cpu()
		if now-last < 100*time.Microsecond {
			return now
		}
		last = now
	}
	return last
}

// processClock reads another process's CPU-time clock: clock_getcpuclockid(3).
func processClock(pid int) time.Duration {
	const cpuclockSched = 2
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|cpuclockSched), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// waitedFor is what a process's ended children have used.
func waitedFor(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The command in parentheses may hold anything, so count from its end.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 15 {
		return 0
	}
	user, _ := strconv.ParseInt(f[13], 10, 64)
	system, _ := strconv.ParseInt(f[14], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory returns the proportional set size in KiB of the server's processes, without
// users' shells and this program, and how many processes that are.
func (s *server) memory() (kib float64, count int, err error) {
	for _, p := range harness.Descendants(os.Getpid()) {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID))
		if err == nil && (exe == s.bench.place.shell || exe == s.bench.place.helper) {
			continue
		}
		pss, err := pss(p.PID)
		if os.IsNotExist(err) || err == nil && pss == 0 {
			continue // it has just ended
		}
		if err != nil {
			return 0, 0, skip("its memory is hidden from an ordinary user: needs root")
		}
		kib += pss
		count++
	}
	return kib, count, nil
}

func pss(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		if _, gone := os.Stat(fmt.Sprintf("/proc/%d", pid)); gone != nil {
			return 0, gone
		}
		if strings.Contains(err.Error(), "no such process") {
			return 0, nil
		}
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, nil
}
