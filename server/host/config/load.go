package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"nano_ssh_server/server/proto/algo"
)

// Options say what to load. The zero value with a Profile loads no file.
type Options struct {
	Path      string   // configuration file; "" or "none": no file
	Profile   Profile  // the defaults
	Overrides []string // -o: lines that come before the file
	Ports     []string // -p: Port lines of the file are then ignored
	Settings  []Setting
}

// Setting is a value of a command-line flag: -h gives HostKey, -c
// HostCertificate, -g LoginGraceTime, -4 and -6 AddressFamily, -d and -q
// LogLevel. Unlike an override it is not split into words.
type Setting struct{ Keyword, Value string }

// File is a configuration that was read and found without fault. It is
// read-only after Load; Resolve may be called from several goroutines.
type File struct {
	base    Config
	profile Profile
	entries []entry // every line below a Match, in order
	notices []Notice
	origin  map[*keyword]string // where the global value of a keyword stands
}

// entry is a line below a Match, kept for Resolve.
type entry struct {
	when *condition
	key  *keyword
	line line
}

// Notice is a remark on a line that is no error; sshd logs it at level INFO,
// or at DEBUG1 if Debug is set.
type Notice struct {
	Text  string
	Debug bool
}

// Problem is one broken line. Error gives what sshd prints, in one or more
// lines separated by newlines.
type Problem struct {
	File string
	Line int
	Text string
	mild bool // sshd's exit status is 1, see ExitStatus
	// counted: sshd goes on after it and counts it in its last line; at any
	// other problem it stops.
	counted bool
}

func (p *Problem) Error() string { return p.Text }

// Errors are all problems of one load, in the order of the file; each belongs
// in the log at level ERROR. sshd exits with status 255 after them, with 1
// after a fault of the command line or a file that it cannot read.
type Errors []*Problem

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, p := range e {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}

// ExitStatus is what sshd exits with after these problems: 255, or 1 if there is
// only a file that cannot be read, or a line of -o that sshd merely counts.
func (e Errors) ExitStatus() int {
	for _, p := range e {
		if !p.mild {
			return 255
		}
	}
	return 1
}

// detail is an error of which sshd prints the text only, without file and line.
type detail struct{ text string }

func (d *detail) Error() string { return d.text }

// commandLineName stands for the file name of lines given with -o.
const commandLineName = "command-line"

// loader is the state of one Load.
type loader struct {
	file     *File
	ports    bool // Port lines are ignored
	problems Errors
	// The Match that the current line is below: nil outside, and whether its
	// lines count as global ones, which only those below `Match all` do.
	when   *condition
	global bool
	stop   bool // Include went too deep: nothing more is read
	// The same of the Include line that brought the current file.
	outer       *condition
	outerGlobal bool
}

func newLoader(p Profile) *loader {
	return &loader{file: &File{profile: p, origin: map[*keyword]string{}}, global: true, outerGlobal: true}
}

// isSet reports whether a keyword has its global value.
func (ld *loader) isSet(k *keyword) bool { return ld.file.origin[k] != "" }

// Load reads a configuration and everything it includes. The error is Errors.
func Load(o Options) (*File, error) {
	ld := newLoader(o.Profile)
	for _, p := range o.Ports {
		ld.port(p)
	}
	for _, s := range o.Settings {
		ld.setting(s)
	}
	for _, text := range o.Overrides {
		ld.line(commandLineName, 0, text, 0)
	}
	if len(ld.problems) == 0 && o.Path != "" && !strings.EqualFold(o.Path, "none") {
		if text, err := readFile(o.Path); err != nil {
			ld.problem(err)
		} else {
			ld.text(o.Path, text, 0)
			if slices.ContainsFunc(ld.problems, func(p *Problem) bool { return p.counted }) {
				ld.problem(&detail{fmt.Sprintf("%s: terminating, %d bad configuration options", o.Path, len(ld.problems))})
			}
		}
	}
	return ld.finish()
}

// Parse is Load for text in memory; name stands for its file name.
func Parse(name, text string, p Profile) (*File, error) {
	ld := newLoader(p)
	ld.text(name, text, 0)
	return ld.finish()
}

func (ld *loader) finish() (*File, error) {
	if len(ld.problems) > 0 {
		return nil, ld.problems
	}
	for i := range table {
		if k := &table[i]; !ld.isSet(k) {
			k.preset(&ld.file.base, &ld.file.profile)
		}
	}
	if err := ld.file.base.check(); err != nil {
		return nil, Errors{{Text: err.Error()}}
	}
	return ld.file, nil
}

// Base returns the configuration without Match blocks, for the listener.
func (f *File) Base() *Config {
	c := f.base
	return &c
}

// Origin returns where the global value of a keyword was given, or began to be,
// as FILE:LINE; "" for a default.
func (f *File) Origin(keyword string) string {
	row := lookup(strings.ToLower(keyword))
	if row == nil {
		return ""
	}
	return f.origin[row.key]
}

// PubkeyAlgorithms are what some login may use: PubkeyAcceptedAlgorithms, or everything
// if a Match block has that keyword. It is announced before anybody knows which block
// will apply, and a client does not try what is not announced.
func (f *File) PubkeyAlgorithms() []string {
	key := lookup("pubkeyacceptedalgorithms").key
	if slices.ContainsFunc(f.entries, func(e entry) bool { return e.key == key }) {
		return algo.AllPubkey
	}
	return f.base.PubkeyAcceptedAlgorithms
}

// Notices returns the remarks on deprecated, unsupported and ignored lines.
func (f *File) Notices() []Notice { return f.notices }

func (ld *loader) problem(err error) {
	var p *Problem
	if !errors.As(err, &p) {
		p = &Problem{Text: err.Error()}
	}
	if p.counted && p.File == commandLineName {
		p.mild = true
	}
	ld.problems = append(ld.problems, p)
}

// port handles -p.
func (ld *loader) port(text string) {
	n, ok := parsePort(text)
	if !ok {
		ld.problem(&detail{"Bad port number."})
		return
	}
	ld.ports = true
	ld.file.base.Port = append(ld.file.base.Port, n)
	ld.file.origin[lookup("port").key] = commandLineName + ":0"
}

// setting stores the value of a flag through its keyword.
func (ld *loader) setting(s Setting) {
	l := &line{file: commandLineName, keyword: s.Keyword, text: s.Value, words: []string{s.Value},
		notices: &ld.file.notices, profile: &ld.file.profile}
	row := lookup(strings.ToLower(s.Keyword))
	if row == nil {
		ld.problem(l.errorf("Bad configuration option: %s", s.Keyword))
		return
	}
	ld.apply(row, l)
}

// text reads all lines of one file.
func (ld *loader) text(name, text string, depth int) {
	for number := 1; text != "" && !ld.stop; number++ {
		var raw string
		raw, text, _ = strings.Cut(text, "\n")
		ld.line(name, number, raw, depth)
	}
}

// line reads one line and does what it says.
func (ld *loader) line(name string, number int, text string, depth int) {
	l := &line{file: name, number: number, notices: &ld.file.notices, profile: &ld.file.profile}
	keyword, rest, ok, unbalanced := splitKeyword(text)
	switch {
	case unbalanced:
		ld.problem(l.countf("invalid quotes"))
		return
	case !ok:
		return
	}
	l.keyword, l.text = keyword, rest
	if rest == "" {
		ld.problem(l.countf("no argument after keyword \"%s\"", keyword))
		return
	}
	row := lookup(strings.ToLower(keyword))
	if row == nil {
		p := l.problem(fmt.Sprintf("%s: line %d: Bad configuration option: %s", name, number, keyword))
		p.counted = true
		ld.problem(p)
		return
	}
	if l.words, ok = splitWords(rest); !ok {
		ld.problem(l.countf("invalid quotes"))
		return
	}
	switch row.key {
	case includeKeyword:
		ld.include(l, depth)
	case matchKeyword:
		ld.match(l)
	default:
		switch {
		case !ld.global && row.where == globalOnly:
			ld.problem(l.errorf("Directive '%s' is not allowed within a Match block", keyword))
			return
		case ld.when.onSession() && row.where != inSession:
			ld.problem(l.errorf("Directive '%s' is not allowed within a Match sessiontype or command block", keyword))
			return
		}
		ld.apply(row, l)
	}
}

// apply checks a line and stores its value where it counts.
func (ld *loader) apply(row *row, l *line) {
	k, kept := row.key, *l
	into := &Config{} // the line is checked even if it has no effect
	counts := ld.global && (k.list || !ld.isSet(k)) && !(ld.ports && k.name == "Port")
	if counts {
		into = &ld.file.base
	}
	if err := k.set(l, into); err != nil {
		ld.problem(err)
		return
	}
	if len(l.words) > 0 {
		ld.problem(l.countf("keyword %s extra arguments at end of line", l.keyword))
		return
	}
	if l.unset {
		return
	}
	if counts && !ld.isSet(k) {
		ld.file.origin[k] = fmt.Sprintf("%s:%d", l.file, l.number)
	}
	if ld.when != nil && row.where != globalOnly {
		kept.notices = nil // given once, by Load
		ld.file.entries = append(ld.file.entries, entry{ld.when, k, kept})
	}
}
