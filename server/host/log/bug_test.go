package log

import (
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// lines keeps what was logged.
type lines struct{ text []string }

func (s *lines) Write(_ Level, _ int, text string) { s.text = append(s.text, text) }

func TestBug(t *testing.T) {
	sink := &lines{}
	func() {
		defer func() { New(sink, Error).Bug(recover(), debug.Stack()) }()
		panic("what\nthe peer said")
	}()
	if len(sink.text) < 4 || sink.text[0] != `internal error: what\nthe peer said` {
		t.Fatalf("%q", sink.text)
	}
	if !regexp.MustCompile(`^goroutine \d+ \[running\]:$`).MatchString(sink.text[1]) {
		t.Errorf("%q is no stack", sink.text[1])
	}
	if !slices.ContainsFunc(sink.text, func(s string) bool { return strings.Contains(s, "bug_test.go:") }) {
		t.Errorf("where it happened is missing in %q", sink.text)
	}
}

func TestBugIsBounded(t *testing.T) {
	got := BugLines("deep", []byte(strings.Repeat("main.f()\n\t/f.go:1\n", 10_000)))
	if len(got) != maxStack+2 || got[2] != "    /f.go:1" || got[len(got)-1] != "..." {
		t.Errorf("%d lines, %q", len(got), got[:3])
	}
}
