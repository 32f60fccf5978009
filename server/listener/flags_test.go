package listener

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
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

// TestAbsolutePaths: a reload, which has another working directory, finds the files of
// all flags.
func TestAbsolutePaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	o, err := parseFlags([]string{"-f", "f", "-h", "h", "-h", "/k", "-h", "~/k", "-c", "c", "-c", "none"})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&server{opts: o}).absolutePaths(); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	if o.configFile != in("f") || !slices.Equal(o.hostKeys, []string{in("h"), "/k", "~/k"}) || !slices.Equal(o.certificate, []string{in("c"), "none"}) {
		t.Errorf("%+v", o)
	}
}
