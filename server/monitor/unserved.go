package monitor

// unserved names a keyword that is set, that this version does not honour, and
// that would let somebody in, or further in, if it were passed over in silence. Such
// a login is refused: a restriction is never dropped.
func (c *Connection) unserved() string {
	if set(c.cfg.ChrootDirectory) && !c.shared.Chroots {
		return "ChrootDirectory"
	}
	return ""
}

func set(path string) bool { return path != "" && path != "none" }
