package main

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pace is on how many processors Go code of this process runs at a time. A connection is
// served by goroutines that wake each other for every packet: on one processor that is
// a change of stack, on two it is a system call and a thread that looks for work. One
// is enough as long as it is not used up: it takes 20 to 30 % off the processor time
// of a login, of transfers and of keystrokes, and makes each of them faster
// (docs/bench.md). Cryptography in C does not count: it runs beside Go code anyway.
//
// So a process has one processor until two connections or more use it up, and all from
// then on until they need less. GOMAXPROCS in the environment is left alone.
type pace struct {
	all int // processors that the process may have

	mu       sync.Mutex
	load     int // connections
	watching bool
	calm     int // looks at a process that did not need what it had
}

const (
	// paceFast and paceSlow are between two looks: at a process that does something,
	// and at one that does not.
	paceFast = 100 * time.Millisecond
	paceSlow = 2 * time.Second

	paceIdle = 0.01 // of a processor: it does not do anything
	paceFull = 0.85 // one processor is used up
	paceLow  = 0.6  // one would be enough
	// paceCalm is after how many looks in a row it has one again.
	paceCalm = 5
)

// newPace begins with one processor.
func newPace(environment string) *pace {
	if environment != "" {
		return &pace{all: 1}
	}
	return &pace{all: runtime.GOMAXPROCS(1)}
}

// set says how many connections there are.
func (p *pace) set(connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load = connections
	if p.all > 1 && connections > 1 && !p.watching {
		p.watching = true
		go p.watch()
	}
}

// watch looks at what the process uses as long as it has two connections.
func (p *pace) watch() {
	interval, procs := paceFast, 1
	used, at := processorTime(), time.Now()
	for {
		time.Sleep(interval)
		now, wall := processorTime(), time.Now()
		share := float64(now-used) / float64(wall.Sub(at))
		used, at = now, wall
		p.mu.Lock()
		over := p.load < 2
		p.watching = !over
		next := p.decide(procs, share)
		p.mu.Unlock()
		if over {
			next = 1
		}
		if next != procs {
			runtime.GOMAXPROCS(next)
			procs = next
		}
		if over {
			return
		}
		if interval = min(2*interval, paceSlow); share > paceIdle {
			interval = paceFast
		}
	}
}

// decide is how many processors are next, by the share of one that was used. The lock
// is held.
func (p *pace) decide(procs int, share float64) int {
	switch {
	case share >= paceFull:
		p.calm = 0
		return p.all
	case share >= paceLow || procs == 1:
		p.calm = 0
		return procs
	}
	if p.calm++; p.calm < paceCalm {
		return procs
	}
	p.calm = 0
	return 1
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
