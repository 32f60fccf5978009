package auth

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestManual wants an entry of the manual page for every option of authorized_keys, and
// no other entries.
func TestManual(t *testing.T) {
	const name = "../../../man/nano_ssh_server.8"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n.Sh AUTHORIZED_KEYS\n")
	text, _, _ = strings.Cut(text, "\n.Sh ")
	var written []string
	for line := range strings.Lines(text) {
		head, item := strings.CutPrefix(line, ".It Cm ")
		if !item {
			continue
		}
		// .It Cm no-pty , no-user-rc, or .It Cm from= Ns Qq Ar patterns
		for words := strings.Fields(head); len(words) > 0; words = words[2:] {
			option, _, _ := strings.Cut(words[0], "=")
			written = append(written, strings.ToLower(option))
			if len(words) < 2 || words[1] != "," {
				break
			}
		}
	}
	known := []string{"command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"}
	for option, f := range flags {
		known = append(known, option)
		if f.negatable {
			known = append(known, "no-"+option)
		}
	}
	for _, option := range known {
		if !slices.Contains(written, option) {
			t.Errorf("%s has no entry \".It Cm %s\"", name, option)
		}
	}
	for _, option := range written {
		if !slices.Contains(known, option) {
			t.Errorf("%s has an entry for %s, which is no option", name, option)
		}
	}
}
