package config

import (
	"fmt"
	"strings"
)

// blanks separate the keyword from its arguments. A form feed counts only at
// the end of a line, as in sshd.
const blanks = " \t\r\n"

// splitKeyword takes the keyword off the front of a line. Keyword and
// arguments are separated by blanks, by one '=', or by both; the keyword may be
// quoted. ok is false for an empty line and a comment; unbalanced means that a
// quote in the keyword does not end.
func splitKeyword(line string) (keyword, rest string, ok, unbalanced bool) {
	if i := strings.IndexByte(line, 0); i >= 0 {
		line = line[:i] // C strings end here
	}
	line = strings.TrimRight(line, blanks+"\f")
	for range 2 { // a leading blank or '=' gives one empty word
		keyword, rest, unbalanced = cutWord(line)
		if unbalanced {
			return "", "", false, true
		}
		if keyword != "" {
			break
		}
		line = rest
	}
	if keyword == "" || keyword[0] == '#' {
		return "", "", false, false
	}
	return keyword, rest, true, false
}

// cutWord returns the first word of s and what follows its separator.
func cutWord(s string) (word, rest string, unbalanced bool) {
	i := strings.IndexAny(s, blanks+`"=`)
	if i < 0 {
		return s, "", false
	}
	if s[i] == '"' {
		word, rest, found := strings.Cut(s[i+1:], `"`)
		if !found {
			return "", "", true
		}
		return s[:i] + word, strings.TrimLeft(rest, blanks), false
	}
	rest = strings.TrimLeft(s[i+1:], blanks)
	if s[i] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	return s[:i], rest, false
}

// splitWords splits arguments as sshd does: words are separated by spaces and
// tabs; single and double quotes may start and end anywhere in a word; a
// backslash keeps the next character if that is a quote, a backslash or,
// outside quotes, a space. A word that starts with '#' ends the list. ok is
// false if a quote does not end.
func splitWords(s string) (words []string, ok bool) {
	for i := 0; ; {
		for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
			i++
		}
		if i == len(s) || s[i] == '#' {
			return words, true
		}
		var word []byte
		var quote byte
	word:
		for ; i < len(s); i++ {
			c := s[i]
			switch {
			case c == '\\':
				if i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' ') {
					i++
				}
				word = append(word, s[i])
			case quote == 0 && (c == ' ' || c == '\t'):
				break word
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word = append(word, c)
			}
		}
		if quote != 0 {
			return nil, false
		}
		words = append(words, string(word))
	}
}

// quoteWord writes s so that splitWords gives s back as one word.
func quoteWord(s string) string {
	if s != "" && s[0] != '#' && !strings.ContainsAny(s, " \t'\"\\") {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(`'"\`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// joinWords is the inverse of splitWords.
func joinWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteWord(w)
	}
	return strings.Join(quoted, " ")
}

// line is one line while its arguments are taken.
type line struct {
	file    string
	number  int
	keyword string // as written
	text    string // everything after the keyword
	words   []string
	unset   bool // the arguments are only a comment: the line sets nothing
	notices *[]Notice
	profile *Profile // nil: sshd's
}

// next takes the next argument; "" if there is none or it is empty.
func (l *line) next() string {
	if len(l.words) == 0 {
		return ""
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

// rest takes all arguments that are left.
func (l *line) rest() []string {
	w := l.words
	l.words = nil
	return w
}

// remainder takes the whole text after the keyword, unsplit.
func (l *line) remainder() string {
	l.words = nil
	return l.text
}

// errorf makes an error of this line.
func (l *line) errorf(format string, args ...any) error {
	return l.problem(fmt.Sprintf("%s line %d: ", l.file, l.number) + fmt.Sprintf(format, args...))
}

// countf is errorf for a problem that sshd counts.
func (l *line) countf(format string, args ...any) error {
	p := l.problem(fmt.Sprintf("%s line %d: ", l.file, l.number) + fmt.Sprintf(format, args...))
	p.counted = true
	return p
}

// problem makes an error of this line from its whole text.
func (l *line) problem(text string) *Problem {
	return &Problem{File: l.file, Line: l.number, Text: text}
}

// notice records a remark that sshd logs at INFO, debug one for DEBUG1.
func (l *line) notice(text string) { l.remark(text, false) }
func (l *line) debug(text string)  { l.remark(text, true) }

func (l *line) remark(text string, debug bool) {
	if l.notices != nil {
		*l.notices = append(*l.notices, Notice{fmt.Sprintf("%s line %d: %s", l.file, l.number, text), debug})
	}
}
