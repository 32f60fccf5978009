package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "record testdata anew, with the machine's /usr/sbin/sshd")

// The golden files compare this package with the real sshd, case by case.
//
//	testdata/cases.txt     a case a line: configuration@@arguments
//	testdata/openssh.txt   what OpenSSH 9.2 of Debian 12 says to each
//	testdata/ours.txt      what this package says where that differs, and nothing else
//
// $DIR stands for the folder of the configuration.
const (
	casesFile   = "testdata/cases.txt"
	opensshFile = "testdata/openssh.txt"
	oursFile    = "testdata/ours.txt"
)

// goldenFiles are what the cases include.
var goldenFiles = map[string]string{
	"inc1":          "AllowUsers z\n",
	"inc2":          "Port 3\n",
	"inc3":          "Banner i\nMatch user x\nBanner j\n",
	"inc4":          "Match user x\nBanner j\n",
	"incall":        "Match all\nPort 4\n",
	"self":          "Include $DIR/self\n",
	"incdir/b.conf": "Port 1\n",
	"incdir/a.conf": "Port 2\n",
}

func TestGolden(t *testing.T) {
	dir := t.TempDir()
	for name, text := range goldenFiles {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases, err := os.ReadFile(casesFile)
	if err != nil {
		t.Fatal(err)
	}
	theirs := readRecords(t, opensshFile)
	ours := readRecords(t, oursFile)
	var newTheirs, newOurs bytes.Buffer
	t.Chdir(dir)
	baseOurs := dumpOurs(t, filepath.Join(dir, "none"), nil)
	var baseTheirs []string
	if *update {
		baseTheirs, _, _ = runSshd(t, os.DevNull, "")
	}
	count, differ := 0, 0
	for _, line := range strings.Split(strings.TrimSuffix(string(cases), "\n"), "\n") {
		text, args, _ := strings.Cut(line, "@@")
		count++
		path := filepath.Join(dir, "sshd_config")
		text = strings.ReplaceAll(unescape(text), "$DIR", dir)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := recordOurs(t, path, args, baseOurs, dir)
		want := theirs[line]
		if *update {
			dump, stderr, code := runSshd(t, path, args)
			var diff []string
			if code == 0 {
				diff = diffLines(baseTheirs, dump)
			}
			want = formatRecord(code, stderr, diff, dir)
			fmt.Fprintf(&newTheirs, "### %s\n%s", line, want)
		}
		if got != want {
			differ++
			if *update {
				fmt.Fprintf(&newOurs, "### %s\n%s", line, got)
				continue
			}
			if other, ok := ours[line]; !ok || got != other {
				t.Errorf("case %s\ngot\n%ssshd\n%sexpected\n%s", line, got, want, other)
			}
		} else if _, ok := ours[line]; ok && !*update {
			t.Errorf("case %s is as sshd's now: take it out of %s", line, oursFile)
		}
	}
	t.Logf("%d cases, %d of them differ from sshd", count, differ)
	if *update {
		save(t, filepath.Join(sourceDir, opensshFile), newTheirs.Bytes())
		save(t, filepath.Join(sourceDir, oursFile), newOurs.Bytes())
	}
}

// sourceDir is the package's folder, where tests start.
var sourceDir, _ = os.Getwd()

func readRecords(t *testing.T, name string) map[string]string {
	records := map[string]string{}
	data, err := os.ReadFile(name)
	if err != nil {
		if *update {
			return records
		}
		t.Fatal(err)
	}
	for _, r := range strings.Split("\n"+string(data), "\n### ")[1:] {
		head, body, _ := strings.Cut(r, "\n")
		records[head] = strings.TrimSuffix(body, "\n") + "\n"
	}
	return records
}

func formatRecord(code int, messages, diff []string, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "exit %d\n", code)
	for _, line := range append(messages, diff...) {
		b.WriteString(strings.ReplaceAll(line, dir, "$DIR") + "\n")
	}
	return b.String()
}

// unescape undoes the escapes of the cases: \n \r \t \f \\.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\f`, "\f").Replace(s)
}

// diffLines lists the lines that only one side has.
func diffLines(a, b []string) []string {
	var out []string
	for _, l := range a {
		if !slices.Contains(b, l) {
			out = append(out, "< "+l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			out = append(out, "> "+l)
		}
	}
	return out
}

// dumpOurs gives the lines of -T.
func dumpOurs(t *testing.T, path string, f *File) []string {
	if f == nil {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if f, err = Load(Options{Path: path, Profile: SshdProfile()}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := f.Resolve(NewTestInfo())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Dump(&b, c); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// goldenArgs splits the arguments of a case as a shell would.
func goldenArgs(args string) []string {
	words, _ := splitWords(args)
	return words
}

func recordOurs(t *testing.T, path, args string, base []string, dir string) string {
	o := Options{Path: path, Profile: SshdProfile()}
	info := NewTestInfo()
	for words := goldenArgs(args); len(words) > 1; words = words[2:] {
		switch words[0] {
		case "-o":
			o.Overrides = append(o.Overrides, words[1])
		case "-p":
			o.Ports = append(o.Ports, words[1])
		case "-C":
			if err := info.AddSpec(words[1]); err != nil {
				return formatRecord(1, []string{err.Error()}, nil, dir)
			}
		}
	}
	if info.User == "root" {
		info.Groups = func() []string { return []string{"root"} }
	}
	f, err := Load(o)
	if err != nil {
		var list Errors
		if !errors.As(err, &list) {
			t.Fatalf("%s: error of type %T", args, err)
		}
		return formatRecord(list.ExitStatus(), strings.Split(err.Error(), "\n"), nil, dir)
	}
	var messages []string
	for _, n := range f.Notices() {
		if !n.Debug {
			messages = append(messages, n.Text)
		}
	}
	c, err := f.Resolve(info)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Dump(&b, c); err != nil {
		t.Fatal(err)
	}
	return formatRecord(0, messages, diffLines(base, strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")), dir)
}

// runSshd runs the real one.
func runSshd(t *testing.T, path, args string) (dump, messages []string, code int) {
	cmd := exec.Command("/usr/sbin/sshd", append([]string{"-T", "-f", path}, goldenArgs(args)...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	for _, line := range strings.Split(strings.ReplaceAll(errs.String(), "\r\n", "\n"), "\n") {
		// What sshd says of keys and agents is not the configuration's.
		if line != "" && !strings.HasPrefix(line, "Could not ") && !strings.Contains(line, ": Host key ") {
			messages = append(messages, line)
		}
	}
	if code != 0 {
		return nil, messages, code
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), messages, code
}

func save(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
