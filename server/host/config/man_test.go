package config

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// manualPage describes every keyword. Its entries end with
//
//	Default:
//	.Cm 2222 ;
//	as sshd
//	.Cm 22 ;
//	in
//	.Cm Match .
//
// of which all but the first two lines may be missing.
const manualPage = "../../../man/nano_ssh_server_config.5"

// manualEntry is one .It of a page.
type manualEntry struct {
	names []string
	lines []string
}

// manualEntries returns the entries of a section that begin with .It Cm.
func manualEntries(t *testing.T, section string) []manualEntry {
	t.Helper()
	page, err := os.ReadFile(manualPage)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\n.Sh "+section+"\n")
	if !found {
		t.Fatalf("%s: no section %s", manualPage, section)
	}
	text, _, _ = strings.Cut(text, "\n.Sh ")
	var entries []manualEntry
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		head, item := strings.CutPrefix(line, ".It Cm ")
		switch {
		case item:
			e := manualEntry{}
			for words := strings.Fields(head); len(words) > 0; words = words[2:] {
				e.names = append(e.names, words[0])
				if len(words) < 2 || words[1] != "," {
					break
				}
			}
			entries = append(entries, e)
		case len(entries) > 0:
			e := &entries[len(entries)-1]
			e.lines = append(e.lines, line)
		}
	}
	return entries
}

// manualDefaults is what the end of an entry says.
type manualDefaults struct {
	own, sshd []string // values, as a line of the configuration has them
	of        string   // the keyword whose default it is, too
	inMatch   bool
}

func (e *manualEntry) defaults() (d manualDefaults, found bool) {
	begin := -1
	for i, line := range e.lines {
		if strings.HasPrefix(line, "Default:") {
			begin = i
		}
	}
	if begin < 0 {
		return d, false
	}
	to := &d.own
	for i, line := range e.lines[begin:] {
		words := strings.Fields(line)
		before := e.lines[begin+max(i-1, 0)]
		switch {
		case strings.HasPrefix(line, "as sshd"):
			to = &d.sshd
		case words[0] != ".Cm" && words[0] != ".Pa":
		case before == "in":
			d.inMatch = words[1] == "Match"
		case before == "Default: that of":
			d.of = words[1]
		default:
			*to = append(*to, strings.Join(words[1:len(words)-1], " "))
		}
	}
	if d.sshd == nil && to == &d.own {
		d.sshd = d.own
	}
	return d, true
}

// TestManualNames wants an entry for every keyword, and no other entries.
func TestManualNames(t *testing.T) {
	known := []string{"Include", "Match"}
	for i := range table {
		known = append(known, table[i].name)
	}
	for _, a := range aliases {
		known = append(known, a.name)
	}
	var written []string
	for _, e := range manualEntries(t, "KEYWORDS") {
		written = append(written, e.names...)
	}
	compareNames(t, "keyword", known, written)

	var criteria, described []string
	for i := range matchKinds {
		criteria = append(criteria, matchKinds[i].name)
	}
	for _, e := range manualEntries(t, "MATCH") {
		described = append(described, e.names...)
	}
	compareNames(t, "criterion", criteria, described)
}

func compareNames(t *testing.T, what string, known, written []string) {
	t.Helper()
	for _, name := range known {
		if !slices.Contains(written, name) {
			t.Errorf("%s has no entry \".It Cm %s\" for the %s", manualPage, name, what)
		}
	}
	for i, name := range written {
		if !slices.Contains(known, name) || slices.Contains(written[:i], name) {
			t.Errorf("%s has an entry for %s, which is no %s, or a second one", manualPage, name, what)
		}
	}
}

// TestManualDefaults reads the defaults of the page as a configuration: that must come
// to what a keyword is without a line.
func TestManualDefaults(t *testing.T) {
	entries := map[string]manualDefaults{}
	for _, e := range manualEntries(t, "KEYWORDS") {
		if d, found := e.defaults(); found {
			entries[e.names[0]] = d
		}
	}
	const dir = "/etc/nano_ssh_server"
	for i := range table {
		k := &table[i]
		d, found := entries[k.name]
		if found != (k.dump != nil) {
			t.Errorf("%s: there is a default on the page: %v; in the dump: %v", k.name, found, k.dump != nil)
		}
		if !found {
			continue
		}
		if d.inMatch != (k.where >= inMatch) {
			t.Errorf("%s: \"in Match\" on the page: %v, in the table: %v", k.name, d.inMatch, k.where >= inMatch)
		}
		if d.of != "" {
			d.own, d.sshd = entries[d.of].own, entries[d.of].sshd
		}
		// A list may have no values, which is said in words.
		if len(d.own) == 0 && !k.list && k.name != "SetEnv" {
			t.Errorf("%s: no value", k.name)
		}
		compareDefault(t, k, NanoProfile(dir), d.own)
		compareDefault(t, k, SshdProfile(), d.sshd)
	}
}

func compareDefault(t *testing.T, k *keyword, p Profile, values []string) {
	t.Helper()
	preset, err := Parse("manual", "", p)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	switch {
	case k.list && len(values) > 0: // one a line
		text = k.name + " " + strings.Join(values, "\n"+k.name+" ")
	case len(values) > 0:
		text = k.name + " " + strings.Join(values, ",")
	}
	f, err := Parse("manual", text, p)
	if err != nil {
		t.Errorf("%q: %v", text, err)
		return
	}
	if fields := changedFields(preset.Base(), f.Base()); len(fields) > 0 {
		t.Errorf("%s: the default for port %d is not %q: %v", k.name, p.Port, values, fields)
	}
}
