//go:build ignore

// Size says who owns the bytes of the built file: Go packages by their symbols, C libraries by their archive members in
// the linker's map, and the tables of Go's own linker. `make size` runs it:
//
//	go run deps/size.go UNSTRIPPED LINKMAP SHIPPED
//
// UNSTRIPPED is the product linked with its symbols, LINKMAP the map of that link, SHIPPED the file users get.
package main

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: size.go UNSTRIPPED LINKMAP SHIPPED"))
	}
	shipped, err := os.Stat(os.Args[3])
	if err != nil {
		fail(err)
	}
	file, err := elf.Open(os.Args[1])
	if err != nil {
		fail(err)
	}
	defer file.Close()
	owners := map[string]uint64{}
	var placed uint64 // bytes of the file in sections that are loaded
	for _, s := range file.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Type != elf.SHT_NOBITS {
			placed += s.Size
		}
	}
	if err := ownersInMap(os.Args[2], file, owners); err != nil {
		fail(err)
	}
	if err := ownersInGo(file, owners); err != nil {
		fail(err)
	}
	report(owners, placed, uint64(shipped.Size()))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "size:", err)
	os.Exit(1)
}

// An input section of the map: " .text.name  0xaddress  0xsize  file", the name perhaps on a line of its own.
var inputSection = regexp.MustCompile(`^ (\.\S+|COMMON)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$`)

// ownersInMap adds what the linker took from archives: all that is not Go's own object.
func ownersInMap(name string, file *elf.File, owners map[string]uint64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := inputSection.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		address, _ := strconv.ParseUint(m[2], 16, 64)
		size, _ := strconv.ParseUint(m[3], 16, 64)
		// Dropped sections have no address; those of debug information and of zeroes take no room in the shipped file.
		if !inFile(file, address, size) {
			continue
		}
		if owner := cOwner(m[4]); owner != "" {
			owners[owner] += size
		}
	}
	return lines.Err()
}

// inFile tells whether the bytes are in a section that is loaded from the file.
func inFile(file *elf.File, address, size uint64) bool {
	if address == 0 || size == 0 {
		return false
	}
	for _, s := range file.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Type != elf.SHT_NOBITS && address >= s.Addr && address+size <= s.Addr+s.Size {
			return true
		}
	}
	return false
}

var archiveMember = regexp.MustCompile(`([^/]+)\.a\(([^)]+)\)$`)

// libtool puts the library before each member: libsodium_la-core.o.
var libtool = regexp.MustCompile(`^lib[a-z0-9]+_la-`)

// cOwner names a C library and, for the large ones, the part of it: "libcrypto: ec", by the member's name.
func cOwner(object string) string {
	if m := archiveMember.FindStringSubmatch(object); m != nil {
		return m[1] + ": " + part(m[2])
	}
	base := path.Base(object)
	switch {
	case base == "go.o":
		return "" // by symbols, below
	case strings.HasPrefix(base, "crt") || base == "rcrt1.o":
		return "start files"
	default:
		return "C code of cgo packages"
	}
}

// part cuts a member's name to its first word: libcrypto-lib-ec_lib.o is of "ec", aesni-gcm-x86_64.o of "aesni".
func part(member string) string {
	word := libtool.ReplaceAllString(member, "")
	word = strings.TrimPrefix(word, "libcrypto-lib-")
	word = strings.TrimPrefix(word, "libdefault-lib-")
	word = strings.TrimPrefix(word, "libcommon-lib-")
	word = strings.TrimSuffix(strings.TrimSuffix(word, ".o"), ".lo")
	if at := strings.IndexAny(word, "_-"); at > 1 {
		word = word[:at]
	}
	return word
}

// What Go's linker makes of the whole program: no package owns it alone.
var tables = map[string]string{
	"runtime.pclntab":     "Go: function tables (pclntab)",
	"runtime.types":       "Go: type descriptions",
	"runtime.rodata":      "Go: constants without a name",
	"go:string.*":         "Go: string constants",
	"go:func.*":           "Go: stack maps of functions",
	"runtime.gcbits.*":    "Go: garbage collector maps",
	"runtime.findfunctab": "Go: function tables (findfunctab)",
}

// ownersInGo adds Go's symbols, each to its package.
func ownersInGo(file *elf.File, owners map[string]uint64) error {
	symbols, err := file.Symbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if s.Size == 0 || int(s.Section) >= len(file.Sections) || s.Section == elf.SHN_UNDEF {
			continue
		}
		if !inFile(file, s.Value, s.Size) {
			continue
		}
		if owner := goOwner(s.Name); owner != "" {
			owners[owner] += s.Size
		}
	}
	// The tables of pclntab have a section of their own, and a symbol without a size.
	for _, s := range file.Sections {
		switch s.Name {
		case ".gopclntab", ".typelink", ".itablink", ".go.type", ".gofunc", ".go.buildinfo", ".eh_frame", ".eh_frame_hdr":
			owners["section "+s.Name] += s.Size
		}
	}
	return nil
}

var goPackage = regexp.MustCompile(`^(?:type:|go:|\$f\d+\.)?[*.]*([A-Za-z0-9_\-./%~]+?)\.[^/]*$`)

// gcc numbers the static variables inside functions: "table.12".
var cStatic = regexp.MustCompile(`^[A-Za-z_0-9]+\.[0-9]+$`)

// goOwner is a Go symbol's package, "" for a symbol of C.
func goOwner(symbol string) string {
	if owner, ok := tables[symbol]; ok {
		return owner
	}
	if strings.HasPrefix(symbol, "type:") {
		return "Go: type descriptions"
	}
	if strings.HasPrefix(symbol, "go:itab.") {
		return "Go: interface tables"
	}
	if strings.HasPrefix(symbol, "go:") || strings.HasPrefix(symbol, "_cgo") {
		return "Go: other tables"
	}
	if cStatic.MatchString(symbol) {
		return ""
	}
	name := strings.SplitN(symbol, "[", 2)[0]
	m := goPackage.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	pkg := strings.ReplaceAll(m[1], "%2e", ".")
	return "Go: " + strings.TrimPrefix(pkg, "vendor/")
}

const shown = 20_000 // smaller owners are summed up with their kind

// report prints the kinds (Go, a C library, a section), the largest first, and under each its owners.
func report(owners map[string]uint64, placed, shipped uint64) {
	kinds := map[string][]string{}
	sums := map[string]uint64{}
	var known uint64
	for owner, size := range owners {
		kind, _, _ := strings.Cut(owner, ":")
		kinds[kind] = append(kinds[kind], owner)
		sums[kind] += size
		known += size
	}
	var order []string
	for kind := range kinds {
		order = append(order, kind)
	}
	largestFirst(order, sums)
	for _, kind := range order {
		fmt.Printf("%9d  %s\n", sums[kind], kind)
		largestFirst(kinds[kind], owners)
		var small, count uint64
		for _, owner := range kinds[kind] {
			_, name, parts := strings.Cut(owner, ": ")
			switch {
			case !parts:
			case owners[owner] >= shown:
				fmt.Printf("    %9d  %s\n", owners[owner], name)
			default:
				small += owners[owner]
				count++
			}
		}
		if count > 0 {
			fmt.Printf("    %9d  %d smaller ones\n", small, count)
		}
	}
	// Padding between functions, and sections that the linker made itself.
	fmt.Printf("%9d  padding, and what the linker made itself\n", int64(placed)-int64(known))
	fmt.Printf("%9d  headers\n", int64(shipped)-int64(placed))
	fmt.Printf("%9d  the whole file\n", shipped)
}

func largestFirst(names []string, sizes map[string]uint64) {
	sort.Slice(names, func(i, j int) bool {
		a, b := sizes[names[i]], sizes[names[j]]
		return a > b || a == b && names[i] < names[j]
	})
}
