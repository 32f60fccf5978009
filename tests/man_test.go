package tests

import (
	"os/exec"
	"path/filepath"
	"testing"

	"nano_ssh_server/tests/harness"
)

// TestManual has mandoc look for mistakes in the manual pages. That every keyword, flag
// and option is in them is tested where these are.
func TestManual(t *testing.T) {
	pages, err := filepath.Glob("../man/*.[1-9]")
	if err != nil || len(pages) < 2 {
		t.Fatalf("manual pages: %q, %v", pages, err)
	}
	mandoc := harness.Program(t, "mandoc")
	if out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}
