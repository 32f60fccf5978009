package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Process is a process as /proc shows it. Start tells it from a later one with
// the same number.
type Process struct {
	PID, Parent int
	State       string
	Start       string
	Ticks       int64 // processor time in 1/100 s, with that of children waited for
}

// String describes a process for a failure message.
func (p Process) String() string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	return fmt.Sprintf("%d %q", p.PID, bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))
}

// Gone reports whether a process has ended (one that nobody has waited for counts
// as ended).
func (p Process) Gone() bool {
	now, err := readProcess(p.PID)
	return err != nil || now.Start != p.Start || now.State == "Z" || now.State == "X"
}

// Running reports whether a process with this number lives.
func Running(pid int) bool {
	p, err := readProcess(pid)
	return err == nil && !p.Gone()
}

func readProcess(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	// The command in parentheses may hold anything, so count from its end.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 20 {
		return Process{}, fmt.Errorf("/proc/%d/stat is odd", pid)
	}
	parent, err := strconv.Atoi(f[1])
	p := Process{PID: pid, State: f[0], Parent: parent, Start: f[19]}
	for _, t := range f[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(t, 10, 64)
		p.Ticks += n
	}
	return p, err
}

func allProcesses() []Process {
	names, _ := os.ReadDir("/proc")
	var list []Process
	for _, n := range names {
		if pid, err := strconv.Atoi(n.Name()); err == nil {
			if p, err := readProcess(pid); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}

// Descendants returns a process's children, their children and so on, without
// those that have ended.
func Descendants(pid int) []Process {
	var found []Process
	all := allProcesses()
	parents := map[int]bool{pid: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if parents[p.Parent] && !parents[p.PID] && p.State != "Z" {
				parents[p.PID] = true
				found = append(found, p)
				grown = true
			}
		}
	}
	return found
}

// marked returns the processes whose environment has the variable.
func marked(variable string) []Process {
	var found []Process
	for _, p := range allProcesses() {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if string(v) == variable && p.State != "Z" {
				found = append(found, p)
			}
		}
	}
	return found
}

// Listening reports whether somebody listens on a TCP port.
func Listening(port int) bool {
	want := fmt.Sprintf(":%04X", port)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, _ := os.ReadFile(file)
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[1], want) && f[3] == "0A" {
				return true
			}
		}
	}
	return false
}

// StatusKB returns a field in kB of /proc/PID/status, 0 if there is none.
func StatusKB(pid int, field string) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == field+":" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}
