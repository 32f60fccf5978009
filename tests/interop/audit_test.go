package interop

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

// newer are the algorithms that ssh-audit 2.5 does not know, or holds to be an experiment,
// because it is older than they are.
var newer = map[string][]string{
	"using experimental algorithm": {"sntrup761x25519-sha512@openssh.com"},
	"unknown algorithm":            {"mlkem768x25519-sha256", "sntrup761x25519-sha512", "kex-strict-s-v00@openssh.com"},
}

// TestAudit: ssh-audit has nothing to say against the defaults.
func TestAudit(t *testing.T) {
	t.Parallel()
	program := harness.Program(t, "ssh-audit")
	s := harness.Start(t, harness.Options{})
	// Its exit status counts the warnings of newer, too.
	out, _ := exec.Command(program, "-n", "-p", strconv.Itoa(s.Port), "127.0.0.1").CombinedOutput()
	entry := regexp.MustCompile(`^\((\w+)\) (\S+)\s+-- |^\s+.- `)
	finding := regexp.MustCompile(`\[(fail|warn)\] (.*)$`)
	name, kinds := "", map[string]int{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, " \n")
		if found := entry.FindStringSubmatch(line); found != nil && found[1] != "" {
			name = found[2]
			kinds[found[1]]++
		}
		if found := finding.FindStringSubmatch(line); found != nil && !slices.Contains(newer[found[2]], name) {
			t.Errorf("%s: %s", name, found[0])
		}
	}
	for _, kind := range []string{"kex", "key", "enc", "mac"} {
		if kinds[kind] == 0 {
			t.Errorf("no algorithms of kind %s in\n%s", kind, out)
		}
	}
}
