package main

import (
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/sandbox"
)

// confine makes this process the gate that the listener asks for.
func confine(c *ipc.Confinement) (missing []string, err error) {
	return sandbox.Gate(&sandbox.GateConfig{UID: c.UID, GID: c.GID, Dirs: c.Dirs, NoFile: uint64(c.Files)})
}

// become makes this process a user's.
func become(id *ipc.Identity) error {
	return sandbox.Account(&sandbox.AccountConfig{UID: id.UID, GID: id.GID, Groups: id.Groups, Chroot: id.Chroot})
}
