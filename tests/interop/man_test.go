package interop

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

// flagUsage finds the flags of a usage: "[-46D]", "[-C connection_spec]", "scp -t".
var flagUsage = regexp.MustCompile(`[ []-([0-9A-Za-z]+)`)

// TestManualFlags compares the usage of the server, and of the programs that it also is,
// with the entries of the manual page.
func TestManualFlags(t *testing.T) {
	harness.SkipPeer(t, "the page is this server's")
	binary := harness.Binary(t, "")
	for _, c := range []struct {
		section string // begins before the entries
		args    []string
		silent  string // flags that are accepted and not in the usage
	}{
		{".Sh OPTIONS\n", []string{"nano_ssh_server", "-?"}, "bkRr"},
		{".Ss Flags of sftp-server and internal-sftp\n", []string{"sftp-server", "-h"}, "c"},
		{".Ss Flags of scp\n", []string{"scp"}, ""},
	} {
		usage := usageOf(t, binary, c.args)
		known := strings.Split(c.silent, "")
		for _, m := range flagUsage.FindAllStringSubmatch(usage, -1) {
			known = append(known, strings.Split(m[1], "")...)
		}
		if len(known) < 5 {
			t.Errorf("%s: no flags in its usage: %q", c.args[0], usage)
		}
		written := flagEntries(t, c.section)
		for _, flag := range known {
			if flag != "" && !slices.Contains(written, flag) {
				t.Errorf("%s: the manual page has no entry \".It Fl %s\"", c.args[0], flag)
			}
		}
		for _, flag := range written {
			if !slices.Contains(known, flag) {
				t.Errorf("%s: the manual page has an entry for -%s, the usage does not", c.args[0], flag)
			}
		}
	}
}

// usageOf starts the program under a name and returns what it complains.
func usageOf(t *testing.T, binary string, args []string) string {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Args = args
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("%q: %v, %q", args, err, out)
	}
	_, usage, found := strings.Cut(string(out), "usage: ")
	if !found {
		t.Fatalf("%q: no usage: %q", args, out)
	}
	return usage
}

// flagEntries are the flags that a section of the page describes.
func flagEntries(t *testing.T, section string) (flags []string) {
	t.Helper()
	page, err := os.ReadFile("../../man/nano_ssh_server.8")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), section)
	text, _, _ = strings.Cut(text, "\n.S") // .Ss or .Sh
	for line := range strings.Lines(text) {
		if flag, found := strings.CutPrefix(line, ".It Fl "); found {
			flags = append(flags, strings.Fields(flag)[0])
		}
	}
	return flags
}
