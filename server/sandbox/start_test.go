package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestStartLeavesNothing sees that the process which starts a gate stays what it is.
func TestStartLeavesNothing(t *testing.T) {
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	bounding := statuses(t, os.Getpid())[0]["CapBnd"]
	for range 5 {
		p := (&child{Name: "gate", Gate: gateConfig()}).start(t)
		line(t, p.stdout)
		p.end(t)
	}
	if now, err := os.Getwd(); err != nil || now != before {
		t.Errorf("the working directory is %s, %v", now, err)
	}
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Error(err)
	}
	// The threads end a little after what they did.
	deadline := time.Now().Add(patience)
	for {
		left := 0
		for _, s := range statuses(t, os.Getpid()) {
			if s["NoNewPrivs"] != "0" || s["CapBnd"] != bounding {
				left++
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d threads have lost rights", left)
		}
		runtime.Gosched()
	}
}

// TestStartWithoutUnshare is a container that forbids it. The test's directory is
// not everybody's to enter, where / is.
func TestStartWithoutUnshare(t *testing.T) {
	needRoot(t)
	for _, dir := range []string{"/", "/proc/sys/kernel"} {
		t.Run(dir, func(t *testing.T) {
			t.Chdir(dir)
			cfg := gateConfig()
			cfg.fault = func(step string) error {
				if step == "unshare" {
					return errors.New("made to fail")
				}
				return nil
			}
			p := (&child{Name: "gate", Gate: cfg}).start(t)
			checkMissing(t, line(t, p.stdout), missingHere())
			for _, link := range []string{"root", "cwd"} {
				if name, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", p.pid, link)); err != nil || !strings.HasSuffix(name, " (deleted)") {
					t.Errorf("%s -> %q, %v", link, name, err)
				}
			}
			p.end(t)
		})
	}
}

// TestStatic runs the tests of the gate in a static program: there Start takes the
// way that it takes in the server.
func TestStatic(t *testing.T) {
	if static() {
		t.Skip("this is one")
	}
	if testing.Short() {
		t.Skip("builds a program")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	name := filepath.Join(t.TempDir(), "static.test")
	build := exec.Command(tool, "test", "-c", "-o", name, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("go test -c: %v\n%s", err, out)
	}
	out, err := exec.Command(name, "-test.run=Gate|Start|Title", "-test.v").CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: TestGate") < 4 {
		t.Errorf("%v\n%s", err, out)
	}
}
