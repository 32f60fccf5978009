// Package regress runs OpenSSH's own regression suite, as Debian's package openssh-tests
// has it, against the server. It wants root, the suite, and a runner that starts one test
// of it after the other against any sshd: ../shared/regress/run92 beside the project, or
// what NANO_REGRESS_RUNNER names. The runner takes the program, a folder and the names of
// tests, and leaves a line `pass|fail|skip NAME SECONDS TEXT` for each in FOLDER/results.txt.
//
// NANO_REGRESS says how much: quick (what a change has to pass) or all.
package regress

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// suite is where Debian has it.
const suite = "/usr/lib/openssh/regress"

// limit is for all tests together: the whole suite takes eleven minutes by itself.
const limit = 40 * time.Minute

// quick are tests of some seconds each.
var quick = strings.Fields(`connect proxy-connect connect-privsep connect-uri proto-version proto-mismatch exit-status envpass
	transfer banner dhgex yes-head login-timeout agent keyscan key-options scp3 sftp-chroot sftp-uri reconfigure dynamic-forward
	forwarding reexec brokenkeys cfgparse cfgmatch cfgmatchlisten addrmatch localcommand forcecommand portnum keytype kextype
	host-expand keys-command multipubkey limit-keytype hostkey-agent hostkey-rotate principals-command cert-file
	servcfginclude allow-deny-users authinfo knownhosts knownhosts-command hostbased putty-transfer putty-ciphers putty-kex`)

// slow are those that take half a minute or more.
var slow = strings.Fields(`rekey stderr-data stderr-after-eof try-ciphers multiplex percent cert-hostkey cert-userkey
	forward-control integrity agent-restrict channel-timeout connection-timeout conch-ciphers agent-pkcs11`)

// cannot pass, and why.
var cannot = map[string]string{
	"cert-userkey": "wants certificates without principals to be good for anybody, as they were in OpenSSH 9.2; here, as in today's, for nobody",
}

func TestSuite(t *testing.T) {
	var names []string
	switch how := os.Getenv("NANO_REGRESS"); how {
	case "quick":
		names = quick
	case "all":
		names = append(append(names, quick...), slow...)
	case "":
		t.Skip("NANO_REGRESS is neither quick nor all: make -f Makefile.musl regress")
	default:
		names = strings.Fields(how)
	}
	if os.Getuid() != 0 {
		t.Skip("the suite logs in as a user of its own: that takes root")
	}
	if _, err := os.Stat(suite); err != nil {
		t.Skip("the package openssh-tests is not installed")
	}
	runner := os.Getenv("NANO_REGRESS_RUNNER")
	if runner == "" {
		runner = "../../../shared/regress/run92"
	}
	if _, err := os.Stat(runner); err != nil {
		t.Skip("there is no runner of the suite: ", err)
	}
	for name, result := range run(t, runner, names) {
		t.Run(name, func(t *testing.T) {
			why, hopeless := cannot[name]
			switch {
			case result.outcome == "skip":
				t.Skip(result.text)
			case result.outcome == "pass" && hopeless:
				t.Error("it passes: take it out of the list of those that cannot")
			case result.outcome == "fail" && hopeless:
				t.Skip("fails as it must: it " + why)
			case result.outcome != "pass":
				t.Errorf("%s %s\n%s", result.outcome, result.text, result.log)
			}
		})
	}
}

// result is what came of a test.
type result struct{ outcome, text, log string }

// run runs tests side by side, one for each processor.
func run(t *testing.T, runner string, names []string) map[string]result {
	t.Helper()
	out := t.TempDir()
	program := binary(t)
	cmd := exec.Command(runner, append([]string{program, out}, names...)...)
	cmd.Env = append(os.Environ(), "JOBS="+strconv.Itoa(runtime.NumCPU()), "TIMEOUT=300")
	log, err := os.Create(filepath.Join(out, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// A file: daemons that a test leaves behind for a moment must not hold a pipe.
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	ended := cmd.Wait() // its status is in the results
	f, err := os.Open(filepath.Join(out, "results.txt"))
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("the runner: %v\n%s", ended, text)
	}
	defer f.Close()
	results := map[string]result{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.SplitN(lines.Text(), " ", 4)
		if len(words) < 3 || words[0] != "pass" && words[0] != "fail" && words[0] != "skip" {
			continue
		}
		r := result{outcome: words[0]}
		if len(words) == 4 {
			r.text = words[3]
		}
		if r.outcome == "fail" {
			text, _ := os.ReadFile(filepath.Join(out, words[1], "output.txt"))
			r.log = string(text[max(0, len(text)-4000):])
		}
		results[words[1]] = r
	}
	for _, name := range names {
		if _, ok := results[name]; !ok {
			t.Errorf("%s: no result (%v)", name, ended)
		}
	}
	return results
}

// binary is the server under the name sshd.
func binary(t *testing.T) string {
	t.Helper()
	given := os.Getenv("NANO_SSH_SERVER")
	if given == "" {
		t.Skip("NANO_SSH_SERVER does not name the server to test")
	}
	program, err := os.ReadFile(given)
	if err != nil {
		t.Fatal(err)
	}
	// Where the suite's user may start it.
	dir, err := os.MkdirTemp("", "regress")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sshd")
	if err = os.Chmod(dir, 0o755); err == nil {
		err = os.WriteFile(path, program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
