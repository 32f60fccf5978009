// Package tests holds what is true of the whole tree: which package may import
// which. DESIGN.md draws the arrows; a new arrow is drawn there first and then
// written down here.
package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"testing"

	"nano_ssh_server/tests/harness"
)

const module = "nano_ssh_server"

// pkg is what `go list -json` says about a package.
type pkg struct {
	ImportPath  string
	Imports     []string
	CgoFiles    []string
	TestImports []string
	Deps        []string
}

// rel returns an import path below the module, and false for everything else. The
// module's own folder is "".
func rel(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// layer is a group of packages with the same rights. A pattern is a folder; with
// "/..." everything below it as well, and {a,b} stands for either.
type layer struct {
	packages string
	may      []string // patterns of packages of this module
}

// arrows are the arrows of DESIGN.md. The first layer that a package matches is
// its own. Packages of one folder of proto, service and host may use each other
// only where a line says so.
var arrows = []layer{
	{"server", []string{"server/{listener,gate,account,ipc,sandbox}", "server/service/{sftp,scp}", "server/host/..."}},
	{"server/listener", []string{"server/listener/source", "server/monitor", "server/ipc", "server/host/...", "server/sandbox"}},
	{"server/listener/source", []string{"server/host/{config,log}"}},
	{"server/monitor", []string{"server/ipc", "server/host/...", "server/proto/sshkey"}},
	{"server/gate", []string{"server/ipc", "server/sandbox", "server/host/{config,log}", "server/proto/{transport,userauth}"}},
	{"server/account", []string{"server/ipc", "server/sandbox", "server/host/{config,log}",
		"server/proto/{transport,connection}", "server/service/..."}},
	{"server/ipc", []string{"server/proto/wire"}},
	{"server/sandbox", nil},

	{"server/service/...", []string{"server/proto/{connection,msg,wire}", "server/host/...", "server/service/..."}},
	{"server/host/...", []string{"server/proto/{algo,sshkey}", "cgo/...", "server/host/..."}},

	{"server/proto/{userauth,connection}", []string{"server/proto/{transport,kex,cipher,sshkey,msg,algo,wire}"}},
	{"server/proto/transport", []string{"server/proto/{kex,cipher,sshkey,msg,algo,wire}"}},
	{"server/proto/kex/sntrup761", []string{"cgo/..."}},
	{"server/proto/{kex,cipher,sshkey}", []string{"server/proto/{msg,algo,wire,kex/sntrup761}", "cgo/..."}},
	{"server/proto/msg", []string{"server/proto/{algo,wire}"}},
	{"server/proto/{algo,wire}", []string{"server/proto/{algo,wire}"}},

	{"cgo/...", []string{"cgo/..."}},
	{"tests/...", []string{"tests/...", "cgo/..."}}, // from the outside only, but for the checks of cgo
	{"deps/...", nil},
}

// departures are arrows beside those of DESIGN.md, each with its reason. One that
// is no longer used fails the test.
var departures = []struct{ from, to, why string }{
	{"server/ipc", "server/host/nowait", "system calls on a connection's socket"},
	{"server/account", "server/host/user", "the account of session.Policy"},
	{"server/account", "server/host/pty", "makes a terminal of the descriptors that the monitor sends"},
	{"server", "cgo/sodium", "the random source that main gives the roles"},
	{"server/listener", "cgo/sodium", "wipes the one-time password; random secrets"},
	{"server/listener", "cgo/libcrypto", "the library's version, for -V"},
	{"server/listener", "server/proto/sshkey", "fingerprints of the host keys, printed at the start"},
	{"server/monitor", "cgo/libcrypto", "the groups of moduli; digests"},
	{"server/monitor", "server/proto/wire", "checks what a user's signature covers before it counts"},
	{"server/host/hostkey", "server/proto/wire", "the protocols of agents and of ssh-sk-helper"},
	{"server/account", "server/proto/msg", "reason codes for transport's and connection's calls"},
}

func departs(from, to string) bool {
	for _, d := range departures {
		if d.from == from && d.to == to {
			return true
		}
	}
	return false
}

// roles are the process roles: what one knows another must not reach past ipc.
var roles = []string{"server/listener", "server/gate", "server/account"}

// forbidden are packages that some may never use, not even by way of others that
// belong to this module.
var forbidden = []struct {
	who, whom []string
	why       string
}{
	{[]string{"server/proto/..."}, []string{"os", "os/...", "net", "net/...", "syscall", "golang.org/x/sys/..."},
		"proto is SSH as data and state: no os, no net, no syscall"},
	{[]string{"server/sandbox"}, []string{module + "/..."}, "sandbox depends on nothing here"},
	{[]string{"server/...", "cgo/..."}, []string{"testing", "golang.org/x/crypto/ssh/...", "github.com/spacemonkeygo/..."}, "tests only"},
	{[]string{"server/...", "cgo/..."}, []string{"net/http", "reflect"}, "too large for the binary, or too slow for what it would do"},
	{[]string{"server/...", "tests/..."}, []string{"C"}, "cgo/ is the only door to C"},
}

// thirdParty are the modules that the server's own code may import, and who may.
var thirdParty = map[string][]string{
	"github.com/creack/pty":         {"server/host/pty"},
	"github.com/jamesruan/sodium":   {"cgo/sodium"},
	"github.com/go-crypt/x":         {"server/host/user"},
	"github.com/klauspost/compress": {"server/proto/transport"},
	"golang.org/x/sys":              {"server/..."},
}

// match reports whether a path matches a pattern.
func match(pattern, path string) bool {
	if open := strings.IndexByte(pattern, '{'); open >= 0 {
		end := strings.IndexByte(pattern, '}')
		return slices.ContainsFunc(strings.Split(pattern[open+1:end], ","), func(part string) bool {
			return match(pattern[:open]+part+pattern[end+1:], path)
		})
	}
	if folder, below := strings.CutSuffix(pattern, "/..."); below {
		return path == folder || strings.HasPrefix(path, folder+"/")
	}
	return path == pattern
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, path) })
}

// check returns a line for each import that breaks a rule.
func check(packages []pkg) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, p := range packages {
		me, ok := rel(p.ImportPath)
		if !ok {
			continue
		}
		for _, to := range p.Imports {
			checkArrow(me, to, say)
			checkForbidden(me, to, say)
			checkThirdParty(me, to, say)
		}
		if len(p.CgoFiles) > 0 && !match("cgo/...", me) {
			say("%s uses C in %v: cgo/ is the only door to C", me, p.CgoFiles)
		}
	}
	sort.Strings(found)
	return slices.Compact(found)
}

func checkArrow(me, to string, say func(string, ...any)) {
	target, ours := rel(to)
	if !ours {
		return
	}
	if slices.Contains(roles, me) && slices.Contains(roles, target) {
		say("%s imports %s: the roles never import each other, they talk over ipc", me, target)
		return
	}
	at := slices.IndexFunc(arrows, func(l layer) bool { return match(l.packages, me) })
	if at < 0 {
		say("%s is in no layer of DESIGN.md: put it where its arrows are allowed, or draw them and add a line to arrows", me)
		return
	}
	if !matchAny(arrows[at].may, target) && !departs(me, target) {
		say("%s imports %s: DESIGN.md allows it only %v", me, target, arrows[at].may)
	}
}

func checkForbidden(me, to string, say func(string, ...any)) {
	for _, rule := range forbidden {
		if matchAny(rule.who, me) && matchAny(rule.whom, to) && !exempt(me, to) {
			say("%s imports %q: %s", me, to, rule.why)
		}
	}
}

// exempt are the tests that check C code against other C code.
func exempt(me, to string) bool {
	return to == "C" && match("tests/openssl/...", me) || match("tests/...", me) && to != "C"
}

func checkThirdParty(me, to string, say func(string, ...any)) {
	if _, ours := rel(to); ours || !match("server/...", me) && !match("cgo/...", me) {
		return
	}
	if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") {
		return // standard library
	}
	for name, who := range thirdParty {
		if match(name+"/...", to) {
			if !matchAny(who, me) {
				say("%s imports %s: only %v may", me, to, who)
			}
			return
		}
	}
	say("%s imports %s, which is not in the table of third-party parts of DESIGN.md", me, to)
}

// list runs go list for the whole module.
func list() ([]pkg, error) {
	if err := harness.NoteSources(); err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,CgoFiles,Deps", module+"/...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// TestArchitecture holds the arrows.
func TestArchitecture(t *testing.T) {
	packages, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("only %d packages: is this the module's folder?", len(packages))
	}
	for _, violation := range check(packages) {
		t.Error(violation)
	}
	for _, d := range departures {
		if !slices.ContainsFunc(packages, func(p pkg) bool {
			return p.ImportPath == module+"/"+d.from && slices.Contains(p.Imports, module+"/"+d.to)
		}) {
			t.Errorf("%s no longer imports %s: take it out of departures", d.from, d.to)
		}
	}
}

// TestReach checks what proto reaches by way of other packages of this module:
// cgo/ is the only one that may lead it out of pure data and state.
func TestReach(t *testing.T) {
	packages, err := list()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		me, _ := rel(p.ImportPath)
		for _, dep := range p.Deps {
			target, ours := rel(dep)
			if ours && match("server/proto/...", me) && !matchAny([]string{"server/proto/...", "cgo/..."}, target) {
				t.Errorf("%s reaches %s", me, target)
			}
			if me == "server" && matchAny([]string{"testing", "golang.org/x/crypto/ssh/...", "github.com/spacemonkeygo/...", "net/http"}, dep) {
				t.Errorf("the server's binary contains %s", dep)
			}
		}
	}
}

// TestCheck breaks each rule in a made-up package and sees it reported.
func TestCheck(t *testing.T) {
	for _, c := range []struct{ me, to, want string }{
		{"server/proto/wire", "net", "no os, no net, no syscall"},
		{"server/proto/kex", "os", "no os, no net, no syscall"},
		{"server/proto/transport", "golang.org/x/sys/unix", "no os, no net, no syscall"},
		{"server/proto/wire", module + "/server/proto/transport", "DESIGN.md allows it only"},
		{"server/proto/transport", module + "/server/host/log", "DESIGN.md allows it only"},
		{"server/proto/algo", module + "/cgo/libcrypto", "DESIGN.md allows it only"},
		{"server/gate", module + "/server/account", "the roles never import each other"},
		{"server/listener", module + "/server/gate", "the roles never import each other"},
		{"server/gate", module + "/server/host/user", "DESIGN.md allows it only"},
		{"server/gate", module + "/server/service/session", "DESIGN.md allows it only"},
		{"server/sandbox", module + "/server/host/log", "sandbox depends on nothing"},
		{"server/host/user", module + "/server/proto/transport", "DESIGN.md allows it only"},
		{"server/service/session", module + "/server/monitor", "DESIGN.md allows it only"},
		{"server/service/session", "C", "only door to C"},
		{"server/host/log", "golang.org/x/crypto/ssh", "tests only"},
		{"server/host/log", "github.com/creack/pty", "only [server/host/pty] may"},
		{"server/host/log", "github.com/sirupsen/logrus", "not in the table of third-party parts"},
		{"server/host/metrics", "net/http", "too large"},
		{"server/misc", module + "/server/ipc", "in no layer"},
		{"tests/raw", module + "/server/proto/wire", "DESIGN.md allows it only"},
		{"cgo/sodium", module + "/server/proto/wire", "DESIGN.md allows it only"},
	} {
		got := check([]pkg{{ImportPath: module + "/" + c.me, Imports: []string{"fmt", c.to}}})
		if len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), c.want) || !strings.Contains(got[0], c.me) {
			t.Errorf("%s -> %s: %q, expected %q", c.me, c.to, got, c.want)
		}
	}
	if got := check([]pkg{{ImportPath: module + "/server/host/x", CgoFiles: []string{"x.go"}}}); len(got) != 1 {
		t.Errorf("cgo outside of cgo/: %q", got)
	}
	for _, c := range [][2]string{
		{"server", module + "/server/gate"}, {"server/account", module + "/server/service/session"},
		{"server/proto/kex", module + "/cgo/sodium"}, {"server/proto/connection", module + "/server/proto/transport"},
		{"server/host/pty", "github.com/creack/pty"}, {"tests/interop", "golang.org/x/crypto/ssh"},
		{"tests/harness", "os/exec"}, {"server/ipc", module + "/server/proto/wire"},
	} {
		if got := check([]pkg{{ImportPath: module + "/" + c[0], Imports: []string{c[1]}}}); len(got) > 0 {
			t.Errorf("%s -> %s is allowed, but: %q", c[0], c[1], got)
		}
	}
}
