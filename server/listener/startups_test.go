package listener

import "testing"

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
