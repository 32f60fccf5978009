package log

import (
	"fmt"
	"strings"
)

// maxStack bounds the lines of one stack: the frames near the fault stand first,
// and a runaway recursion must not fill the disk.
const maxStack = 100

// BugLines are the lines about a panic in our own code: what it said, then its
// stack as runtime/debug.Stack gives it, a line each, since one line of a log
// holds no stack.
func BugLines(v any, stack []byte) []string {
	lines := []string{fmt.Sprintf("internal error: %v", v)}
	for line := range strings.Lines(string(stack)) {
		if len(lines) > maxStack {
			return append(lines, "...")
		}
		line = strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(line, "\t"); ok {
			line = "    " + rest
		}
		lines = append(lines, line)
	}
	return lines
}

// Bug logs a panic in our own code. The caller, a deferred function that
// recovered it, ends the connection that it happened in, and nothing else.
func (l *Logger) Bug(v any, stack []byte) {
	for _, line := range BugLines(v, stack) {
		l.Error("%s", line)
	}
}
