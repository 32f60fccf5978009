// Command nano_ssh_server is the whole server side of SSH in one file. This
// file picks the role of the process by the name it was started under; roles.go
// has what each role is given.
package main

import (
	"os"
	"path/filepath"

	"nano_ssh_server/server/listener"
	"nano_ssh_server/server/sandbox"
)

// speed is the process's.
var speed *pace

func main() {
	speed = newPace(os.Getenv("GOMAXPROCS"))
	name := filepath.Base(os.Args[0])
	if run := roles[name]; run != nil {
		os.Exit(run(os.Args))
	}
	os.Exit(listener.Run(os.Args, serve, sandbox.Title, speed.set))
}
