package config

import (
	"os"
	"path/filepath"
)

// Profile is a set of defaults that depends on the name the server runs under.
type Profile struct {
	Port       int
	HostKey    []string // files
	PidFile    string
	ModuliFile string
	XAuth      string
	Subsystem  []Subsystem
	IncludeDir string // of relative Include patterns; "": the including file's
}

// SshdProfile returns the defaults of sshd(8) on Debian.
func SshdProfile() Profile {
	return Profile{
		Port: 22,
		HostKey: []string{
			"/etc/ssh/ssh_host_rsa_key",
			"/etc/ssh/ssh_host_ecdsa_key",
			"/etc/ssh/ssh_host_ed25519_key",
		},
		PidFile:    "/run/sshd.pid",
		ModuliFile: "/etc/ssh/moduli",
		XAuth:      "/usr/bin/xauth",
		IncludeDir: "/etc/ssh",
	}
}

// NanoProfile returns the defaults of nano_ssh_server without a configuration:
// port 2222, no pid file, the sftp server that needs no program, one Ed25519 host key in dir, which NanoDir names.
func NanoProfile(dir string) Profile {
	p := SshdProfile()
	p.Port = 2222
	p.Subsystem = []Subsystem{{"sftp", "internal-sftp"}}
	p.HostKey = []string{filepath.Join(dir, "ssh_host_ed25519_key")}
	p.PidFile = ""
	p.IncludeDir = ""
	return p
}

// NanoDir is where nano_ssh_server keeps its host key: /etc/nano_ssh_server for
// root, else nano_ssh_server below $XDG_STATE_HOME or ~/.local/state.
func NanoDir() string {
	const name = "nano_ssh_server"
	if os.Geteuid() == 0 {
		return "/etc/" + name
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, name)
	}
	home, err := lookupHome("")
	if err != nil || home == "" {
		home = "/"
	}
	return filepath.Join(home, ".local", "state", name)
}
