package auth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nano_ssh_server/server/host/user"
)

// maxPath is PATH_MAX of Linux.
const maxPath = 4096

// ExpandPath replaces the tokens of AuthorizedKeysFile and its kin: %h by the
// home, %u by the name, %U by the user id, %% by a percent sign. A path that does
// not start with a slash is one below the home. The error is sshd's line.
func ExpandPath(pattern string, a *user.Account) (string, error) {
	homeless := !strings.HasPrefix(a.Home, "/")
	// Without a home, ".ssh/authorized_keys" would be a file below the root.
	noHome := fmt.Errorf("expand_authorized_keys: home of %.100s is not an absolute path", a.Name)
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			b.WriteByte(pattern[i])
			continue
		}
		i++
		if i == len(pattern) {
			return "", fmt.Errorf("percent_expand: NULL pattern in \"%.100s\"", pattern)
		}
		switch pattern[i] {
		case '%':
			b.WriteByte('%')
		case 'h':
			if homeless {
				return "", noHome
			}
			b.WriteString(a.Home)
		case 'u':
			b.WriteString(a.Name)
		case 'U':
			b.WriteString(strconv.FormatUint(uint64(a.UID), 10))
		default:
			return "", fmt.Errorf("percent_expand: unknown key %%%c", pattern[i])
		}
	}
	path := b.String()
	if !strings.HasPrefix(path, "/") {
		if homeless {
			return "", noHome
		}
		path = a.Home + "/" + path
	}
	if len(path) >= maxPath {
		return "", errors.New("expand_authorized_keys: path too long")
	}
	return path, nil
}
