package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestNanobench runs nanobench's quickest rows against the project's binary: it
// starts, figures come, and they are such as can be.
func TestNanobench(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	server := os.Getenv("NANO_SSH_SERVER")
	if server == "" {
		t.Skip("NANO_SSH_SERVER does not name the server to measure")
	}
	dir := t.TempDir()
	program, out := filepath.Join(dir, "nanobench"), filepath.Join(dir, "out.json")
	build := exec.Command("go", "build", "-o", program, "./nanobench")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // the environment may be that of another libc
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	cmd := exec.Command(program, "-nano", server, "-servers", "nano", "-quick", "-repeat", "1", "-rows", "^(start|sftp-get-small|size)$", "-json", out)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
	}
	var result struct {
		Lines []struct {
			Row, What string
			Samples   map[string][]float64
		}
		Notes []any
	}
	written, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &result); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range result.Lines {
		v := l.Samples["nano"]
		if len(v) != 1 || !(v[0] > 0) {
			t.Errorf("%s, %s: %v", l.Row, l.What, v)
		}
		seen[l.Row+" "+l.What] = true
	}
	for _, want := range []string{"start to banner", "sftp-get-small CPU", "sftp-get-small wall", "size files"} {
		if !seen[want] {
			t.Errorf("no figure for %q\n%s", want, text)
		}
	}
	if !strings.Contains(string(text), "| sftp-get-small | wall | files/s ↑ |") {
		t.Errorf("no table:\n%s", text)
	}
}
