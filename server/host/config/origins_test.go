package config

import (
	"bytes"
	"strings"
	"testing"
)

// TestDumpOrigins: a dump with the places of its values reads back as one without.
func TestDumpOrigins(t *testing.T) {
	f, err := Parse("sshd_config", "MaxSessions 3\nSubsystem sftp internal-sftp\n\nAllowUsers \"a b\" c\nMatch User alice\n  MaxSessions 5\n  Banner /b\n", SshdProfile())
	if err != nil {
		t.Fatal(err)
	}
	info := NewTestInfo()
	if err := info.AddSpec("user=alice,host=h,addr=192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	c, origin, err := f.ResolveOrigins(info)
	if err != nil {
		t.Fatal(err)
	}
	var plain, commented bytes.Buffer
	if err := Dump(&plain, c); err != nil {
		t.Fatal(err)
	}
	if err := DumpOrigins(&commented, c, origin); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# sshd_config:6\nmaxsessions 5\n", "# sshd_config:7\nbanner /b\n", "# sshd_config:2\nsubsystem sftp internal-sftp\n", "# default\nmaxauthtries 6\n",
	} {
		if !strings.Contains(commented.String(), want) {
			t.Errorf("no %q in\n%s", want, &commented)
		}
	}
	again, err := Parse("dump", commented.String(), SshdProfile())
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := Dump(&second, again.Base()); err != nil || second.String() != plain.String() {
		t.Errorf("%v:\n%s\nwant\n%s", err, &second, &plain)
	}
}
