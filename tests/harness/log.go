package harness

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log collects what a server prints, line by line.
type Log struct {
	mu     sync.Mutex
	lines  []string
	grown  chan struct{} // closed and replaced with every line
	closed bool
}

// collect reads until the last writer is gone.
func (l *Log) collect(r io.ReadCloser) {
	defer r.Close()
	s := bufio.NewReader(r)
	for {
		line, err := s.ReadString('\n')
		l.mu.Lock()
		if line = strings.TrimRight(line, "\r\n"); line != "" || err == nil {
			l.lines = append(l.lines, line)
		}
		l.closed = err != nil
		close(l.grown)
		l.grown = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Len returns how many lines there are: a mark for Find and Wait.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// Lines returns a copy of the lines from the mark on.
func (l *Log) Lines(from int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines[min(from, len(l.lines)):]...)
}

// String returns the whole log.
func (l *Log) String() string { return strings.Join(l.Lines(0), "\n") }

// Find returns the first line from the mark on that matches, and its sub-matches.
func (l *Log) Find(from int, pattern string) []string {
	re := regexp.MustCompile(pattern)
	for _, line := range l.Lines(from) {
		if m := re.FindStringSubmatch(line); m != nil {
			return m
		}
	}
	return nil
}

// Count returns how many lines from the mark on match.
func (l *Log) Count(from int, pattern string) int {
	re, n := regexp.MustCompile(pattern), 0
	for _, line := range l.Lines(from) {
		if re.MatchString(line) {
			n++
		}
	}
	return n
}

// Wait waits for a line that matches and returns its sub-matches; it fails the
// test if none comes within 10 s.
func (l *Log) Wait(t testing.TB, from int, pattern string) []string {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		l.mu.Lock()
		grown, closed := l.grown, l.closed
		l.mu.Unlock()
		if m := l.Find(from, pattern); m != nil {
			return m
		}
		if closed {
			t.Fatalf("the log ended without a line that matches %q", pattern)
		}
		select {
		case <-grown:
		case <-limit.C:
			t.Fatalf("no line in the log matches %q", pattern)
		}
	}
}
