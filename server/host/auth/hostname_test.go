package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// zone is a name service: it has what its maps have.
type zone struct {
	reverse map[string]string
	forward map[string]string
}

var errNotFound = errors.New("no such host")

func (z zone) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if name, ok := z.reverse[addr]; ok {
		return []string{name}, nil
	}
	return nil, errNotFound
}

func (z zone) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if a, ok := z.forward[host]; ok {
		return []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr(a)}, nil
	}
	return nil, errNotFound
}

func TestHostName(t *testing.T) {
	z := zone{
		reverse: map[string]string{
			"192.0.2.1": "Client.Example.", "192.0.2.2": "liar.example.", "192.0.2.3": "missing.example.",
			"192.0.2.4": "203.0.113.9.", "192.0.2.5": "0x7f.1.", "192.0.2.6": "2130706433", "2001:db8::1": "six.example.",
			"192.0.2.7": "2001:db8::1", "192.0.2.8": ".", "192.0.2.9": strings.Repeat("x.", 200), "192.0.2.10": "1.example.", "192.0.2.11": "word",
		},
		forward: map[string]string{
			"client.example.": "::ffff:192.0.2.1", "liar.example.": "203.0.113.1", "six.example.": "2001:db8::1", "1.example.": "192.0.2.10", "word": "192.0.2.11",
		},
	}
	nasty := `Nasty PTR record "%s" is set up for %s, ignoring`
	for _, c := range []struct{ addr, want, line string }{
		{"192.0.2.1", "client.example", ""},
		{"::ffff:192.0.2.1", "client.example", ""},
		{"2001:db8::1", "six.example", ""},
		{"192.0.2.10", "1.example", ""},
		{"192.0.2.11", "word", ""},
		{"192.0.2.99", "192.0.2.99", ""},
		{"192.0.2.8", "192.0.2.8", ""},
		{"192.0.2.9", "192.0.2.9", ""},
		{"192.0.2.2", "192.0.2.2", "Address 192.0.2.2 maps to liar.example, but this does not map back to the address."},
		{"192.0.2.3", "192.0.2.3", "reverse mapping checking getaddrinfo for missing.example [192.0.2.3] failed."},
		{"192.0.2.4", "192.0.2.4", fmt.Sprintf(nasty, "203.0.113.9", "192.0.2.4")},
		{"192.0.2.5", "192.0.2.5", fmt.Sprintf(nasty, "0x7f.1", "192.0.2.5")},
		{"192.0.2.6", "192.0.2.6", fmt.Sprintf(nasty, "2130706433", "192.0.2.6")},
		{"192.0.2.7", "192.0.2.7", fmt.Sprintf(nasty, "2001:db8::1", "192.0.2.7")},
	} {
		var lines []string
		log := func(level Level, format string, args ...any) {
			if level <= Info {
				lines = append(lines, fmt.Sprintf(format, args...))
			}
		}
		got := HostName(context.Background(), z, netip.MustParseAddr(c.addr), log)
		if got != c.want || !slices.Equal(lines, slices.DeleteFunc([]string{c.line}, func(s string) bool { return s == "" })) {
			t.Errorf("%s: %q, %q; want %q, %q", c.addr, got, lines, c.want, c.line)
		}
	}
}

// TestSystemResolver reads the machine's own /etc/hosts.
func TestSystemResolver(t *testing.T) {
	text, _ := os.ReadFile("/etc/hosts")
	want := ""
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); want == "" && len(f) > 1 && f[0] == "127.0.0.1" {
			want = strings.ToLower(f[1])
		}
	}
	if want == "" {
		t.Skip("/etc/hosts does not name 127.0.0.1")
	}
	if got := HostName(context.Background(), SystemResolver, netip.MustParseAddr("127.0.0.1"), nil); got != want {
		t.Errorf("127.0.0.1 is %q, want %q", got, want)
	}
}
