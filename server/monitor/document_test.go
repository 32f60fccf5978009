package monitor

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"nano_ssh_server/server/ipc"
)

var update = flag.Bool("update", false, "write the table of requests into PRIVSEP.md")

const (
	documentFile = "../../PRIVSEP.md"
	tableBegin   = "<!-- the table of requests: go test ./server/monitor -run Document -update -->\n"
	tableEnd     = "<!-- end of the table -->\n"
)

// document is the table of requests as PRIVSEP.md shows it.
func document() string {
	var b strings.Builder
	b.WriteString("| request | from | allowed when the connection is | times | answered |\n|---|---|---|---|---|\n")
	phases := []struct {
		bit  phase
		name string
	}{{phaseNew, "new"}, {phaseKeyExchanged, "keyed"}, {phaseNamed, "named"}, {phaseGranted, "granted"}, {phaseServed, "served"}}
	for m, r := range requests {
		if r.from == 0 {
			continue
		}
		var from, when []string
		if r.from&Gate != 0 {
			from = append(from, "gate")
		}
		if r.from&Account != 0 {
			from = append(from, "account")
		}
		for _, p := range phases {
			if r.when&p.bit != 0 {
				when = append(when, p.name)
			}
		}
		times, answered := "any", "no"
		if r.most > 0 {
			times = fmt.Sprint(r.most)
		}
		if r.judge {
			times += ", MaxAuthTries failures"
		}
		if r.call {
			answered = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", ipc.Method(m), strings.Join(from, ", "), strings.Join(when, ", "), times, answered)
	}
	return b.String()
}

// TestDocument: the table that people read is the one that counts.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", documentFile)
	}
	want := document()
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s has another table than table.go:\n%s", documentFile, want)
		return
	}
	if err := os.WriteFile(documentFile, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestHandlers: each request of the table has a handler, and nothing else has one.
func TestHandlers(t *testing.T) {
	for m := range requests {
		if (requests[m].from != 0) != (handlers[m] != nil) {
			t.Errorf("%s: in the table %v, handler %v", ipc.Method(m), requests[m].from != 0, handlers[m] != nil)
		}
	}
}
