package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nano_ssh_server/server/proto/algo"
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
	// KexAlgorithms and MACs are the defaults of these, which + - and ^ change; nil: sshd's.
	KexAlgorithms, MACs []string
}

func (p *Profile) algorithms(f *algo.Family) []string {
	if p != nil && f == algo.Kex && p.KexAlgorithms != nil {
		return p.KexAlgorithms
	}
	if p != nil && f == algo.MAC && p.MACs != nil {
		return p.MACs
	}
	return f.Default
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
// port 2222, no pid file, the sftp server that needs no program, one Ed25519 host key
// in dir, which NanoDir names. Of sshd's algorithms it has those that ssh-audit does
// not warn of: no NIST curves, no 64-bit tags, no MAC of plain text.
func NanoProfile(dir string) Profile {
	p := SshdProfile()
	p.Port = 2222
	p.Subsystem = []Subsystem{{"sftp", "internal-sftp"}}
	p.HostKey = []string{filepath.Join(dir, "ssh_host_ed25519_key")}
	p.PidFile = ""
	p.IncludeDir = ""
	p.KexAlgorithms = slices.DeleteFunc(slices.Clone(algo.DefaultKex), func(name string) bool { return strings.HasPrefix(name, "ecdh-") })
	p.MACs = []string{"umac-128-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"}
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
