package listener

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"nano_ssh_server/server/host/config"
)

// runDir is where root's server keeps what must not survive a restart of the machine.
const runDir = "/run/nano_ssh_server"

// linkPrograms makes a folder in which the name scp leads to this program, and returns
// it: sessions that run scp have it at the end of their search path, so that the old
// copy protocol works on hosts without that program. It returns "" where that cannot
// be done.
func linkPrograms() string {
	target, err := os.Executable()
	if err != nil {
		return ""
	}
	dir, mode := runDir, os.FileMode(0o755) // for all users, or for the only one
	if os.Geteuid() != 0 {
		dir, mode = config.NanoDir(), 0o700
	}
	// Another copy of the server has another folder.
	dir = filepath.Join(dir, fmt.Sprintf("bin-%08x", crc32.ChecksumIEEE([]byte(target))))
	if err := os.MkdirAll(dir, mode); err != nil {
		return ""
	}
	link := filepath.Join(dir, "scp")
	if old, err := os.Readlink(link); err == nil && old == target {
		return dir
	}
	// Renamed into place, so that nobody finds it missing meanwhile.
	made := link + ".new"
	_ = os.Remove(made)
	if os.Symlink(target, made) != nil || os.Rename(made, link) != nil {
		return ""
	}
	return dir
}
