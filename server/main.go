// Command nano_ssh_server is the whole server side of SSH in one file. This
// file picks the role of the process by the name it was started under; roles.go
// joins the roles of the one-process mode.
package main

import (
	"os"

	"nano_ssh_server/server/listener"
)

func main() {
	os.Exit(listener.Run(os.Args, serve))
}
