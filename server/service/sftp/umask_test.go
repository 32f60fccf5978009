package sftp

import (
	"os"
	"testing"
)

// TestUmask makes files with -u beside the process's own umask, which stays.
func TestUmask(t *testing.T) {
	own, known := processUmask()
	if !known || own&0o22 == 0 {
		t.Skipf("the process's umask %o takes nothing that could be given back", own)
	}
	for _, mask := range []int{-1, 0, 0o2, 0o22, 0o77, 0o777} {
		dir := t.TempDir()
		put(t, dir+"/old", "content", 0o640)
		if err := os.Symlink("nowhere", dir+"/dangling"); err != nil {
			t.Fatal(err)
		}
		o := options(dir)
		o.Umask = mask
		c := dial(t, o)
		left := func(mode os.FileMode) os.FileMode {
			if mask < 0 {
				return mode &^ os.FileMode(own)
			}
			return mode &^ os.FileMode(mask)
		}
		check := func(name string, want os.FileMode) {
			t.Helper()
			info, err := os.Stat(dir + "/" + name)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("-u %o: %s: %v, expected %v; %v", mask, name, info, want, err)
			}
		}
		const create = openWrite | openCreate
		for name, x := range map[string]struct {
			flags uint32
			mode  os.FileMode
		}{"a": {create, 0o666}, "b": {create | openExclude, 0o777}, "c": {create | openTruncate, 0o640}, "d": {openRead | openCreate, 0o464}, "e": {create, 0}} {
			c.open(name, x.flags, mode(uint32(x.mode)))
			check(name, left(x.mode))
		}
		c.open("old", create, mode(0o666))
		c.open("old", create|openTruncate, mode(0o666))
		check("old", 0o640)
		c.want(statusFailure, fxpOpen, str("old"), u32(create|openExclude), mode(0o666))
		if c.open("dangling", create, mode(0o600)); mask != 0o777 {
			check("nowhere", 0o600&left(0o777))
		}
		c.want(statusOK, fxpMkdir, str("dir"), noAttrs())
		check("dir", left(0o777))
		c.want(statusNoSuchFile, fxpOpen, str("none/x"), u32(create), noAttrs())
		c.close()
	}
	if after, _ := processUmask(); after != own {
		t.Errorf("the process's umask is %o, was %o", after, own)
	}
}
