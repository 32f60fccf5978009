package main

import (
	"fmt"
	"os"

	"nano_ssh_server/cgo/sodium"
	"nano_ssh_server/server/account"
	"nano_ssh_server/server/gate"
	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/listener"
	"nano_ssh_server/server/sandbox"
	"nano_ssh_server/server/service/scp"
	"nano_ssh_server/server/service/sftp"
)

// roles are the names that a process of the server is started under, beside the
// server's own.
var roles = map[string]func(args []string) int{
	listener.GateName:    runGate,
	listener.AccountName: runAccount,
	listener.KeeperName:  runKeeper,
	"sftp-server":        sftp.Main,
	"scp":                scp.Main,
}

// inherited is a role's link to the listener. Where there is none, somebody started
// the role by hand.
func inherited(run func(*ipc.Link) error) int {
	link, err := ipc.Inherited(listener.LinkFD)
	if err == nil {
		err = run(link)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runGate([]string) int {
	sandbox.Title("sshd: [gate]")
	return inherited(func(link *ipc.Link) error {
		return gate.Run(&gate.Process{Link: link, Confine: confine, Load: speed.set, Random: sodium.Random})
	})
}

func runAccount([]string) int {
	sandbox.Title("sshd: [account]")
	return inherited(func(link *ipc.Link) error {
		return account.Run(&account.Process{Link: link, Become: become, Title: sandbox.Title, Load: speed.set, Random: sodium.Random})
	})
}

func runKeeper(args []string) int { return listener.Keep(args, sandbox.Title) }

// serve runs one connection through gate and account in this process.
func serve(s *listener.Session) error {
	m := s.Monitor
	state, err := gate.Authenticate(s.Stream, &gate.Config{Transport: gate.TransportConfig(s.Gate, m, sodium.Random), Monitor: m})
	if err != nil {
		return err
	}
	s.Authenticated()
	if err := m.HandOver(); err != nil {
		return err
	}
	login := &account.Login{
		Grant: m.Plain(), Place: s.Place, HostKeys: m.HostKeys(), Announced: m.AnnouncedKeys(), State: state,
		Monitor: m, Random: sodium.Random, Change: s.Change,
	}
	return account.Serve(s.Stream, state, login.Config())
}
