package sandbox

import (
	"os"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// titleBytes is the size of the memory that a process whose arguments are too short
// gets for its title.
const titleBytes = 256

// leastTitle is how much of a title is better than the arguments, in bytes.
const leastTitle = 20

// commBytes is the longest name of a process in bytes (PR_SET_NAME).
const commBytes = 15

// titles is the memory that the kernel shows as the process's arguments.
var titles struct {
	mu   sync.Mutex
	area []byte
	own  bool // it is memory made for this, not where the arguments were
	comm string
}

// The arguments lie, each with a zero behind, one after the other where the kernel
// put them; os.Args points there. The area is theirs alone: behind them comes the
// environment, which C libraries keep using. os.Args gets copies, since the program
// goes on reading it.
func init() {
	titles.area = arguments(os.Args)
	if titles.area == nil {
		return
	}
	kept := make([]string, len(os.Args))
	for i, a := range os.Args {
		kept[i] = strings.Clone(a)
	}
	os.Args = kept
}

// arguments returns the memory of the arguments, nil if they are not where the
// kernel puts them.
func arguments(args []string) []byte {
	if len(args) == 0 {
		return nil
	}
	first := unsafe.StringData(args[0])
	if !besideProgramName(uintptr(unsafe.Pointer(first))) {
		return nil
	}
	size := len(args[0]) + 1
	for _, a := range args[1:] {
		if uintptr(unsafe.Pointer(unsafe.StringData(a))) != uintptr(unsafe.Pointer(first))+uintptr(size) {
			return nil
		}
		size += len(a) + 1
	}
	return unsafe.Slice((*byte)(first), size)
}

// besideProgramName tells whether an address is of the block at the end of the
// first stack that has arguments, environment and, last, the program's name. The
// kernel bounds it to 6 MiB; nothing of Go's is ever near.
func besideProgramName(address uintptr) bool {
	const (
		atExecFn  = 31
		maxLength = 6 << 20
	)
	values, err := unix.Auxv()
	if err != nil {
		return false
	}
	for _, v := range values {
		if v[0] == atExecFn {
			return address < v[1] && v[1]-address < maxLength
		}
	}
	return false
}

// Title sets what ps(1) shows as the process's command, "sshd: alice [2 sessions]",
// and, by its first word, the short name by which pgrep(1) finds it. It is cut to
// the room that the arguments have, so whoever starts a process of the server gives
// it a long one. Where that is too short, root's processes get other memory for it
// (PR_SET_MM). It never fails; at worst nothing changes.
func Title(text string) {
	t := &titles
	t.mu.Lock()
	defer t.mu.Unlock()
	text = strings.ReplaceAll(text, "\x00", " ")
	setComm(text)
	if len(text)+2 > len(t.area) && !t.own {
		moveTitle()
	}
	room := len(t.area) - 2
	if room < min(len(text), leastTitle) {
		return
	}
	n := copy(t.area[:room], text)
	clear(t.area[n:])
	// Where the last byte is not zero the kernel shows one string, as far as the
	// first zero, in place of arguments with empty ones behind.
	t.area[room+1] = 1
}

// setComm names the process. The name is the first thread's.
func setComm(text string) {
	name := text
	if end := strings.IndexAny(name, ": "); end > 0 {
		name = name[:end]
	}
	name = name[:min(len(name), commBytes)]
	if name == titles.comm {
		return
	}
	titles.comm = name
	file, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0)
	if err != nil {
		// No /proc, as in a gate: no way to the first thread but from itself. Other
		// threads keep their names, which nobody looks at.
		if unix.Gettid() == os.Getpid() {
			var b [commBytes + 1]byte
			copy(b[:], name)
			_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
		}
		return
	}
	defer file.Close()
	_, _ = file.WriteString(name)
}

// moveTitle has the kernel take the arguments from other memory. That takes
// CAP_SYS_RESOURCE, and is tried once.
func moveTitle() {
	titles.own = true
	area, err := unix.Mmap(-1, 0, titleBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return
	}
	start := uintptr(unsafe.Pointer(&area[0]))
	// At each step the start is below the end: a mapping is below the stack.
	if unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_ARG_START, start, 0, 0) != nil {
		_ = unix.Munmap(area)
		return
	}
	if unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_ARG_END, start+titleBytes, 0, 0) != nil {
		if len(titles.area) > 0 {
			_ = unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_ARG_START, uintptr(unsafe.Pointer(&titles.area[0])), 0, 0)
		}
		_ = unix.Munmap(area)
		return
	}
	titles.area = area
}
