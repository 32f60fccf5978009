package monitor

import "nano_ssh_server/server/host/config"

// unserved names a keyword that is set, that this version does not honour, and
// that would let somebody in, or further in, if it were passed over in silence. Such
// a login is refused: a restriction is never dropped.
func unserved(c *config.Config) string {
	if set(c.ChrootDirectory) {
		return "ChrootDirectory"
	}
	return ""
}

func set(path string) bool { return path != "" && path != "none" }
