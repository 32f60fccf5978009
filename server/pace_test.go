package main

import "testing"

func TestPace(t *testing.T) {
	p := &pace{all: 8}
	procs := 1
	for i, step := range []struct {
		share float64
		want  int
	}{
		{0, 1}, {0.5, 1}, {0.84, 1}, {0.9, 8}, {3, 8}, {0.7, 8},
		{0.5, 8}, {0.5, 8}, {0.5, 8}, {0.5, 8}, {0.7, 8}, // not in a row
		{0.5, 8}, {0.1, 8}, {0, 8}, {0, 8}, {0, 1}, {0, 1}, {1, 8},
	} {
		if procs = p.decide(procs, step.share); procs != step.want {
			t.Fatalf("step %d: %d processors after a share of %v, want %d", i, procs, step.share, step.want)
		}
	}
	// Whoever sets GOMAXPROCS keeps it.
	fixed := newPace("4")
	if fixed.set(100); fixed.watching {
		t.Error("a number that was set is changed")
	}
}
