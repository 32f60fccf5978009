package config

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Dump writes every keyword with its value as sshd -T does: names in lower
// case, in sshd's order. Load accepts the output and gives the same Config.
// Host names of ListenAddress are looked up; one without an address stays as
// it is.
func Dump(w io.Writer, c *Config) error { return DumpOrigins(w, c, nil) }

// DumpOrigins is Dump with a comment before the lines of each keyword that says where
// its value comes from, unless origin is nil. It is not behind them: sshd takes commands
// to the very end of the line.
func DumpOrigins(w io.Writer, c *Config, origin func(keyword string) string) error {
	d := &dumper{}
	for i := range table {
		k := &table[i]
		if k.dump == nil {
			continue
		}
		d.name = strings.ToLower(k.name)
		begin := d.Len()
		k.dump(d, c)
		if origin != nil {
			d.comment(begin, origin(k.name))
		}
	}
	_, err := w.Write(d.Bytes())
	return err
}

// comment puts where a value comes from before the lines since begin.
func (d *dumper) comment(begin int, origin string) {
	if origin == "" {
		origin = "default"
	}
	lines := bytes.Clone(d.Bytes()[begin:])
	if len(lines) == 0 {
		return
	}
	d.Truncate(begin)
	d.WriteString("# " + origin + "\n")
	d.Write(lines)
}

// ListenAddr is one address to listen on.
type ListenAddr struct {
	Addr    netip.AddrPort
	RDomain string // network device to bind to; "": none
}

// Listen returns the addresses to listen on: every ListenAddress, each with its
// own port or with every Port, of the family that AddressFamily allows. lookup
// resolves a host name, nil means the system's resolver. The error is sshd's
// line for a name that has no address.
func (c *Config) Listen(lookup func(host string) ([]netip.Addr, error)) ([]ListenAddr, error) {
	if lookup == nil {
		lookup = systemLookup
	}
	var all []ListenAddr
	for _, l := range c.listenLines() {
		addrs, err := c.listenHost(l.Host, lookup)
		if err != nil {
			return nil, err
		}
		ports := c.Port
		if l.Port != 0 {
			ports = []int{l.Port}
		}
		for _, port := range ports {
			for _, a := range addrs {
				all = append(all, ListenAddr{netip.AddrPortFrom(a, uint16(port)), l.RDomain})
			}
		}
	}
	return all, nil
}

// listenLines returns the ListenAddress lines, or what stands for none.
func (c *Config) listenLines() []ListenAddress {
	if len(c.ListenAddress) > 0 {
		return c.ListenAddress
	}
	return []ListenAddress{{}}
}

// listenHost returns the addresses of one host; "" is every local address.
func (c *Config) listenHost(host string, lookup func(string) ([]netip.Addr, error)) ([]netip.Addr, error) {
	var found []netip.Addr
	fault := "Name or service not known"
	if host == "" {
		found = []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()}
	} else if a, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{a}
		fault = "Address family for hostname not supported"
	} else if found, err = lookup(host); err != nil {
		found = nil
	}
	var allowed []netip.Addr
	for _, a := range found {
		a = a.Unmap()
		if c.AddressFamily == FamilyAny || a.Is4() == (c.AddressFamily == FamilyIPv4) {
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		return nil, &detail{fmt.Sprintf("bad addr or host: %s (%s)", host, fault)}
	}
	return allowed, nil
}

func systemLookup(host string) ([]netip.Addr, error) {
	ips, err := net.LookupIP(host)
	var addrs []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs, err
}

// dumpListen writes the addresses as -T does.
func dumpListen(d *dumper, c *Config) {
	write := func(host, port, rdomain string) {
		if rdomain != "" {
			rdomain = " rdomain " + quoteWord(rdomain)
		}
		d.line(net.JoinHostPort(host, port) + rdomain)
	}
	addrs, err := c.Listen(nil)
	if err == nil {
		for _, a := range addrs {
			write(a.Addr.Addr().String(), strconv.Itoa(int(a.Addr.Port())), a.RDomain)
		}
		return
	}
	for _, l := range c.ListenAddress {
		port := l.Port
		if port == 0 && len(c.Port) > 0 {
			port = c.Port[0]
		}
		write(l.Host, strconv.Itoa(port), l.RDomain)
	}
}
