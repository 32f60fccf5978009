package listener

import (
	"math/rand/v2"
	"sync"
	"time"

	"nano_ssh_server/server/host/log"
)

// startups counts connections that have not authenticated yet and refuses new
// ones as MaxStartups start:rate:full says: none below start, all from full on,
// and between them with a probability that rises from rate per cent to 100.
type startups struct {
	mu                sync.Mutex
	now               int
	start, rate, full int
}

// set changes the limits; those under way stay counted.
func (s *startups) set(start, rate, full int) {
	s.mu.Lock()
	s.start, s.rate, s.full = start, rate, full
	s.mu.Unlock()
}

// enter counts a new connection unless it is refused, and returns how many
// there are.
func (s *startups) enter() (now int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse(rand.IntN(100)) {
		return s.now, false
	}
	s.now++
	return s.now, true
}

// refuse decides with a number from 0 to 99 (sshd's should_drop_connection).
func (s *startups) refuse(dice int) bool {
	switch {
	case s.now < s.start:
		return false
	case s.now >= s.full:
		return true
	case s.rate == 100:
		return true
	}
	p := (100-s.rate)*(s.now-s.start)/(s.full-s.start) + s.rate
	return dice < p
}

// begin is the number from which on connections are refused.
func (s *startups) begin() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start
}

// throttle notes when connections are dropped, for sshd's lines about it
// (drop_connection): one when it begins, one at times while it lasts, and one when
// it is over. The zero value drops nothing.
type throttle struct {
	mu          sync.Mutex
	first, last time.Time // of the connections that were dropped; last is zero: none now
	dropped     int
}

// note is told of each connection, whether it was let in, and whether so few are
// under way that throttling is over. It returns the level at which the dropped one
// is logged.
func (t *throttle) note(l *log.Logger, now time.Time, in, few bool) log.Level {
	t.mu.Lock()
	defer t.mu.Unlock()
	if in {
		if few && !t.last.IsZero() {
			l.ThrottlingOver(now.Sub(t.first), t.dropped)
			t.last = time.Time{}
		}
		return log.Quiet
	}
	level := log.Verbose
	switch {
	case t.last.IsZero():
		l.Throttling()
		t.first, t.dropped, level = now, 0, log.Info
	case now.Sub(t.last) > log.ThrottlingInterval:
		l.StillThrottling(now.Sub(t.first), t.dropped+1)
		level = log.Info
	}
	t.last = now
	t.dropped++
	return level
}

// leave ends the counting of one connection.
func (s *startups) leave() {
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
}

// state is what the title shows: how many there are, and the limits.
func (s *startups) state() (now, begin, full int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.start, s.full
}
