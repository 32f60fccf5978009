package config

import (
	"fmt"
	"strings"
)

// Expand replaces the percent tokens of text: %% is a percent sign, %x is
// tokens['x']. A token that tokens lacks, and a percent sign at the end, are
// errors. Values are inserted as they are, without any quoting.
func Expand(text string, tokens map[byte]string) (string, error) {
	if strings.IndexByte(text, '%') < 0 {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i == len(text) {
			return "", fmt.Errorf("missing token in string %q", text)
		}
		value, known := tokens[text[i]]
		switch {
		case text[i] == '%':
			b.WriteByte('%')
		case known:
			b.WriteString(value)
		default:
			return "", fmt.Errorf("unknown key %%%c", text[i])
		}
	}
	return b.String(), nil
}

// SplitCommand splits a command line of AuthorizedKeysCommand or
// AuthorizedPrincipalsCommand into program and arguments by the quoting rules
// of sshd_config(5). ok is false if a quote does not end. Tokens are expanded
// afterwards, word by word, so that a value cannot become two words.
func SplitCommand(commandLine string) (words []string, ok bool) { return splitWords(commandLine) }
