package forward

import (
	"net"
	"strconv"
	"strings"

	"nano_ssh_server/server/host/config"
)

// socketPort stands for the port of a local socket where targets are compared, as
// in sshd: a rule that permits any port permits it, no other does.
const socketPort = -2

// rule permits a host and port. Port 0 is any.
type rule struct {
	host string
	port int
}

// nothing matches no target: no port is negative but socketPort.
var nothing = rule{port: -1}

// rules are those of the key's options and of the configuration: both must allow
// what is asked, and an empty list allows anything.
type rules struct{ user, admin []rule }

func keyRules(permits []Permit) []rule {
	var list []rule
	for _, p := range permits {
		list = append(list, rule{p.Host, int(p.Port)})
	}
	return list
}

// configRules reads PermitOpen or PermitListen. The configuration was checked when
// it was read: what is wrong all the same permits nothing.
func configRules(values []string) []rule {
	if len(values) == 1 && values[0] == "any" {
		return nil
	}
	var list []rule
	for _, v := range values {
		list = append(list, configRule(v))
	}
	return list
}

func configRule(s string) rule {
	host, port, found := strings.Cut(s, ":")
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, port, found = strings.Cut(inner, "]:")
	}
	if !found {
		return nothing // "none"
	}
	if port == "*" {
		return rule{host, 0}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		service, err := net.LookupPort("tcp", port)
		if err != nil {
			return nothing
		}
		n = uint64(service)
	}
	if n == 0 {
		return nothing
	}
	return rule{host, int(n)}
}

// permits reports whether both lists have a rule that match accepts.
func (r rules) permits(match func(rule) bool) bool {
	has := func(list []rule) bool {
		for _, x := range list {
			if match(x) {
				return true
			}
		}
		return len(list) == 0
	}
	return has(r.user) && has(r.admin)
}

// mayOpen compares hosts as the client wrote them, as sshd does: a name and its
// address are two hosts.
func (s *Server) mayOpen(host string, port int) bool {
	return s.open.permits(func(r rule) bool {
		return (r.port == 0 || r.port == port) && (r.host == "*" || r.host == host)
	})
}

// mayListen compares the address that the client asked for; rules may be patterns.
func (s *Server) mayListen(address string, port int) bool {
	address = strings.ToLower(address)
	return s.listen.permits(func(r rule) bool {
		return (r.port == 0 || r.port == port) && config.MatchPattern(address, r.host)
	})
}

// allowed reports whether a direction is open at all.
func (s *Server) allowed(direction, kind config.Forwarding) bool {
	if s.foreign {
		s.log.Errorf("forwarding refused: this process is not the user's")
		return false
	}
	return !s.policy.DisableForwarding && s.policy.PortForwarding && kind&direction != 0
}

// allowedTCP reports whether AllowTcpForwarding opens a direction. Local sockets need
// its leave too: that is how sshd works, whatever its manual says.
func (s *Server) allowedTCP(direction config.Forwarding) bool {
	return s.policy.AllowTCP&direction != 0
}
