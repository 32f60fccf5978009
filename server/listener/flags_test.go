package listener

import (
	"errors"
	"reflect"
	"testing"
)

func TestParseFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want options
	}{
		{[]string{"-tf", "F"}, options{test: true, configFile: "F"}},
		{[]string{"-tq"}, options{test: true, quiet: true}},
		{[]string{"-D", "-p", "2222", "-p2223", "-oUsePAM=no", "-o", "Port 1"}, options{foreground: true, ports: []string{"2222", "2223"}, overrides: []string{"UsePAM=no", "Port 1"}}},
		{[]string{"-ddd", "-E/x", "-i", "-4"}, options{debug: 3, logFile: "/x", inetd: true, ipv4: true}},
		{[]string{"-T", "-C", "user=a,", "-h", "k", "--"}, options{dump: true, specs: []string{"user=a,"}, hostKeys: []string{"k"}}},
	} {
		got, err := parseFlags(c.args)
		if err != nil || !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%q: %+v, %v", c.args, got, err)
		}
	}
	for _, args := range [][]string{{"-x"}, {"-f"}, {"-o"}, {"extra"}, {"-t", "--", "extra"}, {"-é"}} {
		var u *usageError
		if _, err := parseFlags(args); !errors.As(err, &u) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
