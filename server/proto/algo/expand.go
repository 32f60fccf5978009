package algo

import (
	"fmt"
	"slices"
	"strings"
)

// A ListError means that a list of algorithms in the configuration is not
// valid. Its text is sshd's, without file and line.
type ListError struct {
	Complaint string // for example "Bad SSH2 cipher spec"
	List      string // as it was written, with its prefix if Check found the error without one
}

func (e *ListError) Error() string { return fmt.Sprintf("%s '%s'.", e.Complaint, e.List) }

// Check tells whether a list may stand in the configuration: every name must
// exist, or match something where the family allows wildcards. Names after "-"
// are not looked at, so that a list may remove what this server never had. The
// error is a *ListError.
func (f *Family) Check(list string) error {
	if strings.HasPrefix(list, "-") {
		return nil
	}
	names := list
	if list != "" && (list[0] == '+' || list[0] == '^') {
		names = list[1:]
	}
	for name := range strings.SplitSeq(names, ",") {
		if !known(name, f.All, f.Wildcards) {
			return &ListError{f.Complaint, list}
		}
	}
	return nil
}

// Expand is Check, then the function Expand with the family's names.
func (f *Family) Expand(list string, defaults []string) ([]string, error) {
	if err := f.Check(list); err != nil {
		return nil, err
	}
	names, err := Expand(list, defaults, f.All)
	if err != nil {
		return nil, &ListError{f.Complaint, list}
	}
	return names, nil
}

func known(name string, all []string, wildcards bool) bool {
	if slices.Contains(all, name) {
		return true
	}
	if wildcards && name != "" {
		for _, candidate := range all {
			if MatchPatternList(candidate, name) != 0 {
				return true
			}
		}
	}
	return false
}

// Expand turns a list of the configuration into names. As sshd_config(5) says of
// Ciphers, a list replaces the defaults, or with a first character "+" is
// appended to them, with "-" is taken from them, with "^" is put before them.
// Names may hold wildcards, which stand for what they match in all. An empty
// list means the defaults. Names that are not in all vanish; a list of which
// nothing is left, and one with a negated pattern, is a *ListError.
func Expand(list string, defaults, all []string) ([]string, error) {
	if list == "" {
		return slices.Clone(defaults), nil
	}
	prefix, names := list[0], list
	if prefix == '+' || prefix == '-' || prefix == '^' {
		names = list[1:]
	}
	if prefix == '-' {
		left := slices.DeleteFunc(slices.Clone(defaults), func(name string) bool {
			return MatchPatternList(name, names) == 1
		})
		return left, emptyError(left, list)
	}
	var result []string
	add := func(name string) {
		if !slices.Contains(result, name) {
			result = append(result, name)
		}
	}
	addDefaults := func() {
		for _, name := range defaults {
			add(name)
		}
	}
	if prefix == '+' {
		addDefaults()
	}
	for pattern := range strings.SplitSeq(names, ",") {
		if strings.HasPrefix(pattern, "!") {
			return nil, &ListError{"Bad algorithm list", list}
		}
		for _, name := range all {
			if MatchPattern(name, pattern) {
				add(name)
			}
		}
	}
	if prefix == '^' {
		addDefaults()
	}
	return result, emptyError(result, list)
}

// emptyError complains about a list of which no name is left: a server that can
// agree on nothing helps nobody.
func emptyError(names []string, list string) error {
	if len(names) == 0 {
		return &ListError{"Bad algorithm list", list}
	}
	return nil
}
