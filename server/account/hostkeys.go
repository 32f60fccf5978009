package account

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"

	"nano_ssh_server/server/ipc"
	"nano_ssh_server/server/proto/connection"
	"nano_ssh_server/server/service/forward"
)

// announceHostKeys tells the client all host keys, so that it learns new ones before
// the old are gone (OpenSSH PROTOCOL 2.5).
func (c *Config) announceHostKeys(mux *connection.Mux) {
	var blobs [][]byte
	for _, k := range c.Announced {
		blobs = append(blobs, k.Blob)
	}
	if len(blobs) > 0 {
		_, _, _ = mux.SendGlobal(forward.HostKeysRequest, false, forward.HostKeysAnnouncement(blobs))
	}
}

var errUnknownKey = errors.New("not a host key of this server")

// prove answers a client that wants to know that the server has these keys.
func (c *Config) prove(g *connection.GlobalRequest, sessionID []byte) {
	reply, ok := forward.HostKeysProve(g.Payload, sessionID, func(blob, _ []byte) ([]byte, error) {
		// The monitor makes the data by itself: it signs nothing that it is given.
		i := slices.IndexFunc(c.Announced, func(k ipc.HostKey) bool { return bytes.Equal(k.Blob, blob) })
		if i < 0 {
			return nil, errUnknownKey
		}
		return c.Prove(c.Announced[i].Algorithm, blob)
	})
	g.Reply(ok, reply)
}

// exposeAuthInfo writes the file that SSH_USER_AUTH names: how the user got in, a
// method a line. It returns the name, "" if there is no file.
func (c *Config) exposeAuthInfo() string {
	if len(c.AuthInfo) == 0 {
		return ""
	}
	f, err := os.CreateTemp("/tmp", "sshauth.*") // mode 0600, as sshd's
	if err != nil {
		c.Log.Error("ExposeAuthInfo: %v", err)
		return ""
	}
	_, err = f.WriteString(strings.Join(c.AuthInfo, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		c.Log.Error("ExposeAuthInfo: %v", err)
		os.Remove(f.Name())
		return ""
	}
	policy := *c.Session
	policy.AuthInfoFile = f.Name()
	c.Session = &policy
	return f.Name()
}
