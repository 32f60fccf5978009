package config

import (
	"fmt"
	"strings"
)

// authMethods are the names that AuthenticationMethods knows.
var authMethods = []string{"none", "publickey", "gssapi-with-mic", "password", "keyboard-interactive", "hostbased"}

// check looks at what only the whole configuration shows. The texts are sshd's.
func (c *Config) check() error {
	if c.AuthorizedKeysCommand != "" && c.AuthorizedKeysCommandUser == "" {
		return &detail{"AuthorizedKeysCommand set without AuthorizedKeysCommandUser"}
	}
	if c.AuthorizedPrincipalsCommand != "" && c.AuthorizedPrincipalsCommandUser == "" {
		return &detail{"AuthorizedPrincipalsCommand set without AuthorizedPrincipalsCommandUser"}
	}
	return c.checkMethods()
}

// checkMethods wants one list of AuthenticationMethods of which every method is on.
func (c *Config) checkMethods() error {
	if len(c.AuthenticationMethods) == 0 {
		return nil
	}
	var texts []string
	for _, list := range c.AuthenticationMethods {
		disabled := ""
		for _, method := range strings.Split(list, ",") {
			name, _, _ := strings.Cut(method, ":")
			if !c.MethodEnabled(name) {
				disabled = name
				break
			}
		}
		if disabled == "" {
			return nil
		}
		texts = append(texts, fmt.Sprintf("Disabled method \"%s\" in AuthenticationMethods list \"%s\"", disabled, list))
	}
	texts = append(texts, "AuthenticationMethods cannot be satisfied by enabled authentication methods")
	return &detail{strings.Join(texts, "\n")}
}

// MethodEnabled reports whether an authentication method is switched on. `none`
// always is; whether it lets anybody in is PermitEmptyPasswords' business.
func (c *Config) MethodEnabled(method string) bool {
	switch method {
	case "none":
		return true
	case "publickey":
		return c.PubkeyAuthentication
	case "password":
		return c.PasswordAuthentication
	case "keyboard-interactive":
		return c.KbdInteractiveAuthentication
	case "hostbased":
		return c.HostbasedAuthentication
	}
	return false
}

// checkMethodList checks one comma list of AuthenticationMethods for its names.
func checkMethodList(list string) error {
	if list == "" {
		return &detail{"empty authentication method list"}
	}
	for _, method := range strings.Split(list, ",") {
		name, _, _ := strings.Cut(method, ":")
		known := false
		for _, m := range authMethods {
			known = known || m == name
		}
		if !known {
			return &detail{fmt.Sprintf("Unknown authentication method \"%s\" in list", name)}
		}
	}
	return nil
}
