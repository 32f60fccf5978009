package scp

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// both runs the same stream through OpenSSH's scp and this one, each in a directory
// of its own that prepare has filled, and compares all that comes of it.
func both(t *testing.T, umask, stream string, prepare func(dir string), args ...string) result {
	t.Helper()
	var got [2]result
	var trees [2]string
	for i, path := range []string{reference(t), program(t)} {
		dir := t.TempDir()
		t.Cleanup(func() { makeRemovable(dir) })
		if prepare != nil {
			prepare(dir)
		}
		cmd := exec.Command("/bin/sh", append([]string{"-c", `umask "$0"; p=$1; shift; exec "$p" "$@"`, umask, path}, args...)...)
		if i == 1 { // by way of a link: the name says what this binary is
			link := filepath.Join(t.TempDir(), "scp")
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			cmd.Args[4] = link
		}
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(stream)
		got[i] = finish(t, cmd)
		trees[i] = tree(t, dir)
	}
	if got[0].stdout != got[1].stdout || got[0].code != got[1].code {
		t.Errorf("scp -%v %q:\nexpected exit %d %q\n     got exit %d %q\nstderr %q",
			args, cut(stream), got[0].code, cut(got[0].stdout), got[1].code, cut(got[1].stdout), got[1].stderr)
	}
	if trees[0] != trees[1] {
		t.Errorf("scp %v %q:\nexpected\n%sgot\n%s", args, cut(stream), trees[0], trees[1])
	}
	return got[1]
}

func cut(s string) string { return s[:min(len(s), 400)] }

// TestSinkAsScp compares what the sink makes of a stream.
func TestSinkAsScp(t *testing.T) {
	times := "T1183828267 0 1183828200 0\n"
	file := "C0644 5 file\nhello\x00"
	there := func(dir string) {
		put(t, dir+"/file", "old and longer than the new one", 0o640)
		put(t, dir+"/d/file", "x", 0o600)
		age(t, dir+"/d", 0o755)
	}
	for _, c := range []struct {
		name, umask, stream string
		prepare             func(string)
		args                []string
	}{
		{"new file", "022", file, nil, []string{"-t", "target"}},
		{"into a directory", "022", file, nil, []string{"-t", "."}},
		{"umask", "077", "C0666 5 file\nhello\x00", nil, []string{"-t", "."}},
		{"read-only", "022", "C0444 5 file\nhello\x00", nil, []string{"-t", "."}},
		{"no mode at all", "022", "C0000 5 file\nhello\x00", nil, []string{"-p", "-t", "."}},
		{"existing", "022", "C0777 5 file\nhello\x00", there, []string{"-t", "."}},
		{"existing -p", "022", times + "C0777 5 file\nhello\x00", there, []string{"-p", "-t", "."}},
		{"-p", "077", times + "C0666 5 file\nhello\x00", nil, []string{"-tp", "."}},
		{"times without -p", "022", times + file, nil, []string{"-t", "."}},
		{"time out of range", "022", "T99999999999999999999 0 5 0\n" + file, nil, []string{"-p", "-t", "."}},
		{"empty file", "022", "C0644 0 file\n\x00", nil, []string{"-t", "."}},
		{"two files", "022", file + "C0600 0 b\n\x00", nil, []string{"-d", "-t", "."}},
		{"-d onto a file", "022", file, there, []string{"-d", "-t", "file"}},
		{"-d onto nothing", "022", file, nil, []string{"-d", "-t", "none"}},
		{"no directory", "022", file, nil, []string{"-t", "no/where"}},
		{"directory in the way", "022", "C0644 5 d\n" + file, there, []string{"-t", "."}},
		{"file in the way", "022", "D0755 0 file\n" + file, there, []string{"-r", "-t", "."}},
		{"tree", "022", "D0755 0 a\n" + file + "D0700 0 b\nC0600 1 x\n1\x00E\nE\n", nil, []string{"-r", "-t", "."}},
		{"tree as target", "022", "D0755 0 a\n" + file + "E\n", nil, []string{"-r", "-t", "new"}},
		{"tree -p", "022", times + "D0555 0 a\n" + times + file + "E\n", nil, []string{"-r", "-p", "-t", "."}},
		{"read-only directory", "022", "D0555 0 a\n" + file + "E\n", nil, []string{"-r", "-t", "."}},
		{"existing tree", "022", "D0700 0 d\n" + file + "E\n", there, []string{"-r", "-t", "."}},
		{"existing tree -p", "022", times + "D0700 0 d\n" + file + "E\n", there, []string{"-r", "-p", "-t", "."}},
		{"unfinished tree", "022", "D0755 0 a\n" + file, nil, []string{"-r", "-t", "."}},
		{"directory without -r", "022", "D0755 0 a\nE\n", nil, []string{"-t", "."}},
		{"end first", "022", "E\n", nil, []string{"-t", "."}},
		{"nothing", "022", "", nil, []string{"-t", "."}},
		{"no target", "022", "", nil, []string{"-t"}},
		{"two targets", "022", "", nil, []string{"-t", "a", "b"}},
		{"dashes", "022", file, nil, []string{"-t", "--", "-f"}},
		{"ignored options", "022", file, nil, []string{"-q", "-v", "-l", "800", "-i/x", "-Ct", "."}},
		{"full disk", "022", "C0644 5 full\nhello\x00" + "C0644 1 full\nh\x00", nil, []string{"-t", "/dev/full"}},
		{"null device", "022", "C0644 5 x\nhello\x00", nil, []string{"-t", "/dev/null"}},
		{"client's warning", "022", "\x01scp: a: gone\n" + file, nil, []string{"-t", "."}},
		{"client's end", "022", "\x02bye\n" + file, nil, []string{"-t", "."}},
		{"client's file broke", "022", "C0644 5 file\nhello\x01scp: file: Input/output error\n" + file, nil, []string{"-t", "."}},
		{"client's file ended it", "022", "C0644 5 file\nhello\x02end\n" + file, nil, []string{"-t", "."}},
		{"not UTF-8", "022", "C0644 1 \xff\xfe\x80 \t'\"\\\nx\x00", nil, []string{"-t", "."}},
		{"name too long", "022", "C0644 1 " + strings.Repeat("n", 300) + "\n" + file, nil, []string{"-t", "."}},
		{"lost in a record", "022", "C0644 5 fi", nil, []string{"-t", "."}},
		{"lost at the end of a file", "022", "C0644 5 file\nhello", nil, []string{"-t", "."}},
	} {
		t.Run(c.name, func(t *testing.T) { both(t, c.umask, c.stream, c.prepare, c.args...) })
	}
}

// TestRefusedAsScp compares the answers to records that are none.
func TestRefusedAsScp(t *testing.T) {
	for _, stream := range []string{
		"\n", "hello, I am your .bashrc\n", "C\n", "C064\n", "C0648 5 a\n", "C-644 5 a\n", "C00644 5 a\n",
		"C0644 -5 a\n", "C0644 +5 a\n", "C0644 a\n", "C0644 5\n", "C0644 5x a\n", "C0644  5 a\n",
		"C0644 9223372036854775808 a\n", "C0644 99999999999999999999999 a\n", "C0644 5 \n",
		"C0644 5 .\n", "C0644 5 ..\n", "C0644 5 ../a\n", "C0644 5 /etc/x\n", "C0644 5 a/\n", "C0644 5 a/b\n",
		"D0755 0 .\n", "D0755 0 ..\n", "D0755 0 a/b\n",
		"T\n", "Tx\n", "T1\n", "T1 \n", "T1 0\n", "T1 0 \n", "T1 0 x\n", "T1 0 1\n", "T1 0 1 0 \n", "T1 0 1 0x\n",
		"T1 -1 1 0\n", "T1 1000000 1 0\n", "T1 0 1 1000000\n", "T1 0 1 -1\n",
		"T1 0 1 0\nX\n", "E\nmore", "\x01w\n\n", "\x01w\nX\n",
	} {
		both(t, "022", stream, nil, "-r", "-t", ".")
	}
}

// TestSourceAsScp compares what the source sends.
func TestSourceAsScp(t *testing.T) {
	fill := func(dir string) {
		put(t, dir+"/file", "hello", 0o644)
		put(t, dir+"/empty", "", 0o600)
		put(t, dir+"/large", strings.Repeat("0123456789", 1<<16), 0o755)
		put(t, dir+"/d/sub/x", "x", 0o640)
		put(t, dir+"/new\nline \\\xff\x7f\x80\xa0\t", "n", 0o644)
		for _, d := range []string{"/d/sub", "/d", "/"} {
			age(t, dir+d, 0o755)
		}
		if err := os.Symlink("file", dir+"/link"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("none", dir+"/dangling"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("loop", dir+"/loop"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("d", dir+"/dlink"); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(dir+"/fifo", 0o644); err != nil {
			t.Fatal(err)
		}
	}
	yes := strings.Repeat("\x00", 100)
	for _, c := range []struct {
		name, replies string
		args          []string
	}{
		{"file", yes, []string{"-f", "file"}},
		{"times", yes, []string{"-p", "-f", "file"}},
		{"files", yes, []string{"-f", "file", "empty", "none", "large"}},
		{"nothing", yes, []string{"-f"}},
		{"no client", "", []string{"-f", "file"}},
		{"client leaves", "\x00\x00", []string{"-f", "file"}},
		{"link", yes, []string{"-f", "link", "dangling", "loop"}},
		{"directory without -r", yes, []string{"-f", "d"}},
		{"directory", yes, []string{"-r", "-f", "d"}},
		{"directory -p", yes, []string{"-rp", "-f", "d///"}},
		{"directory by a link", yes, []string{"-r", "-f", "dlink"}},
		{"top", yes, []string{"-r", "-f", "/nonexistent/", "d/sub"}},
		{"here", yes, []string{"-r", "-f", "d/."}},
		{"fifo", yes, []string{"-r", "-f", "fifo", "file"}},
		{"device", yes, []string{"-f", "/dev/null"}},
		{"new line", yes, []string{"-f", "new\nline \\\xff\x7f\x80\xa0\t"}},
		{"refused file", "\x00\x01no\n\x00\x00\x00", []string{"-f", "file", "empty"}},
		{"refused times", "\x00\x01no\n\x00\x00\x00\x00", []string{"-p", "-f", "file", "empty"}},
		{"refused directory", "\x00\x01no\n\x00\x00\x00", []string{"-r", "-f", "d", "empty"}},
		{"ended", "\x00\x02no\n", []string{"-f", "file", "empty"}},
		{"warned at the start", "\x01no\n\x00\x00", []string{"-f", "file"}},
		{"not saved", "\x00\x00\x01full\n\x00\x00", []string{"-f", "file", "empty"}},
		{"no answer", "\x00hello\n\x00", []string{"-f", "file", "empty"}},
		{"dashes", yes, []string{"-f", "--", "-x"}},
	} {
		t.Run(c.name, func(t *testing.T) { both(t, "022", c.replies, fill, c.args...) })
	}
	t.Run("shorter than it says", func(t *testing.T) {
		const path = "/sys/kernel/mm/transparent_hugepage/enabled" // 4096 bytes, says stat
		if info, err := os.Stat(path); err != nil || info.Size() < 4096 {
			t.Skip("no file here that is shorter than its size")
		}
		r := both(t, "022", yes, nil, "-f", path)
		if r.code != 1 || !strings.HasSuffix(r.stdout, "\x00\x01scp: "+path+": Broken pipe\n") {
			t.Errorf("exit %d, %q", r.code, r.stdout)
		}
	})
}
