package login

import "strings"

// Variables through which an environment takes over a program before the program
// has run its first own instruction, or a shell before it has read its command.
// Neither a client (AcceptEnv) nor a user's files and keys (PermitUserEnvironment) may
// set them, whatever the configuration says: behind a forced command they would be
// a shell. The administrator's SetEnv may. What an interpreter other than the
// shell reads (PYTHONPATH and the like) is left to AcceptEnv's patterns.
var (
	forbiddenPrefixes = []string{
		"LD_", "DYLD_", "_RLD", // the loader: glibc, musl, others
		"BASH_FUNC_", // functions that bash imports
	}
	forbiddenNames = map[string]bool{
		// The C library.
		"GLIBC_TUNABLES": true, "GCONV_PATH": true, "GETCONF_DIR": true, "NLSPATH": true, "LOCPATH": true,
		"HOSTALIASES": true, "LOCALDOMAIN": true, "RES_OPTIONS": true, "RESOLV_HOST_CONF": true,
		"MALLOC_TRACE": true, "LIBPATH": true, "SHLIB_PATH": true,
		// Shells: files they run, options, and how they split or expand a command.
		"ENV": true, "BASH_ENV": true, "SHELLOPTS": true, "BASHOPTS": true, "PS4": true, "IFS": true,
		"CDPATH": true, "GLOBIGNORE": true, "PROMPT_COMMAND": true, "ZDOTDIR": true, "FPATH": true,
		"NULLCMD": true, "READNULLCMD": true, "BASH_XTRACEFD": true, "KSH_ENV": true,
	}
)

// Forbidden reports whether nobody but the administrator may set a variable: by
// its name, or because its value is a shell function, which old shells run.
func Forbidden(name, value string) bool {
	if forbiddenNames[name] {
		return true
	}
	for _, p := range forbiddenPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return strings.HasPrefix(value, "()")
}
