package algo

import "strings"

// MaxPattern is the length at which a pattern in a list ends the search
// without a match, as in OpenSSH, whose configurations rely on no longer ones.
const MaxPattern = 1023

// MatchPattern tells whether pattern matches all of s. In the pattern "*" stands
// for any number of bytes and "?" for exactly one (PATTERNS in ssh_config(5)).
// Its time is at most the product of the lengths: it goes back to the last "*"
// only, whatever a peer put into s.
func MatchPattern(s, pattern string) bool {
	i, p := 0, 0
	star, resume := -1, 0 // place after the last "*", and where in s it is tried from
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			star, resume = p, i
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			resume++
			p, i = star, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// MatchPatternList compares s with patterns separated by commas, each of which
// may begin with "!" for negation. It returns 1 if a pattern matches and no
// negated one does, -1 if a negated one matches (wherever it stands), 0 if
// nothing matches. A list of negated patterns alone never returns 1.
func MatchPatternList(s, list string) int {
	result := 0
	for list != "" {
		negated := list[0] == '!'
		if negated {
			list = list[1:]
		}
		pattern, rest, _ := strings.Cut(list, ",")
		if len(pattern) >= MaxPattern {
			return 0
		}
		list = rest
		if MatchPattern(s, pattern) {
			if negated {
				return -1
			}
			result = 1
		}
	}
	return result
}
