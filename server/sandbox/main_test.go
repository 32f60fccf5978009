package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	_ "os/user" // with cgo: the C library starts the threads, as in the server
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv has the tests' binary do something else than testing: the name of one
// of children, and its configuration.
const childEnv = "NANO_SSH_SERVER_SANDBOX_CHILD"

// patience is how long a child may take.
const patience = 30 * time.Second

// child is what a child is told to do.
type child struct {
	Name    string
	Attempt string
	Gate    GateConfig
	Faults  []string
	Account AccountConfig
}

var children = map[string]func(*child){
	"gate": runTaken, "outside": runOutside, "account": runAccount, "identity": runIdentity, "title": runTitle,
}

func TestMain(m *testing.M) {
	text, ok := os.LookupEnv(childEnv)
	if !ok {
		os.Exit(m.Run())
	}
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	// Whatever this one starts must not take the orders for its own.
	_ = os.Unsetenv(childEnv)
	children[c.Name](&c)
	os.Exit(0)
}

// environment has a child find its orders.
func (c *child) environment() []string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return []string{childEnv + "=" + string(text), "GORACE=atexit_sleep_ms=0", "GOTRACEBACK=none"}
}

// proc is a child that is there.
type proc struct {
	pid    int
	stdin  *os.File
	stdout *os.File // and its stderr
	ended  bool
}

// start starts a child, a gate with Start. It ends at the latest with the test.
// files are its descriptors from 3 on.
func (c *child) start(t *testing.T, files ...*os.File) *proc {
	t.Helper()
	in, stdin, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	stdout, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	attr := &syscall.ProcAttr{Env: c.environment(), Files: []uintptr{in.Fd(), out.Fd(), out.Fd()}}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	p := &proc{stdin: stdin, stdout: stdout}
	argv := []string{"nano_ssh_server-" + c.Name, strings.Repeat(" ", 100)}
	if c.Name == "gate" {
		p.pid, err = Start(&c.Gate, argv, attr)
	} else {
		p.pid, err = syscall.ForkExec("/proc/self/exe", argv, attr)
	}
	if err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(patience, func() { _ = stdout.SetReadDeadline(time.Now()) })
	t.Cleanup(func() {
		watchdog.Stop()
		if !p.ended {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
			p.wait(t)
		}
		stdin.Close()
		stdout.Close()
	})
	return p
}

func (p *proc) wait(t *testing.T) syscall.WaitStatus {
	t.Helper()
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		p.ended = true
		return status
	}
}

// end lets a child go on after its first line, and returns what else it wrote.
func (p *proc) end(t *testing.T) (output string, status syscall.WaitStatus) {
	t.Helper()
	p.stdin.Close()
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatalf("after %q: %v", rest, err)
	}
	return string(rest), p.wait(t)
}

// pause tells the parent something and waits until it says to go on.
func pause(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// line reads one line of a child's.
func line(t *testing.T, r io.Reader) string {
	t.Helper()
	var text []byte
	var b [1]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
		if b[0] == '\n' {
			return string(text)
		}
		text = append(text, b[0])
	}
}

// statuses returns the status files of a process's threads, by field.
func statuses(t *testing.T, pid int) []map[string]string {
	t.Helper()
	folder := "/proc/" + strconv.Itoa(pid) + "/task/"
	tasks, err := os.ReadDir(folder)
	if err != nil {
		t.Skipf("no threads in /proc: %v", err)
	}
	var all []map[string]string
	for _, task := range tasks {
		text, err := os.ReadFile(folder + task.Name() + "/status")
		if err != nil {
			continue // it ended
		}
		fields := map[string]string{}
		for l := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(l), ":")
			fields[name] = strings.Join(strings.Fields(value), " ")
		}
		all = append(all, fields)
	}
	return all
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
}
