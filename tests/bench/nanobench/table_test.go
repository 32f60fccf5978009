package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBest(t *testing.T) {
	for _, c := range []struct {
		higher       bool
		samples      []float64
		best, spread float64
	}{
		{false, []float64{3, 2, 4}, 2, 1}, {true, []float64{3, 2, 4}, 4, 0.5}, {false, []float64{5}, 5, 0},
	} {
		l := &line{Higher: c.higher, Samples: map[string][]float64{"x": c.samples}}
		if best, spread, ok := l.best("x"); !ok || best != c.best || spread != c.spread {
			t.Errorf("%v: %v %v", c, best, spread)
		}
		if _, _, ok := l.best("y"); ok {
			t.Error("a figure from nothing")
		}
	}
}

func TestMarkdown(t *testing.T) {
	table := newTable([]*kind{{name: "sshd"}, {name: "nano"}, {name: "other"}})
	table.lines = []*line{{"row", "wall", "s", false, map[string][]float64{"sshd": {2, 4}, "nano": {1}}}}
	table.note("row", "other", errors.New("lacks it\n"))
	table.note("row", "another", errors.New("lacks it"))
	text := table.markdown(&bench{options: &options{repeat: 2}})
	for _, want := range []string{"| row | figure | unit | sshd | nano | other |\n|---|---|---|---|---|---|\n",
		"| row | wall | s ↓ | 2.00 (1.00) ±100% | 1.00 (0.50) | - |\n", "- row (other, another): lacks it"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234.4: "1234", 12.34: "12.3", 1.234: "1.23", 0.01234: "0.012"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s", v, got)
		}
	}
}

func TestQuantile(t *testing.T) {
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(99-i))
	}
	if quantile(times, 0.5) != 50 || quantile(times, 0.99) != 99 || quantile(nil, 0.5) != 0 {
		t.Error(quantile(times, 0.5), quantile(times, 0.99))
	}
}

// TestProcessClock compares another process's clock, read as this one's, with our own.
func TestProcessClock(t *testing.T) {
	own := func() time.Duration {
		var at unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &at); err != nil {
			t.Fatal(err)
		}
		return time.Duration(at.Nano())
	}
	before := own()
	got := processClock(os.Getpid())
	if after := own(); got < before || got > after {
		t.Errorf("%v is not between %v and %v", got, before, after)
	}
	// The kernel numbers processes below that.
	if processClock(1<<22) != 0 {
		t.Error("a process that does not exist has used something")
	}
}

// TestRows: names can be chosen by one regexp each, and every row has figures.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range allRows() {
		if seen[r.name] || r.name == "" || r.about == "" || len(r.metrics) == 0 || r.measure == nil {
			t.Errorf("row %q", r.name)
		}
		seen[r.name] = true
	}
}
