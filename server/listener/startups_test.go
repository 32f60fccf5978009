package listener

import (
	"slices"
	"testing"
	"time"

	"nano_ssh_server/server/host/log"
)

func TestStartups(t *testing.T) {
	s := &startups{start: 10, rate: 30, full: 100}
	for _, c := range []struct {
		now, dice int
		want      bool
	}{
		{9, 0, false}, {10, 29, true}, {10, 30, false}, {55, 64, true}, {55, 65, false}, {99, 98, true}, {100, 99, true},
	} {
		s.now = c.now
		if got := s.refuse(c.dice); got != c.want {
			t.Errorf("%d under way, dice %d: refused %v", c.now, c.dice, got)
		}
	}
}

func TestStartupsSameStartAndFull(t *testing.T) {
	s := &startups{start: 2, rate: 100, full: 2}
	for i, want := range []bool{true, true, false} {
		if _, ok := s.enter(); ok != want {
			t.Errorf("connection %d: %v", i, ok)
		}
	}
	s.leave()
	if _, ok := s.enter(); !ok {
		t.Error("a place that became free is refused")
	}
}

// logLines keeps what was logged, with its level.
type logLines []string

func (l *logLines) Write(level log.Level, _ int, text string) {
	*l = append(*l, level.String()+" "+text)
}

// TestThrottle: sshd's lines about MaxStartups, in their time.
func TestThrottle(t *testing.T) {
	sink := &logLines{}
	l, th, now := log.New(sink, log.Verbose), &throttle{}, time.Unix(1000, 0)
	for _, c := range []struct {
		after   time.Duration
		in, few bool
		level   log.Level
	}{
		{0, true, true, log.Quiet}, {0, false, false, log.Info}, {time.Second, false, false, log.Verbose},
		{time.Second, true, false, log.Quiet}, // let in by chance: it goes on
		{log.ThrottlingInterval, false, false, log.Info},
		{time.Second, true, true, log.Quiet}, {0, true, true, log.Quiet}, {0, false, false, log.Info},
	} {
		now = now.Add(c.after)
		if got := th.note(l, now, c.in, c.few); got != c.level {
			t.Errorf("%+v: level %v", c, got)
		}
	}
	want := logLines{
		"ERROR beginning MaxStartups throttling", "ERROR in MaxStartups throttling for 00:05:02, 3 connections dropped",
		"INFO exited MaxStartups throttling after 00:05:03, 3 connections dropped", "ERROR beginning MaxStartups throttling",
	}
	if !slices.Equal(*sink, want) {
		t.Errorf("%q, want %q", *sink, want)
	}
}
